"""The promise (R20): whatever platforms, people and networks do, nothing is sold that is not there.

Worlds are made from seeds; a failing test prints its own, and `World(seed, ...)` plays it again.
"""

import random

import pytest

from tests.selling.platforms import CALM, HARSH, Nature
from tests.selling.scenarios import BAD, HAND_EDITED, random_temper, scenario
from tests.selling.world import World

SEEDS = range(8)


def require_exact(world: World) -> None:
    """Nobody was owed what is not there, at no moment could it have been, and the ledger knows what was sold."""
    context = f"seed {world.seed}, {world.units} units, {world.nature}"
    assert world.oversold <= 0, context
    assert world.could_oversell <= 0, context
    assert not world.ledger.shortfalls, context
    require_adds_up(world)


def require_adds_up(world: World) -> None:
    """Levels expose what listings may sell, and hold or have sold what buyers are owed."""
    for sku, owed in world.owed.items():
        levels = [level for level in world.ledger.levels.values() if level.sku == sku]
        exposed = sum(
            share.sales * one.units
            for listing in world.ledger.listings.values()
            for share in listing.state.exposure or ()
            for one in listing.components
            if one.sku == sku
        )
        assert sum(level.exposed for level in levels) == exposed, f"seed {world.seed}"
        gone = world.units - sum(level.on_hand - level.reserved for level in levels)
        assert gone == owed + world.direct_of.get(sku, 0), f"seed {world.seed}: {sku}"


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("nature", [CALM, HARSH, BAD], ids=["calm", "harsh", "bad"])
def test_three_platforms_sell_everything_and_not_one_unit_more(seed: int, nature: Nature) -> None:
    """R20 with the three platforms as they are; and nearly all is sold."""
    world = World(seed, 300 + 40 * seed, nature).run()
    require_exact(world)
    assert world.sold_share > (0.97 if nature is not BAD else 0.9)


@pytest.mark.parametrize("seed", SEEDS)
def test_platforms_of_any_kind(seed: int) -> None:
    """R24, R26, R33: they clamp or refuse, know ids or not, take on order or payment, give back or keep."""
    chance = random.Random(seed)
    tempers = tuple(random_temper(chance) for _ in range(chance.randint(1, 3)))
    require_exact(World(seed, 300, BAD, tempers=tempers).run())


@pytest.mark.parametrize("seed", SEEDS)
def test_several_locations(seed: int) -> None:
    """R20 holds at each location by itself."""
    require_exact(World(seed, 300, HARSH, locations=("east", "west", "north")).run())


@pytest.mark.parametrize("seed", SEEDS)
def test_kits(seed: int) -> None:
    """A kit takes from every component; what is left sells singly."""
    require_exact(World(seed, 150, HARSH, skus=2, kit=True, selling_seconds=60).run(100))


@pytest.mark.parametrize("seed", SEEDS)
def test_somebody_else_reserves_too(seed: int) -> None:
    """What is reserved directly comes out of what no listing shows."""
    require_exact(World(seed, 200, HARSH, direct=True).run())


@pytest.mark.parametrize("seed", SEEDS)
def test_numbers_typed_into_a_console_are_a_shortfall_and_no_more(seed: int) -> None:
    """R23: an edit by hand may oversell by what it added, and by nothing else; all of it is told."""
    world = World(seed, 200, HAND_EDITED).run()
    assert world.oversold <= world.edited, f"seed {seed}"
    assert world.could_oversell <= world.edited, f"seed {seed}"
    short = sum(one.quantity for one in world.ledger.shortfalls)
    assert short >= max(0, world.oversold), f"seed {seed}: {short} told, {world.oversold} oversold"
    require_adds_up(world)


@pytest.mark.parametrize("seed", [24, 116, 156])
def test_what_one_location_owes_is_not_shown_again_by_another(seed: int) -> None:
    """R23 with several locations: a number typed in makes one short; what others keep for it is not put up for sale."""
    world = scenario(seed).run()
    assert world.oversold <= world.edited, f"scenario {seed}"
    assert world.could_oversell <= world.edited, f"scenario {seed}"


def test_a_script_that_shows_everybody_everything_oversells() -> None:
    """The judge can tell: the same worlds without our rules sell more than there is."""
    assert sum(max(0, World(seed, 300, HARSH, naive=True).run().oversold) for seed in SEEDS) > 0
