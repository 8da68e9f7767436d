"""The channel's orders, taken in: walked through in time, and one by one where something is hinted.

The watermark says that all that has happened up to it is with the gateway. Asking for updates up to it would not be
enough: an order that was placed before and updated since would be missing. So it is moved only after a walk that went
on to the present and a little beyond, to when that walk began; and never past an order that the gateway refuses. Such
an order is fetched and reported again until it is taken, and a person is told. A walk that breaks begins again.
"""

import asyncio
import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from opentelemetry.trace import SpanKind

from connectors.access import Access
from connectors.backoff import Backoff
from connectors.base import OrderSnapshot
from connectors.contract import ChannelState, GatewayError, GatewayRefused
from connectors.errors import ConnectorError, Misunderstood, Rejected
from connectors.gateway_client import GatewayClient
from connectors.needs import Needs
from connectors.reading import Stopwatch
from connectors.settings import AgentSettings
from connectors.tracing import Work, work
from gateway import telemetry

log = logging.getLogger(__name__)

# A walk that breaks so often for the same kind of reason does not mend itself.
BROKEN_WALKS_MAX = 3
# Catching up takes its time.
WALK_SLOW_SECONDS = 30.0
# The last window of a walk reaches so far beyond the present; a walk that takes longer says nothing of the watermark.
# The next one then reaches further.
AHEAD = timedelta(seconds=20)
AHEAD_MAX = timedelta(minutes=20)
# The least by which times on the wire differ.
INSTANT = timedelta(microseconds=1)


