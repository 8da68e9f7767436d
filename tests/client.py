"""A client for tests: the real stubs, with the token sent and ids made up where a test does not care."""

from __future__ import annotations

import itertools
from typing import Any, TypeVar

import grpc.aio
from google.protobuf.message import Message

from gateway.v1 import catalog_service_pb2 as catalog_pb
from gateway.v1 import stock_service_pb2 as pb
from gateway.v1.alert_service_pb2_grpc import AlertServiceStub
from gateway.v1.catalog_service_pb2_grpc import CatalogServiceStub
from gateway.v1.channel_service_pb2_grpc import ChannelServiceStub
from gateway.v1.live_service_pb2_grpc import LiveServiceStub
from gateway.v1.operations_service_pb2_grpc import OperationsServiceStub
from gateway.v1.stock_pb2 import Reservation, StockLevel
from gateway.v1.stock_service_pb2_grpc import StockServiceStub

CALL_TIMEOUT_SECONDS = 20.0
_numbers = itertools.count(1)
M = TypeVar("M", bound=Message)
Q = TypeVar("Q", bound=Message)
A = TypeVar("A", bound=Message)


def new_id() -> str:
    """A request id nobody has used."""
    return f"request-{next(_numbers)}"


def made(kind: type[M], /, **content: Any) -> M:
    """A message with this content; inner messages may be dicts, which the stubs do not know."""
    return kind(**content)


class Client:
    """The services over one channel, acting for one merchant."""

    def __init__(self, channel: grpc.aio.Channel, token: str) -> None:
        """Use the channel; it stays the caller's."""
        self.channel = channel
        self.options: dict[str, Any] = {
            "metadata": (("authorization", f"Bearer {token}"),),
            "timeout": CALL_TIMEOUT_SECONDS,
        }
        self.stock = StockServiceStub(channel)
        self.catalog = CatalogServiceStub(channel)
        self.selling = ChannelServiceStub(channel)
        self.alerts = AlertServiceStub(channel)
        self.live = LiveServiceStub(channel)
        self.operations = OperationsServiceStub(channel)

    async def ask(self, method: grpc.aio.UnaryUnaryMultiCallable[Q, A], kind: type[Q], /, **content: Any) -> A:
        """Call a method with a request of this content."""
        return await method(kind(**content), **self.options)

    async def tell(self, method: grpc.aio.UnaryUnaryMultiCallable[Q, A], kind: type[Q], /, **content: Any) -> A:
        """Call a mutation with a request of this content, under a new request id if none is given."""
        return await self.ask(method, kind, **{"request_id": new_id(), **content})

    async def add_sku(self, sku: str, units: int = 0, *, location: str = "", safety_stock: int = 0) -> None:
        """A SKU with so many units on hand."""
        request = made(catalog_pb.CreateSkuRequest, sku={"sku": sku, "safety_stock": safety_stock})
        await self.catalog.CreateSku(request, **self.options)
        if units:
            await self.receive(sku, units, location=location)

    async def receive(self, sku: str, quantity: int, *, location: str = "") -> pb.ReceiveStockResponse:
        """Receive units."""
        request = pb.ReceiveStockRequest(request_id=new_id(), sku=sku, quantity=quantity, location=location)
        return await self.stock.ReceiveStock(request, **self.options)

    async def reserve(self, sku: str, quantity: int = 1, *, request_id: str = "", ttl_ms: int = 0) -> Reservation:
        """Reserve units in one line."""
        line = pb.ReserveLine(sku=sku, quantity=quantity)
        request = pb.ReserveStockRequest(request_id=request_id or new_id(), lines=[line], ttl_ms=ttl_ms)
        return (await self.stock.ReserveStock(request, **self.options)).reservation

    async def commit(self, reservation_id: str, *, request_id: str = "") -> Reservation:
        """Commit a reservation whole."""
        request = pb.CommitReservationRequest(request_id=request_id or new_id(), reservation_id=reservation_id)
        return (await self.stock.CommitReservation(request, **self.options)).reservation

    async def release(self, reservation_id: str, *, request_id: str = "") -> Reservation:
        """Release a reservation."""
        request = pb.ReleaseReservationRequest(request_id=request_id or new_id(), reservation_id=reservation_id)
        return (await self.stock.ReleaseReservation(request, **self.options)).reservation

    async def level(self, sku: str) -> StockLevel:
        """The stock of a SKU."""
        return (await self.stock.GetStockLevel(pb.GetStockLevelRequest(sku=sku), **self.options)).level
