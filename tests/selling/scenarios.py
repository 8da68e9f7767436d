"""Worlds of every kind, each from its number alone."""

import random
from dataclasses import replace
from datetime import timedelta

from connectors.sandbox.shop import ShopFacts, TakesOn
from tests.selling.platforms import CALM, HARSH, Nature, Temper
from tests.selling.world import TEMPERS, World

BAD = replace(HARSH, fault=0.15, push_lost=0.6)
HAND_EDITED = replace(HARSH, hand_edits=4)
NO_FAULTS = Nature(push_lost=0.0)
UNITS_MIN, UNITS_MAX = 500, 5_000
NATURES = (NO_FAULTS, CALM, HARSH, HARSH, BAD, HAND_EDITED)
SHAPES = ("plain", "plain", "locations", "kit", "direct")


def random_temper(chance: random.Random) -> Temper:
    """A platform of any kind."""
    facts = ShopFacts(
        takes_on=chance.choice(list(TakesOn)),
        close_restores=chance.random() < 0.7,
        refund_restores=chance.random() < 0.7,
        payment_limit=timedelta(minutes=15),
    )
    return Temper(chance.random() < 0.5, chance.random() < 0.5, chance.random() < 0.5, facts)


def scenario(seed: int, *, naive: bool = False) -> World:
    """Three platforms, the real ones or of any kind, 500 to 5,000 units, any nature, one SKU, several or a kit."""
    chance = random.Random(f"scenario {seed}")
    nature, shape = chance.choice(NATURES), chance.choice(SHAPES)
    units = chance.randint(UNITS_MIN, UNITS_MAX)
    is_kit = shape == "kit"
    tempers = tuple(random_temper(chance) for _ in range(3)) if chance.random() < 0.5 else TEMPERS
    return World(
        seed,
        units // 2 if is_kit else units,
        nature,
        skus=2 if is_kit else 1,
        kit=is_kit,
        locations=("east", "west", "north") if shape == "locations" else ("main",),
        direct=shape == "direct",
        tempers=tempers,
        naive=naive,
    )
