"""A world in virtual time: our own rules (`decide`, `allocate`) against three shops that sell by themselves.

The shops are those of the sandbox; the connectors are played, with every fault there is (`platforms.py`). A judge who
sees everything looks after every event. The same world can be played by a naive script instead of our rules
(`naive.py`), to show what they are worth.
"""

from __future__ import annotations

from collections.abc import Callable

from connectors.base import ListingKey
from gateway.domain.commands import ReceiveStock, ReserveLine, ReserveStock
from gateway.domain.errors import GatewayError
from gateway.domain.listings import ChannelFacts, ChannelRule, Component, Listing, TakesOn
from gateway.domain.policies import Policy
from tests.selling.ledger import Gateway, Ledger
from tests.selling.naive import NaiveScript
from tests.selling.platforms import APPLY_LATE_SECONDS, CALM, Nature, Plan, Platform, Temper
from tests.selling.timeline import Timeline

LOOK_SECONDS = 0.1


# Roughly Taobao, Douyin and Kuaishou.
TEMPERS = (Temper(), Temper(idempotent=True), Temper(whole_seconds=False))


class World:
    """Everything, from one seed.

    `kit` puts one listing on each platform that takes from every SKU; `locations` share the units; `direct` has
    somebody reserve beside the platforms; `naive` puts the script in the place of our rules.
    """

    def __init__(
        self,
        seed: int,
        units: int,
        nature: Nature = CALM,
        *,
        skus: int = 1,
        locations: tuple[str, ...] = ("main",),
        kit: bool = False,
        tempers: tuple[Temper, ...] = TEMPERS,
        selling_seconds: float = 90.0,
        demand: float = 2.5,
        policy: Policy | None = None,
        direct: bool = False,
        naive: bool = False,
    ) -> None:
        """Units of every SKU are on hand, and nothing is shown yet; `demand` is orders per unit."""
        self.seed, self.units, self.nature, self.selling_seconds = seed, units, nature, selling_seconds
        self.timeline = timeline = Timeline(seed)
        self.random = timeline.random
        self.direct, self.directly_reserved = direct, 0
        names = ("taobao", "douyin", "kuaishou")[: len(tempers)]
        plan = Plan(nature, selling_seconds, self.random.choice(names), self.random.choice(names))
        codes = [f"SKU-{number}" for number in range(skus)]
        self.ledger = Ledger(timeline, codes, locations)
        self.naive = NaiveScript(timeline, self.ledger.listings, dict.fromkeys(codes, units)) if naive else None
        self.gateway: Gateway = self.naive or self.ledger
        weights = [self.random.uniform(1, 6) for _ in names]
        rate = demand * units * skus / selling_seconds
        self.platforms = [
            Platform(timeline, self.gateway, plan, name, temper, rate * weight / sum(weights))
            for name, temper, weight in zip(names, tempers, weights, strict=True)
        ]
        self.could_oversell = self.oversold = 0
        self.sold_share = 0.0
        self.direct_of: dict[str, int] = {}
        self._shelves: list[tuple[Platform, ListingKey, tuple[Component, ...]]] = []
        self._stock(codes, locations)
        self._list(codes, kit)
        if policy is not None:
            self.ledger.policies[policy.sku] = policy

    def run(self, seconds: float = 150.0) -> World:
        """Play; the judge looks after every event."""
        at, chance = self.timeline.at, self.random
        for platform in self.platforms:
            at(chance.random(), platform.poll)
            at(3 + chance.random(), platform.buyer)
            at(chance.uniform(3, 6), platform.reconcile)
        for _ in range(self.nature.hand_edits):
            at(chance.uniform(10, self.selling_seconds), chance.choice(self.platforms).edit)
        at(0, self._look)
        at(self.selling_seconds, self._close_the_shop)
        if self.direct:
            at(5, self._reserve)
        self.timeline.play(seconds, self._judge)
        return self

    # ---- what the judge sees

    @property
    def owed(self) -> dict[str, int]:
        """Units of each SKU that buyers are owed."""
        return self._units(lambda platform, key: platform.owed.get(key, 0))

    def _close_the_shop(self) -> None:
        """From here on nobody buys: what is left now is unsold, what comes back later could not have been sold."""
        taken = sum(self.owed.values()) + self.directly_reserved
        self.sold_share = min(1.0, taken / (self.units * len(self.ledger.rules)))

    @property
    def edited(self) -> int:
        """Units that hand edits put up for sale, of the SKU that had most of them."""
        return max(self._units(lambda platform, key: platform.edited.get(key, 0)).values())

    def _judge(self) -> None:
        """Nobody is owed what there is not, and whatever is shown could be sold this instant."""
        for sku, owed in self.owed.items():
            shown = self._units(lambda platform, key: platform.shop.displays[key].shown)[sku]
            taken = self.direct_of.get(sku, 0)
            self.oversold = max(self.oversold, owed + taken - self.units)
            self.could_oversell = max(self.could_oversell, owed + taken + shown - self.units)

    def _units(self, of: Callable[[Platform, ListingKey], int]) -> dict[str, int]:
        found = dict.fromkeys(self.ledger.rules, 0)
        for platform, key, components in self._shelves:
            sales = of(platform, key)
            for one in components:
                found[one.sku] += sales * one.units
        return found

    # ---- setting up

    def _stock(self, codes: list[str], locations: tuple[str, ...]) -> None:
        for code in codes:
            left = self.units
            for place, location in enumerate(locations):
                part = left if place == len(locations) - 1 else self.random.randint(0, left)
                left -= part
                if part:
                    self.ledger.apply(ReceiveStock(f"{code}-{location}", code, location, part))

    def _list(self, codes: list[str], kit: bool) -> None:
        number = 0
        for platform in self.platforms:
            facts = platform.temper.facts
            self.ledger.channels[platform.name] = ChannelRule(
                platform.name,
                (),
                ChannelFacts(
                    TakesOn.ORDER if facts.takes_on == "order" else TakesOn.PAYMENT,
                    facts.close_restores,
                    facts.refund_restores,
                    apply_late_ms=int(APPLY_LATE_SECONDS * 1000),
                    clock_margin_ms=2_000,
                ),
            )
            made_of: list[tuple[Component, ...]] = [(Component(code, 1),) for code in codes]
            if kit:
                made_of.append(tuple(Component(code, place + 1) for place, code in enumerate(codes)))
            for components in made_of:
                number += 1
                key = ListingKey(f"item-{number}", "")
                platform.shop.put_on_sale(key)
                self._shelves.append((platform, key, components))
                self.ledger.listings[number] = Listing(number, platform.name, *key, components)

    # ---- our own loops

    def _look(self) -> None:
        self.timeline.at(LOOK_SECONDS, self._look)
        if self.naive is not None:
            self.naive.write(self.platforms)
            return
        away = {platform.name for platform in self.platforms if platform.is_away}
        self.ledger.allocate(frozenset(self.ledger.channels) - away)
        for platform in self.platforms:
            platform.serve()

    def _reserve(self) -> None:
        """Somebody beside the platforms takes what is unallocated."""
        self.timeline.at(2.0, self._reserve)
        sku = self.random.choice(sorted(self.ledger.rules))
        wish = ReserveStock(f"direct-{self.timeline.new_number()}", (ReserveLine(sku, 1),), 600_000)
        (outcome,) = self.gateway.apply(wish)
        if not isinstance(outcome, GatewayError):
            self.directly_reserved += 1
            self.direct_of[sku] = self.direct_of.get(sku, 0) + 1
