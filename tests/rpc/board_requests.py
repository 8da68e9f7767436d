"""Of the board's RPC a good request, and what can be wrong with each of its fields."""

from google.protobuf.message import Message

from gateway.v1 import operations_service_pb2 as pb
from tests.client import made
from tests.rpc import spoils as wrong
from tests.rpc.spoils import Fields, Spoil, times
from tests.rpc.stalls import Stall


def boards_of(stall: Stall) -> dict[str, Message]:
    """A good request, by the RPC's name."""
    return {"GetBoard": made(pb.GetBoardRequest, rows_max=1, skus=[stall.sku])}


# By the name of the RPC.
BOARD: dict[str, Fields] = {
    "GetBoard": {
        "rows_max": tuple(Spoil(str(number), number) for number in (-1, 1_001, wrong.INT32_MAX)),
        "query": (*wrong.TEXT, Spoil("beside SKUs", "mug")),
        "skus": times(1_000),
        "skus[0]": (wrong.EMPTY, *wrong.OPTIONAL_CODE),
    }
}
