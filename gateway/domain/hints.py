"""What one room can still sell right now (R46). Pure.

    base       what the room's listings may still sell: their exposure, in sales, never below zero. A listing that may
               show others' units (SHARED) counts at most what no other has for itself; where more is exposed than there
               is (goods are gone, a cancel is on its way), each listing counts its part of what is left
    on the way orders that the platform may have taken and we have not: a channel's pace times the age of its
               watermark, ten seconds at most, rounded up
    sellable   base - on the way, never below zero; of units of its own never more than are left. What a channel can
               sell is divided among the open rooms that sell it there: nobody knows which of them the next buyer
               comes from, and what one host promises another must not. The rest goes to the rooms opened first, so
               the parts add up, and the last unit is said by somebody

So it is never more than R20 allows, of all rooms together: exposures of all listings add up to what is available at
most. Releases that are expected are not counted. A kit is a listing like any other: what it may sell counts for each
SKU in it.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from math import ceil
from typing import NamedTuple

from msgspec import Struct

from gateway.domain.alerts import Session
from gateway.domain.changes import LevelKey
from gateway.domain.demand import StockOutTimes
from gateway.domain.division import Lock, units_in
from gateway.domain.lines import LANGUAGES, Templates, Values, line, plain, say, values_of
from gateway.domain.listings import ChannelRule, Component, Listing
from gateway.domain.phrases import EN, SLOW, ZH
from gateway.domain.stock import Level
from gateway.domain.tiers import Tier

ON_THE_WAY_SECONDS_MAX = 10.0
# A pace fades and is never quite nothing: fewer expected sales than these are none.
ON_THE_WAY_MIN = 0.05
# So long a number may be spoken after it was so.
SPOKEN_WITHIN = timedelta(seconds=3)


class Part(NamedTuple):
    """One of so many rooms, counted from 0 in the order in which they were opened."""

    place: int = 0
    rooms: int = 1

    def of(self, sales: int) -> int:
        """This room's part of so many sales; what is missing is missing for each."""
        return sales if sales < 0 else sales // self.rooms + (self.place < sales % self.rooms)


# By SKU and channel; "": by SKU, among the rooms of all channels.
Parts = Mapping[tuple[str, str], Part]
_ALONE = Part()


def parts_of(session: Session, others: Iterable[Session], skus: Collection[str]) -> Parts:
    """A room's parts of what it sells of these SKUs together with `others`; where there is no other none is said."""
    found = {}
    rivals = [(one, {sold.sku for sold in one.skus}) for one in others if one.session_id != session.session_id]
    for sku in skus if rivals else ():
        sellers = [one for one, sold in rivals if sku in sold]
        for channel in ("", *session.channels):
            there = [one.session_id for one in sellers if channel in {"", *one.channels}]
            if there:
                place = sum(number < session.session_id for number in there)
                found[sku, channel] = Part(place, 1 + len(there))
    return found


class Shelf:
    """All that bears on what a room can sell; `channels` are its own, `listings` all that sell its SKUs.

    `levels` has every level of every SKU in these listings; `own` the SKUs of which it has units of its own; `parts`
    those that other rooms sell as well.
    """

    def __init__(
        self,
        now: datetime,
        listings: Sequence[Listing],
        channels: Mapping[str, ChannelRule],
        levels: Mapping[LevelKey, Level],
        frozen: frozenset[str] = frozenset(),
        own: Mapping[str, Lock] | None = None,
        parts: Parts | None = None,
    ) -> None:
        """Everything as it was at one moment."""
        self.now = now
        self.channels = channels
        self.frozen = frozen
        self.own = own or {}
        self._parts = parts or {}
        self.levels: dict[str, dict[str, Level]] = {}
        for (sku, at), level in levels.items():
            self.levels.setdefault(sku, {})[at] = level
        self._exposed: dict[LevelKey, int] = {}
        self._sellers: dict[str, list[Listing]] = {}
        for one in listings:
            for part in one.components if one.channel in channels else ():
                self._sellers.setdefault(part.sku, []).append(one)
            if not one.state.permitted:
                self._expose(one)

    def sellers(self, sku: str) -> Sequence[Listing]:
        """The room's listings that sell a SKU."""
        return self._sellers.get(sku, ())

    def part(self, sku: str, channel: str = "") -> Part:
        """The room's part of what is sold on a channel; without one, of what all channels share."""
        return self._parts.get((sku, channel), _ALONE)

    def rooms(self, sku: str) -> int:
        """How many rooms sell a SKU on one of this room's channels, itself included; the most there are."""
        return max((self.part(sku, one.channel).rooms for one in self.sellers(sku)), default=1)

    def there(self, sku: str, at: str) -> int:
        """Units available at a location."""
        level = self.levels.get(sku, {}).get(at)
        return 0 if level is None else level.available

    def exposed(self, sku: str, at: str) -> int:
        """Units that listings may sell there. What one below zero will give back is not there yet."""
        return self._exposed.get((sku, at), 0)

    def _expose(self, listing: Listing) -> None:
        for share in listing.state.exposure or ():
            for part in listing.components:
                key = part.sku, share.location
                self._exposed[key] = self._exposed.get(key, 0) + max(0, share.sales) * part.units


