"""The review of a session (R47): read what was recorded of it, think in a thread, keep the last few.

It is made from the journal, the alert log and what platforms were told, up to the session's end; of one that is still
on, up to the newest row there is. So the same session with the same last revisions is the same review, byte for byte.

The log is kept for a week (`alerts/tending.py`), a review for ever: it is written down soon after the session is over,
once nothing of its time can be on its way any more. Titles, lead times and policies are those of then.
"""

import asyncio
import logging
import zlib
from collections import OrderedDict, defaultdict
from collections.abc import Collection
from datetime import timedelta

import msgspec
from msgspec.structs import replace

from gateway import metrics
from gateway.alerts.surroundings import Surroundings, read_surroundings
from gateway.domain.alerts import Event, Session
from gateway.domain.errors import GatewayError, SessionUnknown
from gateway.domain.listings import PushResult
from gateway.domain.review.looking_back import review_of
from gateway.domain.review.record import PushTold, SessionRecord, Settings, Shown, SkuRecord
from gateway.domain.review.values import Review
from gateway.domain.vigil import Circumstances, Key, Moved, Tempo
from gateway.store import live, reviews
from gateway.store import reviewing as store
from gateway.store.alert_log import read_alert_head
from gateway.store.database import MerchantDatabase, ReadConnection, read_time, take_snapshot
from gateway.store.reviewing import Ends, PushRow, ShownRow
from gateway.store.standings import read_balances

log = logging.getLogger(__name__)

READ_SECONDS_MAX = 30.0
# A review is kept so long after its session; what was closed longer ago than the log is kept would be told by half.
KEEP_AFTER, KEEP_WITHIN = timedelta(minutes=1), timedelta(days=6)
LOOK_SECONDS = 30.0
# A review that is opened again, or downloaded in three forms, is made once.
KEPT = 8
# What a listing could sell is drawn with so many points.
SHOWN_POINTS = 60

# Of which review: the session, what is newest in it, and what was removed of it.
Version = tuple[int, int, int, int]


