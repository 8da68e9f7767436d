"""The judge: counts what buyers are owed against what there ever was, and nothing else."""

from collections.abc import Mapping

import pytest

from connectors.base import ListingKey
from connectors.sandbox.crowd import Refusal
from connectors.sandbox.shop import Shop
from connectors.session.judge import Judge

MUG_HERE, MUG_THERE, LAMP_HERE = ListingKey("1", "11"), ListingKey("2", "22"), ListingKey("3", "33")
SKU_OF = {MUG_HERE: "MUG", MUG_THERE: "MUG", LAMP_HERE: "LAMP"}
UNITS = {"MUG": 10, "LAMP": 5}


@pytest.fixture
def shops() -> Mapping[str, Shop]:
    """Two shops that show more than there is."""
    here, there = Shop(first_order_number=1_001), Shop(first_order_number=2_001)
    here.put_on_sale(MUG_HERE, shown=100)
    here.put_on_sale(LAMP_HERE, shown=100)
    there.put_on_sale(MUG_THERE, shown=100)
    return {"here": here, "there": there}


@pytest.fixture
def judge(shops: Mapping[str, Shop]) -> Judge:
    """Ten mugs and five lamps."""
    return Judge(shops, SKU_OF, UNITS)


def test_as_much_as_there_is_is_not_too_much(shops: Mapping[str, Shop], judge: Judge) -> None:
    """Ten mugs sold on two platforms are ten mugs, and five lamps are left."""
    shops["here"].place({MUG_HERE: 7})
    shops["there"].place({MUG_THERE: 3})
    verdict = judge.verdict()
    assert (verdict.oversold, verdict.oversold_most, verdict.unsold) == (0, 0, 5)
    assert (verdict.units, verdict.sold) == (15, {"here": 7, "there": 3})


def test_one_too_many_is_one_too_many_even_if_other_goods_are_left(shops: Mapping[str, Shop], judge: Judge) -> None:
    """SKU by SKU: a lamp that lies there does not serve the buyer of a mug."""
    shops["here"].place({MUG_HERE: 8})
    shops["there"].place({MUG_THERE: 3})
    verdict = judge.verdict()
    assert (verdict.oversold, verdict.unsold) == (1, 5)


def test_what_comes_back_in_time_is_remembered_as_the_worst_moment(shops: Mapping[str, Shop], judge: Judge) -> None:
    """A closed and a refunded order are owed nothing more, but it was too much once."""
    shops["here"].place({MUG_HERE: 8})
    closed = shops["there"].place({MUG_THERE: 4})
    shops["there"].close(closed.order_id)
    paid = shops["there"].place({MUG_THERE: 3})
    shops["there"].pay(paid.order_id)
    shops["there"].refund(paid.order_id, paid.lines[0].line_id, 1)
    verdict = judge.verdict()
    assert (verdict.oversold, verdict.oversold_most) == (0, 2)
    assert verdict.sold == {"here": 8, "there": 2}


def test_goods_that_come_in_can_be_sold(shops: Mapping[str, Shop], judge: Judge) -> None:
    """What was received later counts from then on."""
    judge.received("MUG", 5)
    shops["here"].place({MUG_HERE: 15})
    assert judge.verdict().oversold_most == 0


def test_a_refusal_counts_against_us_only_if_there_was_as_much_left(shops: Mapping[str, Shop], judge: Judge) -> None:
    """Three mugs left: a buyer of three was refused with stock, a buyer of four was not."""
    shops["here"].place({MUG_HERE: 7})
    judge.refused(Refusal("there", MUG_THERE, 4))
    judge.refused(Refusal("there", MUG_THERE, 3))
    judge.refused(Refusal("here", MUG_HERE, 1))
    assert judge.verdict().refused_with_stock == {"here": 1, "there": 1}


def test_units_put_up_by_hand_are_counted_apart(shops: Mapping[str, Shop], judge: Judge) -> None:
    """Typing a higher number counts what it adds; a lower one adds nothing."""
    shops["here"].edit_by_hand(MUG_HERE, 130)
    shops["here"].edit_by_hand(LAMP_HERE, 1)
    assert judge.verdict().hand_edited_units == 30
