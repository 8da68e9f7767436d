"""Of the RPCs that tell what happened a good request each, and what can be wrong with each of its fields."""

from google.protobuf.message import Message

from gateway.v1 import operations_service_pb2 as pb
from gateway.v1.operations_pb2 import TimelineKind
from tests.client import made
from tests.rpc import spoils as wrong
from tests.rpc.spoils import FREE, Fields, Spoil, times
from tests.rpc.stalls import Stall


def timelines_of(stall: Stall) -> dict[str, Message]:
    """A good request of each, by the RPC's name."""
    return {
        "ListTimeline": made(
            pb.ListTimelineRequest,
            page_size=1,
            page_token="",
            sku=stall.sku,
            since={"seconds": 1},
            until={"seconds": 2},
            kinds=[TimelineKind.TIMELINE_KIND_MOVEMENT],
            include_drills=True,
        ),
        "GetSeries": made(
            pb.GetSeriesRequest, sku=stall.sku, since={"seconds": 1}, until={"seconds": 2}, points_max=10
        ),
        "ListAudit": made(
            pb.ListAuditRequest,
            page_size=1,
            page_token="",
            sku=stall.sku,
            channel=stall.channel,
            actor="li",
            up_to_audit_id=9,
        ),
    }


_PLACE = (
    *wrong.PAGE_TOKEN,
    *(
        Spoil(json, wrong.token(json))
        for json in (
            *("1", "[0, 2, 1]", "[0, 0, [1]]", "[0, 99, [1]]", "[0, 2, []]", "[0, 2, [-1]]", "[0, 2, [1, 2]]"),
            *("[0, 6, [1]]", f"[0, 2, [{2**63}]]", f"[{10**18}, 2, [1]]", "[-99999999999999999, 2, [1]]"),
        )
    ),
)
# By the name of the RPC.
TIMELINE: dict[str, Fields] = {
    "ListTimeline": {
        "page_size": wrong.PAGE_SIZE,
        "page_token": _PLACE,
        "sku": wrong.SKU,
        "since": wrong.TIME,
        "until": wrong.TIME,
        "kinds": times(8),
        "kinds[0]": tuple(Spoil(str(number), number) for number in (0, 9, -1, wrong.INT32_MAX)),
        "include_drills": FREE,
    },
    "GetSeries": {
        "sku": wrong.SKU,
        "since": (*wrong.TIME, Spoil("not before until", wrong.time(2)), Spoil("later", wrong.time(32_472_144_000))),
        "until": (*wrong.TIME, Spoil("not after since", wrong.time(1), field="since")),
        "points_max": tuple(Spoil(str(number), number) for number in (-1, 1, 9, 2_001, wrong.INT32_MAX)),
    },
    "ListAudit": {
        "page_size": wrong.PAGE_SIZE,
        "page_token": wrong.TOKEN_OF_NUMBER,
        "sku": wrong.OPTIONAL_CODE,
        "channel": wrong.OPTIONAL_CODE,
        "actor": wrong.OPTIONAL_ID,
        "up_to_audit_id": wrong.NEGATIVE,
    },
}
