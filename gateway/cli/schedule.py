"""Which commands of a replay may go out now. Pure: no clock, no network.

An order is played as up to three steps, and each may go out only when the one before it was answered:

    created -> RESERVE      paid -> COMMIT      refunded -> RETURN

An order that is never paid has no second step: its hold expires in the ledger. A step that is refused drops the steps
after it. Over all orders the steps go out in tape order (time, then order number), as far as answers allow: a step
whose predecessor is still on its way is passed by, and goes first as soon as that is answered.

Reports have no time of refund, so a return is played one hour of tape time after the payment.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum

from gateway.cli.tape import Order

REFUND_DELAY = timedelta(hours=1)


class Step(IntEnum):
    """The steps of an order, in their order."""

    RESERVE = 1
    COMMIT = 2
    RETURN = 3


@dataclass(frozen=True, slots=True)
class Event:
    """One step of one order, at its time on the tape."""

    time: datetime
    order: Order
    step: Step


def events_of(orders: Sequence[Order]) -> list[Event]:
    """Every step of every order, in tape order."""
    events = [Event(order.create_time, order, Step.RESERVE) for order in orders]
    for order in orders:
        if order.pay_time is not None:
            events.append(Event(order.pay_time, order, Step.COMMIT))
            if order.is_refunded:
                events.append(Event(order.pay_time + REFUND_DELAY, order, Step.RETURN))
    return sorted(events, key=lambda event: (event.time, len(event.order.number), event.order.number, event.step))


class Schedule:
    """Hands out events, and is told how each was answered."""

    def __init__(self, events: Sequence[Event]) -> None:
        self._events = events
        self._cursor = 0  # events before it were handed out, passed by or dropped
        self._passed_by: dict[tuple[str, Step], int] = {}
        self._freed: list[int] = []  # heap of places of events that were passed by and may go now
        self._next_step: dict[str, Step] = {}
        self._dropped: set[str] = set()
        self._on_their_way = 0
        self.settled = 0

    def take(self, tape_now: datetime | None, count_max: int) -> list[Event]:
        """Up to so many events that may go out by now, in tape order; without a tape clock all are due."""
        taken: list[Event] = []
        while len(taken) < count_max and (event := self._next(tape_now)) is not None:
            taken.append(event)
        self._on_their_way += len(taken)
        return taken

    def answered(self, event: Event, *, goes_on: bool) -> None:
        """Says that an event is settled, and whether its order's later steps are to be played."""
        self._on_their_way -= 1
        self.settled += 1
        number = event.order.number
        if not goes_on:
            self._drop(number)
        elif event.step is not Step.RETURN:
            following = Step(event.step + 1)
            self._next_step[number] = following
            if (place := self._passed_by.pop((number, following), None)) is not None:
                heapq.heappush(self._freed, place)

    def next_time(self) -> datetime | None:
        """When the next event that was not reached yet is due, in tape time; None if all were reached."""
        return self._events[self._cursor].time if self._cursor < len(self._events) else None

    @property
    def is_finished(self) -> bool:
        """True once every event was answered or dropped."""
        return self._cursor == len(self._events) and not self._freed and not self._on_their_way

    def _next(self, tape_now: datetime | None) -> Event | None:
        if self._freed:  # all of them are due: the cursor has passed them
            return self._events[heapq.heappop(self._freed)]
        while self._cursor < len(self._events):
            event = self._events[self._cursor]
            if tape_now is not None and event.time > tape_now:
                return None
            self._cursor += 1
            if event.order.number in self._dropped:
                self.settled += 1
            elif self._next_step.get(event.order.number, Step.RESERVE) is event.step:
                return event
            else:
                self._passed_by[event.order.number, event.step] = self._cursor - 1
        return None

    def _drop(self, number: str) -> None:
        self._dropped.add(number)
        for step in Step:
            if self._passed_by.pop((number, step), None) is not None:
                self.settled += 1


class TapeClock:
    """Tape time, running at a multiple of real time from the moment it is made."""

    def __init__(self, tape_start: datetime, speed: float, real_now_seconds: float) -> None:
        self._tape_start = tape_start
        self._speed = speed
        self._real_start_seconds = real_now_seconds

    def tape_now(self, real_now_seconds: float) -> datetime:
        """What the tape clock shows."""
        return self._tape_start + timedelta(seconds=(real_now_seconds - self._real_start_seconds) * self._speed)

    def seconds_until(self, tape_time: datetime, real_now_seconds: float) -> float:
        """How long to wait, in real seconds; 0 if it is past."""
        return max(0.0, (tape_time - self.tape_now(real_now_seconds)).total_seconds() / self._speed)
