"""CatalogService."""

from collections.abc import Collection, Sequence
from math import isfinite
from typing import Any, TypeVar

from google.protobuf.message import Message

from gateway.domain.errors import InvalidArgument
from gateway.rpc import parsing, rendering
from gateway.rpc.paging import CODE, PLACE, page_size, page_token, token
from gateway.rpc.server import Call, Streaming, Unary
from gateway.store.catalog import Location, Sku
from gateway.v1 import catalog_pb2
from gateway.v1 import catalog_service_pb2 as pb

WithSku = TypeVar("WithSku", bound=Any)
WithLocation = TypeVar("WithLocation", bound=Any)

SUBSTITUTES_MAX = 20
LEAD_TIME_DAYS_MAX = 3650.0
_SKU_FIELDS = frozenset(("title", "safety_stock", "lead_time_mean_days", "lead_time_deviation_days", "substitutes"))
_LOCATION_FIELDS = frozenset(("title", "position"))


async def create_sku(call: Call, request: pb.CreateSkuRequest) -> pb.CreateSkuResponse:
    """Create a SKU."""
    return _with_sku(pb.CreateSkuResponse(), await call.merchant.catalog.create_sku(_sku(request.sku)))


async def update_sku(call: Call, request: pb.UpdateSkuRequest) -> pb.UpdateSkuResponse:
    """Change the named fields of a SKU."""
    fields = fields_to_change(request, request.sku, _SKU_FIELDS)
    return _with_sku(pb.UpdateSkuResponse(), await call.merchant.catalog.update_sku(_sku(request.sku), fields))


async def get_sku(call: Call, request: pb.GetSkuRequest) -> pb.GetSkuResponse:
    """Read one SKU."""
    return _with_sku(pb.GetSkuResponse(), await call.merchant.catalog.sku(parsing.code(request.sku, "sku")))


async def list_skus(call: Call, request: pb.ListSkusRequest) -> pb.ListSkusResponse:
    """List SKUs by code."""
    size = page_size(request)
    found = await call.merchant.catalog.list_skus(
        prefix=parsing.text(request.sku_prefix, "sku_prefix"), after=page_token(request, CODE, ""), count_max=size
    )
    response = pb.ListSkusResponse()
    for sku in found:
        rendering.fill_sku(response.skus.add(), sku)
    if len(found) == size:
        response.next_page_token = token(found[-1].sku)
    return response


async def freeze_sku(call: Call, request: pb.FreezeSkuRequest) -> pb.FreezeSkuResponse:
    """Stop new reservations of a SKU."""
    if not request.reason:
        raise InvalidArgument("freezing needs a reason, for who finds it frozen", field="reason")
    code, reason = parsing.code(request.sku, "sku"), parsing.text(request.reason, "reason")
    return _with_sku(pb.FreezeSkuResponse(), await call.merchant.catalog.set_frozen(code, True, reason))


async def unfreeze_sku(call: Call, request: pb.UnfreezeSkuRequest) -> pb.UnfreezeSkuResponse:
    """Let a SKU be reserved again."""
    code = parsing.code(request.sku, "sku")
    return _with_sku(pb.UnfreezeSkuResponse(), await call.merchant.catalog.set_frozen(code, False, ""))


async def create_location(call: Call, request: pb.CreateLocationRequest) -> pb.CreateLocationResponse:
    """Create a location."""
    created = await call.merchant.catalog.create_location(_location(request.location))
    return _with_location(pb.CreateLocationResponse(), created)


async def update_location(call: Call, request: pb.UpdateLocationRequest) -> pb.UpdateLocationResponse:
    """Change the named fields of a location."""
    fields = fields_to_change(request, request.location, _LOCATION_FIELDS)
    updated = await call.merchant.catalog.update_location(_location(request.location), fields)
    return _with_location(pb.UpdateLocationResponse(), updated)


async def get_location(call: Call, request: pb.GetLocationRequest) -> pb.GetLocationResponse:
    """Read one location."""
    found = await call.merchant.catalog.location(parsing.code(request.location, "location"))
    return _with_location(pb.GetLocationResponse(), found)


async def list_locations(call: Call, request: pb.ListLocationsRequest) -> pb.ListLocationsResponse:
    """List locations in the order in which they serve."""
    size = page_size(request)
    found = await call.merchant.catalog.list_locations(after=page_token(request, PLACE, None), count_max=size)
    response = pb.ListLocationsResponse()
    for location in found:
        rendering.fill_location(response.locations.add(), location)
    if len(found) == size:
        response.next_page_token = token((found[-1].position, found[-1].location))
    return response


def _sku(m: catalog_pb2.Sku) -> Sku:
    code = parsing.code(m.sku, "sku.sku")
    require_substitutes(code, m.substitutes, "sku.substitutes")
    substitutes = tuple(parsing.code(one, f"sku.substitutes[{place}]") for place, one in enumerate(m.substitutes))
    return Sku(
        code,
        parsing.text(m.title, "sku.title"),
        parsing.units(m.safety_stock, "sku.safety_stock", least=0),
        _days(m, "lead_time_mean_days"),
        _days(m, "lead_time_deviation_days"),
        substitutes,
    )


def _location(m: catalog_pb2.Location) -> Location:
    return Location(parsing.code(m.location, "location.location"), parsing.text(m.title, "location.title"), m.position)


def _days(m: catalog_pb2.Sku, name: str) -> float | None:
    if not m.HasField(name):  # type: ignore[arg-type]  # the stubs want a literal
        return None
    return days(float(getattr(m, name)), f"sku.{name}")


def days(value: float, field: str) -> float:
    """A lead time in days; raises `InvalidArgument`."""
    if not isfinite(value) or not 0 <= value <= LEAD_TIME_DAYS_MAX:
        name = field.rpartition(".")[2]
        raise InvalidArgument(f"{name} is {value}; it must be 0 to {LEAD_TIME_DAYS_MAX:g} days", field=field)
    return value


def require_substitutes(code: str, substitutes: Sequence[str], field: str) -> None:
    """Raise `InvalidArgument` unless these can be a SKU's substitutes."""
    if len(substitutes) > SUBSTITUTES_MAX:
        raise InvalidArgument(f"at most {SUBSTITUTES_MAX} substitutes may be named", field=field)
    if code in substitutes or len(set(substitutes)) < len(substitutes):
        raise InvalidArgument("a SKU's substitutes are other SKUs, each named once", field=field)


def fields_to_change(request: Any, message: Message, allowed: Collection[str]) -> set[str]:
    """The fields to change: those of the mask, or all that are set."""
    named = list(request.update_mask.paths)
    for path in named:
        if path not in allowed:
            raise InvalidArgument(
                f"{path[:40]!r} cannot be changed; the mask may name {', '.join(sorted(allowed))}", field="update_mask"
            )
    return set(named) or {field.name for field, _ in message.ListFields() if field.name in allowed}


def _with_sku(response: WithSku, sku: Sku) -> WithSku:
    rendering.fill_sku(response.sku, sku)
    return response


def _with_location(response: WithLocation, location: Location) -> WithLocation:
    rendering.fill_location(response.location, location)
    return response


METHODS: dict[str, Unary | Streaming] = {
    "CreateSku": create_sku,
    "UpdateSku": update_sku,
    "GetSku": get_sku,
    "ListSkus": list_skus,
    "FreezeSku": freeze_sku,
    "UnfreezeSku": unfreeze_sku,
    "CreateLocation": create_location,
    "UpdateLocation": update_location,
    "GetLocation": get_location,
    "ListLocations": list_locations,
}
