"""Of ExplainListing a good request, and what can be wrong with each of its fields."""

from google.protobuf.message import Message

from gateway.v1 import operations_service_pb2 as pb
from tests.client import made
from tests.rpc import spoils as wrong
from tests.rpc.spoils import Fields, Spoil
from tests.rpc.stalls import Stall

# The future is like now.
FUTURE = {"seconds": 4_000_000_000}


def explanations_of(stall: Stall) -> dict[str, Message]:
    """A good request, by the RPC's name."""
    asked = {"sku": stall.sku, "channel": stall.channel, "listing_id": stall.listing_id}
    return {"ExplainListing": made(pb.ExplainListingRequest, **asked, at=FUTURE)}


_LISTING = (*wrong.NEGATIVE, wrong.unknown("LISTING_UNKNOWN", 10**9))
# By the name of the RPC.
EXPLANATIONS: dict[str, Fields] = {
    "ExplainListing": {
        "sku": wrong.OPTIONAL_CODE,
        "channel": wrong.OPTIONAL_CODE,
        "listing_id": _LISTING,
        "at": (*wrong.TIME, Spoil("long ago", wrong.time(1_700_000_000))),
    },
}
