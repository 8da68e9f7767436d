"""ChannelService."""

from gateway.ledger import NO_LIMIT
from gateway.rpc import rendering
from gateway.rpc.paging import NUMBER, page_size, page_token, token
from gateway.rpc.server import Call, Streaming, Unary
from gateway.v1 import channel_service_pb2 as pb


async def list_shortfalls(call: Call, request: pb.ListShortfallsRequest) -> pb.ListShortfallsResponse:
    """List shortfalls, newest first."""
    size = page_size(request)
    found = await call.merchant.ledger.list_shortfalls(
        before=page_token(request, NUMBER, NO_LIMIT), include_resolved=request.include_resolved, count_max=size
    )
    response = pb.ListShortfallsResponse()
    for shortfall in found:
        rendering.fill_shortfall(response.shortfalls.add(), shortfall)
    if len(found) == size:
        response.next_page_token = token(found[-1].shortfall_id)
    return response


METHODS: dict[str, Unary | Streaming] = {
    "ListShortfalls": list_shortfalls,
}
