"""OperationsService."""

from importlib.metadata import version

from gateway.rpc import rendering
from gateway.rpc.server import Call, Streaming, Unary
from gateway.v1 import operations_service_pb2 as pb


async def check_consistency(call: Call, _request: pb.CheckConsistencyRequest) -> pb.CheckConsistencyResponse:
    """Add the whole journal up."""
    response = pb.CheckConsistencyResponse()
    rendering.fill_verdict(response, await call.merchant.ledger.check())
    return response


async def get_version(call: Call, _request: pb.GetVersionRequest) -> pb.GetVersionResponse:
    """Which release is running, and for whom."""
    return pb.GetVersionResponse(version=version("stockgate"), merchant=call.merchant.name)


METHODS: dict[str, Unary | Streaming] = {"CheckConsistency": check_consistency, "GetVersion": get_version}
