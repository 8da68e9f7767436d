"""In any weather: what the connector books is never less than what the platform still sells."""

import random
from dataclasses import replace

import pytest

from connectors.base import Applied, BelowZeroRule, Change, ListingKey
from connectors.douyin.codes import Refused
from connectors.errors import BelowZero, ConnectorError, OutcomeUnknown, Transient
from connectors.sandbox.douyin import DouyinSettings
from connectors.sandbox.shop import SoldOut
from tests.connectors.douyin.rig import BOWL, CUP, PLATE, SEED, STILL, Rig, rigged

STEPS = 15
STORMY = replace(
    STILL, lose_request=0.05, lose_answer=0.1, error_before=0.15, error_after=0.15, bad_gateway=0.05, apply_late=0.0
)


@pytest.mark.parametrize("below_zero", list(BelowZeroRule))
async def test_the_books_cover_the_shelf_in_any_weather(below_zero: BelowZeroRule) -> None:
    """Changes, alone and many at once, are repeated until they are settled, while buyers buy.

    Then every shelf shows at most what was booked for it, and exactly that if the platform said of each change what it
    did.
    """
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    async with rigged(DouyinSettings(below_zero=below_zero), deadline_seconds=0.05, tries_max=1) as rig:
        rig.transport.breaker._failures_max = 10**9
        booked = {key: display.shown for key, display in rig.shop.displays.items()}
        unsaid: set[ListingKey] = set()
        for step in range(STEPS):
            keys = chance.sample([CUP, PLATE, BOWL], chance.randint(1, 3))
            changes = [Change(key, chance.randint(-12, 9), f"{step}-{n}") for n, key in enumerate(keys)]
            rig.faults.weather = STORMY
            results = await settled(rig, changes, chance)
            for change, result in zip(changes, results, strict=True):
                if isinstance(result, Applied) and result.units is not None:
                    booked[change.key] += result.units
                elif isinstance(result, Applied):
                    unsaid.add(change.key)
                else:
                    assert isinstance(result, BelowZero | Refused | Transient), result
            booked = {key: units - sold(rig, key, chance.randint(0, 3)) for key, units in booked.items()}
            for key, units in booked.items():
                assert rig.shown(key) <= units, (step, key)
                assert key in unsaid or rig.shown(key) == units, (step, key)
        assert unsaid, "no answer was lost: this test would prove little"


async def settled(rig: Rig, changes: list[Change], chance: random.Random) -> list[Applied | ConnectorError]:
    """Repeat what is unknown, one by one or together, until nothing is."""
    results = dict(zip(changes, await rig.douyin.change_many(changes), strict=True))
    for _ in range(50):
        unknown = [change for change, result in results.items() if isinstance(result, OutcomeUnknown)]
        if not unknown:
            return [results[change] for change in changes]
        again = unknown if chance.random() < 0.5 else chance.sample(unknown, 1)
        results |= dict(zip(again, await rig.douyin.change_many(again), strict=True))
    raise AssertionError("the weather never settled")


def sold(rig: Rig, key: ListingKey, quantity: int) -> int:
    """What a buyer gets who wants so many."""
    try:
        rig.shop.place({key: quantity})
    except SoldOut:
        return 0
    return quantity
