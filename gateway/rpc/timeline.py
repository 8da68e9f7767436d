"""OperationsService: what happened to a SKU, how its numbers went, and what people did."""

from gateway.domain.audit import AuditEntry
from gateway.rpc import desk_parsing, parsing
from gateway.rpc.paging import NUMBER, page_size, page_token, token
from gateway.rpc.rendering import timestamp, trace_id
from gateway.rpc.server import Call, Streaming, Unary
from gateway.store.audit import AuditFilter
from gateway.v1 import operations_pb2
from gateway.v1 import operations_service_pb2 as pb

PAGE_SIZE_MAX = 500
NUMBER_MAX = 2**63 - 1


async def list_audit(call: Call, request: pb.ListAuditRequest) -> pb.ListAuditResponse:
    """List what people asked for, newest first."""
    size = min(page_size(request), PAGE_SIZE_MAX)
    wanted = AuditFilter(
        parsing.optional_code(request.sku, "sku"),
        parsing.optional_code(request.channel, "channel"),
        parsing.identifier(request.actor, "actor") if request.actor else "",
    )
    up_to = desk_parsing.number(request.up_to_audit_id, "up_to_audit_id", least=0)
    before = min(page_token(request, NUMBER, NUMBER_MAX), up_to + 1 if up_to else NUMBER_MAX, NUMBER_MAX)
    found = await call.merchant.audit.list(wanted, before=before, count_max=size)
    response = pb.ListAuditResponse()
    for entry in found:
        fill_audit_entry(response.entries.add(), entry)
    if len(found) == size:
        response.next_page_token = token(found[-1].audit_id)
    return response


def fill_audit_entry(m: operations_pb2.AuditEntry, entry: AuditEntry) -> None:
    """Fill what a person asked for."""
    m.audit_id = entry.audit_id
    m.record_time.CopyFrom(timestamp(entry.record_time))
    for name in ("actor", "method", "sku", "channel", "request_id", "outcome", "reason"):
        setattr(m, name, getattr(entry, name))
    m.content_json = entry.content
    m.trace_id = trace_id(entry.traceparent)


METHODS: dict[str, Unary | Streaming] = {"ListAudit": list_audit}
