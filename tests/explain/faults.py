"""The fault matrix: how each is injected, which station is to be named for it, and how it is undone."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

from connectors.sandbox.city import PLATFORMS
from connectors.sandbox.douyin import DouyinSandbox
from connectors.sandbox.kuaishou import KuaishouSandbox
from connectors.sandbox.taobao import TaobaoSandbox
from gateway.v1 import catalog_service_pb2 as catalog
from gateway.v1 import channel_pb2
from gateway.v1 import channel_service_pb2 as selling
from gateway.v1 import operations_pb2 as pb
from tests.explain.world import MORE, STILL, UNITS, World, eventually

Step = Callable[[World, str], Awaitable[None]]

LEDGER, RESERVATIONS, POLICY = pb.DECIDER_KIND_LEDGER, pb.DECIDER_KIND_RESERVATIONS, pb.DECIDER_KIND_POLICY
GUARD, RATE_LIMIT, ATTEMPT = pb.DECIDER_KIND_GUARD, pb.DECIDER_KIND_RATE_LIMIT, pb.DECIDER_KIND_ATTEMPT
READING, ORDERS = pb.DECIDER_KIND_READING, pb.DECIDER_KIND_ORDERS
RECONCILIATION, NOBODY = pb.DECIDER_KIND_RECONCILIATION, pb.DECIDER_KIND_UNSPECIFIED
BREAKER, DELIVERY, ALLOCATOR = pb.DECIDER_KIND_BREAKER, pb.DECIDER_KIND_DELIVERY, pb.DECIDER_KIND_ALLOCATOR
EXPOSURE = pb.DECIDER_KIND_EXPOSURE

IN_STEP, BLOCKED = pb.EXPLANATION_VERDICT_IN_STEP, pb.EXPLANATION_VERDICT_BLOCKED
IN_FLIGHT, DELAYED = pb.EXPLANATION_VERDICT_IN_FLIGHT, pb.EXPLANATION_VERDICT_DELAYED
DRIFTED, CACHED = pb.EXPLANATION_VERDICT_DRIFTED, pb.EXPLANATION_VERDICT_PLATFORM_CACHED
INTENDED = pb.EXPLANATION_VERDICT_RULE_INTENDED
COMES = frozenset({IN_FLIGHT, DELAYED})


async def nothing(world: World, fault: str) -> None:
    """Nothing has to be undone."""


@dataclass(frozen=True)
class Fault:
    """`begin` and `end` are told the fault's name: its SKUs bear it. `verdicts` are those that fit."""

    name: str
    cause: Any
    verdicts: frozenset[Any]
    begin: Step
    end: Step = nothing


def everywhere(do: Callable[[World, str, str], Awaitable[None]]) -> Step:
    """The same with the SKU of each platform."""

    async def step(world: World, fault: str) -> None:
        await asyncio.gather(*(do(world, fault, platform) for platform in PLATFORMS))

    return step


@everywhere
async def more(world: World, fault: str, platform: str) -> None:
    """Goods come in: the number is to rise."""
    await world.receive(world.sku(fault, platform))


def weather(**changes: Any) -> Step:
    """Every call meets with this, and there is something to change."""

    async def step(world: World, fault: str) -> None:
        world.set_weather(replace(STILL, **changes))
        await more(world, fault)

    return step


async def clear(world: World, _fault: str) -> None:
    """The weather is still again."""
    world.set_weather()


# ---- the platform and its seller


async def revoke(world: World, fault: str) -> None:
    """The sellers take their grants back; only they can give new ones."""
    for platform in PLATFORMS:
        match world.stall(platform).sandbox:
            case TaobaoSandbox(grants=grants):
                grants.forget_all()
            case DouyinSandbox(grants=grants):
                grants.revoke()
            case KuaishouSandbox(grants=grants):
                grants.expire_access()
                grants._refresh.clear()
    await more(world, fault)


@everywhere
async def authorise(world: World, _fault: str, platform: str) -> None:
    """The seller agrees again."""
    await world.authorise(platform)


