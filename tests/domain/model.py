"""The ledger in plain dicts, slow and obvious: the oracle by which the book is judged. Written from rules.md alone.

Whatever can be worked out is worked out afresh: on hand from the last count and what happened after it (R15), reserved
from the open reservations (R18), expiry from the clock (R7; there is no sweeper here), and a refusal puts a copy back
that was taken before (R11). Answers are plain values; `views.py` makes the same of the book's.
"""

import pickle
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from gateway.domain import commands as c
from gateway.domain import errors as e

UNITS_MAX = 10**15
TTL_DEFAULT_MS = 15 * 60 * 1000
TTL_MAX_MS = 7 * 24 * 3600 * 1000
CLOCK_SKEW = timedelta(seconds=60)

Place = tuple[str, str]
Quantities = dict[int, int]
View = dict[str, Any]


@dataclass
class Happening:
    """On hand changed by `change` at `when`: a time somebody stated, or the ledger's own."""

    place: Place
    change: int
    when: datetime
    stated: bool
    order: int


@dataclass
class Line:
    """`at`: location to [promised, of those sold, of those back], in the order in which they were taken."""

    sku: str
    location: str
    requested: int
    at: dict[str, list[int]] = field(default_factory=dict)

    @property
    def held(self) -> int:
        return sum(promised for promised, _, _ in self.at.values())

    @property
    def returnable(self) -> int:
        return sum(sold - back for _, sold, back in self.at.values())


@dataclass
class Promise:
    """A reservation; `state` is what was done to it, `Model.state` what it is now."""

    number: int
    expires: datetime
    locations: tuple[str, ...]
    order: str
    lines: list[Line] = field(default_factory=list)
    state: str = "HELD"
    replaces: int | None = None
    replaced_by: int | None = None


