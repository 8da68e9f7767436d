"""The merchants of this gateway. Each has a schema, a writer, a sweeper and streams of its own; they share nothing."""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from uuid import uuid4

from gateway import metrics
from gateway.advising import Advising
from gateway.alerts.desk import Desk
from gateway.alerts.drills import Drills
from gateway.alerts.engine import Engine
from gateway.alerts.hub import AlertHub
from gateway.alerts.subscribers import Subscribers
from gateway.alerts.tending import Tending
from gateway.alerts.tiers import Tiers
from gateway.audit import Audit
from gateway.auditor import Auditor
from gateway.board import Board
from gateway.catalog import Catalog
from gateway.domain.changes import Limits
from gateway.domain.errors import InvalidArgument
from gateway.domain.vigil import Tempo
from gateway.explaining import Explaining
from gateway.health import Health, Open
from gateway.imports import Imports
from gateway.ledger import Ledger
from gateway.live.live import Live
from gateway.retention import Retention
from gateway.reviewing import Reviewing
from gateway.selling import Selling
from gateway.shops import Shops
from gateway.store.database import Database, MerchantDatabase, merchant_of
from gateway.store.groups import GroupStore
from gateway.store.listening import listen
from gateway.store.page_sessions import PageSessions
from gateway.store.schema import merchants as merchant_names
from gateway.store.sweeping import SweepStore
from gateway.store.tokens import is_known_token
from gateway.sweeper import Sweeper
from gateway.tallies import Tallies
from gateway.timeline import Timeline
from gateway.tracing import Tracing
from gateway.vault import Vault
from gateway.watch import LevelHub
from gateway.writer import Writer

log = logging.getLogger(__name__)

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
DRAIN_SECONDS = 10.0
RESTART_SECONDS = 1.0


@dataclass(frozen=True)
class MerchantLimits:
    """Bounds of each merchant."""

    reservations: Limits
    queue_commands_max: int
    tempo: Tempo


class Merchant:
    """Everything one merchant has in this gateway."""

    def __init__(self, database: MerchantDatabase, limits: MerchantLimits, vault: Vault) -> None:
        """Build the parts; `start` brings them to life."""
        self.name = database.merchant
        self._database = database
        store = GroupStore(database, limits.reservations)
        tallies = Tallies(self.name)
        self._writer = Writer(store, limits.queue_commands_max, tallies.saved)
        self.ledger = Ledger(database, self._writer)
        self.catalog = Catalog(database, self._writer)
        self.shops = Shops(database, vault)
        self.imports = Imports(database, self._writer)
        self.tracing = Tracing(database)
        self.selling = Selling(database, self._writer, self.shops, self.tracing.is_traced)
        self.explaining = Explaining(database, self.selling.allocator)
        self.hub = LevelHub(database)
        self.alert_hub = AlertHub(database)
        self.subscribers = Subscribers(database, self.alert_hub)
        self.health = Health(
            database,
            tallies,
            self.alert_hub,
            lambda: self.selling.allocator.revision,
            Open(self.hub.streams, self.selling.streams),
        )
        self._tending = Tending(database, self.alert_hub)
        self.tiers = Tiers(database, limits.tempo)
        self.live = Live(database, self._writer, self.tiers, limits.tempo)
        self.desk = Desk(database)
        self.reviewing = Reviewing(database, limits.tempo)
        self.advising = Advising(database, self.reviewing, self.catalog, self.desk.rules)
        self.drills = Drills(database, str(uuid4()))
        self.engine = Engine(database, str(uuid4()), limits.tempo, self.tracing.is_traced)
        self.audit = Audit(database)
        self.timeline = Timeline(database)
        self._retention = Retention(database)
        self.sweeper = Sweeper(SweepStore(database), self._writer)
        self.auditor = Auditor(self.ledger, self.name)
        self.page_sessions = PageSessions(database)
        self.board = Board(database, limits.tempo, self.engine.pace_of)
        self._writing: asyncio.Task[None] | None = None
        self._loops: list[asyncio.Task[None]] = []

    async def is_known_token(self, token: str) -> bool:
        """True if this merchant gave the token out."""
        async with self._database.transaction() as connection:
            return await is_known_token(connection, token)

    def start(self) -> None:
        """Start the writer and the loops."""
        self._writing = _keep_running(self._writer.run, "writer", self.name)
        self._loops = [
            _keep_running(self.hub.run, "streams", self.name),
            _keep_running(self.alert_hub.run, "alert streams", self.name),
            _keep_running(self.alert_hub.tend, "watch over alert streams", self.name),
            _keep_running(self._tending.run, "tending of alerts", self.name),
            _keep_running(self.selling.allocator.run, "allocator", self.name),
            _keep_running(self.sweeper.run, "sweeper", self.name),
            _keep_running(self.auditor.run, "auditor", self.name),
            _keep_running(self.engine.run, "alert engine", self.name),
            _keep_running(self.live.proposing.run, "proposals", self.name),
            _keep_running(self.board.run, "board", self.name),
            _keep_running(self._retention.run, "removal of old records", self.name),
            _keep_running(self.reviewing.run, "reviews", self.name),
            _keep_running(self.drills.run, "drills", self.name),
            _keep_running(self.health.run, "gauges", self.name),
            _keep_running(self.tracing.run, "tracing", self.name),
        ]

    def wake_alerts(self) -> None:
        """The alert log has grown, or what its engine goes by has changed."""
        self.live.hear()
        self.board.wake()
        self.alert_hub.wake()
        self.engine.wake()

    async def stop(self) -> None:
        """Stop the loops; answer what was taken in, then stop the writer."""
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        self._writer.close()
        if self._writing is not None:
            await asyncio.wait([self._writing], timeout=DRAIN_SECONDS)
            self._writing.cancel()


