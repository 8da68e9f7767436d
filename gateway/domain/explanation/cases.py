"""What bears on one listing's number at one moment, and what follows from it by itself: the case to be explained.

Whether a number needs a change is not asked of anybody: the allocator's own rule (`allocation.py`) is played over the
same facts, once as they are, and once as if the listing could be changed. So what is explained cannot disagree with
what is done.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import cached_property

from msgspec import Struct
from msgspec.structs import replace

from gateway.domain.allocation import allocate
from gateway.domain.attempts import Attempt
from gateway.domain.division import Situation, can_change, divide, serving
from gateway.domain.explanation.said import Said
from gateway.domain.listings import Listing, Platform, Push, PushResult
from gateway.domain.policies import Policy
from gateway.domain.selling import AnySelling, AskReading, Drift, JudgeReading, PlanPush, PushRecord
from gateway.domain.stock import Level, Movement

# Who is not heard for so long is away; the allocator goes by the same number.
SILENCE = timedelta(seconds=15)
# The allocator looks four times a second; what it has left undone for so long, it does not do.
LOOKS_WITHIN = timedelta(seconds=2)
# A watermark that is so far beyond a reading has let the allocator judge it, unless the allocator stands still.
JUDGES_WITHIN = timedelta(seconds=5)
# What failed so long ago says nothing of now.
FAILED_LATELY = timedelta(seconds=60)
# A drift that was judged so long ago, and nothing was read since, says nothing of now either.
DRIFTED_LATELY = timedelta(minutes=10)

_PLATFORMS = {
    Platform.TAOBAO: Said("淘宝", "Taobao"),
    Platform.DOUYIN: Said("抖音", "Douyin"),
    Platform.KUAISHOU: Said("快手", "Kuaishou"),
}
# The troubles a connector names (`connectors/needs.py`), in the one text in which it says all of them.
_NEED = re.compile(r"(?:^|; )(authorization|credentials|orders|order [^:]*|reports?): ")


class ConnectorSaid(Struct, frozen=True):
    """What a connector said of itself when it was heard last."""

    connector_id: str
    breaker_open: bool = False
    ban_seconds: float = 0.0
    waiting: int = 0
    needs: str = ""

    @property
    def needs_by_name(self) -> dict[str, str]:
        """What a person is needed for, by the name of the trouble; one of no known name is called `other`."""
        if not self.needs:
            return {}
        parts = _NEED.split(self.needs)
        named = dict(zip(parts[1::2], parts[2::2], strict=True))
        return named or {"other": self.needs}


class ChannelThen(Struct, frozen=True):
    """A channel as it was; `since` says since when each of paused, follower, breaker_open, needs, watermark is so.

    `record_time` is when that was written down: of the past, up to ten seconds before the moment in question.
    """

    channel: str
    platform: Platform
    record_time: datetime
    title: str = ""
    paused: bool = False
    pause_reason: str = ""
    follower: str = ""
    watermark: datetime | None = None
    heartbeat_time: datetime | None = None
    said: ConnectorSaid | None = None
    since: Mapping[str, datetime] = {}

    @property
    def name(self) -> Said:
        """What people call it."""
        return Said(self.title, self.title) if self.title else _PLATFORMS[self.platform]


class Hold(Struct, frozen=True):
    """Units of the SKU that an open reservation keeps."""

    reservation_id: int
    units: int
    order_id: str
    create_time: datetime
    expire_time: datetime


class Facts(Struct, frozen=True):
    """All that is known of one listing at `now`, which may lie in the past.

    `situation` has all listings that share a SKU with it, the listing among them. `movement` is the SKU's newest.
    `holds`, `pushes` and `attempts` are the newest, newest first; `drift` is the listing's newest. `changed_time`: when
    something last changed that the allocator goes by. `channel` is None where nothing was kept.
    """

    now: datetime
    sku: str
    listing: Listing
    situation: Situation
    changed_time: datetime
    channel: ChannelThen | None
    movement: Movement | None = None
    holds: tuple[Hold, ...] = ()
    pushes: tuple[PushRecord, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    drift: Drift | None = None


class Case:
    """Facts, and what follows from them."""

    def __init__(self, facts: Facts) -> None:
        """Nothing is worked out before it is asked for."""
        self.facts = facts
        self.now = facts.now
        self.listing = facts.listing
        self.state = facts.listing.state
        self.situation = facts.situation
        self.channel = facts.channel

    # ---- the ledger

    @property
    def locations(self) -> tuple[str, ...]:
        """Those that serve the listing."""
        return serving(self.situation, self.listing)

    def level_at(self, sku: str, location: str) -> Level:
        """The level there; an empty one if there is none."""
        return self.situation.levels.get((sku, location)) or Level(sku, location)

    @property
    def levels(self) -> list[Level]:
        """Those of the SKU at the locations that serve the listing."""
        return [self.level_at(self.facts.sku, at) for at in self.locations]

    @property
    def on_hand_elsewhere(self) -> dict[str, int]:
        """Units of the SKU at locations that do not serve the listing."""
        return {
            at: level.on_hand
            for at in self.situation.locations
            if at not in self.locations and (level := self.level_at(self.facts.sku, at)).on_hand > 0
        }

    @property
    def sales_on_hand(self) -> int:
        """Sales that could be made of all that is on hand."""
        return self._sales(lambda level: level.on_hand)

    @property
    def sales_available(self) -> int:
        """Sales that could be made of all that is available."""
        return self._sales(lambda level: level.available)

    @property
    def available(self) -> int:
        """Units of the SKU that are available."""
        return sum(level.available for level in self.levels)

    def _sales(self, units_of: Callable[[Level], int]) -> int:
        return max(
            0,
            min(
                sum(units_of(self.level_at(one.sku, at)) for at in self.locations) // one.units
                for one in self.listing.components
            ),
        )

    @property
    def policy(self) -> Policy:
        """The SKU's policy; the default if nobody has said."""
        return self.situation.policies.get(self.facts.sku) or Policy(self.facts.sku)

    # ---- what is to be done

    @cached_property
    def if_it_could(self) -> Situation:
        """As if the listing were free, and somebody could change it."""
        free = replace(self.listing, state=replace(self.state, parked_reason="", push=None))
        all_of_them = [free if one.listing_id == free.listing_id else one for one in self.situation.listings]
        is_open = self.situation.open_channels | {self.listing.channel}
        return replace(self.situation, listings=all_of_them, open_channels=is_open)

    @cached_property
    def wants(self) -> dict[int, dict[str, int]]:
        """Sales that each listing should be able to make, by location."""
        return divide(self.if_it_could)[0]

    @property
    def wanted(self) -> int:
        """Sales that the listing should be able to make."""
        return sum(self.wants[self.listing.listing_id].values())

    @property
    def is_permitted(self) -> bool:
        """True if its policy lets it show what others show too."""
        return self.listing.listing_id in divide(self.if_it_could)[1]

    @cached_property
    def planned(self) -> PlanPush | None:
        """What would be done to its number if it could be changed; None if nothing would."""
        return _pushes_of(self.if_it_could).get(self.listing.listing_id)

    @property
    def needs_change(self) -> bool:
        """True if its number is to become another."""
        return self.state.push is not None or self.planned is not None

    @property
    def can_change(self) -> bool:
        """True if somebody would change its number now."""
        has_breaker_open = self.channel is not None and self.channel.said is not None and self.channel.said.breaker_open
        return can_change(self.situation, self.listing) and not has_breaker_open

    @cached_property
    def undone(self) -> tuple[int, ...]:
        """Listings to which the allocator has something to do; only this one, and those that it waits for.

        What only the last second has brought (a pace fades all the time) is none of it.
        """
        before = replace(self.situation, now=self.now - timedelta(seconds=1))
        ours = {self.listing.listing_id, *(one.listing_id for one in self.rivals if self.missing > 0)}
        found = _pushes_of(self.situation).keys() & _pushes_of(before).keys() & ours
        if any(self._should_be_done(command) for command in allocate(self.situation)):
            found.add(self.listing.listing_id)
        return tuple(sorted(found))

    def _should_be_done(self, command: AnySelling) -> bool:
        """True of what makes a difference to the listing's reading; a question that nobody would answer makes none."""
        match command:
            case AskReading(listing_id=listing_id):
                return listing_id == self.listing.listing_id and self.can_change
            case JudgeReading(listing_id=listing_id):
                return listing_id == self.listing.listing_id and self._is_due
        return False

    @property
    def _is_due(self) -> bool:
        reading = self.state.reading
        watermark = self.channel.watermark if self.channel else None
        margin = self.situation.channels[self.listing.channel].facts.margin
        return reading is not None and watermark is not None and watermark > reading.end_time + margin + JUDGES_WITHIN

    # ---- the others

    @property
    def rivals(self) -> list[Listing]:
        """Other listings that sell one of its SKUs."""
        skus = {one.sku for one in self.listing.components}
        return [
            one
            for one in self.situation.listings
            if one.listing_id != self.listing.listing_id and any(part.sku in skus for part in one.components)
        ]

    @property
    def missing(self) -> int:
        """Sales that it should have, and has not."""
        mine = self.wants[self.listing.listing_id]
        return sum(max(0, sales - self.state.exposed_at(at)) for at, sales in mine.items())

    def surplus_of(self, rival: Listing) -> int:
        """Sales that a rival has, and should not."""
        theirs = self.wants[rival.listing_id]
        return sum(max(0, share.sales - theirs.get(share.location, 0)) for share in rival.state.exposure or ())

    # ---- calls

    @property
    def push(self) -> Push | None:
        """The change that is under way."""
        return self.state.push

    @property
    def last_settled(self) -> PushRecord | None:
        """Its last change that is over."""
        return next((one for one in self.facts.pushes if one.settle_time is not None), None)

    @property
    def last_applied(self) -> PushRecord | None:
        """Its last change that its platform has taken."""
        return next((one for one in self.facts.pushes if one.result is PushResult.APPLIED and one.applied), None)

    @cached_property
    def failing(self) -> tuple[PushRecord, ...]:
        """Its newest changes, newest first, that came to nothing one after the other; none if the last went well."""
        found = []
        for one in self.facts.pushes:
            if one.result is None:
                continue
            if one.result is not PushResult.NOT_SENT or (one.error or "").startswith("withdrawn"):
                break
            found.append(one)
        settled = found[0].settle_time if found else None
        return tuple(found) if settled is not None and self.now - settled < FAILED_LATELY else ()

    @property
    def attempt(self) -> Attempt | None:
        """The newest call of the change that is under way, or else of its last one."""
        return self.facts.attempts[0] if self.facts.attempts else None

    @property
    def drift(self) -> Drift | None:
        """Its newest drift, until a later reading has been judged and fits, or it is an old story."""
        drift, state = self.facts.drift, self.state
        if drift is None:
            return None
        if state.reading is None and state.read_time is not None and state.read_time > drift.read_time:
            return None
        return drift if self.now - drift.judge_time < DRIFTED_LATELY else None

    @property
    def reading_apart(self) -> int:
        """By how much a reading that is not judged yet differs from what we believe; 0 if there is none."""
        reading = self.state.reading
        if reading is None or self.state.exposure is None:
            return 0
        return reading.shown + reading.raised - reading.lowered - self.state.sales_left


def _pushes_of(situation: Situation) -> dict[int, PlanPush]:
    return {
        command.listing_id: command
        for command in allocate(situation)
        if isinstance(command, PlanPush) and any(share.sales for share in command.shares)
    }
