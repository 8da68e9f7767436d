"""Which commands of a replay may go out when, against a clock that is moved by hand."""

import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cli.player import Pace
from gateway.cli.schedule import Event, Schedule, Step, TapeClock, events_of
from gateway.cli.tape import Order

START = datetime(2020, 2, 24, 12, 0, 0, tzinfo=UTC)


def order(number: int, created: int, paid: int | None = None, *, is_refunded: bool = False) -> Order:
    """An order with its times in seconds after the start."""
    pay_time = None if paid is None else START + timedelta(seconds=paid)
    return Order(str(number), START + timedelta(seconds=created), pay_time, is_refunded)


def steps(events: list[Event]) -> list[str]:
    """Events as `number:STEP`."""
    return [f"{event.order.number}:{event.step.name}" for event in events]


def test_events_are_in_tape_order() -> None:
    """By time, then by order number as a number, then by step; a return an hour after the payment."""
    events = events_of([order(10, 5), order(9, 5, 5, is_refunded=True), order(11, 0, 3_700)])
    assert steps(events) == ["11:RESERVE", "9:RESERVE", "9:COMMIT", "10:RESERVE", "9:RETURN", "11:COMMIT"]
    assert events[4].time == START + timedelta(seconds=5, hours=1)


def test_a_step_waits_for_the_answer_to_the_one_before() -> None:
    """The commit of an order goes out when its reserve was answered, and goes first then."""
    schedule = Schedule(events_of([order(1, 0, 1), order(2, 2), order(3, 3)]))
    [reserve_1, reserve_2] = schedule.take(None, 2)
    assert steps([reserve_1, reserve_2]) == ["1:RESERVE", "2:RESERVE"]
    schedule.answered(reserve_1, goes_on=True)
    assert steps(schedule.take(None, 10)) == ["1:COMMIT", "3:RESERVE"]


def test_a_refusal_drops_the_later_steps_that_wait_for_it() -> None:
    """Neither commit nor return of a refused order is played."""
    schedule = Schedule(events_of([order(1, 0, 1, is_refunded=True)]))
    [reserve] = schedule.take(None, 10)
    assert schedule.take(None, 10) == []
    schedule.answered(reserve, goes_on=False)
    assert schedule.take(None, 10) == []
    assert schedule.is_finished
    assert schedule.settled == 3


def test_a_refusal_drops_the_later_steps_that_are_not_due_yet() -> None:
    """... and the tape ends when the last of them would have been due."""
    schedule = Schedule(events_of([order(1, 0, 1, is_refunded=True)]))
    [reserve] = schedule.take(START, 10)
    schedule.answered(reserve, goes_on=False)
    assert schedule.settled == 1
    assert schedule.take(START + timedelta(days=1), 10) == []
    assert schedule.is_finished
    assert schedule.settled == 3


def test_an_order_that_is_never_paid_ends_with_its_reserve() -> None:
    """There is nothing to send when it expires: the ledger does that."""
    schedule = Schedule(events_of([order(1, 0)]))
    [reserve] = schedule.take(None, 10)
    assert schedule.settled == 0
    schedule.answered(reserve, goes_on=True)
    assert schedule.is_finished


def test_with_a_tape_clock_nothing_goes_out_before_its_time() -> None:
    """Events are due when the tape clock has reached them, and the next time to look is known."""
    schedule = Schedule(events_of([order(1, 0), order(2, 60), order(3, 61)]))
    assert steps(schedule.take(START + timedelta(seconds=59), 10)) == ["1:RESERVE"]
    assert schedule.next_time() == START + timedelta(seconds=60)
    assert steps(schedule.take(START + timedelta(seconds=61), 10)) == ["2:RESERVE", "3:RESERVE"]
    assert schedule.next_time() is None


def test_the_tape_clock_runs_at_its_speed() -> None:
    """A thousand tape seconds pass in one second; how long to wait is said in the latter."""
    clock = TapeClock(START, 1_000.0, real_now_seconds=50.0)
    assert clock.tape_now(50.0) == START
    assert clock.tape_now(53.6) == START + timedelta(hours=1)
    assert clock.seconds_until(START + timedelta(hours=2), 53.6) == pytest.approx(3.6)
    assert clock.seconds_until(START, 53.6) == 0.0


@pytest.mark.parametrize(
    ("speed", "paid", "unpaid"), [(1.0, 86_400.0, 86_400.0), (1_000.0, 86.4, 86.4), (None, 86_400.0, 2.0)]
)
def test_holds_live_for_the_payment_limit_of_tape_time(speed: float | None, paid: float, unpaid: float) -> None:
    """24 hours of tape time; without a tape clock, orders that will never be paid get a short one."""
    pace = Pace(speed)
    assert pace.ttl(order(1, 0, 1)).total_seconds() == pytest.approx(paid)
    assert pace.ttl(order(1, 0)).total_seconds() == pytest.approx(unpaid)


ORDERS = st.lists(
    st.builds(
        lambda created, delay, is_refunded: (created, delay, is_refunded and delay is not None),
        st.integers(0, 7_200),
        st.none() | st.integers(0, 7_200),
        st.booleans(),
    ),
    min_size=1,
    max_size=30,
)


@given(ORDERS, st.integers(0, 2**32), st.integers(1, 7), st.booleans())
def test_every_step_goes_out_once_in_order_and_in_time(
    drawn: list[tuple[int, int | None, bool]], seed: int, count_max: int, has_clock: bool
) -> None:
    """However answers come in: each order's steps in their order, none early, none twice, none lost."""
    chance = random.Random(seed)
    orders = [
        order(number, created, None if delay is None else created + delay, is_refunded=is_refunded)
        for number, (created, delay, is_refunded) in enumerate(drawn)
    ]
    schedule = Schedule(events_of(orders))
    now, out, answered, ended = START, list[Event](), dict[str, Step](), set[str]()
    while not schedule.is_finished:
        now += timedelta(seconds=chance.randrange(600))
        for event in schedule.take(now if has_clock else None, count_max):
            assert not has_clock or event.time <= now
            assert answered.get(event.order.number, 0) == event.step - 1
            assert event.order.number not in ended
            out.append(event)
        while out and chance.random() < 0.6:
            event = out.pop(chance.randrange(len(out)))
            goes_on = chance.random() < 0.8
            schedule.answered(event, goes_on=goes_on)
            answered[event.order.number] = event.step
            if not goes_on:
                ended.add(event.order.number)
    assert schedule.settled == len(events_of(orders))
    for each in orders:
        last = 1 + (each.pay_time is not None) + each.is_refunded
        assert answered[each.number] == last or each.number in ended
