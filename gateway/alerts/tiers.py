"""Where keys stand, and why: read from their rows, with the numbers as they are now."""

import asyncio
from collections.abc import Collection
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from gateway.alerts.surroundings import Surroundings, read_surroundings
from gateway.domain.alerts import Acknowledgement, AlertPolicy, Event, IncomingUnits
from gateway.domain.chances import LeadTime
from gateway.domain.demand import StockOutTimes
from gateway.domain.errors import SessionUnknown, SkuUnknown
from gateway.domain.tiers import Evidence, Tier
from gateway.domain.vigil import Circumstances, Key, Tempo, Watched, begin_watch, evidence, stock_out
from gateway.store import standings as store
from gateway.store.alert_log import read_alert_head, read_event
from gateway.store.database import MerchantDatabase, ReadConnection, read_time, take_snapshot
from gateway.store.levels import read_head
from gateway.store.live import open_sessions
from gateway.store.standings import Stand

# So many rows are read at once; the forecasts of so many keys are made before others have their turn in this process.
ROWS_AT_ONCE, KEYS_AT_ONCE = 500, 20
# A snapshot of a hundred thousand SKUs takes its time, and keeps nobody waiting meanwhile.
SNAPSHOT_SECONDS_MAX = 120.0
# Where a list goes on: the tier, the code and the session of the last key.
Place = tuple[int, str, int]


class KeyState(Struct, frozen=True):
    """Where one key stands. `revision`: the event that told of it last, 0 if none has.

    `is_watched`: an engine goes on judging it.
    """

    key: Key
    title: str
    watched: Watched
    circumstances: Circumstances
    evidence: Evidence
    stock_out: StockOutTimes
    revision: int
    observe_time: datetime
    since_time: datetime
    session_end_time: datetime | None
    acknowledgement: Acknowledgement | None
    silenced_by: tuple[int, ...]
    channels: tuple[str, ...]
    session_ids: tuple[int, ...]
    is_watched: bool = True

    @property
    def tier(self) -> Tier:
        """The tier it stands in."""
        return self.watched.standing.tier

    @property
    def is_stale(self) -> bool:
        """Our knowledge is old: a channel is not heard, or nobody has judged the key for long."""
        return self.watched.standing.is_stale or self.circumstances.is_stale or not self.is_watched


class Why(Struct, frozen=True):
    """A key's state with all that it rests on; `last_change` is the event that told of it last, if it is kept."""

    state: KeyState
    policy: AlertPolicy
    lead_time: LeadTime
    incoming: tuple[IncomingUnits, ...]
    last_change: Event | None


