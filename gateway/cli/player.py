"""Plays a schedule through the gateway: pages of commands, several calls in flight."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from gateway.cli.patience import NotYet, PatientCaller
from gateway.cli.schedule import Event, Schedule, Step, TapeClock, events_of
from gateway.cli.tally import Tally, Verdict
from gateway.cli.tape import Order
from gateway.v1 import stock_service_pb2

PAYMENT_LIMIT = timedelta(hours=24)  # Tmall closes an unpaid order then; in tape time
UNPAID_TTL_AT_MAX = timedelta(seconds=2)  # without a tape clock: long enough for its answer, short enough to wait for


@dataclass(frozen=True)
class Pace:
    """How fast to play. `speed` is tape seconds per second; None goes as fast as the gateway answers."""

    speed: float | None = None
    page_size: int = 100
    calls_in_flight: int = 8

    def ttl(self, order: Order) -> timedelta:
        """The time to live of an order's hold."""
        if self.speed is not None:
            return PAYMENT_LIMIT / self.speed
        return PAYMENT_LIMIT if order.pay_time is not None else UNPAID_TTL_AT_MAX


class Player:
    """Plays orders on one SKU, and keeps the tally."""

    def __init__(
        self,
        caller: PatientCaller,
        orders: Sequence[Order],
        pace: Pace,
        sku: str,
        run_id: str,
        on_progress: Callable[[Player], None],
    ) -> None:
        self.tally = Tally()
        self.latencies_seconds: list[float] = []
        self.play_seconds = 0.0
        events = events_of(orders)
        self.events_count = len(events)
        self.schedule = Schedule(events)
        self._tape_start = events[0].time
        self._caller = caller
        self._pace = pace
        self._sku = sku
        self._run_id = run_id
        self._on_progress = on_progress
        self._free_calls = asyncio.Semaphore(pace.calls_in_flight)
        self._something_changed = asyncio.Event()

    async def play(self) -> None:
        """Plays to the end. Raises Failure if the gateway refuses the calls themselves, or stays away too long."""
        started = time.monotonic()
        clock = None if self._pace.speed is None else TapeClock(self._tape_start, self._pace.speed, started)
        try:
            async with asyncio.TaskGroup() as calls:
                while (page := await self._next_page(clock)) is not None:
                    calls.create_task(self._send(page))
        except ExceptionGroup as failures:  # one failed, the others were cancelled
            raise failures.exceptions[0] from None
        self.play_seconds = time.monotonic() - started

    async def _next_page(self, clock: TapeClock | None) -> list[Event] | None:
        """Waits for a free call, then for events that are due; None at the end of the tape."""
        await self._free_calls.acquire()
        while True:
            tape_now = None if clock is None else clock.tape_now(time.monotonic())
            if page := self.schedule.take(tape_now, self._pace.page_size):
                return page
            if self.schedule.is_finished:  # asked after taking: that may have passed the last events, all dropped
                return None
            self._something_changed.clear()
            await self._change_within(self._seconds_until_next(clock))

    def _seconds_until_next(self, clock: TapeClock | None) -> float | None:
        """How long until the next event is due; None if only an answer can bring one."""
        next_time = self.schedule.next_time()
        if clock is None or next_time is None:
            return None
        return clock.seconds_until(next_time, time.monotonic())

    async def _change_within(self, wait_seconds: float | None) -> None:
        try:
            async with asyncio.timeout(wait_seconds):
                await self._something_changed.wait()
        except TimeoutError:
            pass

    async def _send(self, page: list[Event]) -> None:
        """Sends a page until each of its commands is answered."""
        waiting = page
        async for attempt in self._caller.attempts():
            with attempt:
                request = stock_service_pb2.ApplyBatchRequest(items=[self._item(event) for event in waiting])
                response, seconds = await self._caller.ask_once(self._caller.stock.ApplyBatch, request)
                self.latencies_seconds.append(seconds)
                waiting = self._enter(waiting, response)
                if waiting and self.tally.last_delay is not None:
                    raise NotYet(self.tally.last_delay)
        self._free_calls.release()
        self._something_changed.set()

    def _enter(self, page: Sequence[Event], response: stock_service_pb2.ApplyBatchResponse) -> list[Event]:
        """Enters the answers; gives back the events that must be sent again."""
        again: list[Event] = []
        for event, result in zip(page, response.results, strict=True):
            verdict = self.tally.enter(event, result)
            if verdict is Verdict.AGAIN:
                again.append(event)
            else:
                self.schedule.answered(event, goes_on=verdict is Verdict.GOES_ON)
        self._something_changed.set()
        self._on_progress(self)
        return again

    def _item(self, event: Event) -> stock_service_pb2.BatchItem:
        request_id = f"{self._run_id}:{event.order.number}:{event.step.name.lower()}"
        match event.step:
            case Step.RESERVE:
                reserve = stock_service_pb2.ReserveStockRequest(
                    request_id=request_id,
                    lines=[stock_service_pb2.ReserveLine(sku=self._sku, quantity=1)],
                    ttl_ms=max(1, round(self._pace.ttl(event.order) / timedelta(milliseconds=1))),
                    order_id=event.order.number,
                )
                return stock_service_pb2.BatchItem(reserve=reserve)
            case Step.COMMIT:
                commit = stock_service_pb2.CommitReservationRequest(
                    request_id=request_id, reservation_id=self.tally.reservation_id(event), retake_expired=True
                )
                return stock_service_pb2.BatchItem(commit=commit)
            case Step.RETURN:
                return_stock = stock_service_pb2.ReturnStockRequest(
                    request_id=request_id, reservation_id=self.tally.reservation_id(event), reason="refunded"
                )
                return stock_service_pb2.BatchItem(return_stock=return_stock)
