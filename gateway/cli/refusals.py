"""From a gRPC error, or the status of one item of a batch, to a `Problem`."""

from __future__ import annotations

import dataclasses
from typing import cast

import grpc
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from gateway.cli.errors import Problem, Violation


def problem_of_call(error: grpc.RpcError, address: str, request_id: str = "") -> Problem:
    """What a failed call says; a gateway that does not answer is named by its address."""
    status = _status_of(error)
    problem = dataclasses.replace(problem_of_status(status), request_id=request_id)
    if problem.code == "UNAVAILABLE" and not problem.reason:
        cause = status.message.rpartition(": ")[2]  # gRPC says the whole chain of causes, the first cause last
        return dataclasses.replace(problem, message=f"no gateway answers at {address} ({cause})")
    return problem


def problem_of_status(status: status_pb2.Status) -> Problem:
    """What a status says with its details."""
    info, bad_request, retry_info = (
        error_details_pb2.ErrorInfo(),
        error_details_pb2.BadRequest(),
        error_details_pb2.RetryInfo(),
    )
    for detail in status.details:
        for known in (info, bad_request, retry_info):
            if detail.TypeName() == known.DESCRIPTOR.full_name:
                detail.Unpack(known)
    return Problem(
        code=code_pb2.Code.Name(status.code) if status.code in code_pb2.Code.values() else "UNKNOWN",
        message=status.message,
        reason=info.reason,
        metadata=dict(info.metadata),
        violations=tuple(Violation(each.field, each.description) for each in bad_request.field_violations),
        retry_after_seconds=_seconds(retry_info),
    )


def _status_of(error: grpc.RpcError) -> status_pb2.Status:
    """The rich status if there is a well-formed one, else the plain code and text."""
    assert isinstance(error, grpc.Call | grpc.aio.AioRpcError), "a failed call says its code"
    status: status_pb2.Status | None
    try:
        status = rpc_status.from_call(cast("grpc.Call", error))  # an AioRpcError says the same
    except ValueError:  # the details contradict the code: some proxy wrote one of them
        status = None
    return status or status_pb2.Status(code=error.code().value[0], message=error.details() or "")


def _seconds(retry_info: error_details_pb2.RetryInfo) -> float | None:
    if not retry_info.HasField("retry_delay"):
        return None
    return retry_info.retry_delay.ToTimedelta().total_seconds()
