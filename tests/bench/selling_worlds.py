"""What the rules are worth, in virtual time: worlds from seeds on all cores, played by our rules and by the script."""

import asyncio
import multiprocessing
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from statistics import median

from rich.console import Console
from rich.progress import track

from tests.bench.figures import Figure
from tests.selling.platforms import HARSH, Nature
from tests.selling.scenarios import NO_FAULTS, scenario
from tests.selling.world import World

SEEDS = 200
SEEDS_QUICK = 20
SOLD_SEEDS = 10
SOLD_UNITS = 2_000


@dataclass(frozen=True)
class Played:
    """How one world ended, in units. `could_oversell`: at the worst moment, had every shown unit been bought."""

    seed: int
    oversold: int
    could_oversell: int
    edited: int
    sold_share: float


async def oversold_units(console: Console, *, quick: bool) -> list[Figure]:
    """Units sold that were not there, by our rules and by the script, in the same worlds."""
    seeds = range(SEEDS_QUICK if quick else SEEDS)
    ours = await _played(console, "escrow", _scenario, seeds)
    scripts = await _played(console, "script", partial(_scenario, naive=True), seeds)
    for world in ours:
        if world.oversold > world.edited or world.could_oversell > world.edited:
            console.print(f"         oversold: scenario({world.seed}) {world}")
    worlds = f"{len(seeds)} worlds"
    return [
        Figure(f"oversold, escrow, {worlds}", sum(map(_oversold, ours)), "units", 0, 0, lower_is_better=True),
        Figure(
            "could have been oversold at some moment",
            sum(max(0, one.could_oversell - one.edited) for one in ours),
            "units",
            0,
            0,
            lower_is_better=True,
        ),
        Figure("oversold of units put up by hand edits", sum(map(_oversold_by_edits, ours)), "units"),
        Figure("oversold, naive script, the same worlds", sum(map(_oversold, scripts)), "units"),
    ]


async def sell_through(console: Console) -> list[Figure]:
    """Units sold of those there are when demand is well above stock, median of seeds."""
    found = []
    for name, nature, must, aim in (("no faults", NO_FAULTS, 99, 99.9), ("harsh", HARSH, 97, 99.5)):
        worlds = await _played(console, name, partial(_sold_out, nature=nature), range(SOLD_SEEDS))
        share = 100 * median(one.sold_share for one in worlds)
        found.append(Figure(f"sell-through, {name}, {SOLD_UNITS:,} units", share, "%", must, aim))
    return found


async def _played(console: Console, name: str, play: Callable[[int], Played], seeds: Iterable[int]) -> list[Played]:
    """Every seed's world, on all cores; those that are done are counted where somebody watches."""
    loop = asyncio.get_running_loop()
    # Started anew rather than forked: this process has threads and connections.
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")) as pool:
        running = [loop.run_in_executor(pool, play, seed) for seed in seeds]
        return [await one for one in track(running, f"         {name}", console=console)]


def _scenario(seed: int, *, naive: bool = False) -> Played:
    return _end_of(scenario(seed, naive=naive))


def _sold_out(seed: int, *, nature: Nature) -> Played:
    return _end_of(World(seed, SOLD_UNITS, nature))


def _end_of(world: World) -> Played:
    world.run()
    return Played(world.seed, world.oversold, world.could_oversell, world.edited, world.sold_share)


def _oversold(world: Played) -> int:
    """Units beyond those that are there and those that a person put up for sale."""
    return max(0, world.oversold - world.edited)


def _oversold_by_edits(world: Played) -> int:
    return max(0, min(world.oversold, world.edited))
