"""What time brings beside tiers is told where its beginning was told."""

from datetime import timedelta

import pytest

from gateway.alerts.duties import arrivals, duties
from gateway.alerts.requests import AnnounceIncoming
from gateway.alerts.surroundings import Surroundings, read_surroundings
from gateway.domain.alerts import AckAction, EventKind, News, SilenceMatcher
from gateway.domain.demand import Prior, begin
from gateway.domain.stock import MovementKind
from gateway.domain.tiers import Standing, Tier
from gateway.domain.vigil import Key, Moved, Watched
from tests.alerts.counter import HOUR, OTHER, SKU, Counter, ack, hush, new_id

WARNED = Watched(begin(Prior(0.1), 0.0), Standing(Tier.THRESHOLD, episode=1))


async def read(counter: Counter) -> Surroundings:
    """What the engine goes by."""
    async with counter.database.transaction() as connection:
        return await read_surroundings(connection, [SKU, OTHER], await counter.now())


async def due(counter: Counter, after: timedelta, *warned: str) -> list[News]:
    """What is told so much later, while these SKUs are warned of."""
    around, now = await read(counter), await counter.now() + after
    found = list(duties({Key(sku): WARNED for sku in warned}, around, now))
    async with counter.database.transaction() as connection:
        told = [await duty.done(connection) for duty in found]
    return [one for one in told if one is not None]


async def test_the_end_of_a_silence_is_told_where_its_beginning_was(counter: Counter) -> None:
    """Who follows a SKU, a channel or a room hears both, or would show it silenced for ever."""
    session_id = await counter.open_session(SKU)
    await counter.desk.silence(hush(await counter.now(), matcher=SilenceMatcher(skus=(SKU,))))
    (begun,) = await counter.events(EventKind.SILENCED)
    (ended,) = await due(counter, 2 * HOUR)
    assert ended.kind is EventKind.SILENCE_ENDED
    assert (ended.sku, ended.channels, ended.session_ids) == (SKU, ("dy",), (session_id,))
    assert (ended.sku, ended.channels, ended.session_ids) == (begun.sku, begun.channels, begun.session_ids)
    assert await due(counter, 2 * HOUR) == []


async def test_late_units_are_told_where_they_were_announced(counter: Counter) -> None:
    """Who follows a channel or a room hears that they have not come."""
    asked = AnnounceIncoming(new_id(), SKU, 50, await counter.now() + HOUR, "li")
    await counter.rules.announce_incoming(asked)
    (begun,) = await counter.events(EventKind.INCOMING_ANNOUNCED)
    (late,) = await due(counter, 2 * HOUR)
    assert (late.kind, late.sku) == (EventKind.INCOMING_ENDED, SKU)
    assert (late.channels, late.session_ids) == (begun.channels, begun.session_ids) == (("dy",), ())


async def test_a_silence_until_it_is_resolved_lasts_as_long_as_what_it_is_about(counter: Counter) -> None:
    """While its SKU is warned of, and not because another is; one with an end alone lasts until then."""
    matcher = SilenceMatcher(skus=(SKU,))
    await counter.desk.silence(hush(await counter.now(), matcher=matcher, until_resolved=True))
    kept = (await counter.desk.silence(hush(await counter.now(), matcher=matcher))).silence
    assert await due(counter, timedelta(seconds=1), SKU) == []
    (ended,) = await due(counter, timedelta(seconds=1), OTHER)
    assert ended.kind is EventKind.SILENCE_ENDED
    assert (await counter.state()).silences == (kept,)


@pytest.mark.parametrize(
    ("action", "kind", "left"),
    [
        (AckAction.REPLENISH, MovementKind.RECEIVE, 300),
        (AckAction.REPLENISH, MovementKind.TRANSFER_IN, None),
        (AckAction.TRANSFER, MovementKind.TRANSFER_IN, 300),
    ],
)
async def test_a_transfer_is_not_what_was_ordered(
    counter: Counter, action: AckAction, kind: MovementKind, left: int | None
) -> None:
    """Two hundred from the near warehouse: what the supplier was asked for is still on its way, all of it."""
    await counter.stand(Tier.URGENT)
    asked = ack(action=action, quantity=500, arrive_time=await counter.now() + HOUR)
    await counter.desk.acknowledge(asked)
    around, now = await read(counter), await counter.now()
    came = Moved(9, now.timestamp(), kind, SKU, "main", 200, 200, 0, 240)
    assert [getattr(duty.news.body, "quantity", 0) for duty in arrivals([came], around, now).values()] == (
        [left] if left else []
    )
