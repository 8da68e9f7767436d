"""AlertService: rehearsals. What can be wrong with a script is found here, and named by its path."""

import asyncio
from math import isfinite

from gateway.domain.drills import (
    EXPECTATIONS_MAX,
    INJECTS_MAX,
    SECONDS_MAX,
    SECONDS_MIN,
    SKUS_MAX,
    TAPE_MAX,
    DrillExpectation,
    DrillInject,
    DrillOrder,
    DrillScript,
    DrillSku,
    InjectKind,
    orders_expected,
)
from gateway.domain.errors import InvalidArgument
from gateway.domain.stock import UNITS_MAX
from gateway.domain.tiers import Tier
from gateway.rpc import desk_parsing, parsing
from gateway.rpc.alert_rendering import fill
from gateway.rpc.paging import NUMBER, page_size, page_token, token
from gateway.rpc.server import Call, Streaming, Unary
from gateway.v1 import alert_service_pb2 as pb

NAME_LENGTH_MAX = 100
SPEED_MAX = 1_000.0
LEAD_SECONDS_MAX = 3_650 * 86_400.0
RATE_MIN, RATE_MAX = 0.001, 6_000.0
FACTOR_MIN, FACTOR_MAX = 0.01, 1_000.0
# So many orders are made up at most, in the mean.
MADE_UP_MAX = 100_000
# So many orders of a tape are read before others have their turn in this process.
ORDERS_AT_ONCE = 1_000
NUMBER_MAX = 2**63 - 1


async def start_drill(call: Call, request: pb.StartDrillRequest) -> pb.StartDrillResponse:
    """Begin a rehearsal."""
    request_id = parsing.request_id(request.request_id)
    actor = desk_parsing.who(request.actor, "actor")
    response = pb.StartDrillResponse()
    fill(response.drill, await call.merchant.drills.start(request_id, await _script(request.script), actor))
    return response


async def stop_drill(call: Call, request: pb.StopDrillRequest) -> pb.StopDrillResponse:
    """End a rehearsal."""
    number = desk_parsing.number(request.drill_id, "drill_id")
    response = pb.StopDrillResponse()
    fill(response.drill, await call.merchant.drills.stop(number, desk_parsing.who(request.actor, "actor")))
    return response


async def get_drill(call: Call, request: pb.GetDrillRequest) -> pb.GetDrillResponse:
    """Read a drill with its score."""
    response = pb.GetDrillResponse()
    fill(response.drill, await call.merchant.drills.get(desk_parsing.number(request.drill_id, "drill_id")))
    return response


async def list_drills(call: Call, request: pb.ListDrillsRequest) -> pb.ListDrillsResponse:
    """List drills, newest first."""
    size = page_size(request)
    found = await call.merchant.drills.list_drills(before=page_token(request, NUMBER, NUMBER_MAX), count_max=size)
    response = pb.ListDrillsResponse()
    for drill in found:
        fill(response.drills.add(), drill)
    if len(found) == size:
        response.next_page_token = token(found[-1].drill_id)
    return response


# ---- scripts


async def _script(m: pb.DrillScript) -> DrillScript:
    """The script, if it can be played."""
    _require_few(m)
    name = desk_parsing.who(m.name, "script.name", NAME_LENGTH_MAX)
    room = desk_parsing.words(m.room, "script.room", most=NAME_LENGTH_MAX)
    speed = within(m.speed, "script.speed", 1.0, SPEED_MAX)
    seconds = within(m.seconds, "script.seconds", SECONDS_MIN, SECONDS_MAX)
    skus = tuple(_sku(sku, f"script.skus[{place}]") for place, sku in enumerate(m.skus))
    codes = _codes(skus)
    injects = tuple(_inject(one, f"script.injects[{place}]", codes, seconds) for place, one in enumerate(m.injects))
    expectations = tuple(
        _expectation(one, f"script.expectations[{place}]", codes, seconds) for place, one in enumerate(m.expectations)
    )
    _require_surging(skus, injects)
    tape = await _tape(m, codes, seconds)
    script = DrillScript(name, speed, seconds, skus, room, tape, injects, expectations, m.seed)
    require_playable(script)
    return script


def _require_few(m: pb.DrillScript) -> None:
    if not m.skus:
        raise InvalidArgument("skus is empty: what is sold?", field="script.skus")
    for name, count, most in (
        ("skus", len(m.skus), SKUS_MAX),
        ("tape", len(m.tape), TAPE_MAX),
        ("injects", len(m.injects), INJECTS_MAX),
        ("expectations", len(m.expectations), EXPECTATIONS_MAX),
    ):
        if count > most:
            raise InvalidArgument(f"{name} has {count} items; at most {most} are played", field=f"script.{name}")


def _require_surging(skus: tuple[DrillSku, ...], injects: tuple[DrillInject, ...]) -> None:
    """A surge multiplies a rate; where there is none, nothing would come of it."""
    for place, inject in enumerate(injects):
        has_rate = any(sku.rate > 0 for sku in skus if inject.concerns(sku.sku))
        if inject.kind is InjectKind.SURGE and not has_rate:
            raise InvalidArgument(
                "a SURGE multiplies a rate, and no SKU it is about has one", field=f"script.injects[{place}].sku"
            )


