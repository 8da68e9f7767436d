"""Use case: why a listing shows what it shows, now or as of a past time (R32). From rows only, in one snapshot."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from gateway.allocator import Allocator
from gateway.domain.changes import LevelKey
from gateway.domain.division import Situation
from gateway.domain.errors import ChannelUnknown, InvalidArgument, ListingUnknown, SkuUnknown
from gateway.domain.explanation.cases import SILENCE, ChannelThen, ConnectorSaid, Facts
from gateway.domain.explanation.explaining import explain
from gateway.domain.explanation.said import Explanation, ExplanationVerdict
from gateway.domain.listings import Listing, ListingState
from gateway.domain.stock import Level
from gateway.store import catalog, selling, shops, states
from gateway.store import explaining as store
from gateway.store.attempts import list_attempts
from gateway.store.database import MerchantDatabase, ReadConnection, read_time, take_snapshot
from gateway.store.levels import read_levels_as_of
from gateway.store.live import read_locks, read_locks_then
from gateway.store.shops import Channel
from gateway.store.states import KEEP_STATES, ChannelState

# Of one SKU in one channel; who has more names the listing.
LISTINGS_MAX = 50
ATTEMPTS_MAX = 20
# Gravest first.
_GRAVITY = (
    ExplanationVerdict.BLOCKED,
    ExplanationVerdict.DRIFTED,
    ExplanationVerdict.PLATFORM_CACHED,
    ExplanationVerdict.DELAYED,
    ExplanationVerdict.IN_FLIGHT,
    ExplanationVerdict.RULE_INTENDED,
    ExplanationVerdict.IN_STEP,
)


class Question(Struct, frozen=True):
    """A SKU and a channel, or a listing (0: any); as of when, None: now."""

    sku: str = ""
    channel: str = ""
    listing_id: int = 0
    at: datetime | None = None


class Explaining:
    """Explains one merchant's numbers."""

    def __init__(self, database: MerchantDatabase, allocator: Allocator) -> None:
        """Read through the database; the allocator knows how long a change takes at present."""
        self._database = database
        self._allocator = allocator

    async def explain(self, asked: Question) -> tuple[list[Explanation], datetime]:
        """One explanation per listing that is meant, the gravest first; and when it was so.

        Raises `SkuUnknown`, `ChannelUnknown`, `ListingUnknown`, `InvalidArgument`.
        """
        async with self._database.transaction() as connection:
            await take_snapshot(connection)
            now = await read_time(connection, self._database.now)
            is_past = asked.at is not None and asked.at < now
            at = asked.at if asked.at is not None and is_past else now
            if at < now - KEEP_STATES:
                raise InvalidArgument(f"states are kept for {KEEP_STATES.days} days, and this is before", field="at")
            listings = await _listings(connection, asked)
            looking = _Looking(connection, self._database, at, is_past, self._allocator.sync_delay_seconds)
            found = [explain(await looking.facts(listing, asked.sku)) for listing in listings]
        return sorted(found, key=lambda one: _GRAVITY.index(one.verdict)), at


async def _listings(connection: ReadConnection, asked: Question) -> list[Listing]:
    """The listings that are meant; raises what is wrong with the question."""
    if asked.listing_id:
        listing = await shops.read_listing(connection, asked.listing_id)
        is_meant = listing is not None and asked.channel in {"", listing.channel}
        if listing is None or not is_meant or (asked.sku and asked.sku not in {one.sku for one in listing.components}):
            where = "".join(f" {word} {code}" for word, code in (("in", asked.channel), ("with", asked.sku)) if code)
            raise ListingUnknown(
                f"no listing{where} has the number {asked.listing_id}", field="listing_id", listing_id=asked.listing_id
            )
        return [listing]
    if not await catalog.known_skus(connection, [asked.sku]):
        raise SkuUnknown(f"no SKU has the code {asked.sku!r}", field="sku", sku=asked.sku)
    if not await shops.known_channels(connection, [asked.channel]):
        raise ChannelUnknown(f"no channel has the code {asked.channel!r}", field="channel", channel=asked.channel)
    found = await shops.list_listings(connection, after=0, count_max=LISTINGS_MAX, channel=asked.channel, sku=asked.sku)
    if not found:
        raise ListingUnknown(
            f"no listing of channel {asked.channel} sells {asked.sku}: link one first (LinkListing)", field="sku"
        )
    return found


