"""Which number to change next, so that units come to where they are to be (R21, R27).

The division (`division.py`) is a wish; what is done about it keeps the escrow:

    raise     a listing that has less than its share, by what is unallocated there; never more (`exposure.py` checks)
    lower     one that has more than its share, and only for a reason: the units are promised twice (goods are gone, a
              platform sold beyond), its policy gives it less, its units are locked for others, or another listing
              starves for them
    nothing   otherwise: units already shown somewhere sell there just as well, and every call costs rate

A listing whose exposure has run out is starving: it may be that nobody buys there because it shows nothing. One that
still has `COVER_SECONDS` of its own sales is not, so that units do not travel to and fro; the last units of all go to
the fastest.
"""

from collections.abc import Iterator, Mapping, Sequence

from gateway.domain.changes import LevelKey
from gateway.domain.division import (
    PACE_MIN,
    Situation,
    Wants,
    can_change,
    divide,
    lock_of,
    policy_of,
    rooms,
    sellers_of,
    share_of,
    shown_at,
    shown_by,
)
from gateway.domain.exposure import has_passed, has_passed_time
from gateway.domain.listings import Listing, PushKind, Share
from gateway.domain.policies import PolicyKind
from gateway.domain.selling import (
    AnySelling,
    AskReading,
    JudgeReading,
    PlanPush,
    SettleBelowZero,
    WithdrawPush,
)

# Who has units for so long is not starving; who has them for longer can spare some.
COVER_SECONDS = 3.0
SPARE_SECONDS = 6.0
# Smaller raises than this part of what a listing has wait until they are worth a call.
RAISE_SHARE_MIN = 0.1
RAISE_WAITS_ABOVE = 20

# By SKU, location and channel: units that may still be given.
Gaps = dict[tuple[str, str, str], list[int]]


def allocate(situation: Situation) -> list[AnySelling]:
    """What to do now, most pressing first; each command is decided again, against the newest state, by the writer."""
    wants, permitted = divide(situation)
    must = _overdrawn(situation)
    commands: list[AnySelling] = []
    for listing in situation.listings:
        commands += _settle(situation, listing)
    pushes = list(_pushes(situation, wants, permitted, must))
    return commands + sorted(pushes, key=lambda push: push.urgency if isinstance(push, PlanPush) else 0.0)


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
    starving, gaps = _starving(situation, wants), _gaps(situation)
    for listing in situation.listings:
        state = listing.state
        if state.exposure is None or not can_change(situation, listing):
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
            yield from _raising(situation, listing, want, gaps, may_share=may_share)


def _places(exposure: Sequence[Share], want: Mapping[str, int]) -> list[str]:
    return list(dict.fromkeys([share.location for share in exposure] + list(want)))


def _starving(situation: Situation, wants: Wants) -> dict[str, float]:
    """By SKU, the pace of the fastest listing that sells and has next to nothing, and should have more."""
    found: dict[str, float] = {}
    for listing in situation.listings:
        if not can_change(situation, listing) or listing.state.push is not None:
            continue
        if is_starving(situation, listing, wants):
            for one in listing.components:
                found[one.sku] = max(found.get(one.sku, 0.0), _hunger(situation, listing))
    return found


def is_starving(situation: Situation, listing: Listing, wants: Wants) -> bool:
    """True if it should have more, and what it has is gone within `COVER_SECONDS`."""
    left = listing.state.sales_left
    return left < sum(wants[listing.listing_id].values()) and left <= _hunger(situation, listing) * COVER_SECONDS


def _hunger(situation: Situation, listing: Listing) -> float:
    """Its pace; one that shows nothing cannot show that either."""
    return max(listing.state.pace_at(situation.now), PACE_MIN if listing.state.sales_left <= 0 else 0.0)


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
    if _is_limited(situation, listing, want) or _is_anothers(situation, listing, over):
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
        policy = policy_of(situation, one.sku, listing.channel)
        if one.sku in situation.frozen:
            return True
        if policy.kind in {PolicyKind.FIXED, PolicyKind.WEIGHTED, PolicyKind.PRIORITY, PolicyKind.EXCLUSIVE}:
            return True
        share = share_of(policy, listing.channel)
        if share is not None and share.cap is not None and shown_by(situation, listing.channel, one.sku) > share.cap:
            return True
        if policy.stop_at and not any(want.values()):
            return True
    return False


def _is_anothers(situation: Situation, listing: Listing, over: Sequence[Share]) -> bool:
    """True if units it may sell are locked: for others, or it is theirs and they have more than they are to have."""
    for sku in {one.sku for one in listing.components if lock_of(situation, one.sku) is not None}:
        sellers = [one for one in situation.listings if any(part.sku == sku for part in one.components)]
        room, ours = next(
            (room, ours)
            for ours, room in rooms(situation, sku, sellers)
            if any(one.listing_id == listing.listing_id for one in ours)
        )
        for share in over:
            if sum(shown_at(one, sku, share.location) for one in ours) > room.get(share.location, 0):
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


def _raising(
    situation: Situation, listing: Listing, want: Mapping[str, int], gaps: Gaps, *, may_share: bool
) -> Iterator[PlanPush]:
    state = listing.state
    shares = []
    for at, sales in want.items():
        more = sales - state.exposed_at(at)
        if not may_share:
            more = min(more, *(_unallocated(situation, one.sku, at) // one.units for one in listing.components))
            more = _within(listing, at, more, gaps)
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


def _gaps(situation: Situation) -> Gaps:
    """Of locked SKUs, what those they are locked for, and all others, may still be given at each location.

    As long as somebody shows more than he is to have, nobody beside him is given what is on its way to the other side.
    """
    found: Gaps = {}
    if not situation.locks and not any(policy.own_units for policy in situation.policies.values()):
        return found
    for sku, sellers in sellers_of(situation).items():
        if lock_of(situation, sku) is not None:
            for ours, room in rooms(situation, sku, sellers):
                for at, units in room.items():
                    gap = units - sum(shown_at(one, sku, at) for one in ours)
                    # One for all of them: what one is given is not there for the next.
                    shared = [gap]
                    found |= {(sku, at, one.channel): shared for one in ours}
    return found


def _within(listing: Listing, at: str, sales: int, gaps: Gaps) -> int:
    """As many of these sales as there is a gap for, which is smaller then."""
    mine = [(gaps.get((one.sku, at, listing.channel)), one.units) for one in listing.components]
    sales = max(0, min([sales, *(gap[0] // units for gap, units in mine if gap is not None)]))
    for gap, units in mine:
        if gap is not None:
            gap[0] -= sales * units
    return sales


def _unallocated(situation: Situation, sku: str, at: str) -> int:
    level = situation.levels.get((sku, at))
    return 0 if level is None else max(0, level.unallocated)


def _risk(situation: Situation, listing: Listing) -> float:
    """0 to 1, small where little is left and sales are fast."""
    lasts = max(0, listing.state.sales_left) / max(PACE_MIN, listing.state.pace_at(situation.now))
    return lasts / (1.0 + lasts)
