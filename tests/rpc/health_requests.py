"""Of the RPCs about the gateway's health a good request each; they have no fields."""

from google.protobuf.message import Message

from gateway.v1 import operations_service_pb2 as pb
from tests.client import made
from tests.rpc.spoils import Fields
from tests.rpc.stalls import Stall


def healths_of(_stall: Stall) -> dict[str, Message]:
    """A good request of each, by the RPC's name."""
    return {"ListStreams": made(pb.ListStreamsRequest), "ListChannelHealth": made(pb.ListChannelHealthRequest)}


# By the name of the RPC.
HEALTH: dict[str, Fields] = {"ListStreams": {}, "ListChannelHealth": {}}
