"""Of the RPCs that tell what happened a good request each, and what can be wrong with each of its fields."""

from google.protobuf.message import Message

from gateway.v1 import operations_service_pb2 as pb
from tests.client import made
from tests.rpc import spoils as wrong
from tests.rpc.spoils import Fields
from tests.rpc.stalls import Stall


def timelines_of(stall: Stall) -> dict[str, Message]:
    """A good request of each, by the RPC's name."""
    return {
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


# By the name of the RPC.
TIMELINE: dict[str, Fields] = {
    "ListAudit": {
        "page_size": wrong.PAGE_SIZE,
        "page_token": wrong.TOKEN_OF_NUMBER,
        "sku": wrong.OPTIONAL_CODE,
        "channel": wrong.OPTIONAL_CODE,
        "actor": wrong.OPTIONAL_ID,
        "up_to_audit_id": wrong.NEGATIVE,
    },
}
