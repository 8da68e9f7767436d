"""The way out: what a failure means is decided by how far the call got."""

import socket
from collections.abc import Iterator

import httpx
import pytest

from connectors.attempts import Call
from connectors.base import ListingKey
from connectors.errors import Transient
from connectors.transport import RAISING, Transport, TransportLimits

CALL = Call("any.method", "/any", (ListingKey("1", "2"),))


@pytest.fixture
def swallowing() -> Iterator[str]:
    """An address that answers no request for a connection: whoever listens there has no room for another."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        waiting = []
        for _ in range(4):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(server.getsockname())
            waiting.append(one)
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        for one in waiting:
            one.close()


async def test_what_never_got_through_was_never_sent(swallowing: str) -> None:
    """No connection within the deadline is no unknown outcome: nothing has left this machine."""
    async with httpx.AsyncClient(trust_env=False) as client:
        transport = Transport(client, TransportLimits(deadline_seconds=3.0, tries_max=1))
        with pytest.raises(Transient, match="ConnectTimeout"):
            await transport.call(
                lambda: httpx.Request("POST", swallowing), httpx.Response.json, CALL, priority=RAISING, repeatable=False
            )
