"""Which movements a push answers: those of its SKUs that came after what its listing has answered before.

A listing has answered what it was looked at for, when a push of it was decided, or when nothing needed to be done
though something could have been. As long as a push is under way, or nobody would do one, what moves waits for the next.
"""

from collections.abc import Collection, Iterable
from datetime import datetime

from msgspec import Struct

from gateway.domain.division import Situation, can_change
from gateway.domain.listings import Listing

# Of one SKU, between two pushes; what is older is told as one.
WAITING_MAX = 64
# Of one cause. A span has fewer links, and says how many it leaves out.
TRACEPARENTS_MAX = 128


class Cause(Struct, frozen=True, gc=False):
    """Movements: the newest one's revision, when the oldest was recorded, and the spans (W3C) that asked for them."""

    revision: int
    time: datetime
    traceparents: tuple[str, ...] = ()


class Causes:
    """What has moved and is not answered yet, by SKU."""

    def __init__(self) -> None:
        """Nothing has."""
        self._waiting: dict[str, list[Cause]] = {}
        self._answered: dict[int, int] = {}

    def add(self, sku: str, cause: Cause) -> None:
        """A SKU has moved."""
        waiting = self._waiting.setdefault(sku, [])
        waiting.append(cause)
        if len(waiting) > WAITING_MAX:
            waiting[:2] = [_joined(waiting[:2])]

    def of(self, listing: Listing) -> Cause | None:
        """What a push of this listing answers; None if nothing has moved."""
        answered = self._answered.get(listing.listing_id, 0)
        found = [
            cause for one in listing.components for cause in self._waiting.get(one.sku, ()) if cause.revision > answered
        ]
        return _joined(found) if found else None

    def settle(self, situation: Situation, planned: Collection[int]) -> None:
        """These listings have got a push; who needed none has answered as well."""
        answered: dict[str, int] = {}
        for listing in situation.listings:
            number = listing.listing_id
            is_free = listing.state.push is None and can_change(situation, listing)
            cause = self.of(listing) if number in planned or is_free else None
            if cause is not None:
                self._answered[number] = cause.revision
            for one in listing.components:
                least = self._answered.get(number, 0)
                answered[one.sku] = min(answered.get(one.sku, least), least)
        for sku, revision in answered.items():
            self._drop(sku, revision)
        for listing in situation.listings:
            if not any(one.sku in self._waiting for one in listing.components):
                self._answered.pop(listing.listing_id, None)

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


def _joined(causes: Iterable[Cause]) -> Cause:
    found = sorted(causes, key=lambda cause: cause.revision)
    traceparents = dict.fromkeys(one for cause in found for one in cause.traceparents)
    return Cause(found[-1].revision, min(cause.time for cause in found), tuple(traceparents)[-TRACEPARENTS_MAX:])
