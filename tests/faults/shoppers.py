"""A crowd that reserves, commits and releases, keeps every receipt, and repeats a request id until it is answered.

When the crowd has gone home its receipts are the truth: the ledger must hold exactly what was acknowledged, no unit
less and none twice, and must give every first answer again (R10).
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio

from gateway.v1 import stock_pb2
from gateway.v1 import stock_service_pb2 as pb
from gateway.v1.operations_service_pb2 import CheckConsistencyRequest
from tests.client import Client, new_id

# Answers that leave open what happened: the same request id is sent again.
OPEN_ENDED = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}
PAUSE_SECONDS = 0.02
PROGRESS_SECONDS_MAX = 30.0
PAGE = 1_000
UNITS = 1_000_000
BATCH_ITEMS = 12
PLENTY = ("PLENTY-1", "PLENTY-2", "PLENTY-3")
SCARCE = "SCARCE"
SCARCE_UNITS = 40


@dataclass
class Receipts:
    """What the gateway has acknowledged. `seconds_max` is the longest that any one attempt took."""

    received: Counter[str] = field(default_factory=Counter)
    reservations: dict[str, stock_pb2.Reservation] = field(default_factory=dict)
    answers: dict[str, tuple[pb.BatchItem, pb.BatchResult]] = field(default_factory=dict)
    failures: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    seconds_max: float = 0.0

    def keep(self, item: pb.BatchItem, result: pb.BatchResult) -> None:
        """File the answer to a command that took effect."""
        name = item.WhichOneof("command")
        assert name is not None
        request, response = getattr(item, name), getattr(result, name)
        assert request.request_id not in self.answers
        self.answers[request.request_id] = (item, result)
        if name == "receive":
            self.received[request.sku] += request.quantity
        else:
            self.reservations[response.reservation.reservation_id] = response.reservation

    def units(self, sku: str, state: int) -> int:
        """Units of a SKU in reservations that are in this state."""
        found = [reservation for reservation in self.reservations.values() if reservation.state == state]
        lines = [line for reservation in found for line in reservation.lines if line.sku == sku]
        return sum(allotment.held for line in lines for allotment in line.allotments)


class Crowd:
    """Shoppers over one or several clients of one merchant."""

    def __init__(self, clients: list[Client], seed: int) -> None:
        self.receipts = Receipts()
        self._clients = clients
        self._random = random.Random(seed)
        self._going = True
        self._progress = asyncio.Event()

    async def open_shop(self) -> None:
        """Put goods on the shelves."""
        for sku, units in [*((sku, UNITS) for sku in PLENTY), (SCARCE, SCARCE_UNITS)]:
            await self._clients[0].add_sku(sku)
            receive = pb.ReceiveStockRequest(request_id=new_id(), sku=sku, quantity=units)
            await self._single(self._clients[0], pb.BatchItem(receive=receive))

    @asynccontextmanager
    async def shopping(self, singles: int = 10, batches: int = 2) -> AsyncIterator[None]:
        """So many who call one by one, and so many who send batches, while the block runs."""
        async with asyncio.TaskGroup() as group:
            for number in range(singles):
                group.create_task(self._shop(self._clients[number % len(self._clients)]))
            for number in range(batches):
                group.create_task(self._shop_in_batches(self._clients[number % len(self._clients)]))
            try:
                yield
            finally:
                self._going = False

    async def more_answers(self, count: int, seconds_max: float = PROGRESS_SECONDS_MAX) -> float:
        """Wait until so many more calls took effect; how many seconds that took."""
        begun, goal = time.monotonic(), len(self.receipts.answers) + count
        async with asyncio.timeout(seconds_max):
            while len(self.receipts.answers) < goal:
                self._progress.clear()
                await self._progress.wait()
        return time.monotonic() - begun

    async def _shop(self, client: Client) -> None:
        while self._going:
            result = await self._single(client, self._reserve())
            if result is not None and (item := self._resolve(result.reserve.reservation)) is not None:
                await self._single(client, item)

    async def _shop_in_batches(self, client: Client) -> None:
        held: list[stock_pb2.Reservation] = []
        while self._going:
            items = [self._reserve() for _ in range(BATCH_ITEMS)]
            items += [item for reservation in held if (item := self._resolve(reservation)) is not None]
            results = await self.batch(client, items)
            held = [result.reserve.reservation for result in results if result.HasField("reserve")]

    async def batch(self, client: Client, items: list[pb.BatchItem]) -> list[pb.BatchResult]:
        """One batch, repeated until it is answered."""
        request = pb.ApplyBatchRequest(items=items)
        response = await self._insist(lambda: client.stock.ApplyBatch(request, **client.options))
        for item, result in zip(items, response.results, strict=True):
            self._file(item, result)
        return list(response.results)

    async def _single(self, client: Client, item: pb.BatchItem) -> pb.BatchResult | None:
        """One command as a call of its own; None if it was refused."""
        name = item.WhichOneof("command")
        assert name is not None
        request = getattr(item, name)
        method = getattr(client.stock, _METHODS[name])
        try:
            response = await self._insist(lambda: method(request, **client.options))
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.FAILED_PRECONDITION:
                raise
            self.receipts.refusals[name] += 1
            return None
        result = pb.BatchResult(**{name: response})
        self._file(item, result)
        return result

    async def _insist(self, call: Callable[[], Awaitable[Any]]) -> Any:
        while True:
            begun = time.monotonic()
            try:
                return await call()
            except grpc.aio.AioRpcError as error:
                if error.code() not in OPEN_ENDED:
                    raise
                self.receipts.failures[error.code().name] += 1
            finally:
                self.receipts.seconds_max = max(self.receipts.seconds_max, time.monotonic() - begun)
            await asyncio.sleep(PAUSE_SECONDS)

    def _file(self, item: pb.BatchItem, result: pb.BatchResult) -> None:
        if result.HasField("error"):
            assert result.error.code == grpc.StatusCode.FAILED_PRECONDITION.value[0], result.error
            self.receipts.refusals["batch"] += 1
            return
        self.receipts.keep(item, result)
        self._progress.set()

    def _reserve(self) -> pb.BatchItem:
        sku = self._random.choice([*PLENTY, SCARCE])
        line = pb.ReserveLine(sku=sku, quantity=self._random.randint(1, 3))
        return pb.BatchItem(reserve=pb.ReserveStockRequest(request_id=new_id(), lines=[line]))

    def _resolve(self, reservation: stock_pb2.Reservation) -> pb.BatchItem | None:
        """Sell it, give it up, or leave it open."""
        chance = self._random.random()
        if chance < 0.4:
            request = pb.CommitReservationRequest(request_id=new_id(), reservation_id=reservation.reservation_id)
            return pb.BatchItem(commit=request)
        if chance < 0.8:
            release = pb.ReleaseReservationRequest(request_id=new_id(), reservation_id=reservation.reservation_id)
            return pb.BatchItem(release=release)
        return None


_METHODS = {
    "receive": "ReceiveStock",
    "reserve": "ReserveStock",
    "commit": "CommitReservation",
    "release": "ReleaseReservation",
}


async def compare(receipts: Receipts, client: Client) -> None:
    """The ledger holds exactly what was acknowledged: levels, reservations, first answers; and it adds up (R18)."""
    for sku in (*PLENTY, SCARCE):
        level = await client.level(sku)
        sold = receipts.units(sku, stock_pb2.RESERVATION_STATE_COMMITTED)
        held = receipts.units(sku, stock_pb2.RESERVATION_STATE_HELD)
        assert (level.on_hand, level.reserved) == (receipts.received[sku] - sold, held), sku
    stored = [(r.reservation_id, r.state) async for r in all_reservations(client)]
    assert len(stored) == len(receipts.reservations)
    assert dict(stored) == {r.reservation_id: r.state for r in receipts.reservations.values()}
    await replay(receipts, client)
    verdict = await client.operations.CheckConsistency(CheckConsistencyRequest(), **client.options)
    assert verdict.consistent, verdict.breaches


async def replay(receipts: Receipts, client: Client) -> None:
    """Send every request id once more: the first answer comes again, with its first time (R10)."""
    known = list(receipts.answers.values())
    for start in range(0, len(known), PAGE):
        page = known[start : start + PAGE]
        response = await client.stock.ApplyBatch(
            pb.ApplyBatchRequest(items=[item for item, _ in page]), **client.options
        )
        assert list(response.results) == [result for _, result in page]


async def all_reservations(client: Client) -> AsyncIterator[stock_pb2.Reservation]:
    """Every reservation of the merchant, newest first."""
    request = pb.ListReservationsRequest(page_size=PAGE)
    while True:
        page = await client.stock.ListReservations(request, **client.options)
        for reservation in page.reservations:
            yield reservation
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token
