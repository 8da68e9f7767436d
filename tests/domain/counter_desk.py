"""A small ledger that sells: CUP singly and in kits, from two locations, each listing shown already."""

from datetime import datetime, timedelta

from gateway.domain.commands import ReceiveStock
from gateway.domain.errors import GatewayError
from gateway.domain.listings import (
    ChannelFacts,
    ChannelRule,
    Component,
    Listing,
    PushKind,
    PushResult,
    Share,
    TakesOn,
)
from gateway.domain.selling import JudgeReading, MoveWatermark, PlanPush, ReportPush, TakeReading
from tests.selling.ledger import Ledger
from tests.selling.timeline import START, Timeline

CUP, KIT, PAID_FOR = 1, 2, 3
ITEMS = {CUP: "cup", KIT: "kit", PAID_FOR: "paid-for"}
COMPONENTS = {
    CUP: (Component("CUP", 1),),
    KIT: (Component("CUP", 2), Component("MUG", 1)),
    PAID_FOR: (Component("CUP", 1),),
}
ON_HAND = 100
SHOWN = (Share("east", 3), Share("west", 2))


def at(second: float) -> datetime:
    """So many seconds after the beginning, where all has been set up."""
    return START + timedelta(seconds=second)


def selling_ledger(facts: ChannelFacts) -> Ledger:
    """100 of each SKU at each location; each listing may sell 3 from `east` and 2 from `west`."""
    ledger = Ledger(Timeline(0), ("CUP", "MUG"), ("east", "west"))
    ledger.channels["tb"] = ChannelRule("tb", (), facts)
    for location in ledger.locations:
        for sku in ("CUP", "MUG"):
            ledger.apply(ReceiveStock(f"{sku}-{location}", sku, location, ON_HAND))
    for number, components in COMPONENTS.items():
        takes_on = TakesOn.PAYMENT if number == PAID_FOR else None
        ledger.listings[number] = Listing(number, "tb", ITEMS[number], "", components, takes_on)
        ledger.apply(TakeReading(number, 0, at(-9_000), at(-9_000)))
    ledger.apply(MoveWatermark("tb", at(-4_000)))
    for number in COMPONENTS:
        ledger.apply(JudgeReading(number))
        ledger.apply(PlanPush(number, PushKind.RAISE, SHOWN))
        push = ledger.listings[number].state.push
        assert push is not None
        ledger.apply(ReportPush(number, push.push_id, PushResult.APPLIED, push.sales))
        assert ledger.listings[number].state.exposure == SHOWN
    return ledger


def require_exposed(ledger: Ledger) -> None:
    """Each level exposes what listings may sell there, and no more (R20)."""
    for (sku, location), level in ledger.levels.items():
        shown = sum(
            listing.state.exposed_at(location) * one.units
            for listing in ledger.listings.values()
            if not listing.state.permitted
            for one in listing.components
            if one.sku == sku
        )
        assert level.exposed == shown, (sku, location)


def require_accepted(outcomes: list[object]) -> None:
    """None of them is a refusal."""
    for outcome in outcomes:
        assert not isinstance(outcome, GatewayError), outcome
