"""Of every RPC of AlertService about drills a good request, and what can be wrong with each of its fields."""

import math
from typing import Any

from google.protobuf.message import Message
from grpc import StatusCode

from gateway.v1 import alert_service_pb2 as pb
from gateway.v1.alert_pb2 import Tier
from tests.client import made, new_id
from tests.rpc import spoils as wrong
from tests.rpc.spoils import FREE, MISSING, Fields, Spoil, times
from tests.rpc.stalls import Stall
from tests.rpc.wire import Times


def drill_script(**content: Any) -> dict[str, Any]:
    """A script of everything there is, that sells out, but for what is said."""
    return {
        "name": "夜场",
        "room": "一号间",
        "speed": 1.0,
        "seconds": 3_600.0,
        "skus": [{"sku": "tea", "units": 400, "lead_seconds": 600.0, "rate": 12.0}],
        "tape": [{"at_seconds": 60.0, "sku": "tea", "quantity": 2}],
        "injects": [{"at_seconds": 120.0, "kind": "SURGE", "sku": "tea", "value": 3.0, "seconds": 600.0}],
        "expectations": [
            {"sku": "tea", "tier": Tier.TIER_TREND, "after_seconds": 120.0, "before_seconds": 600.0},
        ],
        "seed": 7,
        **content,
    }


def drills_of(stall: Stall) -> dict[str, Message]:
    """A good request of each, by the RPC's name."""
    return {
        "StartDrill": made(pb.StartDrillRequest, request_id=new_id(), script=drill_script(), actor="li"),
        "StopDrill": made(pb.StopDrillRequest, drill_id=stall.drill_id, actor="li"),
        "GetDrill": made(pb.GetDrillRequest, drill_id=stall.drill_id),
        "ListDrills": made(pb.ListDrillsRequest, page_size=1, page_token=""),
        "Rehearse": made(pb.RehearseRequest, request_id=new_id(), source=_rehearsal(), actor="li"),
        "PreviewRehearsal": made(pb.PreviewRehearsalRequest, source=_rehearsal()),
        "ListRehearsals": made(pb.ListRehearsalsRequest),
    }


def _rehearsal() -> dict[str, Any]:
    sales = {"name": "夜场", "skus": ["tea"], "units": 50, "rate": 60.0, "seconds": 600.0, "surge": 3.0}
    return {"made_up": {**sales, "lead_seconds": 60.0, "seed": 7}, "speed": 1_000.0}


def _floats(*numbers: float) -> tuple[Spoil, ...]:
    return tuple(Spoil(str(number), float(number)) for number in (*numbers, math.nan, math.inf, -math.inf))


