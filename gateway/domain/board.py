"""A row of the board: how a key stands now, in the numbers that people watch it by.

Values have the names of the proto's fields (`BoardRow`). Units are the SKU's: a listing that shows 40 sales of a kit
with two units in it counts as 80.

The fan is the forecast of demand turned round: what is left at some time, one time in ten less than p10, is what is
available less the units that are asked for until then with a chance of one in ten (`chances.units_reached`).
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from msgspec import Struct

from gateway.domain.alerts import Acknowledgement, Proposal
from gateway.domain.chances import units_reached
from gateway.domain.demand import StockOutTimes, ahead, outlook
from gateway.domain.listings import Listing
from gateway.domain.reasons import why
from gateway.domain.stock import Level
from gateway.domain.tiers import Tier
from gateway.domain.vigil import Circumstances, Key, Tempo, Watched, evidence, judged, stock_out

FAN_POINTS = 8
PACE_MINUTES = 30
FAN_MINUTES_MIN, FAN_MINUTES_MAX = 10.0, 7 * 24 * 60.0
# Of what is not foreseen to be sold out.
FAN_MINUTES = 60.0
_MINUTE = 60.0


class BoardChannel(Struct, frozen=True):
    """A SKU in one channel. `shown`: as it was read last, at `read_time`; `problem`: PAUSED, AWAY, PARKED or empty."""

    channel: str
    shown: int | None
    exposure: int
    moving: bool
    problem: str
    read_time: datetime | None


class FanPoint(Struct, frozen=True):
    """What may be left so many minutes from now."""

    minutes: float
    p10: int
    p50: int
    p90: int


class Stock(Struct, frozen=True):
    """What changes with every order. `revision`: the newest movement it takes in."""

    on_hand: int
    available: int
    channels: tuple[BoardChannel, ...]
    revision: int


class Outlook(Struct, frozen=True):
    """What is judged now and then: the tier and its reasons, the pace, what will come of it."""

    title: str
    tier: Tier
    stale: bool
    episode: int
    tier_time: datetime
    acknowledgement: Acknowledgement | None
    silenced_by: tuple[int, ...]
    fast_rate: float
    slow_rate: float
    minutes_p50: float | None
    minutes_p10: float | None
    minutes_p90: float | None
    fan: tuple[FanPoint, ...]
    pace: tuple[float, ...]
    why: str
    why_en: str
    proposals: tuple[Proposal, ...]
    frozen: bool


class BoardRow(Struct, frozen=True):
    """One key on the board."""

    key: Key
    stock: Stock
    outlook: Outlook


class ChannelNow(Struct, frozen=True):
    """What keeps a channel's numbers from being changed, if anything does."""

    channel: str
    is_paused: bool
    is_away: bool


def pressing(row: BoardRow) -> tuple[int, bool, float, str, int]:
    """What rows are sorted by: the tier, the unacknowledged first, the sooner sold out first; then the code."""
    left = row.outlook.minutes_p50
    is_taken_on = row.outlook.acknowledgement is not None
    return -row.outlook.tier, is_taken_on, float("inf") if left is None else left, *row.key


def stock_of(
    sku: str, levels: Iterable[Level], available: int, listings: Iterable[Listing], channels: Mapping[str, ChannelNow]
) -> Stock:
    """A SKU's stock now, and what its channels show of it."""
    places = list(levels)
    sellers: dict[str, list[Listing]] = {}
    for listing in listings:
        sellers.setdefault(listing.channel, []).append(listing)
    return Stock(
        sum(place.on_hand for place in places),
        available,
        tuple(_channel(sku, channels.get(name), name, sellers[name]) for name in sorted(sellers)),
        max((place.revision for place in places), default=0),
    )


def balances_of(levels: Iterable[Level]) -> dict[str, int]:
    """What can still be promised at each location; may be negative."""
    return {place.location: place.balance for place in levels}


class Judged(Struct, frozen=True):
    """What an outlook is made of, beside the key's memory."""

    title: str
    circumstances: Circumstances
    acknowledgement: Acknowledgement | None
    silenced_by: tuple[int, ...]
    pace: tuple[float, ...]
    proposals: tuple[Proposal, ...]
    frozen: bool


def outlook_of(watched: Watched, about: Judged, now: datetime, tempo: Tempo) -> Outlook:
    """How a key stands, and how it may go on."""
    seconds, standing, circumstances = tempo.seconds(now), watched.standing, about.circumstances
    seen = evidence(watched, seconds, circumstances)
    times = stock_out(watched, seconds, circumstances)
    chinese, english = why(standing.tier, seen, circumstances.rule, times, is_stale=standing.is_stale)
    return Outlook(
        about.title,
        standing.tier,
        standing.is_stale,
        standing.episode,
        tempo.time(standing.since),
        about.acknowledgement,
        about.silenced_by,
        round(seen.fast_rate, 2),
        round(seen.slow_rate, 2),
        _minutes(times.p50),
        _minutes(times.p10),
        _minutes(times.p90),
        fan(watched, times, seconds, circumstances),
        about.pace,
        chinese,
        english,
        about.proposals,
        about.frozen,
    )


def fan(watched: Watched, times: StockOutTimes, now: float, circumstances: Circumstances) -> tuple[FanPoint, ...]:
    """What may be left from now on, until it is most likely gone; nothing of what is gone already."""
    available = watched.available(circumstances)
    if available <= 0:
        return ()
    out = outlook(judged(watched.pace, circumstances), now, circumstances.curve)
    horizon = _horizon(times)
    points = [FanPoint(0.0, available, available, available)]
    for place in range(1, FAN_POINTS + 1):
        minutes = horizon * place / FAN_POINTS
        demand = ahead(out, minutes * _MINUTE, 0.0)
        most, middle, least = (units_reached(demand, chance) for chance in (0.1, 0.5, 0.9))
        left = (max(0, available - units) for units in (most, middle, least))
        points.append(FanPoint(round(minutes, 1), *left))
    return tuple(points)


def _horizon(times: StockOutTimes) -> float:
    """Minutes to look ahead."""
    last = times.p90 or times.p50 or times.p10
    if last is None:
        return FAN_MINUTES
    most = times.p50 * 3 if times.p50 else last
    return min(FAN_MINUTES_MAX, max(FAN_MINUTES_MIN, min(last, most) / _MINUTE))


def _minutes(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds / _MINUTE, 1)


def _channel(sku: str, now: ChannelNow | None, name: str, listings: Collection[Listing]) -> BoardChannel:
    shown: int | None = None
    exposure, is_moving, is_parked = 0, False, False
    read_times = []
    for listing in listings:
        units = sum(part.units for part in listing.components if part.sku == sku)
        state = listing.state
        exposure += units * max(0, state.sales_left)
        is_moving = is_moving or state.push is not None
        is_parked = is_parked or bool(state.parked_reason)
        if state.shown is not None and state.read_time is not None:
            shown = (shown or 0) + units * state.shown
            read_times.append(state.read_time)
    problem = _problem(now, is_parked=is_parked)
    return BoardChannel(name, shown, exposure, is_moving, problem, min(read_times, default=None))


def _problem(now: ChannelNow | None, *, is_parked: bool) -> str:
    if now is not None and now.is_paused:
        return "PAUSED"
    if now is None or now.is_away:
        return "AWAY"
    return "PARKED" if is_parked else ""


class SoldByMinute:
    """Units asked for, by SKU and minute of the tempo's time, of the last half hour."""

    def __init__(self, tempo: Tempo) -> None:
        """Nothing yet."""
        self._tempo = tempo
        self._units: dict[str, dict[int, int]] = {}

    def take(self, sold: Iterable[tuple[str, int, int]]) -> None:
        """Add what was sold."""
        for sku, minute, units in sold:
            minutes = self._units.setdefault(sku, {})
            minutes[minute] = minutes.get(minute, 0) + units

    def pace(self, sku: str, now: datetime) -> tuple[float, ...]:
        """Units per minute, oldest first, the minute that is under way left out; nothing of what has not sold."""
        minutes = self._units.get(sku)
        if not minutes:
            return ()
        this = self._minute(now)
        return tuple(float(minutes.get(minute, 0)) for minute in range(this - PACE_MINUTES, this))

    def forget(self, now: datetime) -> None:
        """Forget what is older than half an hour."""
        oldest = self._minute(now) - PACE_MINUTES
        for sku, minutes in list(self._units.items()):
            kept = {minute: units for minute, units in minutes.items() if minute >= oldest}
            if kept:
                self._units[sku] = kept
            else:
                del self._units[sku]

    def _minute(self, now: datetime) -> int:
        return int(self._tempo.seconds(now) // _MINUTE)
