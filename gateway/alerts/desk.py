"""Use cases of the desk: what people do about warnings (R44).

Where a warning stands is asked behind the log's lock, under which the engine writes it: what is acknowledged is what
is.
"""

from datetime import datetime, timedelta
from typing import Any

from msgspec.structs import replace

from gateway import metrics
from gateway.alerts import requests as asked_for
from gateway.alerts.answering import announce, news, once, read_places, require_future, require_skus, silence_news
from gateway.alerts.requests import (
    Acknowledged,
    Silenced,
    SilenceEnded,
    StepCompleted,
)
from gateway.alerts.rules import Rules
from gateway.domain.alerts import (
    AckAction,
    Acknowledgement,
    Event,
    EventKind,
    IncomingUnits,
    Silence,
    SilenceMatcher,
    StepDone,
)
from gateway.domain.attention import SILENCE_MAX, ack_end, require_first, require_open
from gateway.domain.errors import (
    ChannelUnknown,
    DrillUnknown,
    EpisodeOver,
    InvalidArgument,
    SessionOver,
    SessionUnknown,
    SilenceUnknown,
)
from gateway.domain.tiers import Standing, Tier
from gateway.store import desk as store
from gateway.store.alert_log import Appending, last_told
from gateway.store.database import MerchantDatabase, ReadConnection
from gateway.store.desk import HeldAcknowledgement, Places
from gateway.store.shops import known_channels
from gateway.store.standings import read_standing

# These bring units, which enter the forecast.
SUPPLYING = frozenset((AckAction.REPLENISH, AckAction.TRANSFER))
# A silence may be laid down so long before it begins.
AHEAD_MAX = timedelta(days=30)


