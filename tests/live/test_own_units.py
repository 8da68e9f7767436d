"""A live session with units of its own in worlds of every fault: nothing oversold, its units its own (R20, R29).

The world is that of `tests/selling`. While the session is on, what its channels have sold net is taken from its units,
as the gateway does from its journal.
"""

import pytest

from gateway.domain.division import Lock
from gateway.domain.policies import ChannelShare, Policy, PolicyKind
from gateway.domain.selling import OrderState
from tests.selling.platforms import CALM, HARSH, Nature
from tests.selling.scenarios import BAD
from tests.selling.world import World

SEEDS = range(6)
SKU = "SKU-0"
OPEN_AT, CLOSE_AT = 20.0, 60.0
# Long enough for everything under way to be read back, even from a platform that was away.
SETTLING_SECONDS = 12.0


class Live(World):
    """A world with one session on some channels, from one moment to another."""

    def open_session(self, channels: tuple[str, ...], units: int) -> "Live":
        """Plan it; units of its own that are not there are not."""
        self.channels, self.own = frozenset(channels), units
        self.settled = self.shown_by_others_late = 0
        self.timeline.at(OPEN_AT, self._open)
        self.timeline.at(CLOSE_AT, self._close)
        return self

    def _open(self) -> None:
        level = self.ledger.levels[SKU, "main"]
        self.own = min(self.own, level.available)
        self.before = self._sold()
        self.is_on, self.since = True, self.timeline.time
        self._keep()

    def _close(self) -> None:
        self.is_on = False
        self.ledger.locks = {}

    def _keep(self) -> None:
        """What the allocator reads on each look; and what a person who compares both sides would see."""
        if not self.is_on:
            return
        left = max(0, self.own - max(0, self._sold() - self.before))
        self.ledger.locks = {SKU: Lock(self.channels, left)}
        self.timeline.at(0.05, self._keep)
        rest = max(0, self.ledger.levels[SKU, "main"].balance - left)
        others = sum(
            max(0, one.state.sales_left) for one in self.ledger.listings.values() if one.channel not in self.channels
        )
        if (self.timeline.time - self.since).total_seconds() > SETTLING_SECONDS:
            self.settled += 1
            self.shown_by_others_late = max(self.shown_by_others_late, others - rest)

    def _sold(self) -> int:
        """Units that orders of the session's channels take."""
        return sum(
            line.line.quantity - line.returned
            for order in self.ledger.orders.values()
            if order.channel in self.channels and order.state is not OrderState.CLOSED
            for line in order.lines
            if line.taken
        )


def require_exact(world: World) -> None:
    """Nobody was owed what is not there, and at no moment could it have been."""
    assert (max(0, world.oversold), max(0, world.could_oversell)) == (0, 0), f"seed {world.seed}"
    assert not world.ledger.shortfalls, f"seed {world.seed}"


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("nature", [CALM, HARSH, BAD], ids=["calm", "harsh", "bad"])
@pytest.mark.parametrize("channels", [("douyin",), ("taobao", "kuaishou")], ids=["one channel", "two channels"])
def test_nothing_is_oversold_while_units_change_hands(seed: int, nature: Nature, channels: tuple[str, ...]) -> None:
    """R20, R21: opened and closed amid a sale, whatever is lost and late."""
    world = Live(seed, 300, nature, demand=1.2).open_session(channels, 100)
    require_exact(world.run())
    assert not world.ledger.locks


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("channels", [("douyin",), ("taobao", "kuaishou")], ids=["one channel", "two channels"])
def test_others_never_show_the_rooms_units(seed: int, channels: tuple[str, ...]) -> None:
    """R29: once what they showed at the opening is lowered, others never may sell one of its units until it is over."""
    world = Live(seed, 400, CALM, demand=0.8).open_session(channels, 120)
    require_exact(world.run())
    assert world.settled > 100
    assert world.shown_by_others_late <= 0


@pytest.mark.parametrize("seed", SEEDS)
def test_its_units_are_everybodys_again(seed: int) -> None:
    """Closed, what the room has not sold sells elsewhere."""
    world = Live(seed, 200, CALM, demand=2.5).open_session(("douyin",), 150)
    require_exact(world.run())
    assert world.sold_share > 0.97


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("nature", [CALM, HARSH], ids=["calm", "harsh"])
def test_a_policys_own_units(seed: int, nature: Nature) -> None:
    """EXCLUSIVE with a share keeps so many for the first, and the escrow."""
    policy = Policy(SKU, PolicyKind.EXCLUSIVE, (ChannelShare("taobao", 80),))
    world = World(seed, 300, nature, policy=policy).run()
    require_exact(world)
    # What the first has not sold of its own in time is sold by nobody else.
    assert world.sold_share > 0.7
