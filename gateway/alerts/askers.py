"""Who asked for what has moved: the spans of a SKU's last movements, until it is told of."""

from collections.abc import Collection, Iterable

from gateway import telemetry
from gateway.domain.vigil import Moved, Tempo
from gateway.telemetry import JOIN_SECONDS, Origin

TRACEPARENTS_PER_SKU_MAX = 4
SKUS_MAX = 1_000


class Askers:
    """Those of one merchant's SKUs, the ones that have moved last."""

    def __init__(self, tempo: Tempo) -> None:
        """Nobody has asked for anything."""
        self._join_seconds = JOIN_SECONDS * tempo.speed
        # Names (W3C), each with the time of its movement.
        self._of_sku: dict[str, tuple[tuple[str, float], ...]] = {}

    def note(self, batch: Iterable[Moved]) -> None:
        """These have moved."""
        for movement in batch:
            if movement.traceparent:
                asked = (*self._of_sku.pop(movement.sku, ()), (movement.traceparent, movement.time))
                self._of_sku[movement.sku] = asked[-TRACEPARENTS_PER_SKU_MAX:]
        while len(self._of_sku) > SKUS_MAX:
            del self._of_sku[next(iter(self._of_sku))]

    def take(self, skus: Collection[str], seconds: float) -> Origin:
        """What is told now of these SKUs was caused by whom? As of the time `seconds`; they are forgotten then.

        What was asked for longer ago is linked to, and no more: it need not be why something is told only now.
        """
        asked = [one for sku in skus for one in self._of_sku.pop(sku, ())]
        is_fresh = all(seconds - time < self._join_seconds for _, time in asked)
        return telemetry.origin_of([traceparent for traceparent, _ in asked], is_fresh=is_fresh)
