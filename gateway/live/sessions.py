"""Use cases of live sessions: open, change, close. Their own units are locked for their channels meanwhile.

What a person asks for is decided while the alert log is locked, in one transaction with its event (R10). Whoever
changes whose units they are raises the ledger's head as well, so that no writer goes on with what it knew before.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from gateway.domain.alerts import EventKind, News, Session, SessionSku
from gateway.domain.errors import (
    ChannelUnknown,
    InsufficientStock,
    InvalidArgument,
    SessionConflict,
    SessionOver,
    SessionUnknown,
    SkuUnknown,
)
from gateway.live.counted import Counted
from gateway.store import catalog, live, shops
from gateway.store.alert_log import Appending, begin_append
from gateway.store.alert_requests import first_answer, keep_answer
from gateway.store.database import MerchantDatabase, ReadConnection

PLANNED_MAX = timedelta(hours=24)
SKUS_MAX = 1_000


class SkuAsked(Struct, frozen=True):
    """What a session is to sell, and how many units of it are to be its own."""

    sku: str
    exclusive_units: int = 0


class OpenSession(Struct, frozen=True):
    """What OpenSession asks for."""

    room: str
    channels: tuple[str, ...]
    skus: tuple[SkuAsked, ...]
    planned_end_time: datetime
    actor: str
    host: str = ""
    agora_channel: str = ""


class UpdateSession(Struct, frozen=True):
    """What UpdateSession asks for; None stays as it is."""

    session_id: int
    skus: tuple[SkuAsked, ...]
    remove_skus: tuple[str, ...]
    planned_end_time: datetime | None
    actor: str


class CloseSession(Struct, frozen=True):
    """What CloseSession asks for."""

    session_id: int
    actor: str


class Sessions:
    """The live sessions of one merchant."""

    def __init__(self, database: MerchantDatabase, counted: Counted) -> None:
        """Use the merchant's store, and what is counted of own units."""
        self._database = database
        self._counted = counted

    async def open(self, request_id: str, asked: OpenSession) -> Session:
        """Begin a session.

        Raises `InvalidArgument`, `ChannelUnknown`, `SkuUnknown`, `SessionConflict`, `InsufficientStock`,
        `RequestIdReused`.
        """
        async with self._database.transaction() as connection:
            log = await begin_append(connection, self._database)
            known = await first_answer(connection, request_id, "OpenSession", asked, Session)
            if known is not None:
                return known
            _require_end(asked.planned_end_time, log.now)
            session = Session(
                asked.room,
                asked.channels,
                (),
                log.now,
                asked.planned_end_time,
                session_id=log.next_revision,
                actor=asked.actor,
                host=asked.host,
                agora_channel=asked.agora_channel,
                open_revision=await live.journal_revision(connection),
            )
            await _require_channels(connection, asked.channels)
            session = await change(connection, self._database, log, session, asked.skus, self._counted)
            await keep_answer(connection, request_id, "OpenSession", asked, session)
            return session

    async def update(self, request_id: str, asked: UpdateSession) -> Session:
        """Change what a session sells, its own units or its planned end.

        Raises `SessionUnknown`, `SessionOver`, and what `open` does.
        """
        await self._counted.catch_up(asked.session_id)
        async with self._database.transaction() as connection:
            log = await begin_append(connection, self._database)
            known = await first_answer(connection, request_id, "UpdateSession", asked, Session)
            if known is not None:
                return known
            session = await require_open(connection, asked.session_id)
            if asked.planned_end_time is not None:
                _require_end(asked.planned_end_time, log.now)
                session = replace(session, planned_end_time=asked.planned_end_time)
            session = await change(
                connection, self._database, log, session, asked.skus, self._counted, asked.remove_skus
            )
            await keep_answer(connection, request_id, "UpdateSession", asked, session)
            return session

    async def close(self, request_id: str, asked: CloseSession) -> Session:
        """End a session; raises `SessionUnknown`, `SessionOver`, `RequestIdReused`."""
        async with self._database.transaction() as connection:
            log = await begin_append(connection, self._database)
            known = await first_answer(connection, request_id, "CloseSession", asked, Session)
            if known is not None:
                return known
            session = replace(await require_open(connection, asked.session_id), close_time=log.now)
            if live.own(session):
                await live.touch_skus(connection, self._database.schema, [one.sku for one in live.own(session)])
            await live.write_session(connection, session)
            session = await self._counted.with_left(connection, session)
            await log.append([_news(EventKind.SESSION_CLOSED, session)], changes_settings=True)
            await keep_answer(connection, request_id, "CloseSession", asked, session)
        self._counted.forget(session.session_id)
        return session

    async def get(self, session_id: int) -> Session:
        """One session, with what it has left of its own; raises `SessionUnknown`."""
        async with self._database.transaction() as connection:
            return await self._counted.with_left(connection, await _require(connection, session_id))

    async def list(self, *, open_only: bool, before: int, count_max: int) -> list[Session]:
        """Up to `count_max` sessions with a number below `before`, newest first."""
        async with self._database.transaction() as connection:
            found = await live.list_sessions(connection, open_only=open_only, before=before, count_max=count_max)
            return [await self._counted.with_left(connection, session) for session in found]


