"""An HTTP server on this loop: for platforms that push to us, and for the sandbox that plays them."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass

import uvicorn
from starlette.types import ASGIApp


@dataclass(frozen=True)
class ServerLimits:
    """Bounds of one server; `connections_max` None: as many as there are."""

    connections_max: int | None = None
    keep_alive_seconds: int = 5
    stop_seconds: int = 1


@asynccontextmanager
async def serving(
    app: ASGIApp, host: str, port: int, limits: ServerLimits, *, states_date: bool = True
) -> AsyncIterator[str]:
    """Serve until left; yields `host:port` (port 0: any free one). Raises `OSError` if the port is taken."""
    listener = socket.create_server((host, port))
    # asyncio sets it only on sockets that name their protocol; without it a small answer waits 40 ms for an ACK.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        date_header=states_date,
        limit_concurrency=limits.connections_max,
        timeout_keep_alive=limits.keep_alive_seconds,
        timeout_graceful_shutdown=limits.stop_seconds,
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
