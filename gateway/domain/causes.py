"""Which movements a push answers: those of its SKUs that came after what its listing has answered before.

A listing has answered what it was looked at for, when a push of it was decided, or when nothing needed to be done
though something could have been. As long as a push is under way, or nobody would do one, or the units it needs have yet
to leave another listing, what moves waits for the next. A push that comes to nothing has answered nothing: the next one
answers for both.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from types import MappingProxyType

from msgspec import Struct

from gateway.domain.allocation import is_starving
from gateway.domain.division import Situation, can_change, divide
from gateway.domain.listings import Listing, PushKind

# Of one SKU, between two pushes; what is older is told as one.
WAITING_MAX = 64
# Of one cause. A span has fewer links, and says how many it leaves out.
TRACEPARENTS_MAX = 128


class Cause(Struct, frozen=True, gc=False):
    """Movements: the newest one's revision, when the oldest was recorded, and the spans (W3C) that asked for them."""

    revision: int
    time: datetime
    traceparents: tuple[str, ...] = ()


NOTHING_TOLD: Mapping[int, Cause] = MappingProxyType({})


class Causes:
    """What has moved and is not answered yet, by SKU."""

    def __init__(self) -> None:
        """Nothing has."""
        self._waiting: dict[str, list[Cause]] = {}
        self._answered: dict[int, int] = {}
        # What each listing's last push answers, as long as that may have come to nothing.
        self._promised: dict[int, Cause] = {}

    def add(self, sku: str, cause: Cause) -> None:
        """A SKU has moved."""
        waiting = self._waiting.setdefault(sku, [])
        waiting.append(cause)
        if len(waiting) > WAITING_MAX:
            waiting[:2] = [_joined(waiting[:2])]

    def has_promised(self, listing_id: int) -> bool:
        """True if the listing's last push answers something that its next one would have to, if it came to nothing."""
        return listing_id in self._promised

    def of(self, listing: Listing, *, again: bool = False) -> Cause | None:
        """What a push of this listing answers, None if nothing has moved; `again`: its last one came to nothing."""
        answered = self._answered.get(listing.listing_id, 0)
        found = [
            cause for one in listing.components for cause in self._waiting.get(one.sku, ()) if cause.revision > answered
        ]
        if again and (promised := self._promised.get(listing.listing_id)) is not None:
            found.append(promised)
        return _joined(found) if found else None

    def settle(
        self, situation: Situation, planned: Mapping[int, PushKind], told: Mapping[int, Cause] = NOTHING_TOLD
    ) -> None:
        """These have got a push, of what was to get one (`told`: what it answers); who needed none has answered too."""
        waiting = _waiting(situation, planned)
        answered: dict[str, int] = {}
        for listing in situation.listings:
            number, skus = listing.listing_id, {one.sku for one in listing.components}
            is_free = listing.state.push is None and can_change(situation, listing)
            if number in planned:
                self._promise(number, told.get(number) or self.of(listing))
            elif is_free and number not in told and number not in waiting:
                self._promise(number, None)
                if (cause := self.of(listing)) is not None:
                    self._answered[number] = cause.revision
            for sku in skus:
                least = self._answered.get(number, 0)
                answered[sku] = min(answered.get(sku, least), least)
        for sku, revision in answered.items():
            self._drop(sku, revision)
        for listing in situation.listings:
            if not any(one.sku in self._waiting for one in listing.components):
                self._answered.pop(listing.listing_id, None)

    def _promise(self, number: int, cause: Cause | None) -> None:
        """The listing has been given a push that answers this, or none; what waited for it waits no more."""
        if cause is None:
            self._promised.pop(number, None)
        else:
            self._promised[number] = cause
            self._answered[number] = max(cause.revision, self._answered.get(number, 0))

    def forget(self, skus: Iterable[str]) -> None:
        """Nobody sells these."""
        for sku in skus:
            self._waiting.pop(sku, None)

    def _drop(self, sku: str, revision: int) -> None:
        left = [cause for cause in self._waiting.get(sku, ()) if cause.revision > revision]
        if left:
            self._waiting[sku] = left
        else:
            self._waiting.pop(sku, None)


def _waiting(situation: Situation, planned: Mapping[int, PushKind]) -> set[int]:
    """The listings that starve while units that they could have are on their way out of another."""
    lowered: set[str] = set()
    for listing in situation.listings:
        push = listing.state.push
        kind = planned.get(listing.listing_id) if push is None else push.kind
        if kind not in {None, PushKind.RAISE}:
            lowered.update(one.sku for one in listing.components)
    if not lowered:
        return set()
    wants, _ = divide(situation)
    return {
        listing.listing_id
        for listing in situation.listings
        if any(one.sku in lowered for one in listing.components) and is_starving(situation, listing, wants)
    }


def _joined(causes: Iterable[Cause]) -> Cause:
    found = sorted(causes, key=lambda cause: cause.revision)
    traceparents = dict.fromkeys(one for cause in found for one in cause.traceparents)
    return Cause(found[-1].revision, min(cause.time for cause in found), tuple(traceparents)[-TRACEPARENTS_MAX:])