async def expire(world: World, fault: str) -> None:
    """Access tokens end, which is nobody's business: agents renew them."""
    for platform in PLATFORMS:
        match world.stall(platform).sandbox:
            case TaobaoSandbox(grants=grants):
                grants.revoke_all()
            case DouyinSandbox(grants=grants):
                grants.expire()
            case KuaishouSandbox(grants=grants):
                grants.expire_access()
    await more(world, fault)


@everywhere
async def take_off(world: World, fault: str, platform: str) -> None:
    """The listing is deleted at the platform, which so refuses every change."""
    world.shop(platform).displays[world.key(fault, platform)].deleted = True
    await world.receive(world.sku(fault, platform))


@everywhere
async def take_off_and_read(world: World, fault: str, platform: str) -> None:
    """The same, and the first who hears of it is who reads."""
    world.shop(platform).displays[world.key(fault, platform)].deleted = True
    await world.resync(world.sku(fault, platform), platform)


@everywhere
async def put_back(world: World, fault: str, platform: str) -> None:
    """It is there again, and a person says so."""
    world.shop(platform).displays[world.key(fault, platform)].deleted = False
    await world.resync(world.sku(fault, platform), platform)


@everywhere
async def type_in(world: World, fault: str, platform: str) -> None:
    """Somebody types a number into the seller's console, and it is read."""
    world.shop(platform).edit_by_hand(world.key(fault, platform), UNITS + 7)
    await world.resync(world.sku(fault, platform), platform)


@everywhere
async def show_old(world: World, fault: str, platform: str) -> None:
    """The platform takes a lowering, and tells whoever asks the number from before it."""
    key, before = world.key(fault, platform), world.shown(fault, platform)
    world.shop(platform).cache(key)
    await world.lose(world.sku(fault, platform), MORE)

    async def is_lowered() -> bool:
        asked = await world.explain(world.sku(fault, platform), platform)
        return world.shown(fault, platform) == before - MORE and not asked.listing.HasField("push")

    await eventually(is_lowered)

    async def is_read() -> bool:
        await world.resync(world.sku(fault, platform), platform)
        return (await world.explain(world.sku(fault, platform), platform)).listing.shown == before

    # A reading that had begun before it was wished for may be the answer.
    await eventually(is_read)


@everywhere
async def tell_the_truth(world: World, fault: str, platform: str) -> None:
    """The old number is gone from where it was kept."""
    world.shop(platform).forget_cached(world.key(fault, platform))
    await world.resync(world.sku(fault, platform), platform)


@everywhere
async def read_again(world: World, fault: str, platform: str) -> None:
    """Somebody wants to know."""
    await world.resync(world.sku(fault, platform), platform)


# ---- orders


def order(**changes: Any) -> Step:
    """A buyer orders five, in such weather for pushes; then the listing is read."""

    async def step(world: World, fault: str) -> None:
        world.set_weather(replace(STILL, **changes))
        for platform in PLATFORMS:
            world.shop(platform).place({world.key(fault, platform): 5})
            await world.resync(world.sku(fault, platform), platform)

    return step


@everywhere
async def pay(world: World, _fault: str, platform: str) -> None:
    """All of them are paid."""
    for order_id in list(world.shop(platform).orders):
        world.shop(platform).pay(order_id)


@everywhere
async def leave_unpaid(world: World, fault: str, platform: str) -> None:
    """Most of it is ordered, and not paid."""
    world.shop(platform).place({world.key(fault, platform): UNITS - 5})


# ---- the merchant's own rules


def rule(**policy: Any) -> Step:
    """The merchant says how the SKU is divided."""

    @everywhere
    async def step(world: World, fault: str, platform: str) -> None:
        content = dict(policy)
        if "share" in policy:
            share = content.pop("share")
            content["shares"] = [{"channel": platform, **share}]
        await world.divide(world.sku(fault, platform), **content)

    return step


@everywhere
async def keep_safe(world: World, fault: str, platform: str) -> None:
    """Twenty are never to be sold."""
    sku = {"sku": world.sku(fault, platform), "safety_stock": 20}
    mask = {"paths": ["safety_stock"]}
    await world.client.ask(world.client.catalog.UpdateSku, catalog.UpdateSkuRequest, sku=sku, update_mask=mask)


