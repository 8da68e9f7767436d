"""What can be taken away from the page as a file: the review of a session, to print, as JSON, as tables.

Files are attachments: a browser saves them and runs nothing of them.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.rpc.reviews import get_review
from gateway.rpc.server import Call
from gateway.v1.live_service_pb2 import GetReviewRequest
from gateway.v1.review_pb2 import Review
from gateway.web.messages import as_json
from gateway.web.refusals import PageRefusal
from gateway.web.report import EN, ZH, report_html
from gateway.web.report_tables import report_zip
from gateway.web.visitors import Visitors

# A session of hours is read whole.
CALL_SECONDS_MAX = 60.0

Handler = Callable[[Request], Awaitable[Response]]


class Downloads:
    """Serves files to visitors."""

    def __init__(self, visitors: Visitors) -> None:
        """To these visitors."""
        self._visitors = visitors

    def routes(self, refusing: Callable[[Handler], Handler]) -> list[Route]:
        """`/review/{session}/report.html`, `.json` and `.zip`; `refusing` says refusals."""
        return [Route("/review/{session}/report.{form}", refusing(self._report))]

    async def _report(self, request: Request) -> Response:
        form = request.path_params["form"]
        if form not in _FORMS:
            raise PageRefusal(HTTPStatus.NOT_FOUND, "FORM_UNKNOWN", f"a report is one of {', '.join(_FORMS)}")
        visitor = await self._visitors.visitor(request)
        call = Call(visitor.merchant, time.monotonic() + CALL_SECONDS_MAX)
        # What is no number is no session's.
        named = request.path_params["session"]
        number = int(named) if named.isascii() and named.isdecimal() and len(named) < _DIGITS_MAX else 0
        review = (await get_review(call, GetReviewRequest(session_id=number))).review
        language = EN if request.query_params.get("lang", "") == "en" else ZH
        write, media_type = _FORMS[form]
        # Thousands of points: calls are not to wait for them.
        content = await asyncio.to_thread(write, review, language)
        name = f"session-{number}.{form}"
        return Response(
            content, media_type=media_type, headers={"content-disposition": f'attachment; filename="{name}"'}
        )


_DIGITS_MAX = 19


def _json(review: Review, _language: str) -> bytes:
    return json.dumps(as_json(review), ensure_ascii=False, indent=1).encode()


def _html(review: Review, language: str) -> bytes:
    return report_html(review, language).encode()


def _zip(review: Review, _language: str) -> bytes:
    return report_zip(review)


_FORMS: dict[str, tuple[Callable[[Review, str], bytes], str]] = {
    "html": (_html, "text/html; charset=utf-8"),
    "json": (_json, "application/json"),
    "zip": (_zip, "application/zip"),
}
