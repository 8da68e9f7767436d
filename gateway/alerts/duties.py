"""What time brings beside tiers: nobody has answered, an acknowledgement has run out, units are late.

Each duty is an event and what is written with it, in the engine's own transaction.
"""

from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping
from datetime import datetime
from typing import NamedTuple

from msgspec.structs import replace

from gateway.alerts.answering import silence_news
from gateway.alerts.surroundings import Surroundings
from gateway.domain.alerts import EventKind, IncomingUnits, News, Silence
from gateway.domain.attention import ack_end, escalation_due, rungs_told, silence_end
from gateway.domain.stock import MovementKind
from gateway.domain.tiers import Tier
from gateway.domain.vigil import Key, Moved, Watched
from gateway.store import desk as store
from gateway.store.database import ReadConnection

# Writes, and returns what there is to tell then; None: a person was faster.
Write = Callable[[ReadConnection], Awaitable[News | None]]


class Duty(NamedTuple):
    """An event, what is written with it, and the key that has been escalated by it, with the rungs told since."""

    news: News
    write: Write | None = None
    escalates: Key | None = None
    rungs: int = 0

    async def done(self, connection: ReadConnection) -> News | None:
        """Write what is to be written; what there is to tell, None if there is nothing any more."""
        return self.news if self.write is None else await self.write(connection)


def duties(
    watched: Mapping[Key, Watched], surroundings: Surroundings, now: datetime, without: Collection[int] = ()
) -> Iterator[Duty]:
    """Everything that is due; of incoming units all but those of these numbers."""
    yield from _acknowledgements(watched, surroundings, now)
    yield from _escalations(watched, surroundings, now)
    yield from _silences(watched, surroundings, now)
    for each in surroundings.desk.incoming:
        if each.arrive_time <= now and each.incoming_id not in without:
            yield _arrival(each, each.quantity, "LATE", now)


def arrivals(came: Iterable[Moved], surroundings: Surroundings, now: datetime) -> dict[int, Duty]:
    """Units that have come are those that were announced for the soonest, and before they came.

    What is moved from another place is not what a supplier was asked for.
    """
    left = {each.incoming_id: each.quantity for each in surroundings.desk.incoming}
    for movement in came:
        units, at = movement.on_hand_change, surroundings.tempo.time(movement.time)
        for each in surroundings.desk.incoming:
            if each.sku != movement.sku or (each.is_ordered and movement.kind is MovementKind.TRANSFER_IN):
                continue
            if each.announce_time is None or each.announce_time <= at:
                taken = min(units, left[each.incoming_id])
                left[each.incoming_id] -= taken
                units -= taken
    return {
        each.incoming_id: _arrival(each, left[each.incoming_id], "ARRIVED", now)
        for each in surroundings.desk.incoming
        if left[each.incoming_id] < each.quantity
    }


def _arrival(each: IncomingUnits, quantity_left: int, reason: str, now: datetime) -> Duty:
    """Announced units have arrived (in part, if any are left), or have not."""
    ended = replace(each, quantity=quantity_left, end_reason=reason if reason == "LATE" or not quantity_left else "")

    told = News(kind=EventKind.INCOMING_ENDED, body=ended, sku=each.sku, observe_time=now)

    async def write(connection: ReadConnection) -> News | None:
        if await store.end_incoming(connection, each.incoming_id, quantity_left, ended.end_reason, now) is None:
            return None
        places = await store.read_places(connection, each.sku)
        return replace(told, channels=places.channels, session_ids=places.session_ids)

    return Duty(told, write)


def _acknowledgements(watched: Mapping[Key, Watched], surroundings: Surroundings, now: datetime) -> Iterator[Duty]:
    for held in surroundings.desk.acknowledgements:
        if held.drill_id:
            continue
        found = watched.get(Key(held.sku, held.session_id))
        tier = found.standing.tier if found else Tier.NORMAL
        is_same = found is not None and found.standing.episode == held.episode and tier is not Tier.NORMAL
        reason = ack_end(held.acknowledgement, is_same_episode=is_same, tier=tier, now=now)
        if not reason:
            continue
        ended = replace(held.acknowledgement, end_time=now, end_reason=reason)

        about = _about(surroundings, Key(held.sku, held.session_id), held.episode, tier, now)
        told = replace(about, kind=EventKind.ACKNOWLEDGEMENT_ENDED, body=ended)

        async def write(
            connection: ReadConnection,
            number: int = ended.acknowledgement_id,
            reason: str = reason,
            told: News = told,
        ) -> News | None:
            is_ended = await store.end_acknowledgement(connection, number, now, reason) is not None
            return told if is_ended else None

        yield Duty(told, write)


def _escalations(watched: Mapping[Key, Watched], surroundings: Surroundings, now: datetime) -> Iterator[Duty]:
    held = {(ack.sku, ack.session_id) for ack in surroundings.desk.acknowledgements if not ack.drill_id}
    for key, one in watched.items():
        if one.standing.tier is not Tier.URGENT:
            continue
        due = escalation_due(
            tier=one.standing.tier,
            since=surroundings.tempo.time(one.standing.since),
            told=one.told,
            is_acknowledged=key in held,
            now=now,
        )
        if due is not None:
            about = _about(surroundings, key, one.standing.episode, one.standing.tier, now)
            yield Duty(replace(about, kind=EventKind.ESCALATED, body=due), None, key, rungs_told(due))


def _silences(watched: Mapping[Key, Watched], surroundings: Surroundings, now: datetime) -> Iterator[Duty]:
    warned = {key.sku for key, one in watched.items() if one.standing.tier is not Tier.NORMAL}
    for silence in surroundings.desk.silences:
        # Only that of one that ends with its warnings depends on any.
        is_needed = silence.until_resolved and any(surroundings.matches(silence.matcher, sku) for sku in warned)
        if not silence_end(silence, matches_any_warning=is_needed, now=now):
            continue
        ended = replace(silence, ended_time=now)

        async def write(connection: ReadConnection, ended: Silence = ended) -> News | None:
            if await store.end_silence(connection, ended.silence_id, now) is None:
                return None
            return await silence_news(connection, EventKind.SILENCE_ENDED, ended, now)

        yield Duty(News(kind=EventKind.SILENCE_ENDED, body=ended, observe_time=now), write)


def _about(surroundings: Surroundings, key: Key, episode: int, tier: Tier, now: datetime) -> News:
    is_known = surroundings.knows(key.sku)
    return News(
        kind=EventKind.ESCALATED,
        sku=key.sku,
        session_id=key.session_id,
        episode=episode,
        channels=surroundings.channels_of(key.sku) if is_known else (),
        session_ids=surroundings.sessions_of(key.sku),
        silenced_by=surroundings.silences_of(key.sku, tier, now) if is_known else (),
        observe_time=now,
    )