async def change(
    connection: ReadConnection,
    database: MerchantDatabase,
    log: Appending,
    session: Session,
    asked: Sequence[SkuAsked],
    counted: Counted,
    removed: Collection[str] = (),
) -> Session:
    """Store a session with these SKUs changed, and append the event; the session as it is then.

    To be said while the log is locked, and after `counted` has caught up. Raises `InvalidArgument`, `SkuUnknown`,
    `SessionConflict`, `InsufficientStock`.
    """
    is_new, before = not session.skus, live.own(session)
    concerned = {one.sku for one in before} | {one.sku for one in asked if one.exclusive_units}
    if concerned:
        # From here on nothing moves until we are done: what is counted now is what is locked.
        await live.touch_skus(connection, database.schema, concerned)
    await _require_skus(connection, asked)
    await _require_alone(connection, session, asked)
    session = _merged(session, asked, removed, *await live.last_numbers(connection))
    session = await counted.with_left(connection, session)
    await _require_units(connection, session, before, asked)
    await live.write_session(connection, session)
    kind = EventKind.SESSION_OPENED if is_new else EventKind.SESSION_CHANGED
    await log.append([_news(kind, session)], changes_settings=True)
    return session


async def require_open(connection: ReadConnection, session_id: int) -> Session:
    """The session; raises `SessionUnknown`, and `SessionOver` if it is closed."""
    session = await _require(connection, session_id)
    if session.close_time is not None:
        raise SessionOver(
            f"session {session_id} was closed at {session.close_time:%Y-%m-%d %H:%M:%S} UTC", field="session_id"
        )
    return session


async def _require(connection: ReadConnection, session_id: int) -> Session:
    session = await live.read_session(connection, session_id)
    if session is None:
        raise SessionUnknown(f"no session has the number {session_id}", field="session_id", session_id=session_id)
    return session


def _merged(
    session: Session, asked: Sequence[SkuAsked], removed: Collection[str], revision: int, reservation: int
) -> Session:
    """The session with these SKUs added or set anew, and those taken out."""
    found = {one.sku: one for one in session.skus}
    for place, sku in enumerate(removed):
        if found.pop(sku, None) is None:
            raise InvalidArgument(f"the session does not sell {sku!r}", field=f"remove_skus[{place}]")
    for one in asked:
        before = found.get(one.sku)
        if one.exclusive_units and before is not None and before.exclusive_units:
            found[one.sku] = replace(before, exclusive_units=one.exclusive_units)
        else:
            since = (revision, reservation) if one.exclusive_units else (0, 0)
            found[one.sku] = SessionSku(one.sku, one.exclusive_units, 0, *since)
    if not 1 <= len(found) <= SKUS_MAX:
        field = "skus" if found else "remove_skus"
        raise InvalidArgument(f"a session sells 1 to {SKUS_MAX:,} SKUs, not {len(found):,}", field=field)
    return replace(session, skus=tuple(found.values()))


def _require_end(planned_end_time: datetime, now: datetime) -> None:
    if not now < planned_end_time <= now + PLANNED_MAX:
        raise InvalidArgument(
            "a session ends in the future, within 24 hours; it may be prolonged", field="planned_end_time"
        )


async def _require_channels(connection: ReadConnection, codes: Sequence[str]) -> None:
    known = await shops.known_channels(connection, codes)
    for place, code in enumerate(codes):
        if code not in known:
            raise ChannelUnknown(f"no channel has the code {code!r}", field=f"channels[{place}]", channel=code)


async def _require_skus(connection: ReadConnection, asked: Sequence[SkuAsked]) -> None:
    known = await catalog.known_skus(connection, [one.sku for one in asked])
    for place, one in enumerate(asked):
        if one.sku not in known:
            raise SkuUnknown(f"no SKU has the code {one.sku!r}", field=f"skus[{place}].sku", sku=one.sku)


async def _require_alone(connection: ReadConnection, session: Session, asked: Sequence[SkuAsked]) -> None:
    """Raise `SessionConflict` where two rooms would sell the same units for their own.

    Whose sale it was is known by its channel: so the channels of a room with units of its own sell them for it alone.
    """
    for other in await live.open_sessions(connection):
        if other.session_id == session.session_id:
            continue
        theirs = {one.sku: one.exclusive_units for one in other.skus}
        shares_channel = not set(other.channels).isdisjoint(session.channels)
        for place, one in enumerate(asked):
            if one.sku not in theirs:
                continue
            both_own = one.exclusive_units and theirs[one.sku]
            if both_own or (shares_channel and (one.exclusive_units or theirs[one.sku])):
                raise SessionConflict(
                    f"session {other.session_id} ({other.room}) sells {one.sku} already, "
                    + ("and has units of its own of it" if both_own else "on the same channel"),
                    field=f"skus[{place}].sku",
                    sku=one.sku,
                    session_id=other.session_id,
                )


async def _require_units(
    connection: ReadConnection, session: Session, before: Sequence[SessionSku], asked: Sequence[SkuAsked]
) -> None:
    """Raise `InsufficientStock` where more units are to be the session's own than lie where it is served."""
    had = {one.sku: one.exclusive_units for one in before}
    wanted = {one.sku: one for one in session.skus}
    more = [one for one in asked if one.exclusive_units > had.get(one.sku, 0)]
    if not more:
        return
    places = await live.serving_locations(connection, session.channels)
    units = await live.units_at(connection, [one.sku for one in more])
    for place, one in enumerate(asked):
        left = wanted[one.sku].exclusive_left
        there = sum(units.get((one.sku, at), 0) for at in places)
        if one in more and left > there:
            raise InsufficientStock(
                f"{left} units of {one.sku} would be the session's own, {there} are available where it is served",
                field=f"skus[{place}].exclusive_units",
                sku=one.sku,
                available=there,
                asked=left,
            )


def _news(kind: EventKind, session: Session) -> News:
    return News(kind=kind, body=session, channels=session.channels, session_ids=(session.session_id,))