def sellable(shelf: Shelf, sku: str) -> int:
    """Sales of a SKU that the room can still make."""
    sellers = shelf.sellers(sku)
    if not sellers or sku in shelf.frozen:
        return 0
    by_channel: dict[str, list[Listing]] = {}
    for one in sellers:
        by_channel.setdefault(one.channel, []).append(one)
    sales = shelf.part(sku).of(_shared(shelf, sellers))
    for channel, ours in by_channel.items():
        escrowed = sum(_backed(shelf, one) for one in ours if not one.state.permitted)
        sales += shelf.part(sku, channel).of(escrowed - on_the_way(shelf, ours))
    if (lock := shelf.own.get(sku)) is not None:
        sales = min(sales, lock.units // min(units_in(one, sku) for one in sellers))
    return max(0, sales)


def available(shelf: Shelf, sku: str) -> int:
    """Units of the whole stock that are available, wherever they are shown."""
    return sum(level.available for level in shelf.levels.get(sku, {}).values())


def _shared(shelf: Shelf, sellers: Iterable[Listing]) -> int:
    """Sales of listings that may show others' units, all together: once, however many of them show a unit."""
    sharing = [one for one in sellers if one.state.permitted]
    shown = sum(max(0, one.state.sales_left) for one in sharing)
    return min(shown, max((_unallocated(shelf, one.components) for one in sharing), default=0))


def on_the_way(shelf: Shelf, sellers: Iterable[Listing]) -> int:
    """Sales that the platforms may have made and we have not heard of."""
    paces: dict[str, float] = {}
    for one in sellers:
        paces[one.channel] = paces.get(one.channel, 0.0) + one.state.pace_at(shelf.now)
    expected = [pace * _age_seconds(shelf, code) for code, pace in paces.items()]
    return sum(ceil(sales) for sales in expected if sales >= ON_THE_WAY_MIN)


def _age_seconds(shelf: Shelf, channel: str) -> float:
    """How long ago the channel's orders were all in. Its clock may differ from ours; ten seconds are the most."""
    watermark = shelf.channels[channel].watermark
    if watermark is None:
        return ON_THE_WAY_SECONDS_MAX
    return min(ON_THE_WAY_SECONDS_MAX, max(0.0, (shelf.now - watermark).total_seconds()))


def _backed(shelf: Shelf, listing: Listing) -> int:
    """Sales of a listing behind which there are units: its part, where there are fewer than all listings may sell."""
    backed = 0
    for share in listing.state.exposure or ():
        sales = share.sales
        for part in listing.components:
            there, exposed = shelf.there(part.sku, share.location), shelf.exposed(part.sku, share.location)
            if exposed > there:
                sales = min(sales, share.sales * part.units * there // exposed // part.units)
        backed += max(0, sales)
    return max(0, min(backed, listing.state.sales_left))


def _unallocated(shelf: Shelf, components: Sequence[Component]) -> int:
    """Sales for which there are units that no listing has for itself."""
    return sum(
        min(max(0, shelf.there(part.sku, at) - shelf.exposed(part.sku, at)) // part.units for part in components)
        for at in shelf.levels.get(components[0].sku, {})
    )


# ---- what is said of it


class SkuFacts(Struct, frozen=True):
    """What is known of a SKU; `substitutes` best first. `restock_time`: when more comes, None if nobody knows."""

    sku: str
    title: str = ""
    substitutes: tuple[str, ...] = ()
    restock_time: datetime | None = None

    @property
    def name(self) -> str:
        """What people call it."""
        return plain(self.title) or self.sku


class TierNow(Struct, frozen=True):
    """Where a SKU stands; `rate` in orders per minute of all channels."""

    tier: Tier = Tier.NORMAL
    is_stale: bool = False
    rate: float = 0.0
    stock_out: StockOutTimes = StockOutTimes(None, None, None)
    episode: int = 0


class Substitute(Struct, frozen=True):
    """What to offer instead, and how many sales of it this room can make."""

    sku: str
    title: str
    sellable: int


class Hint(Struct, frozen=True):
    """What one room can sell of one SKU now, and what to say; fields as in the proto. `version` 0: not told yet."""

    sku: str
    title: str
    sellable: int
    available: int
    tier: Tier
    is_stale: bool
    rate: float
    stock_out: StockOutTimes
    host_line: str
    host_line_en: str
    chat_line: str
    chat_line_en: str
    substitutes: tuple[Substitute, ...]
    exclusive_left: int
    observe_time: datetime
    expire_time: datetime
    revision: int
    version: int = 0
    rooms: int = 1


class RoomView(Struct, frozen=True):
    """All that a room's hints are made from, as of one moment; `skus` knows substitutes too, and `tiers` may know less.

    `silent`: channels that have not been heard, or whose orders do not come in. `slow`: SKUs that are to last.
    `is_watched`: False if nobody judges where SKUs stand; then the words for a tier would be those of long ago.
    """

    shelf: Shelf
    skus: Mapping[str, SkuFacts]
    tiers: Mapping[str, TierNow]
    templates: Templates
    silent: frozenset[str]
    slow: frozenset[str]
    revision: int
    is_watched: bool = True

    def is_stale(self, sku: str) -> bool:
        """True if what is known of a SKU in this room is old, and no number is to be spoken."""
        stands = self.tiers.get(sku) or TierNow()
        is_unheard = any(one.channel in self.silent for one in self.shelf.sellers(sku))
        return not self.is_watched or stands.is_stale or is_unheard


def hint(view: RoomView, sku: str) -> Hint:
    """The hint for one SKU of the room."""
    facts, now = view.skus.get(sku) or SkuFacts(sku), view.shelf.now
    stands = view.tiers.get(sku) or TierNow()
    sales = sellable(view.shelf, sku)
    is_stale = view.is_stale(sku)
    spoken = spoken_tier(stands.tier, sales, is_unsure=is_stale or is_on_its_way(view, sku, stands.tier, sales))
    instead = substitutes(view, facts) if Tier.URGENT in {stands.tier, spoken} or spoken is Tier.SOLD_OUT else ()
    words = {
        (intent, language): speak(view, facts, stands, spoken, sales, instead, intent, language)
        for intent in ("HOST", "CHAT")
        for language in LANGUAGES
    }
    lock = view.shelf.own.get(sku)
    return Hint(
        sku,
        facts.name,
        sales,
        available(view.shelf, sku),
        stands.tier,
        is_stale,
        stands.rate,
        stands.stock_out,
        words["HOST", ZH],
        words["HOST", EN],
        words["CHAT", ZH],
        words["CHAT", EN],
        instead,
        0 if lock is None else lock.units,
        now,
        now + SPOKEN_WITHIN,
        view.revision,
        rooms=view.shelf.rooms(sku),
    )


def spoken_tier(tier: Tier, sales: int, *, is_unsure: bool) -> Tier | None:
    """The tier whose words are said: those of what this room can sell. None: words without a number."""
    if is_unsure:
        return None
    if sales == 0:
        return Tier.SOLD_OUT
    return min(tier, Tier.URGENT)


def is_on_its_way(view: RoomView, sku: str, tier: Tier, sales: int) -> bool:
    """True if the room shows none of many units that are there for it: nobody is to hear that they are gone.

    What none of its channels sells yet is not gone either.
    """
    if not view.shelf.sellers(sku):
        return sku not in view.shelf.frozen
    if sales or tier >= Tier.URGENT or sku in view.shelf.own or sku in view.shelf.frozen:
        return False
    return available(view.shelf, sku) > 0


def substitutes(view: RoomView, facts: SkuFacts) -> tuple[Substitute, ...]:
    """What can be sold in this room now instead, best first."""
    found = []
    for code in facts.substitutes:
        sales = sellable(view.shelf, code)
        if sales and not any(one.channel in view.silent for one in view.shelf.sellers(code)):
            found.append(Substitute(code, (view.skus.get(code) or SkuFacts(code)).name, sales))
    return tuple(found)


def speak(
    view: RoomView,
    facts: SkuFacts,
    stands: TierNow,
    spoken: Tier | None,
    sales: int,
    instead: tuple[Substitute, ...],
    intent: str,
    language: str,
) -> str:
    """The words for a hint; they turn with the number that is said."""
    known = values(view, facts, stands, spoken, sales, instead, language)
    if intent == "HOST" and facts.sku in view.slow and spoken not in {None, Tier.SOLD_OUT}:
        return say(SLOW[language], known, sales)
    return line(view.templates, intent, spoken, known, language, sales)[0]


def values(
    view: RoomView,
    facts: SkuFacts,
    stands: TierNow,
    spoken: Tier | None,
    sales: int,
    instead: tuple[Substitute, ...],
    language: str,
) -> Values:
    """What the variables of a template stand for; no number while knowledge is old."""
    restock = facts.restock_time
    return values_of(
        language,
        title=facts.name,
        tier=spoken or stands.tier,
        sellable=None if spoken is None else sales,
        stock_out=stands.stock_out,
        restock_seconds=None if restock is None else (restock - view.shelf.now).total_seconds(),
        substitute=instead[0].title if instead else "",
    )
