"""For every fault the cause that is named is the one that was injected: while it lasts, and afterwards, as of then."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

from connectors.sandbox.city import PLATFORMS
from connectors.settings import AgentSettings
from gateway.store.database import Clock
from gateway.v1 import channel_pb2
from gateway.v1 import channel_service_pb2 as selling
from gateway.v1 import operations_pb2 as pb
from gateway.v1 import stock_service_pb2 as stock
from tests.client import new_id
from tests.explain import faults as of
from tests.explain.faults import OF_LISTINGS, OF_NUMBERS, OF_PLATFORMS, UNSEEN, Fault
from tests.explain.world import (
    BREAKS_SOON,
    IMPATIENT,
    MORE,
    QUICK,
    STILL,
    UNITS,
    WAIT_SECONDS,
    WALKS_NEVER,
    World,
    as_of,
    eventually,
    open_world,
)

# The allocator's brake lets ten listings of a channel go to zero within a minute.
BRAKED = 10
# What was told of a SKU in a channel, and when.
Told = dict[tuple[str, str], pb.Explanation]


async def named(world: World, name: str, cause: int, verdicts: frozenset[int], channels: tuple[str, ...]) -> Told:
    """Wait until the cause is the one that was injected; what was told then. Fails with what was told instead."""
    found = await asyncio.gather(*(_named(world, name, cause, verdicts, channel) for channel in channels))
    return {(one.sku, one.listing.channel): one for one in found}


async def _named(world: World, name: str, cause: int, verdicts: frozenset[int], channel: str) -> pb.Explanation:
    found = None
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            while True:
                found = await world.explain(world.sku(name, channel), channel)
                if found.cause == cause and found.verdict in verdicts:
                    return found
                await asyncio.sleep(0.2)
    except TimeoutError:
        raise AssertionError(f"{name} at {channel}: {found}") from None


async def played(world: World, *faults: Fault, are_soon_over: bool = False) -> Told:
    """Inject them at all platforms, hear the causes (of what is soon over: from the beginning on), undo them."""
    begun, told = asyncio.get_running_loop().time(), Told()
    beginning = asyncio.gather(*(fault.begin(world, fault.name) for fault in faults))
    if not are_soon_over:
        await beginning
    hearing = (named(world, fault.name, fault.cause, fault.verdicts, PLATFORMS) for fault in faults)
    for heard in await asyncio.gather(*hearing):
        told |= heard
    await beginning
    await asyncio.gather(*(fault.end(world, fault.name) for fault in faults))
    print(f"{faults[0].name} ...: {asyncio.get_running_loop().time() - begun:.2f} s")
    for found in told.values():
        print(f"    {found.headline}\n    {found.headline_en}")
    return told


async def all_shown(world: World) -> bool:
    """Every listing shows all there is of its SKU."""
    return all(world.shown(name, platform) == UNITS for name in world.faults for platform in PLATFORMS)


@asynccontextmanager
async def taken_over(world: World) -> AsyncIterator[None]:
    """Somebody else opens the streams of all channels, and says nothing."""
    streams = []
    for platform in PLATFORMS:
        request = selling.WatchAllocationsRequest(channel=platform, connector_id="stranger")
        streams.append(world.client.selling.WatchAllocations(request, timeout=30))
        await anext(aiter(streams[-1]))
    yield
    for stream in streams:
        stream.cancel()


@asynccontextmanager
async def opened(address: str, clock: Clock, *names: str, settings: AgentSettings = QUICK) -> AsyncIterator[World]:
    """A world in which every SKU is on its shelf, whole."""
    async with open_world(address, clock, names) as world:
        world.start(settings)
        begun = asyncio.get_running_loop().time()
        await eventually(lambda: all_shown(world), 60)
        print(f"opened in {asyncio.get_running_loop().time() - begun:.2f} s")
        yield world


async def test_what_bears_on_a_whole_platform(address: str, clock: Clock) -> None:
    """On all three at once, one after the other: the injected cause is named, now and as of then; the verdict fits."""
    told: Told = {}
    async with opened(address, clock, *(fault.name for fault in OF_PLATFORMS), settings=IMPATIENT) as world:
        for fault in OF_PLATFORMS:
            told |= await played(world, fault)
        await as_of_then(world, told)


async def test_what_bears_on_one_listing(address: str, clock: Clock) -> None:
    """All of it at the same time, on all three platforms; before that, numbers that the platforms made up."""
    async with opened(address, clock, *(fault.name for fault in (*OF_NUMBERS, *OF_LISTINGS))) as world:
        told = await played(world, *OF_NUMBERS, are_soon_over=True) | await played(world, *OF_LISTINGS)
        await as_of_then(world, told)


async def test_what_bears_on_connectors(address: str, clock: Clock) -> None:
    """There is none, another has taken over, nobody walks through the orders, the breaker is open, it is killed."""
    told: Told = {}
    names = ("never", "replaced", "away", "killed", *(fault.name for fault in UNSEEN))
    async with open_world(address, clock, names) as world:
        told |= await named(world, "never", of.DELIVERY, frozenset({of.BLOCKED}), PLATFORMS)
        world.start()
        await eventually(lambda: all_shown(world), 60)
        async with taken_over(world):
            told |= await named(world, "replaced", of.DELIVERY, of.COMES, PLATFORMS)
        await world.restart(WALKS_NEVER)
        for fault in UNSEEN:
            told |= await played(world, fault)
        await away(world, told)
        await silent(world, told, clock)
        await as_of_then(world, told)


async def test_what_bears_on_the_gateway(address: str, clock: Clock) -> None:
    """Another channel is to be lowered first, the brake has stopped, the allocator stands still."""
    told: Told = {}
    names = ("elsewhere", "brake", "allocator", *(f"also-{number}" for number in range(BRAKED)))
    async with opened(address, clock, *names, settings=IMPATIENT) as world:
        await elsewhere(world, told)
        await braked(world, told)
        await unallocated(world, told)
        await as_of_then(world, told)


async def elsewhere(world: World, told: Told) -> None:
    """Douyin is to have most of what all three sell, and the others' lowering is not answered: it waits for them."""
    sku = "elsewhere-douyin"
    for platform in ("taobao", "kuaishou"):
        await world.lose(world.sku("elsewhere", platform), UNITS)
        await eventually(lambda platform=platform: shows(world, "elsewhere", platform, 0))
        await world.relink(world.sku("elsewhere", platform), platform, sku)
    await eventually(lambda: shared_out(world, "elsewhere"))
    world.set_weather(replace(STILL, lose_answer=1.0), ("taobao", "kuaishou"))
    shares = [{"channel": "douyin", "share": 8}, {"channel": "taobao", "share": 1}, {"channel": "kuaishou", "share": 1}]
    await world.divide(sku, kind=channel_pb2.POLICY_KIND_WEIGHTED, shares=shares)
    told |= await named(world, "elsewhere", of.EXPOSURE, of.COMES, ("douyin",))
    world.set_weather()


