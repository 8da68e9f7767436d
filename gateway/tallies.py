"""What groups have saved is counted here, once it is on disk: shortfalls, drifts, confirmed pushes."""

from collections import deque
from collections.abc import Sequence

from gateway import metrics
from gateway.domain.changes import Changes
from gateway.domain.listings import PushResult
from gateway.domain.selling import Drift, PushRecord
from gateway.domain.stock import Shortfall

# Confirmed pushes that wait for their lag to be looked up; more in five seconds no platform allows.
CONFIRMED_MAX = 50_000


class Tallies:
    """One merchant's, in this gateway."""

    def __init__(self, merchant: str) -> None:
        """Have counted nothing."""
        self._merchant = merchant
        self._confirmed: deque[int] = deque(maxlen=CONFIRMED_MAX)

    def saved(self, changes: Changes) -> None:
        """Count what a group has saved. Most have nothing for us."""
        if changes.shortfalls:
            self._count_shortfalls(changes)
        if changes.drifts:
            self._count_drifts(changes.drifts)
        if changes.pushes:
            self._note_confirmed(changes.pushes)

    def take_confirmed(self) -> list[int]:
        """The pushes that platforms have confirmed since this was asked last."""
        confirmed = list(self._confirmed)
        self._confirmed.clear()
        return confirmed

    def put_back(self, confirmed: Sequence[int]) -> None:
        """These could not be looked up: they are to be taken again."""
        self._confirmed.extendleft(reversed(confirmed))

    def _count_shortfalls(self, changes: Changes) -> None:
        for shortfall in changes.shortfalls:
            labels = {
                "merchant": self._merchant,
                "channel": _channel(shortfall, changes),
                "cause": shortfall.cause.name,
            }
            metrics.shortfall_units.add(shortfall.quantity, labels)

    def _count_drifts(self, drifts: Sequence[Drift]) -> None:
        for drift in drifts:
            off = max(drift.exposure_least - drift.exposure_before, drift.exposure_before - drift.exposure_most, 0)
            metrics.drift_units.record(off, {"merchant": self._merchant, "channel": drift.channel})

    def _note_confirmed(self, pushes: Sequence[PushRecord]) -> None:
        self._confirmed.extend(push.push_id for push in pushes if _is_confirmed(push))


def _channel(shortfall: Shortfall, changes: Changes) -> str:
    """Who sold it: the channel of its order, or the only one of whose listings a group has found it; else empty."""
    # As `domain/orders.py` calls the orders of platforms.
    found = {channel for channel, order_id in changes.orders if f"{channel}/{order_id}" == shortfall.order_id}
    if not shortfall.order_id:
        found = {
            listing.channel
            for listing in changes.listings.values()
            if any(component.sku == shortfall.sku for component in listing.components)
        }
    return found.pop() if len(found) == 1 else ""


def _is_confirmed(push: PushRecord) -> bool:
    """True if the platform shows what was asked for, or has said how much of it it can."""
    return push.result is PushResult.APPLIED or (push.result is PushResult.READ_BACK and (push.applied or 0) > 0)