class _Looking:
    """Gathers the facts of listings at one moment, in one transaction."""

    def __init__(
        self,
        connection: ReadConnection,
        database: MerchantDatabase,
        at: datetime,
        is_past: bool,
        sync_delay_seconds: float,
    ) -> None:
        self._connection, self._database, self._at, self._is_past = connection, database, at, is_past
        self._delay = sync_delay_seconds
        self._channels: dict[str, ChannelThen | None] = {}

    async def facts(self, listing: Listing, sku: str) -> Facts:
        """All that is known of a listing; `sku` "" means its first component."""
        connection, at = self._connection, self._at
        sku = sku or listing.components[0].sku
        if listing.channel not in self._channels:
            self._channels[listing.channel] = await self._channel(listing.channel)
        channel = self._channels[listing.channel]
        situation, changed = await self._situation(listing)
        current = next(one for one in situation.listings if one.listing_id == listing.listing_id)
        revisions = [level.revision for key, level in situation.levels.items()]
        movements = await store.read_movements(connection, revisions)
        rules_changed = await store.rules_changed_time(connection, {key[0] for key in situation.levels} | {sku}, at)
        times = [changed, rules_changed, *(one.record_time for one in movements[:1])]
        times += [channel.since.get(name) for name in ("paused", "follower")] if channel else []
        if self._is_past:
            holds = await store.holds_then(connection, sku, at)
        else:
            holds = await store.open_holds(connection, sku, at)
        until = at + timedelta(microseconds=1)
        calls = await list_attempts(connection, [listing.listing_id], until=until, count_max=ATTEMPTS_MAX)
        return Facts(
            at,
            sku,
            current,
            situation,
            max(when for when in times if when is not None),
            channel,
            next((one for one in movements if one.sku == sku), None),
            tuple(holds),
            tuple(await store.pushes_then(connection, listing.listing_id, at)),
            tuple(calls),
            await store.newest_drift(connection, listing.channel, listing.listing_id, at),
        )

    # ---- channels

    async def _channel(self, code: str) -> ChannelThen | None:
        channel = await shops.read_channel(self._connection, code)
        assert channel is not None, "a listing has a channel"
        since = await states.read_since(self._connection, code, self._at)
        kept = await states.read_channel_state(self._connection, code, self._at)
        if (
            self._is_past
            and kept is not None
            and await states.has_moved(self._connection, code, self._at, kept.watermark)
        ):
            since.pop("watermark", None)
        if self._is_past:
            return None if kept is None else _channel_of(channel, kept, since)
        follower = await selling.read_follower(self._connection, code)
        state = states.connector_of(channel)
        current = ChannelState(
            channel.paused,
            channel.pause_reason,
            follower,
            channel.watermark,
            channel.heartbeat_time,
            state,
            self._at,
        )
        if kept is None or kept.watermark != channel.watermark:
            since.pop("watermark", None)
        return _channel_of(channel, current, since)

    async def _open_channels(self, codes: Iterable[str]) -> tuple[frozenset[str], dict[str, datetime | None]]:
        """The channels that could be changed then, and their watermarks."""
        found, marks = set(), {}
        for code in codes:
            kept = await states.read_channel_state(self._connection, code, self._at)
            marks[code] = kept.watermark if kept is not None else None
            heard = kept.heartbeat_time if kept is not None else None
            if kept is not None and not kept.paused and heard is not None and self._at - heard < SILENCE:
                found.add(code)
        return frozenset(found), marks

    # ---- the situation

    async def _situation(self, listing: Listing) -> tuple[Situation, datetime]:
        """What bears on the listing, and when any of its rivals was last changed."""
        connection, skus = self._connection, [one.sku for one in listing.components]
        locks = await (read_locks_then(connection, self._at) if self._is_past else read_locks(connection, {}))
        now = await selling.situation(connection, skus, self._at, self._delay, locks)
        ids = [one.listing_id for one in now.listings]
        created = await store.create_times(connection, ids)
        if created[listing.listing_id] > self._at:
            raise ListingUnknown(f"listing {listing.listing_id} was linked later than that", field="at")
        kept = await store.states_then(connection, ids, self._at)
        changed = max([*(one.record_time for one in kept.values()), created[listing.listing_id]])
        if not self._is_past:
            return now, changed
        await self._require_kept([number for number in ids if created[number] <= self._at and number not in kept])
        past = [
            replace(one, state=kept[one.listing_id].state if one.listing_id in kept else ListingState())
            for one in now.listings
            if created[one.listing_id] <= self._at
        ]
        return await self._past(now, past), changed

    async def _require_kept(self, missing: list[int]) -> None:
        """Raise `InvalidArgument` if one of these was known of then, and what it was like is not."""
        since = await store.read_kept_since(self._connection, missing) if missing else None
        if since is not None and since > self._at:
            raise InvalidArgument(f"what listings were like is kept since {since:%Y-%m-%d %H:%M:%S} UTC", field="at")

    async def _past(self, now: Situation, listings: list[Listing]) -> Situation:
        """The situation with everything as it was."""
        codes = sorted({part.sku for one in now.listings for part in one.components})
        stock = await read_levels_as_of(self._connection, codes, self._at, self._database.now)
        levels = {(level.sku, level.location): level for one in stock.values() for level in one.levels}
        rules = await states.read_sku_states(self._connection, codes, self._at)
        open_channels, marks = await self._open_channels(now.channels)
        return replace(
            now,
            listings=listings,
            levels=_exposed(levels, listings),
            channels={code: replace(rule, watermark=marks[code]) for code, rule in now.channels.items()},
            policies={sku: rule.policy for sku, rule in rules.items() if rule.policy is not None},
            open_channels=open_channels,
            frozen=frozenset(sku for sku, rule in rules.items() if rule.frozen),
        )


def _exposed(levels: dict[LevelKey, Level], listings: Iterable[Listing]) -> dict[LevelKey, Level]:
    """The levels with what the listings may sell of them, as the ledger's book counts it."""
    for listing in listings:
        for share in () if listing.state.permitted else listing.state.exposure or ():
            for part in listing.components:
                key = (part.sku, share.location)
                level = levels.get(key) or Level(*key)
                levels[key] = replace(level, exposed=level.exposed + share.sales * part.units)
    return levels


def _channel_of(channel: Channel, state: ChannelState, since: dict[str, datetime]) -> ChannelThen:
    connector = state.connector
    assert state.record_time is not None, "one that was read"
    said = (
        ConnectorSaid(
            connector.connector_id,
            connector.breaker_open,
            float(connector.ban.removesuffix("s")),
            connector.waiting,
            connector.needs,
        )
        if connector is not None
        else None
    )
    return ChannelThen(
        channel.channel,
        channel.platform,
        state.record_time,
        channel.title,
        state.paused,
        state.pause_reason,
        state.follower or "",
        state.watermark,
        state.heartbeat_time,
        said,
        since,
    )
