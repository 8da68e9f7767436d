"""StockService."""

from collections.abc import Sequence
from enum import IntEnum
from itertools import groupby
from typing import Any, TypeVar

from google.protobuf.message import Message

from gateway.domain.commands import AnyCommand, ReserveStock
from gateway.domain.errors import AtomicGroupFailed, GatewayError, InvalidArgument
from gateway.domain.groups import Span
from gateway.domain.reservations import ReservationState
from gateway.domain.stock import MovementKind
from gateway.ledger import NO_LIMIT
from gateway.rpc import parsing, rendering
from gateway.rpc.paging import CODE, NUMBER, page_size, page_token, token
from gateway.rpc.server import Call, Streaming, Unary
from gateway.rpc.status import refusal_of
from gateway.rpc.watch import watch_stock_levels
from gateway.store.journal import MovementFilter
from gateway.store.reservations import ReservationFilter
from gateway.v1 import stock_service_pb2 as pb

Known = TypeVar("Known", bound=IntEnum)

BATCH_ITEMS_MAX = 1_000
BATCH_LINES_MAX = 2_000
SKUS_MAX = 1_000


def _mutation(name: str, response_class: type[Message]) -> Unary:
    parse, fill = parsing.PARSERS[name], rendering.FILLERS[name]

    async def method(call: Call, request: Any) -> Message:
        (outcome,) = await call.merchant.ledger.apply((parse(request),), deadline=call.deadline)
        if isinstance(outcome, GatewayError):
            try:
                raise outcome
            finally:
                # Its traceback holds this frame: a cycle, and a thousand refusals a second would feed the collector.
                del outcome
        response = response_class()
        fill(response, outcome)
        return response

    return method


async def apply_batch(call: Call, request: pb.ApplyBatchRequest) -> pb.ApplyBatchResponse:
    """Apply any mix of commands in order, one answer each; a malformed item is refused alone, or with its group."""
    items = request.items
    if not 1 <= len(items) <= BATCH_ITEMS_MAX:
        raise InvalidArgument(f"a batch has 1 to {BATCH_ITEMS_MAX} items, not {len(items)}", field="items")
    names = [item.WhichOneof("command") or "" for item in items]
    groups = [item.atomic_group for item in items]
    parsed = [_parse_item(item, name, place) for place, (item, name) in enumerate(zip(items, names, strict=True))]
    if sum(len(command.lines) for command in parsed if isinstance(command, ReserveStock)) > BATCH_LINES_MAX:
        raise InvalidArgument(f"the reservations of a batch have at most {BATCH_LINES_MAX} lines", field="items")
    spans = _atomic_spans(groups) if any(groups) else []
    for start, stop in spans:
        _refuse_together(parsed, start, stop)
    commands = [command for command in parsed if not isinstance(command, GatewayError)]
    outcomes = iter(await call.merchant.ledger.apply(commands, _shift(spans, parsed), call.deadline))
    response = pb.ApplyBatchResponse()
    results = response.results
    for place, (name, command) in enumerate(zip(names, parsed, strict=True)):
        result = results.add()
        if isinstance(command, GatewayError):
            result.error.CopyFrom(refusal_of(command).status)
            continue
        outcome = next(outcomes)
        if isinstance(outcome, GatewayError):
            # The ledger names the field from the command's point of view.
            outcome.field = outcome.field and f"items[{place}].{name}.{outcome.field}"
            result.error.CopyFrom(refusal_of(outcome).status)
        else:
            rendering.FILLERS[name](getattr(result, name), outcome)
    return response


async def get_reservation(call: Call, request: pb.GetReservationRequest) -> pb.GetReservationResponse:
    """Read one reservation."""
    found = await call.merchant.ledger.reservation(parsing.reservation_id(request.reservation_id))
    response = pb.GetReservationResponse()
    rendering.fill_reservation(response.reservation, found.reservation, at_risk=found.at_risk)
    return response


async def get_stock_level(call: Call, request: pb.GetStockLevelRequest) -> pb.GetStockLevelResponse:
    """Read the stock of one SKU."""
    level = await call.merchant.ledger.level(
        parsing.code(request.sku, "sku"),
        location=parsing.optional_code(request.location, "location"),
        as_of=parsing.time_of(request, "as_of_time"),
    )
    response = pb.GetStockLevelResponse()
    rendering.fill_stock_level(response.level, level)
    return response


async def batch_get_stock_levels(call: Call, request: pb.BatchGetStockLevelsRequest) -> pb.BatchGetStockLevelsResponse:
    """Read the stock of many SKUs."""
    if not 1 <= len(request.skus) <= SKUS_MAX:
        raise InvalidArgument(f"1 to {SKUS_MAX} SKUs may be asked for, not {len(request.skus)}", field="skus")
    skus = [parsing.code(sku, f"skus[{place}]") for place, sku in enumerate(request.skus)]
    response = pb.BatchGetStockLevelsResponse()
    for level in await call.merchant.ledger.levels(skus, as_of=parsing.time_of(request, "as_of_time")):
        rendering.fill_stock_level(response.levels.add(), level)
    return response


async def list_stock_levels(call: Call, request: pb.ListStockLevelsRequest) -> pb.ListStockLevelsResponse:
    """List the stock of all SKUs, by code."""
    size = page_size(request)
    found = await call.merchant.ledger.list_levels(
        prefix=parsing.text(request.sku_prefix, "sku_prefix"),
        after=page_token(request, CODE, ""),
        location=parsing.optional_code(request.location, "location"),
        count_max=size,
    )
    response = pb.ListStockLevelsResponse()
    for level in found:
        rendering.fill_stock_level(response.levels.add(), level)
    if len(found) == size:
        response.next_page_token = token(found[-1].sku)
    return response


