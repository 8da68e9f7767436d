"""A bare grpc.aio server with the gateway's options: it answers every ReserveStock at once. The wire's own speed."""

import sys
from typing import Any

import grpc
import grpc.aio
import uvloop

from gateway.rpc.server import OPTIONS
from gateway.v1 import stock_pb2
from gateway.v1 import stock_service_pb2 as pb


def _answer() -> pb.ReserveStockResponse:
    """As large as a real one."""
    answer = pb.ReserveStockResponse(revision=123_456_789)
    answer.record_time.GetCurrentTime()
    reservation = answer.reservation
    reservation.reservation_id = "123456789"
    reservation.state = stock_pb2.RESERVATION_STATE_HELD
    line = reservation.lines.add(line_number=1, sku="BENCH-0001", requested=1)
    line.allotments.add(location="main", held=1)
    reservation.create_time.GetCurrentTime()
    reservation.expire_time.GetCurrentTime()
    return answer


async def serve() -> None:
    """Serve on a free port, and say which."""
    answer = _answer()

    async def echo(_request: pb.ReserveStockRequest, _context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        return answer

    handler = grpc.unary_unary_rpc_method_handler(
        echo,
        request_deserializer=pb.ReserveStockRequest.FromString,
        response_serializer=pb.ReserveStockResponse.SerializeToString,
    )
    server = grpc.aio.server(options=OPTIONS)
    service = grpc.method_handlers_generic_handler("gateway.v1.StockService", {"ReserveStock": handler})
    server.add_generic_rpc_handlers((service,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    sys.stdout.write(f"127.0.0.1:{port}\n")
    sys.stdout.flush()
    await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.run(serve())
