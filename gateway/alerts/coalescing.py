"""What a reader who passes over the past must hear of it all the same.

The latest of each thing (a SKU's tier, a session, a proposal ...), and besides, in order: every escalation to URGENT or
SOLD_OUT, every call for more people, every acknowledgement.
"""

from collections.abc import Hashable

from gateway.alerts.subscriber import Entry
from gateway.domain.alerts import (
    Acknowledgement,
    AlertPolicy,
    Event,
    EventKind,
    IncomingUnits,
    Proposal,
    Session,
    Silence,
    SubscriberState,
    TierTold,
)
from gateway.domain.tiers import Tier

_NEVER_PASSED_OVER = {EventKind.ACKNOWLEDGED, EventKind.ACKNOWLEDGEMENT_ENDED, EventKind.ESCALATED}


class Remnant:
    """What is left of a stretch of the log."""

    def __init__(self) -> None:
        """Nothing yet."""
        self._latest: dict[Hashable, Entry] = {}
        self._all: list[Entry] = []

    def add(self, entry: Entry) -> None:
        """One more event, in order."""
        if must_be_heard(entry.event):
            self._all.append(entry)
        else:
            self._latest[_thing_of(entry.event)] = entry
            return
        # What was kept before of the same thing is older.
        self._latest.pop(_thing_of(entry.event), None)

    def entries(self) -> list[Entry]:
        """What is to be heard, by revision."""
        return sorted([*self._all, *self._latest.values()], key=lambda entry: entry.revision)


def must_be_heard(event: Event) -> bool:
    """True for what is never passed over."""
    if event.kind in _NEVER_PASSED_OVER:
        return True
    body = event.body
    return isinstance(body, TierTold) and body.after > body.before and body.after >= Tier.URGENT


def _thing_of(event: Event) -> Hashable:
    """What the event says the state of; a later event about the same makes it old."""
    about = (type(event.body), event.drill_id, event.sku, event.session_id)
    match event.body:
        case Proposal(proposal_id=number) | Silence(silence_id=number) | IncomingUnits(incoming_id=number):
            return (*about, number)
        case Acknowledgement(acknowledgement_id=number) | Session(session_id=number):
            return (*about, number)
        case AlertPolicy(sku=sku):
            return (*about, sku)
        case SubscriberState(subscriber_id=name):
            return (*about, name)
    return (*about, event.kind)
