"""Scripts of drills that are made: of recorded sessions, by chance, and ours."""

from itertools import pairwise

import pytest

from gateway.domain.drill_scripts import BUILT_IN, MadeUp, expecting, made_up, recorded
from gateway.domain.drills import DrillInject, DrillOrder, DrillScript, InjectKind, Play, moments
from gateway.domain.tiers import Tier, TierChange
from tests.domain.review.records import LEAD_SECONDS, Tape, record

SPEED = 60.0


def evening() -> DrillScript:
    """60 units sold, one every 10 seconds, and 30 that came 1,200 s after the beginning."""
    tape = Tape(units=60)
    for count in range(1, 61):
        tape.order(10.0 * count)
    tape.receive(1_200.0, 30)
    return recorded(record(tape.record(), Tape("CUP", 5).record()), SPEED)


def met(script: DrillScript) -> list[bool]:
    """Which of a script's expectations come true when it is played."""
    told = [one for one in Play(script).advance(script.seconds, 10**9) if isinstance(one.what, TierChange)]
    return [
        any(
            one.sku == wanted.sku and one.what.after >= wanted.tier and one.at_seconds <= wanted.before_seconds
            for one in told
            if isinstance(one.what, TierChange)
        )
        for wanted in script.expectations
    ]


def test_a_recorded_session_is_its_own_orders() -> None:
    """Each order is played at its own second, units that came are a receipt, the room is named."""
    script = evening()
    assert [(order.at_seconds, order.sku) for order in script.tape] == [(10.0 * at, "TEA") for at in range(1, 61)]
    assert script.injects == (DrillInject(1_200.0, InjectKind.RECEIPT, "TEA", 30.0),)
    assert [(sku.sku, sku.units, sku.lead_seconds) for sku in script.skus] == [
        ("TEA", 60, LEAD_SECONDS),
        ("CUP", 5, LEAD_SECONDS),
    ]
    assert (script.seconds, script.speed, script.room) == (3_600.0, SPEED, "一号直播间")


def test_what_runs_out_is_expected_to_be_warned_of() -> None:
    """TEA is gone after 600 s: a THRESHOLD is expected 6 s before; and when it is played, it comes."""
    script = expecting(evening())
    (wanted,) = script.expectations
    assert (wanted.sku, wanted.tier) == ("TEA", Tier.THRESHOLD)
    assert wanted.before_seconds == pytest.approx(594.0)
    assert met(script) == [True]


def test_the_same_seed_makes_the_same_sales() -> None:
    """A made-up drill is its seed's; another seed's is another."""
    asked = MadeUp("night", ("A", "B", "C"), 50, 6.0, 900.0, surge=5.0, seed=1)
    assert list(moments(made_up(asked, SPEED))) == list(moments(made_up(asked, SPEED)))
    other = made_up(MadeUp("night", ("A", "B", "C"), 50, 6.0, 900.0, surge=5.0, seed=2), SPEED)
    assert list(moments(made_up(asked, SPEED))) != list(moments(other))


def test_the_first_third_surges() -> None:
    """In the middle of a made-up drill the first of three SKUs sells five times as fast."""
    script = made_up(MadeUp("night", ("A", "B", "C"), 10_000, 6.0, 3_600.0, surge=5.0, seed=1), SPEED)
    assert [(one.sku, one.at_seconds, one.seconds) for one in script.injects] == [("A", 1_200.0, 900.0)]
    sold = {
        sku: sum(
            isinstance(one, DrillOrder) and one.sku == sku and 1_200 <= one.at_seconds < 2_100
            for one in moments(script)
        )
        for sku in "AB"
    }
    assert sold["A"] > 3 * sold["B"]


@pytest.mark.parametrize("name", BUILT_IN)
def test_ours_can_be_passed(name: str) -> None:
    """Whoever plays a script of ours to its end passes it: its warnings come before anything is gone."""
    script = expecting(BUILT_IN[name].script)
    assert script.expectations
    assert all(met(script))
    assert all(before.at_seconds <= after.at_seconds for before, after in pairwise(moments(script)))
