"""A bare grpc.aio server with the gateway's options: it answers every ReserveStock at once. The wire's own speed."""

import sys

import grpc
import grpc.aio
import uvloop

from gateway.rpc.server import OPTIONS
from gateway.v1 import stock_service_pb2 as pb
from gateway.v1 import stock_service_pb2_grpc as pb_grpc


class Echo(pb_grpc.StockServiceServicer):
    """Answers with a reservation as large as a real one."""

    async def ReserveStock(self, request, context):  # type: ignore[no-untyped-def, override]  # noqa: ANN001, ANN201, N802 - grpc's name
        """The same answer to all."""
        return ANSWER


def _answer() -> pb.ReserveStockResponse:
    answer = pb.ReserveStockResponse(revision=123_456_789)
    answer.record_time.GetCurrentTime()
    reservation = answer.reservation
    reservation.reservation_id = "123456789"
    reservation.state = 1
    line = reservation.lines.add(line_number=1, sku="BENCH-0001", requested=1)
    line.allotments.add(location="main", held=1)
    reservation.create_time.GetCurrentTime()
    reservation.expire_time.GetCurrentTime()
    return answer


ANSWER = _answer()


async def main() -> None:
    """Serve on a free port, and say which."""
    server = grpc.aio.server(options=OPTIONS)
    pb_grpc.add_StockServiceServicer_to_server(Echo(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    sys.stdout.write(f"127.0.0.1:{port}\n")
    sys.stdout.flush()
    await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.run(main())
