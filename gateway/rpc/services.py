"""Which services the gateway serves."""

from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

from gateway.rpc import (
    alert_desk,
    alert_tiers,
    alert_watch,
    board,
    catalog,
    channel,
    drills,
    explanations,
    imports,
    live,
    operations,
    rehearsals,
    reviews,
    shops,
    stock,
    streams,
    timeline,
    traces,
)
from gateway.rpc.auditing import audited
from gateway.rpc.auth import Callers
from gateway.rpc.server import Server
from gateway.v1 import (
    alert_service_pb2,
    catalog_service_pb2,
    channel_service_pb2,
    live_service_pb2,
    operations_service_pb2,
    stock_service_pb2,
)

_METHODS = (
    (stock_service_pb2.DESCRIPTOR.services_by_name["StockService"], stock.METHODS),
    (
        catalog_service_pb2.DESCRIPTOR.services_by_name["CatalogService"],
        {**catalog.METHODS, **shops.CATALOG_METHODS, **imports.METHODS},
    ),
    (channel_service_pb2.DESCRIPTOR.services_by_name["ChannelService"], {**channel.METHODS, **shops.CHANNEL_METHODS}),
    (
        alert_service_pb2.DESCRIPTOR.services_by_name["AlertService"],
        {
            **alert_watch.METHODS,
            **alert_desk.METHODS,
            **alert_tiers.METHODS,
            **drills.METHODS,
            **rehearsals.METHODS,
        },
    ),
    (live_service_pb2.DESCRIPTOR.services_by_name["LiveService"], {**live.METHODS, **reviews.METHODS}),
    (
        operations_service_pb2.DESCRIPTOR.services_by_name["OperationsService"],
        {
            **operations.METHODS,
            **streams.METHODS,
            **timeline.METHODS,
            **traces.METHODS,
            **explanations.METHODS,
            **board.METHODS,
        },
    ),
)
# Each service with what serves its methods, for whichever door callers come through.
SERVICES = tuple((service, audited(service.name, methods)) for service, methods in _METHODS)


def build_server(callers: Callers) -> Server:
    """A server with all services of `gateway.v1`, not started."""
    server = Server(callers)
    for service, methods in SERVICES:
        server.add(service, methods)
    server.add(trace_service_pb2.DESCRIPTOR.services_by_name["TraceService"], traces.EXPORT_METHODS)
    return server
