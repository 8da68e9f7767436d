"""Running the sandbox's servers, and what all of them answer when the weather is bad."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp

from connectors import serving as server
from connectors.sandbox.faults import Away, BadGateway

BODY_BYTES_MAX = 1024 * 1024


def serving(app: ASGIApp, host: str = "127.0.0.1", port: int = 0) -> AbstractAsyncContextManager[str]:
    """Serve on this loop; yields `host:port` (port 0: any free one). Raises `OSError` if the port is taken."""
    # A server that states a date states its shop's clock, which may be wrong.
    return server.serving(app, host, port, server.ServerLimits(), states_date=False)


def through_weather(handle: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """An endpoint that answers as a broken front does when `handle` raises `Away` or `BadGateway`."""

    async def endpoint(request: Request) -> Response:
        try:
            return await handle(request)
        except Away:
            return HTMLResponse("<html><h1>503 Service Temporarily Unavailable</h1></html>", 503)
        except BadGateway:
            return HTMLResponse("<html><h1>502 Bad Gateway</h1></html>", 502)

    return endpoint