class Tiers:
    """Reads where one merchant's keys stand."""

    def __init__(
        self,
        database: MerchantDatabase,
        tempo: Tempo = Tempo(),  # noqa: B008 - frozen, so one for all
    ) -> None:
        """Read through the database; any gateway can."""
        self._database = database
        self._tempo = tempo
        self._before: Surroundings | None = None

    async def get(self, sku: str, session_id: int = 0) -> KeyState:
        """Where a key stands; raises `SkuUnknown`, `SessionUnknown`."""
        return (await self.explain(sku, session_id)).state

    async def explain(self, sku: str, session_id: int = 0) -> Why:
        """Where a key stands, and why; raises `SkuUnknown`, `SessionUnknown`."""
        key = Key(sku, session_id)
        async with self._database.transaction() as connection:
            await take_snapshot(connection)
            now = await read_time(connection, self._database.now)
            surroundings = await self._surroundings(connection, [sku], now)
            if not surroundings.knows(sku):
                raise SkuUnknown(f"no SKU has the code {sku!r}", field="sku", sku=sku)
            if not surroundings.is_current(key):
                raise SessionUnknown(
                    f"session {session_id} is not on, or has no units of its own of {sku!r}", field="session_id"
                )
            stand = await store.read_stand(connection, key)
            (state,) = await _states(connection, [stand or _new(key, surroundings, now)], surroundings, now)
            last = await read_event(connection, state.revision) if state.revision else None
        incoming = tuple(each for each in surroundings.desk.incoming if each.sku == sku)
        return Why(state, surroundings.policy(sku), surroundings.lead_time(sku), incoming, last)

    async def pressing(
        self,
        *,
        min_tier: Tier = Tier.NORMAL,
        session_id: int = 0,
        skus: Collection[str] | None = None,
        after: Place | None = None,
        count_max: int,
    ) -> tuple[list[KeyState], Place | None]:
        """Up to `count_max` keys, most pressing first, then by code and session; and after what there are more.

        Of a session: what it sells; its own units where it has any. Raises `SessionUnknown`.
        """
        async with self._database.transaction() as connection:
            await take_snapshot(connection)
            now = await read_time(connection, self._database.now)
            skus = await _sold_in(connection, session_id) if session_id else skus
            stands = await store.list_stands(
                connection, min_tier=min_tier, codes=skus, after=after, count_max=count_max
            )
            states = await self._states(connection, stands, now)
        if len(stands) < count_max:
            return states, None
        last = stands[-1]
        return states, (int(last.watched.standing.tier), *last.key)

    async def snapshot(self, skus: Collection[str] | None, min_tier: Tier = Tier.NORMAL) -> tuple[list[KeyState], int]:
        """Where all keys that were ever watched stand, most pressing first, and the log's revision then.

        Of these SKUs or of all, from `min_tier` on.
        """
        found: list[KeyState] = []
        last: Key | None = None
        async with self._database.transaction(SNAPSHOT_SECONDS_MAX) as connection:
            await take_snapshot(connection)
            now = await read_time(connection, self._database.now)
            head = await read_alert_head(connection)
            is_over = False
            while not is_over:
                stands = await store.stands_after(
                    connection, last, min_tier=min_tier, codes=skus, count_max=ROWS_AT_ONCE
                )
                found += await self._states(connection, stands, now)
                is_over = len(stands) < ROWS_AT_ONCE
                last = stands[-1].key if stands else None
        found.sort(key=lambda state: (-state.tier, state.key))
        return found, head.revision

    async def _states(self, connection: ReadConnection, stands: list[Stand], now: datetime) -> list[KeyState]:
        surroundings = await self._surroundings(connection, {stand.key.sku for stand in stands}, now)
        current = [stand for stand in stands if surroundings.is_current(stand.key)]
        return await _states(connection, current, surroundings, now)

    async def _surroundings(self, connection: ReadConnection, skus: Collection[str], now: datetime) -> Surroundings:
        self._before = await read_surroundings(connection, skus, now, self._before, self._tempo)
        return self._before


async def _sold_in(connection: ReadConnection, session_id: int) -> list[str]:
    for session in await open_sessions(connection):
        if session.session_id == session_id:
            return [sold.sku for sold in session.skus]
    raise SessionUnknown(f"no open session has the number {session_id}", field="session_id")


def _new(key: Key, surroundings: Surroundings, now: datetime) -> Stand:
    """The row of a key nobody has watched yet."""
    watched = begin_watch({}, surroundings.circumstances(key), surroundings.tempo.seconds(now))
    return Stand(key, watched, 0, 0, 0, now)


async def _states(
    connection: ReadConnection, stands: Collection[Stand], surroundings: Surroundings, now: datetime
) -> list[KeyState]:
    """With the stock as it is now: a row may be some seconds old."""
    revision = (await read_head(connection)).revision
    balances = await store.read_balances(connection, {stand.key.sku for stand in stands}, revision)
    held = {
        (ack.sku, ack.session_id): ack.acknowledgement for ack in surroundings.desk.acknowledgements if not ack.drill_id
    }
    is_watched = await store.read_watched(connection, now)
    found = []
    tempo = surroundings.tempo
    seconds = tempo.seconds(now)
    for place, stand in enumerate(stands, start=1):
        if place % KEYS_AT_ONCE == 0:
            await asyncio.sleep(0)
        key, watched = stand.key, stand.watched
        if not key.session_id:
            watched = replace(watched, balances=balances.get(key.sku, {}))
        circumstances = surroundings.circumstances(key)
        seen = evidence(watched, seconds, circumstances)
        ends = circumstances.session_end
        found.append(
            KeyState(
                key,
                surroundings.title_of(key.sku),
                watched,
                circumstances,
                replace(seen, onset_time=tempo.time(seen.onset_time).timestamp()),
                stock_out(watched, seconds, circumstances),
                stand.event_revision,
                now,
                tempo.time(watched.standing.since),
                None if ends is None else tempo.time(ends),
                held.get((key.sku, key.session_id)),
                surroundings.silences_of(key.sku, watched.standing.tier, now),
                surroundings.channels_of(key.sku),
                surroundings.sessions_of(key.sku),
                is_watched,
            )
        )
    return found
