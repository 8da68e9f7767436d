"""Who is to have which units of a SKU (R13, R29).

For every SKU at every location the room is what may be sold there: on hand - reserved - safety stock - what the policy
keeps. It is divided among the listings that location serves, by the SKU's policy; by demand means in proportion to each
listing's own pace, with a little for those that have none, so that they can show theirs. A kit gets the least of what
its components' shares make.

Units may be locked for some channels (a live session's own, or a policy's): those come first out of the room of the
locations that serve them, and are divided by demand among these channels. These get nothing else; what is left is
divided among all others by the policy, as if the locked units were not there. Nobody shows a minimum of a locked SKU.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from gateway.domain.changes import LevelKey
from gateway.domain.listings import ChannelRule, Listing
from gateway.domain.policies import ChannelShare, Policy, PolicyKind, apportion, divide_channels
from gateway.domain.stock import Level

# Every listing counts as if it sold at least so fast, in sales per second, and this share of all.
PACE_MIN = 0.02
PACE_SHARE_MIN = 0.05


class Lock(Struct, frozen=True, gc=False):
    """So many units of a SKU that these channels alone may sell, and all that they may sell."""

    channels: frozenset[str]
    units: int


class Situation(Struct, frozen=True, gc=False):
    """Listings that share SKUs, and all that bears on them; `levels` has every level of these SKUs.

    `open_channels` are those whose numbers can be changed now: not paused, and a connector is there. `frozen` SKUs are
    not to be sold.
    `sync_delay_seconds` is how long a change takes to reach a platform. `locks`, by SKU, are those of live sessions.
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
    locks: Mapping[str, Lock] = {}


Wants = dict[int, dict[str, int]]


