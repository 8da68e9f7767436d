"""Sales that nobody has recorded: what the engine makes of them, whatever the seed.

The constants of the model were chosen on the days of two real shops; none of these has been seen by them. What is
asserted is what held for every one of a hundred seeds, with room.
"""

import random
from statistics import median

import pytest

from gateway.alerts.lookout import Lookout
from gateway.domain.curves import hour_curve
from gateway.domain.stock import MovementKind
from gateway.domain.tiers import Tier
from gateway.domain.vigil import Key, Moved
from tests.alerts.tapes import HOUR, MINUTE, SKU, START, Rate, Shop, Story, played, poisson

BRISK = 2.5 / MINUTE
SLOW = 2.0 / MINUTE
PLENTY = 1_000_000
# Lunch and evening, of a day whose mean is one.
_HOURS = [0.3] * 9 + [1.0, 1.0, 1.0, 2.2, 1.6, 1.0, 1.0, 1.0, 1.0, 1.0, 1.6, 2.6, 2.6, 1.0, 1.0]
HOURS = tuple(hour * 24 / sum(_HOURS) for hour in _HOURS)
SEEDS = [f"seed {number}" for number in range(12)]


def ones(rate: Rate, most: float, seconds: float, seed: str) -> list[tuple[float, int]]:
    """Orders of one unit."""
    return [(at, 1) for at in poisson(rate, most, seconds, seed)]


def lead(story: Story, lead_seconds: float, tier: Tier = Tier.THRESHOLD) -> float:
    """How many lead times before everything was gone the tier was told."""
    told = story.first(tier)
    assert story.sold_out is not None
    assert told is not None
    return (story.sold_out - told) / lead_seconds


async def test_a_steady_shop_is_left_in_peace() -> None:
    """A homogeneous Poisson process and plenty of units: nothing to warn of, and hardly an acceleration by chance."""
    raises = 0
    for seed in SEEDS[:8]:
        story = await played(Shop(BRISK, PLENTY), ones(lambda _: BRISK, BRISK, 4 * HOUR, seed), 4 * HOUR)
        assert story.first(Tier.THRESHOLD) is None
        raises += story.raises(Tier.TREND)
    assert raises / (8 * 4) <= 0.7


async def test_lunch_and_evening_are_no_surge() -> None:
    """What comes at the same hour every day is known from history."""
    raises, seconds, curve = 0, 14 * HOUR, hour_curve(HOURS)
    for seed in SEEDS[:4]:
        orders = ones(lambda at: BRISK * curve.factor(START + at), BRISK * max(HOURS) * 1.01, seconds, seed)
        story = await played(Shop(BRISK, PLENTY, hours=HOURS), orders, seconds)
        assert story.first(Tier.THRESHOLD) is None
        raises += story.raises(Tier.TREND)
    assert raises / (4 * 14) <= 0.7


async def test_a_flash_sale_is_seen_within_a_minute() -> None:
    """Twenty times the rate within thirty seconds: told at once, warned of and urgent before it is gone."""

    def rate(at: float) -> float:
        return SLOW * (1 + 19 * min(1.0, max(0.0, at - HOUR) / 30.0))

    leads = []
    for seed in SEEDS:
        orders = ones(rate, 20 * SLOW, 1.5 * HOUR, seed)
        story = await played(Shop(SLOW, 600, lead_seconds=180.0), orders, 1.5 * HOUR)
        # Who stands raised by chance when it begins has seen it at once.
        assert story.tier_at(HOUR + MINUTE) >= Tier.TREND
        assert lead(story, 1.0, Tier.URGENT) >= 5.0
        leads.append(lead(story, 180.0))
    assert min(leads) >= 0.6
    assert median(leads) >= 0.9


async def test_a_slow_ramp_is_warned_of_in_time() -> None:
    """Six times as fast within two hours, so slowly that no trend need be told: it is warned of all the same."""
    leads = []
    for seed in SEEDS:
        orders = ones(lambda at: (1 + 5 * min(1.0, at / (2 * HOUR))) / MINUTE, 6 / MINUTE, 4 * HOUR, seed)
        leads.append(lead(await played(Shop(1 / MINUTE, 400), orders, 4 * HOUR), 600.0))
    assert min(leads) >= 0.8
    assert 1.0 <= median(leads) <= 1.9


async def test_lots_of_twenty_are_reckoned_with() -> None:
    """One order in ten is of twenty units: it is warned of in time, for how many are asked for at a time is known."""
    leads = []
    for seed in SEEDS:
        chance = random.Random(f"{seed} lots")
        orders = [(at, 20 if chance.random() < 0.1 else 1) for at in poisson(lambda _: BRISK, BRISK, 4 * HOUR, seed)]
        shop = Shop(BRISK, 600, lot_mean=2.9, lot_square=40.9)
        leads.append(lead(await played(shop, orders, 4 * HOUR), 600.0))
    assert min(leads) >= 0.6
    assert median(leads) >= 1.3


async def test_unpaid_holds_do_not_make_a_warning_blink() -> None:
    """One order in seven is never paid, and its unit comes back: warned of once, in time."""
    for seed in SEEDS:
        orders = ones(lambda _: BRISK, BRISK, 4 * HOUR, seed)
        story = await played(Shop(BRISK, 250), orders, 4 * HOUR, unpaid_share=1 / 7, seed=seed)
        assert story.raises(Tier.THRESHOLD) == 1
        assert lead(story, 600.0) >= 1.0


@pytest.mark.parametrize("seed", SEEDS[:3])
async def test_a_dead_channel_resolves_nothing(seed: str) -> None:
    """Silence of a channel that is not heard is no good news; once it is heard again, silence is."""
    shop, units, silent = Shop(BRISK, 120), 120, 0.0
    lookout, alive = Lookout(0, START), shop.around()
    lookout.begin(Key(SKU), {"main": units}, alive, START)
    standing = lookout.entries[Key(SKU)].watched.standing
    for number, at in enumerate(poisson(lambda _: BRISK, BRISK, HOUR, seed), start=1):
        units -= 1
        order = Moved(number, START + at, MovementKind.RESERVE, SKU, "main", 1, 0, 1, units, number, "dy")
        await lookout.take([order], alive, START + at)
        standing, silent = lookout.entries[Key(SKU)].watched.standing, at
        if standing.tier >= Tier.THRESHOLD:
            break
    dead = shop.around(silent_since=silent)
    told = await lookout.tick(START + silent + HOUR, dead, START)
    assert [(change.before, change.after, change.is_stale) for _, change in told] == [
        (standing.tier, standing.tier, True)
    ]
    told = await lookout.tick(START + silent + HOUR + 5 * MINUTE, alive, START)
    assert (told[0][1].is_stale, told[-1][1].after) == (False, Tier.NORMAL)
