"""A reader in a process of its own, to be killed or frozen: `python -m tests.rpc.alert_reader ADDRESS TOKEN WAY`.

It writes a line when its stream is open. `idle` reads on; `stuck` reads no more.
"""

import asyncio
import sys

import grpc.aio

from tests.client import Client
from tests.rpc.alert_streams import LITTLE_ROOM, AlertStream


async def read(address: str, token: str, way: str) -> None:
    """Open a stream, say so, and read for ever, or not at all."""
    async with grpc.aio.insecure_channel(address, options=LITTLE_ROOM) as channel:
        stream = AlertStream(Client(channel, token), live_only={})
        await stream.created()
        sys.stdout.write("open\n")
        sys.stdout.flush()
        if way == "stuck":
            await asyncio.Event().wait()
        while True:
            await stream.read(3_600.0)


if __name__ == "__main__":
    asyncio.run(read(*sys.argv[1:]))
