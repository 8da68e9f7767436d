"""Running the sandbox's servers, and what all of them answer when the weather is bad."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext

import uvicorn
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp

from connectors.sandbox.faults import Away, BadGateway

BODY_BYTES_MAX = 1024 * 1024
_STOP_SECONDS = 1


@asynccontextmanager
async def serving(app: ASGIApp, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Serve on this loop; yields `host:port` (port 0: any free one). Raises `OSError` if the port is taken."""
    listener = socket.create_server((host, port))
    # asyncio sets it only on sockets that name their protocol; without it a small answer waits 40 ms for an ACK.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        date_header=False,  # a server that states one states its shop's clock, which may be wrong
        timeout_graceful_shutdown=_STOP_SECONDS,
    )
    server = uvicorn.Server(config)
    # The process has one owner of its signals, and it is not a server among others.
    server.capture_signals = nullcontext  # type: ignore[method-assign,assignment]  # uvicorn has no setting for it
    running = asyncio.create_task(server.serve([listener]))
    try:
        while not server.started and not running.done():  # noqa: ASYNC110 - uvicorn says it by a flag
            await asyncio.sleep(0.005)
        yield f"{host}:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await running
        listener.close()


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
