"""How what the engine has found becomes events of the alert log."""

from collections.abc import Sequence
from datetime import timedelta

from msgspec.structs import replace
from opentelemetry import trace

from gateway.alerts.lookout import Lookout, Told
from gateway.alerts.surroundings import Surroundings
from gateway.domain.alerts import Event, EventKind, News, TierTold

# What a tier change says is not to be spoken after so long.
SPOKEN_FOR = timedelta(seconds=30)
# A span names so many SKUs.
SKUS_TOLD_MAX = 20


def news_of(lookout: Lookout, surroundings: Surroundings, told: Told) -> News:
    """A change of tier, with all that people are told of it."""
    key, change = told
    tempo = surroundings.tempo
    at = tempo.time(change.time)
    return News(
        kind=EventKind.TIER_CHANGE,
        sku=key.sku,
        session_id=key.session_id,
        episode=change.episode,
        channels=surroundings.channels_of(key.sku),
        session_ids=surroundings.sessions_of(key.sku),
        silenced_by=surroundings.silences_of(key.sku, max(change.before, change.after), at),
        observe_time=at,
        expire_time=at + SPOKEN_FOR,
        body=TierTold(
            change.before,
            change.after,
            replace(change.evidence, onset_time=tempo.time(change.evidence.onset_time).timestamp()),
            change.stock_out,
            change.is_stale,
            change.is_flapping,
            change.reopened,
            change.pages,
            surroundings.runbook(change.after),
            lookout.entries[key].journal_revision,
        ),
    )


def say(events: Sequence[Event]) -> None:
    """Tell the current span which events these are."""
    span = trace.get_current_span()
    if events and span.is_recording():
        span.set_attribute("stockgate.alert_revision", events[-1].revision)
        span.set_attribute("stockgate.alert_revision.first", events[0].revision)
        tiers = [event.body.after.name for event in events if isinstance(event.body, TierTold)]
        span.set_attribute("stockgate.alert.tiers", tiers[:SKUS_TOLD_MAX])