def divide(situation: Situation) -> tuple[Wants, set[int]]:
    """What each listing should have at each location, in sales; and those whose policy lets them show others' units."""
    wants: Wants = {}
    permitted: set[int] = set()
    shares = {sku: _divide_sku(situation, sku, sellers) for sku, sellers in sellers_of(situation).items()}
    for listing in situation.listings:
        places = serving(situation, listing)
        by_place = {
            at: min(shares[one.sku][0].get((listing.listing_id, at), 0) // one.units for one in listing.components)
            for at in places
        }
        if any(listing.listing_id in shares[one.sku][1] for one in listing.components):
            permitted.add(listing.listing_id)
        least = max(_shown_min(situation, one.sku) // one.units for one in listing.components)
        if least > sum(by_place.values()):
            by_place[places[0]] += least - sum(by_place.values())
            permitted.add(listing.listing_id)
        wants[listing.listing_id] = by_place
    return wants, permitted


# ---- dividing one SKU


def _divide_sku(
    situation: Situation, sku: str, sellers: Sequence[Listing]
) -> tuple[dict[tuple[int, str], int], set[int]]:
    """Units for each (listing, location), and the listings that may show what others show."""
    found: dict[tuple[int, str], int] = {}
    permitted: set[int] = set()
    for ours, room in rooms(situation, sku, sellers):
        if ours:
            parts, sharing = _divide_room(situation, sku, policy_of(situation, sku, ours[0].channel), ours, room)
            found |= parts
            permitted |= sharing
    return found, permitted


def rooms(situation: Situation, sku: str, sellers: Sequence[Listing]) -> Iterator[tuple[list[Listing], dict[str, int]]]:
    """Who divides what: those a SKU's units are locked for and the locked units, all others and the rest."""
    room, lock = _room(situation, sku), lock_of(situation, sku)
    if lock is None:
        yield list(sellers), room
        return
    ours = [one for one in sellers if one.channel in lock.channels]
    others = [one for one in sellers if one.channel not in lock.channels]
    locked, left = {}, lock.units
    served = {at for one in ours for at in serving(situation, one)}
    for at in (at for at in situation.locations if at in served):
        # What cannot be taken from others now is not to be had.
        kept = sum(shown_at(one, sku, at) for one in others if not can_change(situation, one))
        locked[at] = max(0, min(left, room.get(at, 0) - kept))
        left -= locked[at]
    yield ours, locked
    yield others, {at: units - locked.get(at, 0) for at, units in room.items()}


def _divide_room(
    situation: Situation, sku: str, policy: Policy, sellers: Sequence[Listing], room: dict[str, int]
) -> tuple[dict[tuple[int, str], int], set[int]]:
    if policy.kind is PolicyKind.SHARED and sum(room.values()) > policy.escrow_below:
        return _share_all(situation, sku, policy, sellers, room), {one.listing_id for one in sellers}
    found: dict[tuple[int, str], int] = {}
    # Whose number cannot be changed keeps what it has, and gets no share of what others could sell meanwhile.
    follows_demand = policy.kind in {PolicyKind.BY_DEMAND, PolicyKind.SHARED}
    stuck = [one for one in sellers if follows_demand and not can_change(situation, one)]
    for at, units in room.items():
        for one in stuck:
            found[one.listing_id, at] = min(units, shown_at(one, sku, at))
            units -= found[one.listing_id, at]
        here = [one for one in sellers if one not in stuck and at in serving(situation, one)]
        for listing_id, part in _divide_place(situation, sku, policy, here, units, found):
            found[listing_id, at] = part
    return found, set()


def _room(situation: Situation, sku: str) -> dict[str, int]:
    """Units that may be sold at each location; what the policy keeps is taken from the last location first."""
    if sku in situation.frozen:
        return {}
    room = {at: max(0, level.balance) for at in situation.locations if (level := situation.levels.get((sku, at)))}
    kept = (situation.policies.get(sku) or Policy(sku)).stop_at
    for at in reversed(list(room)):
        taken = min(kept, room[at])
        room[at] -= taken
        kept -= taken
    return room


def _share_all(
    situation: Situation, sku: str, policy: Policy, sellers: Sequence[Listing], room: dict[str, int]
) -> dict[tuple[int, str], int]:
    """Everybody shows all of it, less a buffer for what is sold while the news travels."""
    pace = sum(one.state.pace_at(situation.now) * units_in(one, sku) for one in sellers)
    buffer = policy.buffer + round(pace * situation.sync_delay_seconds)
    found = {}
    for listing in sellers:
        kept = buffer
        left = capped(policy, listing.channel, sum(room.values()))
        for at in reversed(serving(situation, listing)):
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
    limits = {code: max(0, capped(policy, code, units + had[code]) - had[code]) for code in by_channel}
    weights = {code: sum(demand[one.listing_id] for one in ours) for code, ours in by_channel.items()}
    for code, part in divide_channels(policy, units, limits, weights, had).items():
        ours = {one.listing_id: demand[one.listing_id] for one in by_channel[code]}
        yield from apportion(part, ours, dict.fromkeys(ours, part)).items()


def _demand(situation: Situation, sku: str, sellers: Sequence[Listing]) -> dict[int, float]:
    paces = {one.listing_id: one.state.pace_at(situation.now) * units_in(one, sku) for one in sellers}
    least = max(PACE_MIN, PACE_SHARE_MIN * sum(paces.values()))
    return {one: max(least, pace) for one, pace in paces.items()}


# ---- looking things up


def lock_of(situation: Situation, sku: str) -> Lock | None:
    """The SKU's lock: a session's stands in for the one its policy may have."""
    policy = situation.policies.get(sku)
    if sku in situation.locks or policy is None or policy.own_units == 0:
        return situation.locks.get(sku)
    return Lock(frozenset({policy.shares[0].channel}), policy.own_units)


def policy_of(situation: Situation, sku: str, channel: str) -> Policy:
    """How what this channel may have of a SKU is divided."""
    policy, lock = situation.policies.get(sku) or Policy(sku), lock_of(situation, sku)
    if lock is not None and (channel in lock.channels or policy.own_units):
        return replace(policy, kind=PolicyKind.BY_DEMAND)
    return policy


def sellers_of(situation: Situation) -> dict[str, list[Listing]]:
    """By SKU, the listings that sell it."""
    found: dict[str, list[Listing]] = {}
    for listing in situation.listings:
        for sku in dict.fromkeys(one.sku for one in listing.components):
            found.setdefault(sku, []).append(listing)
    return found


def _shown_min(situation: Situation, sku: str) -> int:
    policy = situation.policies.get(sku)
    return 0 if policy is None or lock_of(situation, sku) is not None else policy.shown_min


def can_change(situation: Situation, listing: Listing) -> bool:
    """True if somebody would do a push of this listing now."""
    return listing.channel in situation.open_channels and not listing.state.parked_reason


def serving(situation: Situation, listing: Listing) -> tuple[str, ...]:
    """The locations that serve a listing, in order."""
    named = situation.channels[listing.channel].locations
    return tuple(at for at in named if at in situation.locations) or situation.locations


def units_in(listing: Listing, sku: str) -> int:
    """Units of the SKU in one sale."""
    return sum(one.units for one in listing.components if one.sku == sku)


def shown_at(listing: Listing, sku: str, at: str) -> int:
    """Units of the SKU that a listing may sell from a location; 0 or more."""
    return max(0, listing.state.exposed_at(at)) * units_in(listing, sku)


def shown_by(situation: Situation, channel: str, sku: str) -> int:
    """Units of the SKU that a channel may sell in all."""
    return sum(one.state.sales_left * units_in(one, sku) for one in situation.listings if one.channel == channel)


def share_of(policy: Policy, channel: str) -> ChannelShare | None:
    """What a policy says of a channel."""
    return next((share for share in policy.shares if share.channel == channel), None)


def capped(policy: Policy, channel: str, units: int) -> int:
    """So many units, or as many as the channel may show."""
    share = share_of(policy, channel)
    return units if share is None or share.cap is None else min(units, share.cap)
