"""The page as an ASGI application: the shell and its files, the API, the stream, signing in, health."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, select_autoescape
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from gateway import exposition
from gateway.domain.errors import GatewayError
from gateway.merchants import Merchants
from gateway.rpc.auth import Callers
from gateway.web.bridge import Bridge, read_body
from gateway.web.downloads import Downloads
from gateway.web.events import Streams
from gateway.web.guard import Guard
from gateway.web.refusals import PageRefusal, answer_of
from gateway.web.visitors import LIFETIME, Visitor, Visitors, cookie_name, is_loopback

log = logging.getLogger(__name__)

_FOLDER = Path(__file__).parent
# One shell for all: what is shown at a path is known to the scripts (static/js/main.js).
_PAGES = (
    "/",
    "/sku/{sku:path}",
    "/channels",
    "/shortfalls",
    "/streams",
    "/drills",
    "/drills/{drill}",
    "/review",
    "/review/{session}",
    "/audit",
    "/trace",
    "/trace/{trace}",
    "/login",
)
Handler = Callable[[Request], Awaitable[Response]]


class Site:
    """One gateway's page. `app` is served; `close` ends its streams."""

    def __init__(self, merchants: Merchants, listen: str, *, anonymous: bool, is_secure: bool) -> None:
        """`listen`: where it is served; `anonymous`: gRPC asks for no token; `is_secure`: served under TLS."""
        self._is_secure = is_secure
        on_loopback = is_loopback(listen.rpartition(":")[0])
        self._visitors = Visitors(
            merchants, Callers(merchants, anonymous=anonymous), on_loopback=on_loopback, anonymous=anonymous
        )
        self._bridge = Bridge(self._visitors)
        self._streams = Streams()
        self._downloads = Downloads(self._visitors)
        self._templates = Environment(
            loader=FileSystemLoader(_FOLDER / "templates"), autoescape=select_autoescape(), auto_reload=False
        )
        handlers = {HTTPException: self._not_there, Exception: self._failed}
        # Around all of it: as a middleware of Starlette's it would not see the answer to a fault.
        self.app: ASGIApp = Guard(Starlette(routes=self._routes(), exception_handlers=handlers), is_secure=is_secure)

    def close(self) -> None:
        """The gateway stops: end the streams."""
        self._streams.close()

    def _routes(self) -> list[Route | Mount]:
        return [
            *(Route(path, self._shell) for path in _PAGES),
            Mount("/static", StaticFiles(directory=_FOLDER / "static")),
            Route("/api/{service}/{method}", self._bridge.answer, methods=["POST"]),
            Route("/session", _refusing(self._who), methods=["GET"]),
            Route("/session", _refusing(self._sign_in), methods=["POST"]),
            Route("/session", _refusing(self._sign_out), methods=["DELETE"]),
            *self._downloads.routes(_refusing),
            Route("/events", _refusing(self._events)),
            Route("/metrics", _refusing(self._metrics)),
            Route("/healthz", self._health),
        ]

    async def _shell(self, request: Request) -> Response:
        if not self._visitors.is_local(request) and request.url.path != "/login":
            found = await self._visitors.signed_in(request)
            if found is None:
                wanted = f"{request.url.path}?{request.url.query}".rstrip("?")
                return RedirectResponse(f"/login?{urlencode({'next': wanted})}", HTTPStatus.SEE_OTHER)
        return self._page("shell.html", version=version("stockgate"))

    async def _events(self, request: Request) -> Response:
        visitor = await self._visitors.visitor(request)

        async def still_may() -> bool:
            try:
                return (await self._visitors.visitor(request)).merchant is visitor.merchant
            except PageRefusal:
                return False

        return self._streams.response(request, visitor.merchant, still_may)

    async def _metrics(self, request: Request) -> Response:
        """What this gateway measures, for Prometheus: all of it from this machine, else what is the token's owner's."""
        merchant = None if self._visitors.is_local(request) else (await self._visitors.bearer(request)).name
        accept = request.headers.get("accept", "")
        # Hundreds of lines: calls are not to wait for them.
        content_type, text = await asyncio.to_thread(exposition.render, accept, merchant)
        return Response(text, headers={"content-type": content_type})

    async def _health(self, _request: Request) -> Response:
        return PlainTextResponse("ok\n")

    # ---- signing in

    async def _who(self, request: Request) -> Response:
        return self._session(request, await self._visitors.visitor(request))

    async def _sign_in(self, request: Request) -> Response:
        body = await read_body(request)
        signed_in = await self._visitors.sign_in(request, str(body.get("name", "")), str(body.get("token", "")))
        response = self._session(request, signed_in.visitor)
        response.set_cookie(
            cookie_name(request),
            signed_in.cookie,
            max_age=round(LIFETIME.total_seconds()),
            httponly=True,
            secure=self._is_secure,
            samesite="lax",
        )
        return response

    async def _sign_out(self, request: Request) -> Response:
        await self._visitors.sign_out(request)
        response = JSONResponse({})
        response.delete_cookie(cookie_name(request), httponly=True, secure=self._is_secure, samesite="lax")
        return response

    def _session(self, request: Request, visitor: Visitor) -> Response:
        return JSONResponse(
            {
                "merchant": visitor.merchant.name,
                "actor": visitor.actor,
                "csrf": visitor.csrf,
                "needs_token": self._visitors.needs_token(request),
                "version": version("stockgate"),
            }
        )

    # ---- errors

    async def _not_there(self, request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else HTTPStatus.INTERNAL_SERVER_ERROR
        if request.url.path.startswith(("/api/", "/session", "/events")):
            return JSONResponse({"reason": "HTTP", "message": HTTPStatus(status).phrase, "field": ""}, status)
        return self._page("error.html", status, code=int(status))

    async def _failed(self, _request: Request, _error: Exception) -> Response:
        return self._page("error.html", HTTPStatus.INTERNAL_SERVER_ERROR, code=500)

    def _page(self, template: str, status: int = HTTPStatus.OK, **values: Any) -> Response:
        return HTMLResponse(self._templates.get_template(template).render(**values), status)


def _refusing(handler: Handler) -> Handler:
    """The handler, with what it refuses said as JSON."""

    async def handle(request: Request) -> Response:
        try:
            return await handler(request)
        except (GatewayError, PageRefusal) as error:
            return answer_of(error)

    return handle
