"""One connection to the gateway: its settings, and unary calls with a deadline that are repeated while it is away."""

import asyncio
import uuid
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc
import grpc.aio

from gateway.client.backoff import Backoff
from gateway.client.errors import GatewayAway, error_of

# One try of one call; the gateway answers within milliseconds.
DEADLINE_SECONDS = 10.0
# How long a call is tried in all: a restart takes seconds.
PATIENCE_SECONDS = 30.0

CHANNEL_OPTIONS: tuple[tuple[str, Any], ...] = (
    # A lost gateway is looked for again at once; how often we try is our own backoff's business.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # Bounds what a reader that has stalled can have in flight (96 kB instead of megabytes): old news is no news.
    ("grpc.http2.bdp_probe", 0),
    # A half-open connection is found out within 25 s, on an idle stream too; the gateway allows such pings.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),
    # Connections are not shared between clients of one process: closing one closes its own.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.max_receive_message_length", 16 * 1024 * 1024),
)
LOCAL_HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})

Request = TypeVar("Request")
Response = TypeVar("Response")


class Connection:
    """A channel with the caller's token. Closed once, by `close` or by leaving `async with`."""

    def __init__(
        self,
        address: str,
        token: str | None = None,
        *,
        certificate: bytes | None = None,
        deadline_seconds: float = DEADLINE_SECONDS,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        """Sends nothing yet. `certificate`: the authority's, in PEM, for TLS; without it the connection is plain."""
        options = [*CHANNEL_OPTIONS, ("grpc.enable_http_proxy", 0 if _host_of(address) in LOCAL_HOSTS else 1)]
        if certificate is None:
            self.channel = grpc.aio.insecure_channel(address, options)
        else:
            self.channel = grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(certificate), options)
        self.metadata = (("authorization", f"Bearer {token}"),) if token else ()
        self._deadline_seconds = deadline_seconds
        self._patience_seconds = patience_seconds

    async def ask(self, method: grpc.aio.UnaryUnaryMultiCallable[Request, Response], request: Request) -> Response:
        """Call until there is an answer, within the caller's patience; the request stays the same, its id too.

        Raises `GatewayAway` and `GatewayRefused`.
        """
        backoff = Backoff()
        ends = asyncio.get_running_loop().time() + self._patience_seconds
        while True:
            try:
                return await self.ask_once(method, request)
            except GatewayAway as away:
                wait_seconds = backoff.next_seconds(away.retry_after_seconds)
                if asyncio.get_running_loop().time() + wait_seconds >= ends:
                    raise
            await asyncio.sleep(wait_seconds)

    async def ask_once(
        self,
        method: grpc.aio.UnaryUnaryMultiCallable[Request, Response],
        request: Request,
        deadline_seconds: float | None = None,
    ) -> Response:
        """Call once. Raises `GatewayAway` and `GatewayRefused`."""
        timeout = self._deadline_seconds if deadline_seconds is None else deadline_seconds
        try:
            return await method(request, metadata=self.metadata, timeout=timeout)
        except grpc.aio.AioRpcError as error:
            raise error_of(error, str(getattr(request, "request_id", ""))) from None

    async def close(self) -> None:
        """End the connection and every call on it."""
        await self.channel.close()


class Closing:
    """What is closed by leaving `async with`."""

    async def aclose(self) -> None:
        """End it; what is open ends."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


def new_request_id() -> str:
    """An id for one mutation, to be the same in all its tries."""
    return str(uuid.uuid4())


def _host_of(address: str) -> str:
    return address.rpartition(":")[0]