_NAME = (*wrong.BYTES, *wrong.UNPRINTABLE, wrong.LONG, Spoil("101 characters", "x" * 101), Spoil("a space", " "))
_ACTOR = (MISSING, wrong.EMPTY, *_NAME)
_SKU = (*wrong.CODE, Spoil("none of the script's", "NOPE"))
_DRILL = (
    MISSING,
    Spoil("zero", 0),
    *wrong.NEGATIVE,
    Spoil("unknown", 10**9, StatusCode.NOT_FOUND, "DRILL_UNKNOWN"),
    Spoil("the largest number", wrong.INT64_MAX, StatusCode.NOT_FOUND, "DRILL_UNKNOWN"),
)
_SECOND = _floats(-0.1, 3_600.1, 1e308)
_SCRIPT: Fields = {
    "script": (Spoil("missing", None, field="script.skus"),),
    "script.name": _ACTOR,
    "script.room": (*wrong.BYTES, *wrong.CONTROLS, wrong.LONG, Spoil("101 characters", "x" * 101)),
    "script.speed": (MISSING, *_floats(0, -1, 0.9, 1_000.1, 5e-324)),
    "script.seconds": (MISSING, *_floats(0, -1, 0.9, 86_400.1, 5e-324)),
    "script.skus": (MISSING, Spoil("the same twice", Times(2), field="script.skus[1].sku"), *times(500)),
    "script.skus[0].sku": wrong.CODE,
    "script.skus[0].units": wrong.UNITS_OR_NONE,
    "script.skus[0].lead_seconds": _floats(-1, 0.9, 3.2e8, 1e308, 5e-324),
    "script.skus[0].rate": _floats(-0.1, 2_000.0, 6_000.1, 1e308, 5e-324),
    "script.tape": (Spoil("50,001 items", Times(50_001)),),
    "script.tape[0].at_seconds": _SECOND,
    "script.tape[0].sku": _SKU,
    "script.tape[0].quantity": wrong.UNITS_OR_NONE,
    "script.injects": times(100),
    "script.injects[0].at_seconds": _SECOND,
    "script.injects[0].kind": (
        MISSING,
        wrong.EMPTY,
        *wrong.BYTES,
        wrong.LONG,
        *(Spoil(kind, kind) for kind in ("surge", "SURGE ", "THROTTLED", "\0")),
        *(Spoil(kind, kind, field="script.injects[0].seconds") for kind in ("RECEIPT", "SUPPLY_LATE")),
        *(Spoil(kind, kind, field="script.injects[0].value") for kind in ("CHANNEL_DEAD", "CHANNEL_BACK")),
    ),
    "script.injects[0].sku": (*wrong.OPTIONAL_CODE, Spoil("none of the script's", "NOPE")),
    "script.injects[0].value": (
        MISSING,
        *_floats(0, -1, 1_000.1, 5e-324),
        Spoil("too many orders", 999.0, field="script.skus[0].rate"),
    ),
    "script.injects[0].seconds": (MISSING, *_floats(0, -1, 0.9, 86_400.1)),
    "script.expectations": times(100),
    "script.expectations[0].sku": _SKU,
    "script.expectations[0].tier": (MISSING, *(Spoil(str(tier), tier) for tier in (0, -1, 6, wrong.INT32_MAX))),
    "script.expectations[0].after_seconds": (
        *_SECOND,
        *(Spoil(str(at), at, field="script.expectations[0].before_seconds") for at in (600.0, 601.0, 3_600.0)),
    ),
    "script.expectations[0].before_seconds": (MISSING, *_SECOND, Spoil("as soon", 120.0), Spoil("sooner", 60.0)),
    "script.seed": FREE,
}
_SOURCE: Fields = {
    "source": (Spoil("missing", None),),
    "source.speed": _floats(-1, 0.9, 1_000.1, 5e-324),
    "source.built_in": (wrong.EMPTY, *wrong.BYTES, Spoil("none of ours", "NOPE")),
    "source.session_id": (
        Spoil("zero", 0),
        *wrong.NEGATIVE,
        Spoil("unknown", 10**9, StatusCode.NOT_FOUND, "SESSION_UNKNOWN", field="session_id"),
    ),
    "source.made_up": (),
    "source.made_up.name": _ACTOR,
    "source.made_up.skus": (MISSING, Spoil("the same twice", Times(2), field="source.made_up.skus[1]"), *times(500)),
    "source.made_up.skus[0]": wrong.CODE[1:],
    "source.made_up.units": wrong.UNITS,
    "source.made_up.rate": (MISSING, *_floats(0, -1, 6_000.1, 5e-324)),
    "source.made_up.seconds": (MISSING, *_floats(0, -1, 59.9, 86_400.1, 5e-324)),
    "source.made_up.surge": (
        *_floats(-1, 0.9, 1_000.1, 5e-324),
        Spoil("too many orders", 999.0, field="source.made_up.rate"),
    ),
    "source.made_up.lead_seconds": _floats(-1, 0.9, 3.2e8, 1e308, 5e-324),
    "source.made_up.seed": FREE,
}
# By the name of the RPC.
DRILLS: dict[str, Fields] = {
    "StartDrill": {"request_id": wrong.ID, "actor": _ACTOR, **_SCRIPT},
    "StopDrill": {"drill_id": _DRILL, "actor": _ACTOR},
    "GetDrill": {"drill_id": _DRILL},
    "ListDrills": {"page_size": wrong.PAGE_SIZE, "page_token": wrong.TOKEN_OF_NUMBER},
    "Rehearse": {"request_id": wrong.ID, "actor": _ACTOR, **_SOURCE},
    "PreviewRehearsal": _SOURCE,
    "ListRehearsals": {},
}