async def list_movements(call: Call, request: pb.ListMovementsRequest) -> pb.ListMovementsResponse:
    """List movements, newest first."""
    size = page_size(request)
    if len(request.kinds) > len(MovementKind):
        raise InvalidArgument(f"there are {len(MovementKind)} kinds; name each once", field="kinds")
    wanted = MovementFilter(
        sku=parsing.optional_code(request.sku, "sku"),
        location=parsing.optional_code(request.location, "location"),
        kinds=tuple(_known(MovementKind, kind, f"kinds[{place}]") for place, kind in enumerate(request.kinds)),
        start_time=parsing.time_of(request, "start_time"),
        end_time=parsing.time_of(request, "end_time"),
    )
    found = await call.merchant.ledger.list_movements(
        wanted,
        reservation_id=parsing.reservation_id(request.reservation_id) if request.reservation_id else None,
        before=page_token(request, NUMBER, NO_LIMIT),
        count_max=size,
    )
    response = pb.ListMovementsResponse()
    for movement in found:
        rendering.fill_movement(response.movements.add(), movement)
    if len(found) == size:
        response.next_page_token = token(found[-1].revision)
    return response


async def list_reservations(call: Call, request: pb.ListReservationsRequest) -> pb.ListReservationsResponse:
    """List reservations, newest first."""
    size = page_size(request)
    wanted = ReservationFilter(
        sku=parsing.optional_code(request.sku, "sku"),
        state=_known(ReservationState, request.state, "state") if request.state else None,
        order_id=parsing.identifier(request.order_id, "order_id") if request.order_id else "",
    )
    found = await call.merchant.ledger.list_reservations(
        wanted, before=page_token(request, NUMBER, NO_LIMIT), count_max=size
    )
    response = pb.ListReservationsResponse()
    for one in found:
        rendering.fill_reservation(response.reservations.add(), one.reservation, at_risk=one.at_risk)
    if len(found) == size:
        response.next_page_token = token(found[-1].reservation.reservation_id)
    return response


def _parse_item(item: pb.BatchItem, name: str, place: int) -> AnyCommand | GatewayError:
    """The item's command, or what is wrong with it, its field named from the batch's point of view."""
    at = f"items[{place}]"
    if not name:
        return InvalidArgument("the item has no command", field=at)
    try:
        return parsing.PARSERS[name](getattr(item, name))
    except GatewayError as error:
        return type(error)(error.message, field=f"{at}.{name}.{error.field}", **error.facts)


def _atomic_spans(groups: Sequence[str]) -> list[Span]:
    """Where each named group starts and stops; raises `InvalidArgument` if one is torn apart."""
    spans: list[Span] = []
    seen: set[str] = set()
    start = 0
    for group, members in groupby(groups):
        stop = start + len(list(members))
        if group:
            if group in seen:
                raise InvalidArgument(
                    f"the items of atomic group {group[:40]!r} do not stand next to each other",
                    field=f"items[{start}].atomic_group",
                )
            seen.add(group)
            spans.append((start, stop))
        start = stop
    return spans


def _refuse_together(parsed: list[AnyCommand | GatewayError], start: int, stop: int) -> None:
    """If one item of an atomic group is malformed, refuse its neighbours too."""
    if any(isinstance(command, GatewayError) for command in parsed[start:stop]):
        for place in range(start, stop):
            if not isinstance(parsed[place], GatewayError):
                parsed[place] = AtomicGroupFailed("nothing of the atomic group was applied: an item of it is malformed")


def _shift(spans: list[Span], parsed: list[AnyCommand | GatewayError]) -> list[Span]:
    """The spans as places among the commands that are left after refusing the malformed ones."""
    before = [0]
    for command in parsed:
        before.append(before[-1] + (not isinstance(command, GatewayError)))
    return [(before[start], before[stop]) for start, stop in spans if before[start] < before[stop]]


def _known(kind: type[Known], number: int, field: str) -> Known:
    try:
        return kind(number)
    except ValueError:
        raise InvalidArgument(f"{field} {number} is not a {kind.__name__} this release knows", field=field) from None


METHODS: dict[str, Unary | Streaming] = {
    "ReceiveStock": _mutation("receive", pb.ReceiveStockResponse),
    "AdjustStock": _mutation("adjust", pb.AdjustStockResponse),
    "CountStock": _mutation("count", pb.CountStockResponse),
    "TransferStock": _mutation("transfer", pb.TransferStockResponse),
    "ReserveStock": _mutation("reserve", pb.ReserveStockResponse),
    "CommitReservation": _mutation("commit", pb.CommitReservationResponse),
    "ReleaseReservation": _mutation("release", pb.ReleaseReservationResponse),
    "ExtendReservation": _mutation("extend", pb.ExtendReservationResponse),
    "ResizeReservation": _mutation("resize", pb.ResizeReservationResponse),
    "ReturnStock": _mutation("return_stock", pb.ReturnStockResponse),
    "ApplyBatch": apply_batch,
    "GetReservation": get_reservation,
    "GetStockLevel": get_stock_level,
    "BatchGetStockLevels": batch_get_stock_levels,
    "ListStockLevels": list_stock_levels,
    "ListMovements": list_movements,
    "ListReservations": list_reservations,
    "WatchStockLevels": watch_stock_levels,
}