async def shows(world: World, name: str, platform: str, units: int) -> bool:
    """The shop shows just so many."""
    return world.shown(name, platform) == units


async def shared_out(world: World, name: str) -> bool:
    """All three shops show some, and together all there is."""
    shown = [world.shown(name, platform) for platform in PLATFORMS]
    return sum(shown) == UNITS and min(shown) > 0


async def away(world: World, told: Told) -> None:
    """The platforms are away, and the agents' breakers open."""
    await world.restart(BREAKS_SOON)
    for platform in PLATFORMS:
        world.stall(platform).go_away(60)
        await world.receive(world.sku("away", platform))
    told |= await named(world, "away", of.BREAKER, of.COMES, PLATFORMS)
    for platform in PLATFORMS:
        world.stall(platform).go_away(0)


async def silent(world: World, told: Told, clock: Clock) -> None:
    """The agents are killed, and a while passes."""
    await world.kill()
    clock.offset += timedelta(seconds=20)
    for platform in PLATFORMS:
        await world.receive(world.sku("killed", platform))
    told |= await named(world, "killed", of.DELIVERY, frozenset({of.BLOCKED}), PLATFORMS)


async def braked(world: World, told: Told) -> None:
    """Nearly everything of Douyin would go to zero at once."""
    items = []
    for name in world.faults:
        level = await world.client.level(world.sku(name, "douyin"))
        if level.available:
            gone = {"sku": level.sku, "change": -level.available, "reason": "a wrong import", "request_id": new_id()}
            items.append({"adjust": gone})
    await world.client.ask(world.client.stock.ApplyBatch, stock.ApplyBatchRequest, items=items)
    told |= await named(world, "brake", of.GUARD, frozenset({of.BLOCKED}), ("douyin",))


async def unallocated(world: World, told: Told) -> None:
    """The allocator stands still."""
    [allocator] = [task for task in asyncio.all_tasks() if task.get_name() == "allocator of main"]
    allocator.cancel()
    await asyncio.wait([allocator])
    await world.receive("allocator-taobao", MORE)
    told |= await named(world, "allocator", of.ALLOCATOR, frozenset({of.DELAYED}), ("taobao",))


async def as_of_then(world: World, told: Told) -> None:
    """What was told then is told again: the same cause and verdict, sentence by sentence the same stations."""
    for (sku, channel), before in told.items():
        again = await world.explain(sku, channel, as_of(before))
        assert (again.cause, again.verdict) == (before.cause, before.verdict), f"{sku}: {before} {again}"
