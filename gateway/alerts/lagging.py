"""Who could not keep up: counted, remembered until he is in step again, and noted for the log."""

import logging
from collections import Counter

from gateway import metrics
from gateway.alerts.subscriber import Subscriber
from gateway.domain.alerts import SubscriberState

log = logging.getLogger(__name__)

CUT_OFF, COALESCED = "CUT_OFF", "COALESCED"
# Of more than so many at a time nobody could read.
NOTES_MAX = 1_000


class LagBook:
    """What has become of slow readers since the gateway started."""

    def __init__(self, merchant: str) -> None:
        """Nobody was slow yet."""
        self._merchant = merchant
        # By trouble; and the trouble by the subscriber's name.
        self.counts: Counter[str] = Counter()
        self.troubles: dict[str, str] = {}
        self._notes: list[SubscriberState] = []

    def note(self, subscriber: Subscriber, trouble: str, *, head: int, streams: int) -> None:
        """Somebody was cut off, or has passed over something."""
        revision = subscriber.resume_revision
        lag = max(0, head - revision)
        told = {"merchant": self._merchant, "subscriber_id": subscriber.name, "trouble": trouble, "lag": lag}
        log.warning("a reader of alerts does not keep up", extra=told)
        self.counts[trouble] += 1
        if trouble == COALESCED:
            metrics.streams_coalesced.add(1, {"merchant": self._merchant})
        if subscriber.name and (subscriber.name in self.troubles or len(self.troubles) < NOTES_MAX):
            self.troubles[subscriber.name] = trouble
        state = SubscriberState(subscriber.name, revision, streams=streams, trouble=trouble, lag=lag)
        self.keep([*self.take(), state])

    def in_step(self, subscriber: Subscriber) -> None:
        """The reader has met the hub."""
        self.troubles.pop(subscriber.name, None)

    def take(self) -> list[SubscriberState]:
        """What happened since this was asked last."""
        notes, self._notes = self._notes, []
        return notes

    def keep(self, notes: list[SubscriberState]) -> None:
        """Have these back: they could not be written down."""
        self._notes = (notes + self._notes)[-NOTES_MAX:]
