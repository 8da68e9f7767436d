"""`stockgate replay`: plays an order report, or a made-up session, through the gRPC API, and checks the ledger after.

Each run has a run id and, unless told otherwise, a SKU of its own. Its request ids are made of the run id, the order
number and the step, so that whatever was not answered can be sent again and cannot happen twice.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import grpc

from gateway.cli.client import ClientSettings
from gateway.cli.errors import Failure
from gateway.cli.output import document
from gateway.cli.patience import PatientCaller
from gateway.cli.player import Pace, Player
from gateway.cli.summary import Summary, percentiles
from gateway.cli.tape import Order
from gateway.v1 import catalog_pb2, catalog_service_pb2, operations_service_pb2, stock_pb2, stock_service_pb2

EXPIRY_POLL_SECONDS = 0.25
EXPIRY_GRACE_SECONDS = 30.0  # the sweeper needs a second; after this the ledger has failed to expire
CHECK_SECONDS_MAX = 300.0  # the check adds up the merchant's whole journal
LIST_PAGE_SIZE = 1_000


@dataclass(frozen=True)
class Plan:
    """What to play, on what, and how fast. Without a SKU a fresh one is made."""

    source: str
    orders: Sequence[Order]
    units: int
    pace: Pace
    sku: str | None = None


class Replay:
    """One run."""

    def __init__(self, caller: PatientCaller, plan: Plan, on_progress: Callable[[Player], None]) -> None:
        self.run_id = uuid.uuid4().hex
        self.sku = plan.sku or f"REPLAY-{datetime.now(UTC):%Y%m%dT%H%M%S}-{self.run_id[:4]}"
        self._caller = caller
        self._plan = plan
        self._player = Player(caller, plan.orders, plan.pace, self.sku, self.run_id, on_progress)

    async def run(self) -> Summary:
        """Plays all of it, waits until the ledger has expired what was never paid, and checks.

        Raises Failure: at once if no gateway answers in the beginning, after patience if it goes away later.
        """
        started = time.monotonic()
        await self._caller.ask_once(self._caller.operations.GetVersion, operations_service_pb2.GetVersionRequest())
        await self._ensure_sku()
        before = await self._level()
        await self._receive()
        await self._player.play()
        expired = await self._await_expiry(before.reserved)
        return await self._sum_up(before, expired, started)

    async def _ensure_sku(self) -> None:
        if self._plan.sku is not None and await self._exists(self._plan.sku):
            return
        wanted = catalog_pb2.Sku(sku=self.sku, title=f"Replay of {self._plan.source}"[:200])
        await self._caller.ask(self._caller.catalog.CreateSku, catalog_service_pb2.CreateSkuRequest(sku=wanted))

    async def _exists(self, sku: str) -> bool:
        try:
            await self._caller.ask(self._caller.catalog.GetSku, catalog_service_pb2.GetSkuRequest(sku=sku))
        except Failure as failed:
            if failed.problem.reason == "SKU_UNKNOWN":
                return False
            raise
        return True

    async def _receive(self) -> None:
        if not self._plan.units:
            return
        request = stock_service_pb2.ReceiveStockRequest(
            request_id=f"{self.run_id}:receive", sku=self.sku, quantity=self._plan.units, reason="replay"
        )
        await self._caller.ask(self._caller.stock.ReceiveStock, request)

    async def _await_expiry(self, reserved_before: int) -> int:
        """Waits until every hold that was never paid has expired; says how many have."""
        unpaid = self._player.tally.unpaid_reservation_ids
        patience = max(
            (self._plan.pace.ttl(order) for order in self._plan.orders if order.pay_time is None), default=timedelta()
        )
        give_up_at = time.monotonic() + patience.total_seconds() + EXPIRY_GRACE_SECONDS
        expired = 0
        while expired < len(unpaid) and time.monotonic() < give_up_at:
            if (await self._level()).reserved <= reserved_before:
                expired = len(unpaid & await self._expired_ids())
            if expired < len(unpaid):
                await asyncio.sleep(EXPIRY_POLL_SECONDS)
        return expired

    async def _expired_ids(self) -> set[str]:
        request = stock_service_pb2.ListReservationsRequest(
            sku=self.sku, state=stock_pb2.RESERVATION_STATE_EXPIRED, page_size=LIST_PAGE_SIZE
        )
        ids: set[str] = set()
        while True:
            page = await self._caller.ask(self._caller.stock.ListReservations, request)
            ids |= {each.reservation_id for each in page.reservations}
            if not page.next_page_token:
                return ids
            request.page_token = page.next_page_token

    async def _level(self) -> stock_pb2.StockLevel:
        request = stock_service_pb2.GetStockLevelRequest(sku=self.sku)
        return (await self._caller.ask(self._caller.stock.GetStockLevel, request)).level

    async def _sum_up(self, before: stock_pb2.StockLevel, expired: int, started: float) -> Summary:
        tally, plan = self._player.tally, self._plan
        after = await self._level()
        check = await self._caller.ask(
            self._caller.operations.CheckConsistency,
            operations_service_pb2.CheckConsistencyRequest(),
            CHECK_SECONDS_MAX,
        )
        return Summary(
            run_id=self.run_id,
            source=plan.source,
            sku=self.sku,
            speed="max" if plan.pace.speed is None else f"{plan.pace.speed:.10g}x",
            orders=len(plan.orders),
            units=plan.units,
            accepted=tally.accepted,
            refused=tally.refused,
            expired=expired,
            expired_expected=len(tally.unpaid_reservation_ids),
            committed=tally.committed,
            returned=tally.returned,
            retaken=tally.retaken,
            paid_too_late=tally.paid_too_late,
            failed=tally.failed,
            failures=dict(tally.failures),
            retries=self._caller.retries_count,
            on_hand=after.on_hand,
            on_hand_expected=before.on_hand + plan.units + tally.on_hand_change,
            reserved=after.reserved,
            reserved_expected=before.reserved,
            ledger_consistent=check.consistent,
            breaches=[document(breach) for breach in check.breaches],
            commands=tally.commands,
            play_seconds=self._player.play_seconds,
            total_seconds=time.monotonic() - started,
            latency_measured=f"per ApplyBatch call of {_up_to(plan.pace.page_size)}, "
            f"{len(self._player.latencies_seconds)} calls, {plan.pace.calls_in_flight} in flight at most",
            latency_ms=percentiles(self._player.latencies_seconds),
        )


def _up_to(page_size: int) -> str:
    return "1 command" if page_size == 1 else f"up to {page_size} commands"


async def replay(settings: ClientSettings, plan: Plan, on_progress: Callable[[Player], None]) -> Summary:
    """Plays a plan through the gateway at the settings' address. Raises Failure if it cannot be played to its end."""
    async with aio_channel(settings) as channel:
        return await Replay(PatientCaller(settings, channel), plan, on_progress).run()


def aio_channel(settings: ClientSettings) -> grpc.aio.Channel:
    """A channel to the gateway for the event loop."""
    credentials = settings.credentials()
    if credentials is None:
        return grpc.aio.insecure_channel(settings.address, settings.options)
    return grpc.aio.secure_channel(settings.address, credentials, settings.options)
