"""Refusals as a browser gets them: an HTTP status, and `{"reason", "message", "field"}` as JSON."""

from http import HTTPStatus

import grpc
from starlette.responses import JSONResponse

from gateway.domain.errors import GatewayError
from gateway.rpc.status import STATUS_OF

# As google.rpc.Code says which HTTP status a code goes with, but for what changed meanwhile: that is a conflict.
HTTP_STATUS_OF: dict[grpc.StatusCode, HTTPStatus] = {
    grpc.StatusCode.INVALID_ARGUMENT: HTTPStatus.BAD_REQUEST,
    grpc.StatusCode.OUT_OF_RANGE: HTTPStatus.BAD_REQUEST,
    grpc.StatusCode.UNAUTHENTICATED: HTTPStatus.UNAUTHORIZED,
    grpc.StatusCode.NOT_FOUND: HTTPStatus.NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS: HTTPStatus.CONFLICT,
    grpc.StatusCode.FAILED_PRECONDITION: HTTPStatus.CONFLICT,
    grpc.StatusCode.ABORTED: HTTPStatus.CONFLICT,
    grpc.StatusCode.RESOURCE_EXHAUSTED: HTTPStatus.TOO_MANY_REQUESTS,
    grpc.StatusCode.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED: HTTPStatus.GATEWAY_TIMEOUT,
}


class PageRefusal(Exception):
    """The page refuses a request by itself, before any method is called."""

    def __init__(self, status: HTTPStatus, reason: str, message: str, *, field: str = "") -> None:
        """Keep what is answered."""
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.field = field


def answer_of(error: GatewayError | PageRefusal) -> JSONResponse:
    """The error as it is answered; `facts` are what a program needs."""
    if isinstance(error, PageRefusal):
        return _answer(error.status, error.reason, error.message, error.field, {})
    code, reason = STATUS_OF[type(error)]
    return _answer(HTTP_STATUS_OF[code], reason, error.message, error.field, error.facts)


def fault() -> JSONResponse:
    """A fault of ours; what it was is in the log."""
    message = "the gateway has failed; its log says why"
    return _answer(HTTPStatus.INTERNAL_SERVER_ERROR, "INTERNAL", message, "", {})


def _answer(status: HTTPStatus, reason: str, message: str, field: str, facts: dict[str, int | str]) -> JSONResponse:
    return JSONResponse({"reason": reason, "message": message, "field": field, "facts": facts}, status)
