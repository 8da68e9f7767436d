"""AlertService: rehearsals whose scripts are made here, so that page and command line play the same."""

import asyncio

from msgspec.structs import replace

from gateway.domain.drill_scripts import BUILT_IN, MadeUp, expecting, made_up, recorded
from gateway.domain.drills import SECONDS_MAX, SECONDS_MIN, SKUS_MAX, DrillScript
from gateway.domain.errors import InvalidArgument
from gateway.rpc import desk_parsing, live_parsing, parsing
from gateway.rpc.alert_rendering import fill
from gateway.rpc.drills import (
    FACTOR_MAX,
    LEAD_SECONDS_MAX,
    NAME_LENGTH_MAX,
    RATE_MAX,
    RATE_MIN,
    SPEED_MAX,
    none_or,
    require_playable,
    within,
)
from gateway.rpc.server import Call, Streaming, Unary
from gateway.v1 import alert_service_pb2 as pb

# A minute is the least in which anybody can react.
MADE_UP_SECONDS_MIN = 60.0
# Speed where nothing is said: an hour in six minutes.
SPEED = 10.0


async def rehearse(call: Call, request: pb.RehearseRequest) -> pb.RehearseResponse:
    """Begin a rehearsal whose script is made here."""
    request_id = parsing.request_id(request.request_id)
    actor = desk_parsing.who(request.actor, "actor")
    script = await _script(call, request.source)
    response = pb.RehearseResponse()
    asked = request.source.SerializeToString(deterministic=True)
    fill(response.drill, await call.merchant.drills.start(request_id, script, actor, asked))
    return response


async def preview_rehearsal(call: Call, request: pb.PreviewRehearsalRequest) -> pb.PreviewRehearsalResponse:
    """Show what would be rehearsed."""
    script = await _script(call, request.source)
    response = pb.PreviewRehearsalResponse(tape_orders=len(script.tape))
    fill(response.script, replace(script, tape=()))
    return response


async def list_rehearsals(_call: Call, _request: pb.ListRehearsalsRequest) -> pb.ListRehearsalsResponse:
    """List the scripts of ours."""
    response = pb.ListRehearsalsResponse()
    for one in BUILT_IN.values():
        fill(response.rehearsals.add(), one)
    return response


async def _script(call: Call, source: pb.RehearsalSource) -> DrillScript:
    speed = within(source.speed, "source.speed", 1.0, SPEED_MAX) if source.speed else SPEED
    match source.WhichOneof("source"):
        case "built_in":
            script = replace(_built_in(source.built_in), speed=speed)
        case "session_id":
            record = await call.merchant.reviewing.record(
                live_parsing.number(source.session_id, "source.session_id", "as OpenSession answered")
            )
            script = await asyncio.to_thread(recorded, record, speed)
            if not script.skus:
                raise InvalidArgument("nothing is known of what the session sold", field="source.session_id")
        case "made_up":
            script = made_up(_made_up(source.made_up), speed)
            require_playable(script, "source.made_up.rate")
        case _:
            raise InvalidArgument("source is missing: built_in, session_id or made_up", field="source")
    return await asyncio.to_thread(expecting, script)


def _built_in(name: str) -> DrillScript:
    found = BUILT_IN.get(name)
    if found is None:
        names = ", ".join(BUILT_IN)
        raise InvalidArgument(f"{name[:100]!r} is none of ours: {names}", field="source.built_in")
    return found.script


def _made_up(m: pb.MadeUpSales) -> MadeUp:
    path = "source.made_up"
    if not 1 <= len(m.skus) <= SKUS_MAX:
        raise InvalidArgument(f"1 to {SKUS_MAX} SKUs are played, not {len(m.skus)}", field=f"{path}.skus")
    skus = tuple(parsing.code(sku, f"{path}.skus[{place}]") for place, sku in enumerate(m.skus))
    for place, sku in enumerate(skus):
        if sku in skus[:place]:
            raise InvalidArgument(f"{sku!r} is there twice", field=f"{path}.skus[{place}]")
    return MadeUp(
        desk_parsing.who(m.name, f"{path}.name", NAME_LENGTH_MAX),
        skus,
        parsing.units(m.units, f"{path}.units"),
        within(m.rate, f"{path}.rate", RATE_MIN, RATE_MAX),
        within(m.seconds, f"{path}.seconds", MADE_UP_SECONDS_MIN, SECONDS_MAX),
        within(m.surge, f"{path}.surge", 1.0, FACTOR_MAX) if m.surge else 1.0,
        none_or(m.lead_seconds, f"{path}.lead_seconds", SECONDS_MIN, LEAD_SECONDS_MAX),
        m.seed,
    )


METHODS: dict[str, Unary | Streaming] = {
    "Rehearse": rehearse,
    "PreviewRehearsal": preview_rehearsal,
    "ListRehearsals": list_rehearsals,
}
