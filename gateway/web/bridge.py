"""The methods of the API for the page: `POST /api/<Service>/<Method>`, JSON in and out.

They are the very functions that gRPC calls, with the same parsing and the same refusals. What only reads needs no more
than to see the page; whatever changes anything needs somebody who is signed in, and is done in his name: a request's
`actor` is never taken from the body. What is for connectors and robots alone (credentials, reports) is not served here.
"""

import asyncio
import logging
import time
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, NamedTuple, cast
from urllib.parse import quote

from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from msgspec import DecodeError, json
from opentelemetry.trace import SpanKind, StatusCode, use_span
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gateway import telemetry
from gateway.domain.errors import GatewayError, InvalidArgument
from gateway.rpc.auditing import ACTOR_KEY
from gateway.rpc.server import Call, Unary
from gateway.rpc.services import SERVICES
from gateway.rpc.status import STATUS_OF
from gateway.web.messages import as_json
from gateway.web.refusals import PageRefusal, answer_of, fault
from gateway.web.visitors import Visitor, Visitors

log = logging.getLogger(__name__)

_TOLD = {"sku": "stockgate.sku", "channel": "stockgate.channel", "request_id": "stockgate.request_id"}
_TOLD_LENGTH_MAX = 200
BODY_BYTES_MAX = 1024 * 1024
CALL_SECONDS_MAX = 30.0
# A larger answer is made in a thread.
LARGE_BYTES = 32 * 1024
_READING = ("Get", "List", "Explain", "Check", "Preview", "Export")
# Between the gateway and its connectors and robots: secrets, reports, claims.
_NOT_FOR_PEOPLE = frozenset(
    {
        "GetCredentials",
        "StoreTokens",
        "Heartbeat",
        "ReportPushes",
        "ReportOrders",
        "ReportShelf",
        "ReportCursor",
        "ClaimNotice",
        "SettleNotice",
    }
)


class _Method(NamedTuple):
    name: str
    request_class: type[Message]
    do: Unary
    only_reads: bool


class Bridge:
    """Serves the API's unary methods."""

    def __init__(self, visitors: Visitors) -> None:
        """For these visitors."""
        self._visitors = visitors
        self._methods = dict(_methods())

    async def answer(self, request: Request) -> Response:
        """Answer one call; whatever is refused is said as JSON."""
        try:
            method = self._method(f"{request.path_params['service']}/{request.path_params['method']}")
            visitor = await (self._visitors.visitor if method.only_reads else self._visitors.actor)(request)
            message = _parse(method, await read_body(request), visitor)
            metadata = ((ACTOR_KEY, quote(visitor.actor)),) if visitor.actor else ()
            call = Call(visitor.merchant, time.monotonic() + CALL_SECONDS_MAX, metadata=metadata)
            done = await _done(method, call, message)
            # Tens of thousands of points of a review: calls are not to wait for them.
            return await asyncio.to_thread(_answer, done) if done.ByteSize() > LARGE_BYTES else _answer(done)
        except (GatewayError, PageRefusal) as error:
            return answer_of(error)
        # The top of a call: whatever went wrong, the page gets an answer and the log gets the traceback.
        except Exception:
            log.exception("a call from the page has failed")
            return fault()

    def _method(self, path: str) -> _Method:
        if path not in self._methods:
            raise PageRefusal(HTTPStatus.NOT_FOUND, "METHOD_UNKNOWN", "there is no such method")
        return self._methods[path]


def _answer(message: Message) -> Response:
    return JSONResponse(as_json(message))


async def _done(method: _Method, call: Call, message: Message) -> Message:
    """Do it. What people do is always traced: it is seldom, and what came of it may be asked for."""
    if method.only_reads:
        return await method.do(call, message)
    told = {"rpc.method": method.name, "stockgate.merchant": call.merchant.name}
    for name, attribute in _TOLD.items():
        if isinstance(value := getattr(message, name, None), str) and value:
            told[attribute] = value[:_TOLD_LENGTH_MAX]
    span = telemetry.begin(method.name, kind=SpanKind.SERVER, attributes=told, keep=True)
    with use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
        try:
            done = await method.do(call, message)
        except GatewayError as error:
            span.set_attribute("rpc.response.status_code", STATUS_OF[type(error)][0].name)
            raise
        except Exception:  # a fault of ours: the trace says so, and it goes on to the top
            span.set_status(StatusCode.ERROR)
            raise
        span.set_attribute("rpc.response.status_code", "OK")
        return done


async def read_body(request: Request) -> dict[str, Any]:
    """The JSON object of a request; raises `PageRefusal`, `InvalidArgument`."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        # A form of another site could send anything else without asking.
        message = "the body must be application/json"
        raise PageRefusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "CONTENT_TYPE", message)
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > BODY_BYTES_MAX:
            message = f"the request is larger than {BODY_BYTES_MAX} bytes"
            raise PageRefusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "TOO_LARGE", message)
    try:
        found = json.decode(body or b"{}")
    except (DecodeError, RecursionError):
        raise InvalidArgument("the body is not JSON") from None
    if not isinstance(found, dict):
        raise InvalidArgument("the body is not a JSON object")
    return found


def _methods() -> Iterator[tuple[str, _Method]]:
    for service, methods in SERVICES:
        for method in service.methods:
            if method.server_streaming or method.name not in methods or method.name in _NOT_FOR_PEOPLE:
                continue
            request_class = GetMessageClass(method.input_type)
            only_reads = method.name.startswith(_READING)
            yield (
                f"{service.name}/{method.name}",
                _Method(
                    f"{service.full_name}/{method.name}", request_class, cast("Unary", methods[method.name]), only_reads
                ),
            )


def _parse(method: _Method, body: dict[str, Any], visitor: Visitor) -> Message:
    message = method.request_class()
    try:
        ParseDict(body, message)
    except (ParseError, RecursionError) as error:
        raise InvalidArgument(str(error)[:200]) from None
    if "actor" in message.DESCRIPTOR.fields_by_name and not method.only_reads:
        cast("Any", message).actor = visitor.actor
    return message