class Model:
    """All of one merchant's stock; `now` is moved by hand, never backwards."""

    def __init__(self, now: datetime, locations: Sequence[str], skus: Sequence[str]) -> None:
        self.now = now
        self.locations = tuple(locations)
        self.safety = dict.fromkeys(skus, 0)
        self.frozen = dict.fromkeys(skus, False)
        self.happenings: list[Happening] = []
        self.counts: dict[Place, tuple[datetime, int, int]] = {}
        self.promises: dict[int, Promise] = {}
        self.answers: dict[str, tuple[c.AnyCommand, View]] = {}
        self.arrivals = 0

    # ---- what there is

    def on_hand(self, place: Place) -> int:
        """What the last count saw, and all that happened since; the ledger's own doings since it came in are after it."""
        taken, counted, order = self.counts.get(place, (datetime.min.replace(tzinfo=self.now.tzinfo), 0, 0))
        here = (h for h in self.happenings if h.place == place)
        return counted + sum(h.change for h in here if h.when > taken or (not h.stated and h.order > order))

    def reserved(self, place: Place) -> int:
        opened = (p for p in self.promises.values() if self.state(p) == "HELD")
        lines = (line for promise in opened for line in promise.lines if line.sku == place[0])
        return sum(line.at[place[1]][0] for line in lines if place[1] in line.at)

    def available(self, place: Place) -> int:
        return max(0, self.on_hand(place) - self.reserved(place) - self.safety[place[0]])

    def gone(self, place: Place) -> int:
        """Promised units that are not there."""
        return max(0, self.reserved(place) - self.on_hand(place))

    def state(self, promise: Promise) -> str:
        return "EXPIRED" if promise.state == "HELD" and self.now >= promise.expires else promise.state

    # ---- one command, or several together

    def play(self, command: c.AnyCommand) -> View | e.GatewayError:
        before = pickle.dumps(self.__dict__)
        try:
            return self._answer(command)
        except e.GatewayError as error:
            self.__dict__ = pickle.loads(before)
            return error

    def play_together(self, commands: Sequence[c.AnyCommand]) -> list[View | e.GatewayError]:
        before = pickle.dumps(self.__dict__)
        outcomes = [self.play(command) for command in commands]
        refused = [place for place, outcome in enumerate(outcomes) if isinstance(outcome, e.GatewayError)]
        if not refused:
            return outcomes
        self.__dict__ = pickle.loads(before)
        failed = e.AtomicGroupFailed("", failed_item=commands[refused[0]].request_id)
        return [outcome if place == refused[0] else failed for place, outcome in enumerate(outcomes)]

    def _answer(self, command: c.AnyCommand) -> View:
        first, answer = self.answers.get(command.request_id, (command, None))
        if first != command:
            raise e.RequestIdReused("")
        if answer is None:
            verb: Callable[[Any], View] = getattr(self, f"_do_{type(command).__struct_config__.tag}")
            answer = deepcopy(verb(command))
            if command.request_id:
                self.answers[command.request_id] = (command, answer)
        return answer

    # ---- goods

    def _do_receive(self, command: c.ReceiveStock) -> View:
        place = self._place(command.sku, command.location)
        self._happen(place, command.quantity, self._past(command.occur_time))
        return self._moved(place)

    def _do_adjust(self, command: c.AdjustStock) -> View:
        place = self._place(command.sku, command.location)
        self._expect(place, command.expected_on_hand)
        when = self._past(command.occur_time)
        before, gone, change = self.on_hand(place), self.gone(place), command.change
        if when is not None and place in self.counts and when <= self.counts[place][0]:
            change = 0
        least = 0 if command.record_reality else self.reserved(place)
        if change < 0 and before + change < least:
            raise e.BelowReserved("")
        self._happen(place, command.change, when)
        return self._moved(place, gone)

    def _do_count(self, command: c.CountStock) -> View:
        place = self._place(command.sku, command.location)
        self._expect(place, command.expected_on_hand)
        when, gone = self._past(command.count_time), self.gone(place)
        self.arrivals += 1
        if when is None or place not in self.counts or when > self.counts[place][0]:
            self.counts[place] = (when or self.now, command.counted, self.arrivals)
        self._limit(place)
        return self._moved(place, gone)

    def _do_transfer(self, command: c.TransferStock) -> View:
        if command.from_location == command.to_location:
            raise e.InvalidArgument("")
        source = self._place(command.sku, command.from_location)
        target = self._place(command.sku, command.to_location)
        if command.quantity > self.on_hand(source) - self.reserved(source):
            raise e.InsufficientStock("")
        self._happen(source, -command.quantity)
        self._happen(target, command.quantity)
        return {**self._moved(target), "from_on_hand": self.on_hand(source)}

    def _do_safety(self, command: c.SetSafetyStock) -> View:
        self._known(command.sku)
        self.safety[command.sku] = command.safety_stock
        return {}

    def _do_freeze(self, command: c.SetFrozen) -> View:
        self._known(command.sku)
        self.frozen[command.sku] = command.frozen
        return {}

    # ---- reservations

    def _do_reserve(self, command: c.ReserveStock) -> View:
        promise = self._new_promise(self._expiry(command.ttl_ms or TTL_DEFAULT_MS), command.locations, command.order_id)
        for location in command.locations:
            self._place(None, location)
        for asked in command.lines:
            self._warm(asked.sku)
            self._place(None, asked.location)
            line = Line(asked.sku, asked.location, asked.quantity)
            promise.lines.append(line)
            if self._take(promise, line, asked.quantity) and not command.allow_partial:
                raise e.InsufficientStock("")
        if not any(line.held for line in promise.lines):
            raise e.InsufficientStock("")
        return self._view(promise)

    def _do_commit(self, command: c.CommitReservation) -> View:
        promise = self._promise(command.reservation_id)
        missing = []
        if command.retake_expired and self.state(promise) == "EXPIRED" and not promise.replaced_by:
            promise, missing = self._retake(promise, command)
        else:
            self._require_open(promise)
            self._sell(promise, _quantities(command.lines, promise))
        promise.state = "COMMITTED"
        return {**self._view(promise), "shortfalls": missing}

    def _do_release(self, command: c.ReleaseReservation) -> View:
        promise = self._promise(command.reservation_id)
        self._require_open(promise)
        promise.state = "RELEASED"
        return self._view(promise)

    def _do_expire(self, command: c.ExpireReservation) -> View:
        return self._view(self._promise(command.reservation_id))

    def _do_extend(self, command: c.ExtendReservation) -> View:
        promise = self._promise(command.reservation_id)
        self._require_open(promise)
        promise.expires = max(promise.expires, self._expiry(command.ttl_ms))
        return self._view(promise)

    def _do_resize(self, command: c.ResizeReservation) -> View:
        promise = self._promise(command.reservation_id)
        self._require_open(promise)
        wanted = _quantities(command.lines, promise)
        for number, line in enumerate(promise.lines, start=1):
            less = line.held - wanted.get(number, line.held)
            for allotment in reversed(line.at.values()):
                given = max(0, min(less, allotment[0]))
                allotment[0] -= given
                less -= given
        for number, line in enumerate(promise.lines, start=1):
            more = wanted.get(number, line.held) - line.held
            if more > 0:
                self._warm(line.sku)
                if self._take(promise, line, more):
                    raise e.InsufficientStock("")
                line.requested = max(line.requested, line.held)
        if not any(line.held for line in promise.lines):
            raise e.InvalidArgument("")
        return self._view(promise)

    def _do_return(self, command: c.ReturnStock) -> View:
        promise = self._promise(command.reservation_id)
        if self.state(promise) != "COMMITTED":
            raise e.ReservationNotCommitted("")
        self._place(None, command.location)
        wanted = _quantities(command.lines, promise)
        before = deepcopy(promise.lines)
        for number, line in enumerate(promise.lines, start=1):
            back = wanted.get(number, 0) if wanted else line.returnable
            if back > line.returnable:
                raise e.AboveHeld("")
            for location, allotment in line.at.items():
                given = min(back, allotment[1] - allotment[2])
                allotment[2] += given
                back -= given
                self._happen((line.sku, command.location or location), given)
        if promise.lines == before:
            raise e.AboveHeld("")
        return self._view(promise)

    def _retake(self, expired: Promise, command: c.CommitReservation) -> tuple[Promise, list[View]]:
        promise = self._new_promise(self.now + timedelta.resolution, expired.locations, expired.order)
        promise.replaces, expired.replaced_by = expired.number, promise.number
        wanted = _quantities(command.lines, expired)
        if wanted and not any(wanted.values()):
            raise e.InvalidArgument("")
        shortfalls = []
        for number, old in enumerate(expired.lines, start=1):
            quantity = wanted.get(number, 0) if wanted else old.held
            if quantity > old.held:
                raise e.AboveHeld("")
            line = Line(old.sku, old.location, quantity)
            promise.lines.append(line)
            if missing := self._take(promise, line, quantity):
                shortfalls.append({"sku": old.sku, "location": old.location, "quantity": missing})
        if any(line.held for line in promise.lines):
            self._sell(promise, {})
        return promise, shortfalls

    def _sell(self, promise: Promise, wanted: Quantities) -> None:
        for number, line in enumerate(promise.lines, start=1):
            left = wanted.get(number, 0) if wanted else line.held
            if left > line.held:
                raise e.AboveHeld("")
            for location, allotment in line.at.items():
                allotment[1] = min(left, allotment[0])
                left -= allotment[1]
                self._happen((line.sku, location), -allotment[1])
        if not any(line.returnable for line in promise.lines):
            raise e.InvalidArgument("")

    def _take(self, promise: Promise, line: Line, quantity: int) -> int:
        """Promise up to so many units, location by location (R3); returns what is missing."""
        for location in [line.location] if line.location else promise.locations or self.locations:
            if taken := min(quantity, self.available((line.sku, location))):
                line.at.setdefault(location, [0, 0, 0])[0] += taken
                quantity -= taken
        return quantity

    # ---- what may be asked at all

    def _known(self, sku: str) -> None:
        if sku not in self.safety:
            raise e.SkuUnknown("")

    def _warm(self, sku: str) -> None:
        self._known(sku)
        if self.frozen[sku]:
            raise e.SkuFrozen("")

    def _place(self, sku: str | None, location: str) -> Place:
        if sku is not None:
            self._known(sku)
        if location and location not in self.locations:
            raise e.LocationUnknown("")
        return sku or "", location or self.locations[0]

    def _past(self, when: datetime | None) -> datetime | None:
        if when is not None and when > self.now + CLOCK_SKEW:
            raise e.InvalidArgument("")
        return when and min(when, self.now)

    def _expect(self, place: Place, expected: int | None) -> None:
        if expected is not None and expected != self.on_hand(place):
            raise e.OnHandChanged("")

    def _expiry(self, ttl_ms: int) -> datetime:
        if ttl_ms > TTL_MAX_MS:
            raise e.InvalidArgument("")
        return self.now + timedelta(milliseconds=ttl_ms)

    def _promise(self, number: int) -> Promise:
        if number not in self.promises:
            raise e.ReservationUnknown("")
        return self.promises[number]

    def _require_open(self, promise: Promise) -> None:
        state = self.state(promise)
        if state != "HELD":
            raise e.ReservationExpired("") if state == "EXPIRED" else e.ReservationResolved("")

    # ---- what is done, and said

    def _new_promise(self, expires: datetime, locations: tuple[str, ...], order: str) -> Promise:
        promise = Promise(len(self.promises) + 1, expires, locations, order)
        self.promises[promise.number] = promise
        return promise

    def _happen(self, place: Place, change: int, when: datetime | None = None) -> None:
        self.arrivals += 1
        self.happenings.append(Happening(place, change, when or self.now, when is not None, self.arrivals))
        self._limit(place)

    def _limit(self, place: Place) -> None:
        if self.on_hand(place) > UNITS_MAX:
            raise e.QuantityOverflow("")

    def _moved(self, place: Place, gone_before: int | None = None) -> View:
        gone = 0 if gone_before is None else max(0, self.gone(place) - gone_before)
        return {"place": place, "on_hand": self.on_hand(place), "shortfall": gone}

    def _view(self, promise: Promise) -> View:
        return {
            "number": promise.number,
            "state": self.state(promise),
            "order": promise.order,
            "expires": None if promise.replaces else promise.expires,
            "replaces": promise.replaces,
            "lines": [(line.sku, line.requested, {k: v for k, v in line.at.items() if v[0]}) for line in promise.lines],
            "shortfalls": [],
        }


def _quantities(asked: tuple[c.LineQuantity, ...], promise: Promise) -> Quantities:
    numbers = [one.line_number for one in asked]
    if len(set(numbers)) < len(numbers) or not set(numbers) <= set(range(1, len(promise.lines) + 1)):
        raise e.InvalidArgument("")
    return {one.line_number: one.quantity for one in asked}
