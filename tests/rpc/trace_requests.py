"""Of the RPCs about traces a good request each, and what can be wrong with each of its fields."""

from google.protobuf.message import Message

from gateway.v1 import operations_service_pb2 as pb
from tests.client import made
from tests.rpc import spoils as wrong
from tests.rpc.spoils import EMPTY, FREE, MISSING, Fields, Spoil
from tests.rpc.stalls import Stall

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"


def traces_of(stall: Stall) -> dict[str, Message]:
    """A good request of each, by the RPC's name."""
    return {
        "GetTrace": made(pb.GetTraceRequest, trace_id=TRACE_ID, without_linked=True),
        "ListTraces": made(pb.ListTracesRequest, page_size=1, sku=stall.sku, only_errors=True, include_single=True),
        "TraceSku": made(pb.TraceSkuRequest, sku=stall.sku, duration={"seconds": 60}),
    }


# By the name of the RPC.
TRACES: dict[str, Fields] = {
    "GetTrace": {
        "trace_id": (
            MISSING,
            EMPTY,
            *wrong.BYTES,
            wrong.LONG,
            *(Spoil(repr(text[:9]), text) for text in (TRACE_ID[1:], TRACE_ID + "0", "x" * 32, "\u0661" * 32)),
        ),
        "without_linked": FREE,
    },
    "ListTraces": {
        "page_size": wrong.PAGE_SIZE,
        "sku": wrong.OPTIONAL_CODE,
        "only_errors": FREE,
        "include_single": FREE,
    },
    "TraceSku": {
        "sku": wrong.SKU,
        "duration": (
            Spoil("too long", wrong.time(3_601)),
            Spoil("a hair too long", wrong.time(3_600, 1)),
            Spoil("negative", wrong.time(-1)),
            Spoil("a hair below zero", wrong.time(0, -1)),
            Spoil("the largest number", wrong.time(wrong.INT64_MAX)),
            Spoil("a second of nanoseconds", wrong.time(1, 10**9)),
        ),
    },
}