class Intake:
    """Takes one channel's orders in."""

    def __init__(
        self, gateway: GatewayClient, channel: str, access: Access, needs: Needs, settings: AgentSettings
    ) -> None:
        """Nothing is taken in before `begin_at`."""
        self._gateway, self._channel, self._access = gateway, channel, access
        self._needs, self._settings = needs, settings
        # Up to here every page was walked and reported by this process, or by another that has said so.
        self._walked: datetime | None = None
        self._said: datetime | None = None
        self._ahead = AHEAD
        # Orders that the gateway refuses, by id, as they were.
        self._refused: dict[str, OrderSnapshot] = {}

    def begin_at(self, state: ChannelState) -> None:
        """Walk from the channel's watermark on, if this process has not come further."""
        watermark = state.watermark or state.create_time - self._settings.first_walk
        if self._walked is None or (watermark > self._walked and not self._refused):
            self._walked = self._said = watermark

    # ---- walking

    async def walk(self) -> None:
        """Walk through the orders again and again, until cancelled."""
        backoff = Backoff(self._settings.poll_seconds, self._settings.backoff_seconds_max)
        while True:
            await self._access.open()
            try:
                with work("walk orders", origin=telemetry.NO_ORIGIN, slow_seconds=WALK_SLOW_SECONDS) as doing:
                    doing.tell(stockgate__channel=self._channel)
                    is_behind = await self._walk_once(doing)
            except (GatewayError, ConnectorError) as error:
                self._say_broken(error, backoff.failures)
                await backoff.pause()
                await self._access.transport.limiter.lifted()
                continue
            backoff.succeeded()
            self._needs.settle("orders")
            if not is_behind:
                await asyncio.sleep(self._settings.poll_seconds)

    async def _walk_once(self, doing: Work) -> bool:
        """Walk one window; True if there are more before the present."""
        assert self._walked is not None, "not before begin_at()"
        capabilities = self._access.platform.capabilities
        watch = Stopwatch(self._access.transport)
        # An order that is updated while we walk moves to the end: the last window reaches beyond the present for it.
        ahead = self._access.transport.platform_now() + self._ahead
        overlap = max(self._settings.overlap_min, 2 * capabilities.time_resolution)
        since = self._walked - overlap
        # The overlap must leave something of the shortest window.
        window = max(min(capabilities.window_max, self._settings.window_max), 2 * overlap)
        until = min(ahead, since + window)
        orders = 0
        async for page in self._access.orders(since, until):
            await self._report(page)
            orders += len(page)
            doing.tell(stockgate__orders=orders)
        if until < ahead:
            self._walked = max(self._walked, until)
            fields = {"channel": self._channel, "until": until.isoformat(), "behind": str(ahead - until)}
            log.info("orders are being caught up", extra=fields)
            return True
        # The clock may be known better by now, and then the present was earlier than it seemed.
        span = watch.span()
        if span.end_time - span.begin_time < self._ahead:
            self._ahead = AHEAD
            await self._move(span.begin_time - capabilities.visibility_lag)
        else:
            self._ahead = min(2 * self._ahead, AHEAD_MAX)
            fields = {"channel": self._channel, "took": str(span.end_time - span.begin_time)}
            log.warning("walk through the orders too slow for the watermark", extra=fields)
        return False

    async def _move(self, watermark: datetime) -> None:
        """All that had happened by then is reported; say so, as far as it may be said."""
        # Not beyond: while the platform's clock was not known, windows may have gone past its present.
        self._walked = watermark
        # Nobody knows which of an order's earlier states the gateway has.
        earliest = min((order.placed_time for order in self._refused.values()), default=None)
        watermark = watermark if earliest is None else min(watermark, earliest - INSTANT)
        if self._said is not None and watermark <= self._said:
            return
        await self._gateway.report_orders(self._channel, [], watermark)
        self._said = watermark

    def _say_broken(self, error: GatewayError | ConnectorError, failures: int) -> None:
        fields = {"channel": self._channel, "error": type(error).__name__, "said": error.message}
        log.warning("walk through the orders broken off", extra=fields)
        is_lasting = isinstance(error, Rejected | Misunderstood | GatewayRefused)
        if is_lasting and failures + 1 >= BROKEN_WALKS_MAX:
            self._needs.want("orders", f"no orders are taken in: {error.message}")

    # ---- reporting

    async def take(self, order_id: str, message_id: str = "") -> None:
        """Fetch an order and have the gateway take it; raises `GatewayError`, `ConnectorError`.

        Here an order's journey begins, as far as we see it: `message_id` is the platform's of what it told.
        """
        attributes = {"stockgate.channel": self._channel, "stockgate.order": order_id}
        if message_id:
            attributes |= {"messaging.message.id": message_id}
        with work("take order", kind=SpanKind.CONSUMER, origin=telemetry.NO_ORIGIN, attributes=attributes):
            order = await self._access.order(order_id)
            if order is not None:
                await self._gateway.report_orders(self._channel, [order])
                self._accepted(order_id)

    async def _report(self, orders: Sequence[OrderSnapshot]) -> None:
        """Report a page; the orders that are refused are set apart, so that they hold up no others."""
        if not orders:
            return
        try:
            await self._gateway.report_orders(self._channel, orders)
        except GatewayRefused as error:
            if not error.is_about_content:
                raise
            if len(orders) == 1:
                self._refuse(orders[0], error)
                return
            for order in orders:
                await self._report([order])
        else:
            for order in orders:
                self._accepted(order.order_id)

    def _refuse(self, order: OrderSnapshot, error: GatewayRefused) -> None:
        # Beyond this there is something else wrong than some orders, and nothing may be called walked.
        if order.order_id not in self._refused and len(self._refused) >= self._settings.refused_orders_max:
            raise error
        self._refused[order.order_id] = order
        fields = {"channel": self._channel, "order_id": order.order_id, "said": error.message}
        log.error("order refused by the gateway", extra=fields)
        self._needs.want(f"order {order.order_id}", f"the gateway refuses it: {error.message}")

    def _accepted(self, order_id: str) -> None:
        if self._refused.pop(order_id, None) is not None:
            log.info("refused order taken", extra={"channel": self._channel, "order_id": order_id})
            self._needs.settle(f"order {order_id}")

    # ---- orders that were refused

    async def retry(self) -> None:
        """Fetch and report refused orders again, until cancelled."""
        backoff = Backoff(self._settings.refused_order_seconds, self._settings.refused_order_seconds * 60)
        while True:
            await asyncio.sleep(backoff.failed())
            if not self._refused:
                backoff.succeeded()
            for order_id in list(self._refused):
                await self._retry_one(order_id)

    async def _retry_one(self, order_id: str) -> None:
        try:
            order = await self._access.order(order_id)
            if order is None:
                log.warning("refused order is gone", extra={"channel": self._channel, "order_id": order_id})
                self._accepted(order_id)
            else:
                await self._report([order])
        except (GatewayError, ConnectorError) as error:
            fields = {"channel": self._channel, "order_id": order_id, "error": type(error).__name__}
            log.info("refused order not fetched", extra=fields)
