"""A bare grpc.aio server with the gateway's options: what is published goes to every open stream. No log, no filter."""

import asyncio
import sys
from typing import Any

import grpc
import grpc.aio
import uvloop

from gateway.rpc.server import OPTIONS

SERVICE = "bare.Fanout"


async def serve() -> None:
    """Serve on a free port, and say which."""
    queues: set[asyncio.Queue[bytes]] = set()

    async def publish(message: bytes, _context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
        for queue in queues:
            queue.put_nowait(message)
        return b""

    async def watch(_request: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        queue: asyncio.Queue[bytes] = asyncio.Queue()
        queues.add(queue)
        try:
            await context.write(b"")
            while True:
                await context.write(await queue.get())
        finally:
            queues.discard(queue)

    handlers: dict[str, Any] = {
        "Publish": grpc.unary_unary_rpc_method_handler(publish),
        "Watch": grpc.unary_stream_rpc_method_handler(watch),
    }
    server = grpc.aio.server(options=OPTIONS)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    sys.stdout.write(f"127.0.0.1:{port}\n")
    sys.stdout.flush()
    await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.run(serve())