@everywhere
async def freeze(world: World, fault: str, platform: str) -> None:
    """A recall."""
    sku = world.sku(fault, platform)
    await world.client.ask(world.client.catalog.FreezeSku, catalog.FreezeSkuRequest, sku=sku, reason="recall")


@everywhere
async def lose_all(world: World, fault: str, platform: str) -> None:
    """The goods are gone."""
    await world.lose(world.sku(fault, platform), UNITS)


async def pause(world: World, fault: str) -> None:
    """A person stops all changes."""
    for platform in PLATFORMS:
        content = {"channel": platform, "reason": "a change of prices"}
        await world.client.ask(world.client.selling.PauseChannel, selling.PauseChannelRequest, **content)
    await more(world, fault)


async def resume(world: World, _fault: str) -> None:
    """And lets them go on."""
    for platform in PLATFORMS:
        content = {"channel": platform, "allow_many_to_zero": False}
        await world.client.ask(world.client.selling.ResumeChannel, selling.ResumeChannelRequest, **content)


_FIXED, _SHARED = channel_pb2.POLICY_KIND_FIXED, channel_pb2.POLICY_KIND_SHARED
_BY_DEMAND = channel_pb2.POLICY_KIND_BY_DEMAND
_RULE = frozenset({INTENDED})
_STOPPED = frozenset({BLOCKED})
# What bears on a whole platform, in the order in which they are played, each undone before the next begins.
OF_PLATFORMS = (
    Fault("lost-request", ATTEMPT, COMES, weather(lose_request=1.0), clear),
    Fault("lost-answer", ATTEMPT, COMES, weather(lose_answer=1.0), clear),
    Fault("applied-late", ATTEMPT, COMES, weather(apply_late=1.0, apply_late_seconds_max=0.1), clear),
    Fault("error-before", ATTEMPT, COMES, weather(error_before=1.0), clear),
    Fault("error-after", ATTEMPT, COMES, weather(error_after=1.0), clear),
    Fault("bad-gateway", ATTEMPT, COMES, weather(bad_gateway=1.0), clear),
    Fault("throttled", RATE_LIMIT, COMES, weather(calls_per_second_max=0.5, ban_seconds=3.0), clear),
    Fault("paused", GUARD, _STOPPED, pause, resume),
    Fault("expired", NOBODY, frozenset({IN_STEP}), expire),
    Fault("revoked", ATTEMPT, _STOPPED, revoke, authorise),
)
# What bears on one listing: all of them at the same time.
OF_LISTINGS = (
    Fault("refused", ATTEMPT, _STOPPED, take_off, put_back),
    Fault("unreadable", READING, _STOPPED, take_off_and_read, put_back),
    Fault("unpaid", RESERVATIONS, _RULE, leave_unpaid, pay),
    Fault("repeated-pushes", RESERVATIONS, _RULE, order(push_repeat=1.0), clear),
    Fault("safe", RESERVATIONS, _RULE, keep_safe),
    Fault("fixed", POLICY, _RULE, rule(kind=_FIXED, share={"share": 10})),
    Fault("shared", POLICY, _RULE, rule(kind=_SHARED)),
    Fault("shown-min", POLICY, _RULE, rule(kind=_BY_DEMAND, shown_min=50)),
    Fault("capped", POLICY, _RULE, rule(kind=_BY_DEMAND, share={"cap": 5})),
    Fault("stopped-at", POLICY, _RULE, rule(kind=_BY_DEMAND, stop_at=UNITS)),
    Fault("frozen", POLICY, _RULE, freeze),
    Fault("gone", LEDGER, _RULE, lose_all),
)
# Numbers that nobody has asked for: seen for seconds only, until they are set right.
OF_NUMBERS = (
    Fault("typed-in", RECONCILIATION, frozenset({DRIFTED}), type_in, read_again),
    Fault("cached", READING, frozenset({CACHED}), show_old, tell_the_truth),
)
# Orders that no push tells of, where nobody walks.
UNSEEN = (
    Fault("lost-pushes", ORDERS, COMES, order(push_lose=1.0), clear),
    Fault("late-pushes", ORDERS, COMES, order(push_delay_seconds=3_600.0), clear),
)
