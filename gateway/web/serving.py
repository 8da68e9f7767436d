"""The page's HTTP server, in the gateway's loop."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext, suppress
from pathlib import Path
from typing import NamedTuple

import uvicorn
from starlette.types import ASGIApp

# A tab has one stream and a few short calls at a time.
CONNECTIONS_MAX = 500
KEEP_ALIVE_SECONDS = 15
# Streams are told to end before; who has not heard by then is cut off.
STOP_SECONDS = 2
REQUEST_LINE_AND_HEADERS_BYTES_MAX = 32 * 1024


class TlsFiles(NamedTuple):
    """The key and the certificate chain, PEM."""

    key: Path
    certificate: Path


@asynccontextmanager
async def serving(
    app: ASGIApp, listen: str, tls: TlsFiles | None, *, stopping: Callable[[], None]
) -> AsyncIterator[str]:
    """Serve at `host:port` until left; yields the page's address as a URL (port 0: any free one).

    `stopping` is called first of all when it ends. Raises `OSError` that says what to do if the address is taken.
    """
    host, _, port = listen.rpartition(":")
    listener = _listen(host.strip("[]"), int(port))
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        # Whose address a request comes from decides nothing but how often he may try to sign in.
        proxy_headers=False,
        limit_concurrency=CONNECTIONS_MAX,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=STOP_SECONDS,
        h11_max_incomplete_event_size=REQUEST_LINE_AND_HEADERS_BYTES_MAX,
        ssl_keyfile=None if tls is None else tls.key,
        ssl_certfile=None if tls is None else tls.certificate,
    )
    server = uvicorn.Server(config)
    # The process has one owner of its signals, and it is not a server among others.
    server.capture_signals = nullcontext  # type: ignore[method-assign,assignment]  # uvicorn has no setting for it
    running = asyncio.create_task(server.serve([listener]), name="page")
    try:
        while not server.started and not running.done():  # noqa: ASYNC110 - uvicorn says it by a flag
            await asyncio.sleep(0.005)
        scheme = "http" if tls is None else "https"
        yield f"{scheme}://{host}:{listener.getsockname()[1]}"
    finally:
        stopping()
        server.should_exit = True
        with suppress(ssl.SSLError):
            await running
        listener.close()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        raise OSError(
            f"cannot serve the page at {host}:{port}: {error.strerror}; stop what serves there, "
            "or say STOCKGATE_PAGE_LISTEN=HOST:PORT (port 0: any free one; off: no page)"
        ) from error
    # asyncio sets it only on sockets that name their protocol; without it a small answer waits 40 ms for an ACK.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener
