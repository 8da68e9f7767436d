"""How one SKU went through a session: the same fold as the engine's (`vigil.py`), from its movements alone.

    begin + received + adjusted - sold = unsold

`sold` is what orders of the session took and did not give back; what came back of older orders, counts, corrections and
safety stock are `adjusted`. A stock-out begins when there was something and there is nothing, and lasts until there is
something again. What was lost in one of d seconds is what would have been sold had it gone on like before:

    lost = d usual + (recent - usual) tau (1 - e^(-d/tau))

usual: units per second since the session began, as long as there was something; recent: of the last five minutes of it
(`pace_seconds`). A burst fades with tau = 300 s, and so does a lull, as forecasts have it (`demand.py`). Either is
taken over five minutes at least: a flash of seconds is not held to go on for an hour. Of a SKU with fewer than three
orders nothing is expected.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from math import exp

from msgspec import Struct

from gateway.domain.demand import FADE_SECONDS
from gateway.domain.review.record import SessionRecord, SkuRecord
from gateway.domain.stock import MovementKind
from gateway.domain.vigil import FORECAST_ORDERS_MIN, Moved, begin_watch, moved

PACE_SECONDS = 300.0
# Of a session that is shorter than fifty minutes the pace is that of a tenth of it.
PACE_SHARE = 0.1

_MINUTE = 60.0
_TRANSFERS = (MovementKind.TRANSFER_IN, MovementKind.TRANSFER_OUT)
_PROMISES = frozenset(
    {
        MovementKind.RESERVE,
        MovementKind.COMMIT,
        MovementKind.RELEASE,
        MovementKind.EXPIRE,
        MovementKind.RESIZE,
        MovementKind.RETURN,
    }
)


class Moment(Struct, frozen=True, gc=False):
    """What was recorded at one time: units of each order, units that came, and what was available afterwards."""

    time: float
    orders: tuple[int, ...]
    came: int
    available: int


class StockOut(Struct, frozen=True, gc=False):
    """A span in which there was nothing to sell. `was_stocked` False: there was nothing from the beginning."""

    begin: float
    end: float
    lost: float
    was_stocked: bool = True

    @property
    def seconds(self) -> float:
        """How long it lasted."""
        return self.end - self.begin

    def lost_between(self, begin: float, end: float) -> float:
        """The part of what was lost that fell into a span."""
        both = max(0.0, min(end, self.end) - max(begin, self.begin))
        return self.lost * both / self.seconds if self.seconds > 0 else 0.0


class Story(Struct, frozen=True):
    """How one SKU went. `moments` are in order of time; `orders` counts the orders that took something."""

    record: SkuRecord
    begin_available: int
    received: int
    sold: int
    adjusted: int
    unsold: int
    moments: tuple[Moment, ...]
    outs: tuple[StockOut, ...]
    orders: int
    sold_by: dict[str, int]
    movements: tuple[Moved, ...]

    @property
    def lost(self) -> float:
        """Units that would have been sold in all stock-outs."""
        return sum(out.lost for out in self.outs)

    @property
    def lead_seconds(self) -> float:
        """How long more takes to come, in the model's seconds."""
        return self.record.circumstances.lead_time.mean_seconds

    @property
    def ran_out(self) -> tuple[StockOut, ...]:
        """The stock-outs of what had been there."""
        return tuple(out for out in self.outs if out.was_stocked)


def told(record: SessionRecord, sku: SkuRecord) -> Story:
    """The story of one of the session's SKUs."""
    return _Telling(record, sku).story()


class _Telling:
    def __init__(self, record: SessionRecord, sku: SkuRecord) -> None:
        self._record = record
        self._sku = sku
        self._watched = begin_watch(sku.balances, sku.circumstances, record.begin)
        self._taken: dict[int, int] = {}
        self._sold_by: dict[str, int] = {}
        self._received = self._orders = 0

    def story(self) -> Story:
        begin_available = self._available
        own = tuple(self._own())
        moments: list[Moment] = []
        outs: list[StockOut] = []
        since: float | None = self._record.begin if begin_available == 0 else None
        before = 0
        for time, together in groupby(own, key=lambda each: each.time):
            available = self._available
            moment = self._take_in(time, list(together))
            if moment.orders or moment.came or moment.available != available:
                moments.append(moment)
            is_out = moment.available == 0
            if not is_out and since is not None:
                outs.append(self._out(since, time, moments[:before], outs))
                since = None
            elif is_out and since is None:
                since, before = time, len(moments)
        if since is not None:
            outs.append(self._out(since, self._record.end, moments[:before], outs))
        unsold, sold = self._available, sum(self._taken.values())
        return Story(
            self._sku,
            begin_available,
            self._received,
            sold,
            unsold - begin_available - self._received + sold,
            unsold,
            tuple(moments),
            tuple(outs),
            self._orders,
            self._sold_by,
            own,
        )

    @property
    def _available(self) -> int:
        return self._watched.available(self._sku.circumstances)

    def _own(self) -> Iterator[Moved]:
        """The movements that are the session's: all, or of its own units those of its channels' orders."""
        if self._sku.circumstances.exclusive_units is None:
            yield from self._sku.movements
            return
        known: set[int] = set()
        for each in self._sku.movements:
            # What expires has no channel any more; that it was ours is known from when it began. What began before the
            # session is none of its own units, whatever comes back of it.
            is_begun = each.kind is MovementKind.RESERVE and each.channel in self._record.session.channels
            if is_begun and each.reservation_id is not None:
                known.add(each.reservation_id)
            if each.reservation_id in known:
                yield each

    def _take_in(self, time: float, together: list[Moved]) -> Moment:
        orders: dict[int, int] = {}
        came = 0
        for each in together:
            self._watched = moved(self._watched, each, self._sku.circumstances)
            if each.kind is MovementKind.RESERVE and each.reservation_id is not None:
                orders[each.reservation_id] = orders.get(each.reservation_id, 0) + each.quantity
                self._taken.setdefault(each.reservation_id, 0)
            self._book(each)
            came += self._come(each)
        self._orders += len(orders)
        return Moment(time, tuple(orders.values()), came, self._available)

    def _book(self, each: Moved) -> None:
        if each.reservation_id not in self._taken or each.kind not in _PROMISES:
            return
        taken = each.reserved_change - each.on_hand_change
        self._taken[each.reservation_id] += taken
        if each.channel:
            self._sold_by[each.channel] = self._sold_by.get(each.channel, 0) + taken

    def _come(self, each: Moved) -> int:
        """Units that came from outside to where the SKU is sold from, or went."""
        circumstances = self._sku.circumstances
        if circumstances.exclusive_units is not None or not circumstances.serves(each.location):
            return 0
        if each.kind is not MovementKind.RECEIVE and each.kind not in _TRANSFERS:
            return 0
        self._received += each.on_hand_change
        return each.on_hand_change

    def _out(self, begin: float, end: float, moments: Sequence[Moment], outs: Sequence[StockOut]) -> StockOut:
        if begin == self._record.begin:
            return StockOut(begin, end, 0.0, was_stocked=False)
        lost = 0.0
        if sum(len(moment.orders) for moment in moments) >= FORECAST_ORDERS_MIN:
            window = pace_seconds(self._record)
            stocked = begin - self._record.begin - sum(out.seconds for out in outs)
            usual = _units(moments, self._record.begin) / max(window, stocked)
            recent = _units(moments, begin - window) / window
            tau = FADE_SECONDS
            lost = (end - begin) * usual + (recent - usual) * tau * (1 - exp(-(end - begin) / tau))
        return StockOut(begin, end, lost)


def _units(moments: Sequence[Moment], after: float) -> int:
    """Units that were asked for after a time."""
    return sum(sum(moment.orders) for moment in moments if moment.time > after)


# ---- pace


def pace_seconds(record: SessionRecord) -> float:
    """Over how long a pace is taken, in the model's seconds."""
    return max(1.0, min(PACE_SECONDS * record.tempo.speed, PACE_SHARE * (record.end - record.begin)))


def paces(record: SessionRecord, story: Story, points_max: int) -> list[tuple[float, float]]:
    """Units asked for per minute of the ledger's clock, at so many times at most."""
    window = pace_seconds(record)
    step = max(window / 2, (record.end - record.begin) / points_max)
    sales = [(moment.time, sum(moment.orders)) for moment in story.moments if moment.orders]
    found, first, last, units = [], 0, 0, 0
    for count in range(1, int((record.end - record.begin) / step) + 1):
        at = record.begin + count * step
        while last < len(sales) and sales[last][0] <= at:
            units += sales[last][1]
            last += 1
        while first < last and sales[first][0] <= at - window:
            units -= sales[first][1]
            first += 1
        found.append((at, _per_minute(record, units, window)))
    return found


def peak_rate(record: SessionRecord, story: Story) -> float:
    """The highest pace at any moment, in units per minute of the ledger's clock."""
    window, first, units, peak = pace_seconds(record), 0, 0, 0
    for moment in story.moments:
        units += sum(moment.orders)
        while story.moments[first].time <= moment.time - window:
            units -= sum(story.moments[first].orders)
            first += 1
        peak = max(peak, units)
    return _per_minute(record, peak, window)


def _per_minute(record: SessionRecord, units: int, window: float) -> float:
    return units / window * _MINUTE * record.tempo.speed