class Desk:
    """What people do about one merchant's warnings."""

    def __init__(self, database: MerchantDatabase) -> None:
        """Use the merchant's store."""
        self._database = database
        self.rules = Rules(database)

    # ---- about warnings

    async def acknowledge(self, asked: asked_for.Acknowledge) -> Acknowledged:
        """Take a warning on; the tier recorded is the one that is, which may be lower than the one that was meant.

        Raises `SkuUnknown`, `SessionUnknown`, `SessionOver`, `DrillUnknown`, `EpisodeOver`, `TierChanged`,
        `AlreadyAcknowledged`, `InvalidArgument` (an arrival that is past).
        """

        async def act(connection: ReadConnection, appending: Appending) -> Acknowledged:
            standing, places = await _stand(connection, asked, must_be_open=True)
            standing = require_open(standing, episode=asked.episode, tier=asked.tier)
            require_first(await _held(connection, appending, asked, standing, places))
            require_future(asked.arrive_time, appending.now)
            acknowledgement = Acknowledgement(
                standing.tier,
                asked.actor,
                appending.now,
                asked.action,
                appending.next_revision,
                asked.quantity,
                asked.arrive_time,
                asked.note,
            )
            held = HeldAcknowledgement(asked.sku, asked.session_id, asked.episode, asked.drill_id, acknowledgement)
            await store.add_acknowledgement(connection, held)
            told = news(EventKind.ACKNOWLEDGED, acknowledgement, places, appending.now, **_key(asked))
            (event,) = await appending.append([told], changes_settings=True)
            await self._measure(connection, event, standing.tier)
            if asked.action in SUPPLYING and not asked.drill_id:
                assert asked.arrive_time is not None
                reference = f"acknowledgement {event.revision}"
                units = IncomingUnits(asked.sku, asked.quantity, asked.arrive_time, asked.actor, 0, reference)
                units = replace(units, is_ordered=asked.action is AckAction.REPLENISH)
                await announce(connection, appending, units, places)
            return Acknowledged(acknowledgement, event.revision)

        return await once(self._database, "Acknowledge", asked, Acknowledged, act)

    async def _measure(self, connection: ReadConnection, acknowledged: Event, tier: Tier) -> None:
        """How long people took since the warning was told."""
        told = None if acknowledged.drill_id else await last_told(connection, acknowledged)
        if told is not None:
            labels = {"merchant": self._database.merchant, "tier": tier.name}
            metrics.ack_latency.record(max(0.0, (acknowledged.record_time - told).total_seconds()), labels)

    async def complete_step(self, asked: asked_for.CompleteStep) -> StepCompleted:
        """Tick a step of a runbook; also in a lull, as long as no new episode has begun.

        Raises `SkuUnknown`, `SessionUnknown`, `DrillUnknown`, `EpisodeOver`, `InvalidArgument` (there is no such step).
        """

        async def act(connection: ReadConnection, appending: Appending) -> StepCompleted:
            standing, places = await _stand(connection, asked, must_be_open=False)
            if standing is None or standing.episode != asked.episode:
                raise EpisodeOver(
                    f"episode {asked.episode} is over, or never was",
                    field="episode",
                    episode=0 if standing is None else standing.episode,
                )
            steps = (await store.read_runbooks(connection))[asked.tier].steps
            if asked.step >= len(steps):
                raise InvalidArgument(
                    f"step is {asked.step}; the runbook of {asked.tier.name} has {len(steps)}, counted from 0",
                    field="step",
                )
            done = StepDone(asked.tier, asked.step, steps[asked.step].text, asked.actor)
            told = news(EventKind.STEP_DONE, done, places, appending.now, **_key(asked))
            (event,) = await appending.append([told])
            return StepCompleted(event.revision)

        return await once(self._database, "CompleteStep", asked, StepCompleted, act)

    # ---- silences

    async def silence(self, asked: asked_for.BeginSilence) -> Silenced:
        """Keep people from being notified.

        Raises `SkuUnknown`, `ChannelUnknown`, `SessionUnknown`, `InvalidArgument` (too long, over, too far ahead).
        """

        async def act(connection: ReadConnection, appending: Appending) -> Silenced:
            await _require_known(connection, asked.matcher)
            start = asked.start_time or appending.now
            _require_span(start, asked.end_time, appending.now)
            silence = Silence(
                asked.matcher,
                start,
                asked.end_time,
                asked.actor,
                asked.comment,
                appending.next_revision,
                asked.until_resolved,
                asked.max_tier,
            )
            await store.add_silence(connection, silence)
            told = await silence_news(connection, EventKind.SILENCED, silence, appending.now)
            await appending.append([told], changes_settings=True)
            return Silenced(silence, await store.count_silenced(connection, silence.matcher, silence.max_tier))

        return await once(self._database, "Silence", asked, Silenced, act)

    async def end_silence(self, asked: asked_for.EndSilence) -> SilenceEnded:
        """Let people be notified again; of one that is over the record as it is. Raises `SilenceUnknown`."""

        async def act(connection: ReadConnection, appending: Appending) -> SilenceEnded:
            known = await store.read_silence(connection, asked.silence_id)
            if known is None:
                raise SilenceUnknown(f"no silence has the number {asked.silence_id}", field="silence_id")
            ended = await store.end_silence(connection, asked.silence_id, appending.now)
            if ended is None:
                return SilenceEnded(known)
            told = await silence_news(connection, EventKind.SILENCE_ENDED, ended, appending.now)
            await appending.append([told], changes_settings=True)
            return SilenceEnded(ended)

        return await once(self._database, "EndSilence", asked, SilenceEnded, act)

    async def list_silences(self, *, include_ended: bool, before: int, count_max: int) -> list[Silence]:
        """Up to `count_max` silences with a number below `before`, newest first."""
        async with self._database.transaction() as connection:
            return await store.list_silences(
                connection, now=self._database.now, include_ended=include_ended, before=before, count_max=count_max
            )


# ---- where it stands