class Merchants:
    """The merchants by name, and the one ear that all of them have in the database."""

    def __init__(self, database: Database, limits: MerchantLimits, vault: Vault) -> None:
        """Know none yet; the vault keeps the secrets of all."""
        self._database = database
        self._limits = limits
        self._vault = vault
        self._merchants: dict[str, Merchant] = {}
        self._listening: asyncio.Task[None] | None = None

    def start(self, names: list[str]) -> None:
        """Bring these merchants to life."""
        for name in names:
            if name not in self._merchants:
                merchant = Merchant(self._database.of(name), self._limits, self._vault)
                self._merchants[name] = merchant
                merchant.start()
        if self._listening is None:
            self._listening = _keep_running(self._listen, "listener", "all merchants")

    async def find(self, name: str) -> Merchant | None:
        """The merchant, brought to life if it was added since the gateway started; None if there is none."""
        if name not in self._merchants and _NAME.fullmatch(name):
            async with self._database.of(name).transaction() as connection:
                names = await merchant_names(connection)
            self.start([name] if name in names else [])
        return self._merchants.get(name)

    def get(self, name: str) -> Merchant:
        """The merchant; it must be one of this gateway's."""
        return self._merchants[name]

    def close_streams(self) -> None:
        """Tell every stream that the gateway stops."""
        for merchant in self._merchants.values():
            merchant.hub.close()
            merchant.alert_hub.close()
            merchant.selling.close()
            merchant.live.close()

    async def streams_ended(self, timeout_seconds: float) -> None:
        """Wait until the streams of alerts have taken their goodbye, but no longer than that."""
        hubs = [merchant.alert_hub for merchant in self._merchants.values()]
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                await asyncio.gather(*(hub.emptied() for hub in hubs))

    async def stop(self) -> None:
        """Answer what was taken in, and stop everything."""
        if self._listening is not None:
            self._listening.cancel()
        await asyncio.gather(*(merchant.stop() for merchant in self._merchants.values()))

    async def _listen(self) -> None:
        """Wake a merchant's streams when any gateway has saved something of it."""

        def heard(schema: str) -> None:
            if (merchant := self._merchants.get(merchant_of(schema))) is not None:
                merchant.hub.wake()
                merchant.selling.wake()
                merchant.live.wake()
                merchant.board.wake()
                merchant.engine.wake()

        def heard_alerts(schema: str) -> None:
            if (merchant := self._merchants.get(merchant_of(schema))) is not None:
                merchant.wake_alerts()

        await listen(self._database, heard, heard_alerts)


def require_name(name: str) -> str:
    """The name, if a merchant may have it; raises `InvalidArgument`."""
    if not _NAME.fullmatch(name):
        raise InvalidArgument(
            f"{name[:50]!r} cannot be a merchant's name: a small letter, then up to 39 of a-z, 0-9 and _", field="name"
        )
    return name


def _keep_running(work: Callable[[], Awaitable[None]], name: str, merchant: str) -> asyncio.Task[None]:
    """Run a loop; one that fails is reported and started again, until it ends or is cancelled."""
    metrics.loop_failures.add(0, {"loop": name})
    about = {"loop": name, "merchant": merchant}

    async def keep() -> None:
        while True:
            try:
                await work()
            # The top of a loop: whatever it was, the loop must go on.
            except Exception:
                log.critical("a loop has failed, and starts again", extra=about, exc_info=True)
                metrics.loop_failures.add(1, {"loop": name})
                await asyncio.sleep(RESTART_SECONDS)
            else:
                return

    return asyncio.create_task(keep(), name=f"{name} of {merchant}")
