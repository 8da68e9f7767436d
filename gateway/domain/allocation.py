"""How units are divided among listings, and which number to change next (R21, R27, R29).

For every SKU at every location the room is what may be sold there: on hand - reserved - safety stock - what the policy
keeps. It is divided among the listings that location serves, by the SKU's policy; by demand means in proportion to each
listing's own pace, with a little for those that have none, so that they can show theirs. A kit gets the least of what
its components' shares make. The division is a wish; what is done about it keeps the escrow:

    raise     a listing that has less than its share, by what is unallocated there; never more (`exposure.py` checks)
    lower     one that has more than its share, and only for a reason: the units are promised twice (goods are gone, a
              platform sold beyond), its policy gives it less, or another listing starves for them
    nothing   otherwise: units already shown somewhere sell there just as well, and every call costs rate

A listing whose exposure has run out is starving: it may be that nobody buys there because it shows nothing. One that
still has `COVER_SECONDS` of its own sales is not, so that units do not travel to and fro; the last units of all go to
the fastest.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from msgspec import Struct

from gateway.domain.changes import LevelKey
from gateway.domain.exposure import has_passed, has_passed_time
from gateway.domain.listings import ChannelRule, Listing, PushKind, Share
from gateway.domain.policies import ChannelShare, Policy, PolicyKind, apportion, divide_channels
from gateway.domain.selling import (
    AnySelling,
    AskReading,
    JudgeReading,
    PlanPush,
    SettleBelowZero,
    WithdrawPush,
)
from gateway.domain.stock import Level

# Every listing counts as if it sold at least so fast, in sales per second, and this share of all.
PACE_MIN = 0.02
PACE_SHARE_MIN = 0.05
# Who has units for so long is not starving; who has them for longer can spare some.
COVER_SECONDS = 3.0
SPARE_SECONDS = 6.0
# Smaller raises than this part of what a listing has wait until they are worth a call.
RAISE_SHARE_MIN = 0.1
RAISE_WAITS_ABOVE = 20


class Situation(Struct, frozen=True, gc=False):
    """Listings that share SKUs, and all that bears on them; `levels` has every level of these SKUs.

    `open_channels` are those whose numbers can be changed now: not paused, and a connector is there. `frozen` SKUs are
    not to be sold.
    `sync_delay_seconds` is how long a change takes to reach a platform.
    """

    now: datetime
    listings: Sequence[Listing]
    levels: Mapping[LevelKey, Level]
    channels: Mapping[str, ChannelRule]
    policies: Mapping[str, Policy]
    locations: tuple[str, ...]
    open_channels: frozenset[str]
    sync_delay_seconds: float = 1.0
    frozen: frozenset[str] = frozenset()


Wants = dict[int, dict[str, int]]


def allocate(situation: Situation) -> list[AnySelling]:
    """What to do now, most pressing first; each command is decided again, against the newest state, by the writer."""
    wants, permitted = divide(situation)
    must = _overdrawn(situation)
    commands: list[AnySelling] = []
    for listing in situation.listings:
        commands += _settle(situation, listing)
    pushes = list(_pushes(situation, wants, permitted, must))
    return commands + sorted(pushes, key=lambda push: push.urgency if isinstance(push, PlanPush) else 0.0)


def divide(situation: Situation) -> tuple[Wants, set[int]]:
    """What each listing should have at each location, in sales; and those whose policy lets them show others' units."""
    wants: Wants = {}
    permitted: set[int] = set()
    shares = {sku: _divide_sku(situation, sku, sellers) for sku, sellers in _sellers(situation).items()}
    for listing in situation.listings:
        serving = _serving(situation, listing)
        by_place = {
            at: min(shares[one.sku][0].get((listing.listing_id, at), 0) // one.units for one in listing.components)
            for at in serving
        }
        if any(listing.listing_id in shares[one.sku][1] for one in listing.components):
            permitted.add(listing.listing_id)
        least = max(_policy(situation, one.sku).shown_min // one.units for one in listing.components)
        if least > sum(by_place.values()):
            by_place[serving[0]] += least - sum(by_place.values())
            permitted.add(listing.listing_id)
        wants[listing.listing_id] = by_place
    return wants, permitted


# ---- dividing one SKU


def _divide_sku(
    situation: Situation, sku: str, sellers: Sequence[Listing]
) -> tuple[dict[tuple[int, str], int], set[int]]:
    """Units for each (listing, location), and the listings that may show what others show."""
    policy = _policy(situation, sku)
    room = _room(situation, sku, policy)
    if policy.kind is PolicyKind.SHARED and sum(room.values()) > policy.escrow_below:
        return _share_all(situation, sku, policy, sellers, room), {one.listing_id for one in sellers}
    found: dict[tuple[int, str], int] = {}
    # Whose number cannot be changed keeps what it has, and gets no share of what others could sell meanwhile.
    follows_demand = policy.kind in {PolicyKind.BY_DEMAND, PolicyKind.SHARED}
    stuck = [one for one in sellers if follows_demand and not _can_change(situation, one)]
    for at, units in room.items():
        for one in stuck:
            found[one.listing_id, at] = min(units, max(0, one.state.exposed_at(at)) * _units(one, sku))
            units -= found[one.listing_id, at]
        here = [one for one in sellers if one not in stuck and at in _serving(situation, one)]
        for listing_id, part in _divide_place(situation, sku, policy, here, units, found):
            found[listing_id, at] = part
    return found, set()


def _room(situation: Situation, sku: str, policy: Policy) -> dict[str, int]:
    """Units that may be sold at each location; what the policy keeps is taken from the last location first."""
    if sku in situation.frozen:
        return {}
    room = {at: max(0, level.balance) for at in situation.locations if (level := situation.levels.get((sku, at)))}
    kept = policy.stop_at
    for at in reversed(list(room)):
        taken = min(kept, room[at])
        room[at] -= taken
        kept -= taken
    return room


def _share_all(
    situation: Situation, sku: str, policy: Policy, sellers: Sequence[Listing], room: dict[str, int]
) -> dict[tuple[int, str], int]:
    """Everybody shows all of it, less a buffer for what is sold while the news travels."""
    pace = sum(one.state.pace_at(situation.now) * _units(one, sku) for one in sellers)
    buffer = policy.buffer + round(pace * situation.sync_delay_seconds)
    found = {}
    for listing in sellers:
        kept = buffer
        left = _capped(policy, listing.channel, sum(room.values()))
        for at in reversed(_serving(situation, listing)):
            held_back = min(kept, room.get(at, 0))
            kept -= held_back
            found[listing.listing_id, at] = min(left, room.get(at, 0) - held_back)
            left -= found[listing.listing_id, at]
    return found


def _divide_place(
    situation: Situation,
    sku: str,
    policy: Policy,
    sellers: Sequence[Listing],
    units: int,
    found: Mapping[tuple[int, str], int],
) -> Iterator[tuple[int, int]]:
    """The units of one location among the listings it serves."""
    by_channel: dict[str, list[Listing]] = defaultdict(list)
    for one in sellers:
        by_channel[one.channel].append(one)
    demand = _demand(situation, sku, sellers)
    had = {
        code: sum(found.get((one.listing_id, at), 0) for one in ours for at in situation.locations)
        for code, ours in by_channel.items()
    }
    limits = {code: max(0, _capped(policy, code, units + had[code]) - had[code]) for code in by_channel}
    weights = {code: sum(demand[one.listing_id] for one in ours) for code, ours in by_channel.items()}
    for code, part in divide_channels(policy, units, limits, weights, had).items():
        ours = {one.listing_id: demand[one.listing_id] for one in by_channel[code]}
        yield from apportion(part, ours, dict.fromkeys(ours, part)).items()


def _demand(situation: Situation, sku: str, sellers: Sequence[Listing]) -> dict[int, float]:
    paces = {one.listing_id: one.state.pace_at(situation.now) * _units(one, sku) for one in sellers}
    least = max(PACE_MIN, PACE_SHARE_MIN * sum(paces.values()))
    return {one: max(least, pace) for one, pace in paces.items()}


# ---- what to do about it


def _settle(situation: Situation, listing: Listing) -> Iterator[AnySelling]:
    """Readings to ask for or to judge, and sales beyond zero whose time has come."""
    rule, state = situation.channels[listing.channel], listing.state
    if state.reading is not None and has_passed(rule, state.reading):
        yield JudgeReading(listing.listing_id)
    if state.sales_left < 0 and has_passed_time(rule, state):
        yield SettleBelowZero(listing.listing_id)
    if state.read_id or state.reading is not None or state.parked_reason:
        return
    if state.exposure is None:
        yield AskReading(listing.listing_id)
    elif state.push is not None and state.push.unknown_since is not None:
        late_ms = (situation.now - state.push.unknown_since).total_seconds() * 1000
        if late_ms > rule.facts.apply_late_ms:
            yield AskReading(listing.listing_id)


def _overdrawn(situation: Situation) -> set[LevelKey]:
    """Where more is exposed and promised than there is."""
    return {key for key, level in situation.levels.items() if level.unallocated < 0}


def _pushes(situation: Situation, wants: Wants, permitted: set[int], must: set[LevelKey]) -> Iterator[AnySelling]:
    unread = {one.sku for each in situation.listings if each.state.exposure is None for one in each.components}
    starving = _starving(situation, wants)
    for listing in situation.listings:
        state = listing.state
        if state.exposure is None or not _can_change(situation, listing):
            continue
        want, may_share = wants[listing.listing_id], listing.listing_id in permitted
        surplus = {at: have - want.get(at, 0) for at in _places(state.exposure, want) if (have := state.exposed_at(at))}
        over = tuple(Share(at, more) for at, more in surplus.items() if more > 0)
        must_lower = any((one.sku, share.location) in must for share in over for one in listing.components)
        if state.push is not None:
            is_in_the_way = state.push.kind is PushKind.RAISE and must_lower and not state.push.withdrawn
            if is_in_the_way and state.push.unknown_since is None:
                yield WithdrawPush(listing.listing_id, state.push.push_id)
        elif over and (must_lower or _should_lower(situation, listing, over, want, starving, may_share)):
            yield _lowering(situation, listing, over)
        elif not unread.intersection(one.sku for one in listing.components):
            yield from _raising(situation, listing, want, may_share)


def _places(exposure: Sequence[Share], want: Mapping[str, int]) -> list[str]:
    return list(dict.fromkeys([share.location for share in exposure] + list(want)))


def _starving(situation: Situation, wants: Wants) -> dict[str, float]:
    """By SKU, the pace of the fastest listing that sells and has next to nothing, and should have more."""
    found: dict[str, float] = {}
    for listing in situation.listings:
        state = listing.state
        # One that shows nothing cannot show its pace either.
        pace = max(state.pace_at(situation.now), PACE_MIN if state.sales_left <= 0 else 0.0)
        if not _can_change(situation, listing) or state.push is not None:
            continue
        is_short = state.sales_left < sum(wants[listing.listing_id].values())
        if is_short and state.sales_left <= pace * COVER_SECONDS:
            for one in listing.components:
                found[one.sku] = max(found.get(one.sku, 0.0), pace)
    return found


def _should_lower(
    situation: Situation,
    listing: Listing,
    over: Sequence[Share],
    want: Mapping[str, int],
    starving: Mapping[str, float],
    may_share: bool,
) -> bool:
    """True if there is a reason beyond that its share has become smaller."""
    sales, pace = sum(share.sales for share in over), listing.state.pace_at(situation.now)
    if may_share or listing.state.permitted:
        return True
    if _is_limited(situation, listing, want):
        return True
    hungriest = max((starving.get(one.sku, 0.0) for one in listing.components), default=0.0)
    if hungriest <= 0 or _has_room(situation, listing):
        return False
    # The last few units lie with whom they are sold by soonest.
    lasts = listing.state.sales_left / max(pace, PACE_MIN)
    return lasts > SPARE_SECONDS and (sales > 1 or hungriest > pace)


def _is_limited(situation: Situation, listing: Listing, want: Mapping[str, int]) -> bool:
    """True if a policy, not demand, says that the listing has too much."""
    for one in listing.components:
        policy = _policy(situation, one.sku)
        if one.sku in situation.frozen:
            return True
        if policy.kind in {PolicyKind.FIXED, PolicyKind.WEIGHTED, PolicyKind.PRIORITY, PolicyKind.EXCLUSIVE}:
            return True
        share = _named(policy, listing.channel)
        if share is not None and share.cap is not None and _shown(situation, listing.channel, one.sku) > share.cap:
            return True
        if policy.stop_at and not any(want.values()):
            return True
    return False


def _has_room(situation: Situation, listing: Listing) -> bool:
    """True if some of its SKUs' units are unallocated: who starves can have those."""
    return all(any(_unallocated(situation, one.sku, at) for at in situation.locations) for one in listing.components)


def _lowering(situation: Situation, listing: Listing, over: tuple[Share, ...]) -> PlanPush:
    left = listing.state.sales_left - sum(share.sales for share in over)
    kind = PushKind.TO_ZERO if left <= 0 else PushKind.LOWER
    first = 0.0 if kind is PushKind.TO_ZERO else 1.0
    return PlanPush(listing.listing_id, kind, over, first + _risk(situation, listing))


def _raising(situation: Situation, listing: Listing, want: Mapping[str, int], may_share: bool) -> Iterator[PlanPush]:
    state = listing.state
    shares = []
    for at, sales in want.items():
        more = sales - state.exposed_at(at)
        if not may_share:
            more = min(more, *(_unallocated(situation, one.sku, at) // one.units for one in listing.components))
        if more > 0:
            shares.append(Share(at, more))
    more = sum(share.sales for share in shares)
    if state.permitted and not may_share:
        # From now on what it shows counts as its own, as soon as there is room for it.
        yield PlanPush(listing.listing_id, PushKind.RAISE, tuple(shares), 2.0 + _risk(situation, listing))
        return
    if not more or (state.sales_left > RAISE_WAITS_ABOVE and more < RAISE_SHARE_MIN * state.sales_left):
        return
    yield PlanPush(listing.listing_id, PushKind.RAISE, tuple(shares), 2.0 + _risk(situation, listing), may_share)


def _unallocated(situation: Situation, sku: str, at: str) -> int:
    level = situation.levels.get((sku, at))
    return 0 if level is None else max(0, level.unallocated)


def _risk(situation: Situation, listing: Listing) -> float:
    """0 to 1, small where little is left and sales are fast."""
    lasts = max(0, listing.state.sales_left) / max(PACE_MIN, listing.state.pace_at(situation.now))
    return lasts / (1.0 + lasts)


# ---- looking things up


def _sellers(situation: Situation) -> dict[str, list[Listing]]:
    """By SKU, the listings that sell it."""
    found: dict[str, list[Listing]] = {}
    for listing in situation.listings:
        for sku in dict.fromkeys(one.sku for one in listing.components):
            found.setdefault(sku, []).append(listing)
    return found


def _policy(situation: Situation, sku: str) -> Policy:
    return situation.policies.get(sku) or Policy(sku)


def _can_change(situation: Situation, listing: Listing) -> bool:
    """True if somebody would do a push of this listing now."""
    return listing.channel in situation.open_channels and not listing.state.parked_reason


def _serving(situation: Situation, listing: Listing) -> tuple[str, ...]:
    named = situation.channels[listing.channel].locations
    return tuple(at for at in named if at in situation.locations) or situation.locations


def _units(listing: Listing, sku: str) -> int:
    return sum(one.units for one in listing.components if one.sku == sku)


def _shown(situation: Situation, channel: str, sku: str) -> int:
    """Units of the SKU that a channel may sell in all."""
    return sum(one.state.sales_left * _units(one, sku) for one in situation.listings if one.channel == channel)


def _named(policy: Policy, channel: str) -> ChannelShare | None:
    return next((share for share in policy.shares if share.channel == channel), None)


def _capped(policy: Policy, channel: str, units: int) -> int:
    share = _named(policy, channel)
    return units if share is None or share.cap is None else min(units, share.cap)