class Reviewing:
    """One merchant's reviews."""

    def __init__(self, database: MerchantDatabase, tempo: Tempo = Tempo()) -> None:  # noqa: B008 - frozen
        """Have made none yet."""
        self._database = database
        self._tempo = tempo
        self._kept: OrderedDict[Version, Review] = OrderedDict()
        # One at a time: the machine has better things to do.
        self._turn = asyncio.Lock()
        # Sessions whose review cannot be made: they are not tried again and again.
        self._failed: set[int] = set()

    async def run(self) -> None:
        """Keep the reviews of sessions that are over, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self.keep()
            except GatewayError as error:
                log.warning("reviews are not kept", extra={"error": str(error)})
                metrics.loop_pauses.add(1, {"loop": "reviews"})

    async def keep(self) -> list[int]:
        """Keep the reviews that are to be kept by now, those of which sessions."""
        async with self._database.transaction() as connection:
            now = await read_time(connection, self._database.now)
            over = await reviews.over_without_review(connection, now, least=KEEP_AFTER, most=KEEP_WITHIN)
        found = [session_id for session_id in over if session_id not in self._failed]
        for session_id in found:
            try:
                body = await asyncio.to_thread(_encoded, await self.review(session_id))
            except GatewayError:
                raise
            # One session that nobody foresaw does not keep the others' reviews from being kept.
            except Exception:
                log.exception("a review cannot be made", extra={"session_id": session_id})
                metrics.loop_failures.add(1, {"loop": "reviews"})
                self._failed.add(session_id)
                continue
            async with self._database.transaction() as connection:
                await reviews.write_review(connection, session_id, body, now)
        return found

    async def review(self, session_id: int) -> Review:
        """What happened in a session, what it cost, what to change; raises `SessionUnknown`."""
        async with self._turn:
            version, record = await self._read(session_id)
            if isinstance(record, Review):
                self._kept[version] = record
            elif record is not None:
                self._kept[version] = await asyncio.to_thread(review_of, record)
            self._kept.move_to_end(version)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
            return self._kept[version]

    async def _read(self, session_id: int) -> tuple[Version, SessionRecord | Review | None]:
        """Which review it is, and itself or what it is made from; None if it is at hand."""
        async with self._database.transaction(READ_SECONDS_MAX) as connection:
            await take_snapshot(connection)
            session = await read_session(connection, session_id)
            for_ever = (session_id, 0, 0, 0)
            if for_ever in self._kept:
                return for_ever, None
            body = await reviews.read_review(connection, session_id) if session.close_time is not None else None
            if body is not None and (review := await asyncio.to_thread(_decoded, body)) is not None:
                return for_ever, review
            ends = await store.read_ends(connection, session.open_revision, session_id, session.close_time)
            removed = (await read_alert_head(connection)).compact_revision
            version = (session_id, ends.revision, ends.alert_revision, removed if removed >= session_id else 0)
            if version in self._kept:
                return version, None
            return version, await read_record(connection, session, ends, self._tempo, version[3])

    async def record(self, session_id: int) -> SessionRecord:
        """What was recorded of a session up to its end, or to now; raises `SessionUnknown`."""
        async with self._turn, self._database.transaction(READ_SECONDS_MAX) as connection:
            await take_snapshot(connection)
            session = await read_session(connection, session_id)
            ends = await store.read_ends(connection, session.open_revision, session_id, session.close_time)
            return await read_record(connection, session, ends, self._tempo)


def _encoded(review: Review) -> bytes:
    return zlib.compress(msgspec.msgpack.encode(review))


def _decoded(body: bytes) -> Review | None:
    """The review; None if an earlier release wrote it, and this one does not understand it: it is made anew."""
    try:
        return msgspec.msgpack.decode(zlib.decompress(body), type=Review)
    except msgspec.DecodeError:
        log.warning("a review that was kept is not understood")
        return None


async def read_session(connection: ReadConnection, session_id: int) -> Session:
    """The session; raises `SessionUnknown`."""
    session = await live.read_session(connection, session_id)
    if session is None:
        raise SessionUnknown(f"no session has the number {session_id}", field="session_id", session_id=session_id)
    return session


async def read_record(
    connection: ReadConnection, session: Session, ends: Ends, tempo: Tempo, compact_revision: int = 0
) -> SessionRecord:
    """What was recorded of a session up to there."""
    codes = [sold.sku for sold in session.skus]
    begin, end = session.open_time, max(ends.time, session.open_time)
    moves: defaultdict[str, list[Moved]] = defaultdict(list)
    after = session.open_revision
    async for page in store.read_session_moves(connection, codes, after, ends.revision, tempo):
        for move in page:
            moves[move.sku].append(move)
    events: list[Event] = []
    async for newest in store.read_session_events(connection, session.session_id, codes, ends.alert_revision):
        events += newest
    around = await read_surroundings(connection, codes, end, tempo=tempo)
    balances = await read_balances(connection, codes, after)
    short = await store.read_session_shortfalls(connection, codes, begin, end)
    shown = _shown(await store.read_session_shown(connection, codes, begin, end, SHOWN_POINTS), tempo)
    pushes = await store.read_session_pushes(connection, codes, begin, end)
    settings = await read_settings(connection, codes, around)
    return SessionRecord(
        session=session,
        tempo=tempo,
        begin=tempo.seconds(begin),
        end=tempo.seconds(end),
        revision=ends.revision,
        alert_revision=ends.alert_revision,
        skus=tuple(
            SkuRecord(
                sku,
                around.title_of(sku),
                balances.get(sku, {}),
                tuple(moves[sku]),
                _circumstances(around, session, sku),
                tuple(shown[sku]),
                short.get(sku, 0),
                settings.get(sku),
            )
            for sku in codes
            if around.knows(sku)
        ),
        events=tuple(reversed(events)),
        pushes=tuple(_push(row, tempo) for row in pushes),
        drifts=await store.read_session_drifts(connection, codes, begin, end),
        compact_revision=compact_revision,
    )


async def read_settings(
    connection: ReadConnection, codes: Collection[str], around: Surroundings
) -> dict[str, Settings]:
    """What these SKUs' warnings go by now; those that there are none of any more are missing."""
    found: dict[str, Settings] = {}
    for sku, safety_stock in (await store.read_safety_stock(connection, codes)).items():
        policy = around.policy(sku)
        assert policy.service_level is not None
        assert policy.lead_seconds is not None
        days = around.known[sku].facts.lead_time_mean_days
        found[sku] = Settings(policy.service_level, policy.lead_seconds, days, safety_stock)
    return found


def _circumstances(around: Surroundings, session: Session, sku: str) -> Circumstances:
    """What bore on a SKU while the session was on."""
    own = sum(sold.exclusive_units for sold in session.skus if sold.sku == sku) or None
    now = around.circumstances(Key(sku))
    return replace(
        now,
        incoming=(),
        session_end=around.tempo.seconds(session.planned_end_time),
        is_stale=False,
        sold_in=True,
        exclusive_units=own,
        serving=None if own else now.serving,
    )


def _push(row: PushRow, tempo: Tempo) -> PushTold:
    """A push that was applied at last failed as often as it was tried before."""
    is_applied = row.result in {PushResult.APPLIED, PushResult.READ_BACK}
    failed = max(0, row.attempts - 1) if is_applied else row.attempts
    return PushTold(row.channel, tempo.seconds(row.due), tempo.seconds(row.settled), is_applied, failed)


def _shown(rows: list[ShownRow], tempo: Tempo) -> defaultdict[str, list[Shown]]:
    """What channels could sell of each SKU, in its units: the sum over a channel's listings."""
    found: defaultdict[str, list[Shown]] = defaultdict(list)
    units: defaultdict[tuple[str, str], dict[int, int]] = defaultdict(dict)
    for row in rows:
        for part in row.components:
            of_channel = units[part.sku, row.channel]
            of_channel[row.listing_id] = max(0, row.sales) * part.units
            found[part.sku].append(Shown(tempo.seconds(row.time), row.channel, sum(of_channel.values())))
    return found
