"""What rooms will be short of, and what could be had instead: read for the proposals."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from math import ceil

from gateway.alerts.tiers import KeyState
from gateway.domain.alerts import Session
from gateway.domain.chances import units_reached
from gateway.domain.demand import forecast
from gateway.domain.proposals import HORIZON_MINUTES, Alternative, Need
from gateway.domain.stock import Level
from gateway.domain.vigil import OVERTIME_SECONDS, Key, Tempo
from gateway.store import catalog, live
from gateway.store.catalog import Sku
from gateway.store.database import ReadConnection
from gateway.store.proposals import read_levels, read_listed

# What is brought suffices but one time in ten. The mean alone would be too little every other time, and asked for in
# drips; of a few orders at once, of which nobody knows what will follow, it may be the higher of the two.
SHORT_CHANCE = 0.1


def session_of(key: Key, sessions: Iterable[Session]) -> Session | None:
    """The session a warning is for: the one whose own units it is about, else the newest that sells the SKU."""
    of_it = [
        one
        for one in sessions
        if one.session_id == key.session_id or (not key.session_id and any(sold.sku == key.sku for sold in one.skus))
    ]
    return max(of_it, key=lambda one: one.session_id, default=None)


async def read_needs(
    connection: ReadConnection,
    warned: Mapping[Key, KeyState],
    rooms: Mapping[Key, Session | None],
    now: datetime,
    tempo: Tempo,
) -> dict[Key, Need]:
    """What each of these keys is short of, if its SKU is sold at all and not frozen; minutes are those of `tempo`."""
    facts = await catalog.read_skus(connection, {key.sku for key in warned})
    facts |= await catalog.read_skus(connection, {code for sku in facts.values() for code in sku.substitutes})
    levels = await read_levels(connection, facts)
    listed = await read_listed(connection, {code for sku in facts.values() for code in sku.substitutes})
    needs = {}
    served: dict[tuple[str, ...], tuple[str, ...]] = {}
    for key, state in warned.items():
        sku, room = facts.get(key.sku), rooms[key]
        channels = state.channels if room is None else room.channels
        if sku is None or sku.frozen or not channels:
            continue
        if channels not in served:
            served[channels] = await live.serving_locations(connection, channels)
        needs[key] = _need(key, state, room, facts, levels, listed, served[channels], now, tempo)
    return needs


def _need(
    key: Key,
    state: KeyState,
    room: Session | None,
    facts: Mapping[str, Sku],
    levels: Mapping[tuple[str, str], Level],
    listed: Collection[tuple[str, str]],
    serving: tuple[str, ...],
    now: datetime,
    tempo: Tempo,
) -> Need:
    here = {at: level for (sku, at), level in levels.items() if sku == key.sku}
    own = bool(key.session_id)
    there = sum(here[at].available for at in serving if at in here)
    units = state.evidence.sellable if own else there
    seconds = seconds_left(room, now, tempo)
    expected = forecast(state.watched.pace, tempo.seconds(now), seconds, state.circumstances.curve)
    return Need(
        key.sku,
        facts[key.sku].title,
        state.tier,
        units,
        state.evidence.fast_rate,
        seconds / 60,
        max(ceil(expected.mean), units_reached(expected, SHORT_CHANCE)),
        0 if room is None else room.session_id,
        serving[0] if serving else "",
        {at: max(0, level.unallocated) for at, level in here.items() if at not in serving},
        own,
        max(0, there - units) if own else 0,
        tuple(_alternatives(facts[key.sku], room, facts, levels, listed, serving)),
    )


def seconds_left(room: Session | None, now: datetime, tempo: Tempo) -> float:
    """To the end of the session, in the time in which rates are counted."""
    if room is None or room.is_forgotten(now):
        return HORIZON_MINUTES * 60
    return max(OVERTIME_SECONDS, tempo.seconds(room.planned_end_time) - tempo.seconds(now))


def _alternatives(
    sku: Sku,
    room: Session | None,
    facts: Mapping[str, Sku],
    levels: Mapping[tuple[str, str], Level],
    listed: Collection[tuple[str, str]],
    serving: Collection[str],
) -> Iterable[Alternative]:
    """The substitutes that the room does not sell, and could: its channels have them."""
    if room is None:
        return
    sold = {one.sku for one in room.skus}
    for code in sku.substitutes:
        is_listed = any((channel, code) in listed for channel in room.channels)
        if code in facts and code not in sold and is_listed and not facts[code].frozen:
            units = sum(level.available for (each, at), level in levels.items() if each == code and at in serving)
            yield Alternative(code, facts[code].title, units)