def require_playable(script: DrillScript, field: str = "") -> None:
    """Raise `InvalidArgument` at the SKU whose orders are too many, together with those before; or at `field`."""
    expected = 0.0
    for place, sku in enumerate(script.skus):
        expected += orders_expected(script, sku)
        if expected > MADE_UP_MAX:
            raise InvalidArgument(
                f"{expected:.0f} orders would be made up, surges included; at most {MADE_UP_MAX} are played",
                field=field or f"script.skus[{place}].rate",
            )


def _codes(skus: tuple[DrillSku, ...]) -> frozenset[str]:
    codes: set[str] = set()
    for place, sku in enumerate(skus):
        if sku.sku in codes:
            raise InvalidArgument(f"{sku.sku!r} is there twice", field=f"script.skus[{place}].sku")
        codes.add(sku.sku)
    return frozenset(codes)


def _sku(m: pb.DrillSku, path: str) -> DrillSku:
    return DrillSku(
        parsing.code(m.sku, f"{path}.sku"),
        parsing.units(m.units, f"{path}.units", least=0),
        none_or(m.lead_seconds, f"{path}.lead_seconds", SECONDS_MIN, LEAD_SECONDS_MAX),
        none_or(m.rate, f"{path}.rate", RATE_MIN, RATE_MAX),
    )


async def _tape(m: pb.DrillScript, codes: frozenset[str], seconds: float) -> tuple[DrillOrder, ...]:
    orders = []
    for place, order in enumerate(m.tape):
        if place % ORDERS_AT_ONCE == ORDERS_AT_ONCE - 1:
            await asyncio.sleep(0)
        path = f"script.tape[{place}]"
        orders.append(
            DrillOrder(
                within(order.at_seconds, f"{path}.at_seconds", 0.0, seconds),
                _of_script(order.sku, f"{path}.sku", codes),
                parsing.units(order.quantity, f"{path}.quantity", least=0) or 1,
            )
        )
    return tuple(orders)


def _inject(m: pb.DrillInject, path: str, codes: frozenset[str], seconds: float) -> DrillInject:
    kind = _kind(m.kind, f"{path}.kind")
    is_surge, lasts = kind is InjectKind.SURGE, f"{path}.seconds"
    return DrillInject(
        within(m.at_seconds, f"{path}.at_seconds", 0.0, seconds),
        kind,
        _of_script(m.sku, f"{path}.sku", codes) if m.sku else "",
        _value(m.value, f"{path}.value", kind),
        within(m.seconds, lasts, SECONDS_MIN, SECONDS_MAX) if is_surge else _nothing(m.seconds, lasts),
    )


def _value(value: float, field: str, kind: InjectKind) -> float:
    """What an inject brings, by its kind."""
    match kind:
        case InjectKind.SURGE:
            return within(value, field, FACTOR_MIN, FACTOR_MAX)
        case InjectKind.SUPPLY_LATE:
            return within(value, field, SECONDS_MIN, LEAD_SECONDS_MAX)
        case InjectKind.RECEIPT:
            return _whole(value, field)
        case InjectKind.CHANNEL_DEAD | InjectKind.CHANNEL_BACK:
            return _nothing(value, field)


def _expectation(m: pb.DrillExpectation, path: str, codes: frozenset[str], seconds: float) -> DrillExpectation:
    after = within(m.after_seconds, f"{path}.after_seconds", 0.0, seconds)
    before = within(m.before_seconds, f"{path}.before_seconds", 0.0, seconds)
    if before <= after:
        raise InvalidArgument(
            f"before_seconds is {before:g}: nothing can come in time that is not to come before {after:g}",
            field=f"{path}.before_seconds",
        )
    return DrillExpectation(
        _of_script(m.sku, f"{path}.sku", codes), desk_parsing.choice(Tier, m.tier, f"{path}.tier"), after, before
    )


# ---- single fields


def _kind(value: str, field: str) -> InjectKind:
    try:
        return InjectKind(value)
    except ValueError:
        problem = "is none of" if value else "is missing; it is one of"
        raise InvalidArgument(f"kind {problem} {', '.join(InjectKind)}", field=field) from None


def _of_script(value: str, field: str, codes: frozenset[str]) -> str:
    """A SKU of the script."""
    if value not in codes:
        parsing.code(value, field)
        raise InvalidArgument(f"{value!r} is none of the script's SKUs", field=field)
    return value


def within(value: float, field: str, low: float, high: float) -> float:
    """A number within bounds; raises `InvalidArgument`."""
    if not isfinite(value) or not low <= value <= high:
        name = field.rpartition(".")[2]
        raise InvalidArgument(f"{name} is {value:g}; it must be {low:g} to {high:g}", field=field)
    return value


def none_or(value: float, field: str, low: float, high: float) -> float:
    """0, or a number within bounds; raises `InvalidArgument`."""
    return value if value == 0 else within(value, field, low, high)


def _whole(value: float, field: str) -> float:
    """Units, said as a number that may have a fraction."""
    if within(value, field, 1.0, float(UNITS_MAX)) != int(value):
        raise InvalidArgument(f"value is {value:g}; units are whole", field=field)
    return value


def _nothing(value: float, field: str) -> float:
    if value != 0:
        raise InvalidArgument(f"{field.rpartition('.')[2]} says nothing for this kind; leave it out", field=field)
    return 0.0


METHODS: dict[str, Unary | Streaming] = {
    "StartDrill": start_drill,
    "StopDrill": stop_drill,
    "GetDrill": get_drill,
    "ListDrills": list_drills,
}