async def _stand(
    connection: ReadConnection, asked: asked_for.Acknowledge | asked_for.CompleteStep, *, must_be_open: bool
) -> tuple[Standing | None, Places]:
    """Where the key that is meant stands, and where its SKU is sold."""
    if asked.drill_id:
        return await _drill_stand(connection, asked.drill_id, asked.sku)
    places = await read_places(connection, asked.sku, "sku")
    if asked.session_id and asked.session_id not in places.session_ids:
        is_open = await _is_open_session(connection, asked.session_id)
        if must_be_open and not is_open:
            raise SessionOver(f"session {asked.session_id} is closed, and its warnings with it", field="session_id")
        # It sells the SKU no more, so nobody watches that key.
        if must_be_open:
            return None, places
    watched = await read_standing(connection, asked.sku, asked.session_id)
    return (None if watched is None else watched.standing), places


async def _drill_stand(connection: ReadConnection, drill_id: int, sku: str) -> tuple[Standing | None, Places]:
    """As the log has told of it: whichever gateway plays the drill, that is what people have seen."""
    if not await store.is_running_drill(connection, drill_id):
        raise DrillUnknown(f"no drill with the number {drill_id} runs", field="drill_id")
    told = await store.read_drill_stand(connection, drill_id, sku)
    return (None, Places()) if told is None else (told.standing, told.places)


# ---- what is told


def _key(asked: asked_for.Acknowledge | asked_for.CompleteStep) -> dict[str, Any]:
    return {
        "sku": asked.sku,
        "session_id": asked.session_id,
        "episode": asked.episode,
        "drill_id": asked.drill_id,
    }


async def _held(
    connection: ReadConnection,
    appending: Appending,
    asked: asked_for.Acknowledge,
    standing: Standing,
    places: Places,
) -> Acknowledgement | None:
    """The acknowledgement of the key that holds; one that does not any more, and nobody has said so yet, is ended."""
    held = await store.read_held(connection, asked.sku, asked.session_id, asked.drill_id)
    if held is None:
        return None
    is_same_episode = held.episode == standing.episode
    now = appending.now
    reason = ack_end(held.acknowledgement, is_same_episode=is_same_episode, tier=standing.tier, now=now)
    if not reason:
        return held.acknowledgement
    number = held.acknowledgement.acknowledgement_id
    ended = await store.end_acknowledgement(connection, number, now, reason)
    assert ended is not None
    about = _key(asked) | {"episode": held.episode}
    await appending.append([news(EventKind.ACKNOWLEDGEMENT_ENDED, ended, places, now, **about)])
    return None


# ---- what is refused


def _require_span(start: datetime, end: datetime, now: datetime) -> None:
    if end <= max(start, now):
        raise InvalidArgument("end_time is past, or not after the start", field="end_time")
    if end - start > SILENCE_MAX:
        hours = int(SILENCE_MAX.total_seconds() // 3_600)
        raise InvalidArgument(f"end_time is more than {hours} hours after the start", field="end_time")
    if start - now > AHEAD_MAX:
        raise InvalidArgument(f"start_time is more than {AHEAD_MAX.days} days ahead", field="start_time")


async def _require_known(connection: ReadConnection, matcher: SilenceMatcher) -> None:
    """Raise `SkuUnknown`, `ChannelUnknown` or `SessionUnknown` if the matcher names what is not there."""
    await require_skus(connection, {sku: f"matcher.skus[{place}]" for place, sku in enumerate(matcher.skus)})
    channels = await known_channels(connection, matcher.channels)
    for place, code in enumerate(matcher.channels):
        if code not in channels:
            field = f"matcher.channels[{place}]"
            raise ChannelUnknown(f"no channel has the code {code!r}", field=field, channel=code)
    sessions = await store.read_sessions(connection, matcher.session_ids)
    for place, number in enumerate(matcher.session_ids):
        if number not in sessions:
            raise _session_unknown(number, f"matcher.session_ids[{place}]")


async def _is_open_session(connection: ReadConnection, session_id: int) -> bool:
    found = await store.read_sessions(connection, [session_id])
    if session_id not in found:
        raise _session_unknown(session_id, "session_id")
    return found[session_id]


def _session_unknown(session_id: int, field: str) -> SessionUnknown:
    return SessionUnknown(f"no session has the number {session_id}", field=field, session_id=session_id)
