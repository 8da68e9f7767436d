"""The ledger, slow and obvious: the oracle by which the book is judged. Written from rules.md and the contract.

`facts.py` keeps what is known in plain dicts and works everything else out; here are the verbs, and what may be asked.
Answers are plain values; `views.py` makes the same of the book's. Of a refusal only the class matters.
"""

from copy import deepcopy
from datetime import datetime, timedelta

from gateway.domain import commands as c
from gateway.domain import errors as e
from tests.domain.facts import Facts, Line, Place, Promise, View

TTL_DEFAULT_MS = 15 * 60 * 1000
TTL_MAX_MS = 7 * 24 * 3600 * 1000
CLOCK_SKEW = timedelta(seconds=60)

Quantities = dict[int, int]


class Model(Facts):
    """What each command does, and answers."""

    # ---- goods

    def do_receive(self, command: c.ReceiveStock) -> View:
        place = self._place(command.sku, command.location)
        self.happen(place, command.quantity, self._past(command.occur_time))
        return self._moved(place)

    def do_adjust(self, command: c.AdjustStock) -> View:
        place = self._place(command.sku, command.location)
        self._expect(place, command.expected_on_hand)
        when = self._past(command.occur_time)
        before, gone, change = self.on_hand(place), self.gone(place), command.change
        if when is not None and place in self.counts and when <= self.counts[place][0]:
            change = 0
        least = 0 if command.record_reality else self.reserved(place)
        if change < 0 and before + change < least:
            raise e.BelowReserved("")
        self.happen(place, command.change, when)
        return self._moved(place, gone)

    def do_count(self, command: c.CountStock) -> View:
        place = self._place(command.sku, command.location)
        self._expect(place, command.expected_on_hand)
        when, gone = self._past(command.count_time), self.gone(place)
        self.count(place, command.counted, when)
        return self._moved(place, gone)

    def do_transfer(self, command: c.TransferStock) -> View:
        if command.from_location == command.to_location:
            raise e.InvalidArgument("")
        source = self._place(command.sku, command.from_location)
        target = self._place(command.sku, command.to_location)
        if command.quantity > self.on_hand(source) - self.reserved(source):
            raise e.InsufficientStock("")
        self.happen(source, -command.quantity)
        self.happen(target, command.quantity)
        return {**self._moved(target), "from_on_hand": self.on_hand(source)}

    def do_safety(self, command: c.SetSafetyStock) -> View:
        self._known(command.sku)
        self.safety[command.sku] = command.safety_stock
        return {}

    def do_freeze(self, command: c.SetFrozen) -> View:
        self._known(command.sku)
        self.frozen[command.sku] = command.frozen
        return {}

    # ---- reservations

    def do_reserve(self, command: c.ReserveStock) -> View:
        promise = self._new_promise(self._expiry(command.ttl_ms or TTL_DEFAULT_MS), command.locations, command.order_id)
        for location in command.locations:
            self._place(None, location)
        for asked in command.lines:
            self._warm(asked.sku)
            self._place(None, asked.location)
            line = Line(asked.sku, asked.location, asked.quantity)
            promise.lines.append(line)
            if self.take(promise, line, asked.quantity) and not command.allow_partial:
                raise e.InsufficientStock("")
        if not any(line.held for line in promise.lines):
            raise e.InsufficientStock("")
        return self._view(promise)

    def do_commit(self, command: c.CommitReservation) -> View:
        promise = self._promise(command.reservation_id)
        missing: list[View] = []
        if command.retake_expired and self.state(promise) == "EXPIRED" and not promise.replaced_by:
            promise, missing = self._retake(promise, command)
        else:
            self._require_open(promise)
            self._sell(promise, _quantities(command.lines, promise))
        promise.state = "COMMITTED"
        return {**self._view(promise), "shortfalls": missing}

    def do_release(self, command: c.ReleaseReservation) -> View:
        promise = self._promise(command.reservation_id)
        self._require_open(promise)
        promise.state = "RELEASED"
        return self._view(promise)

    def do_expire(self, command: c.ExpireReservation) -> View:
        return self._view(self._promise(command.reservation_id))

    def do_extend(self, command: c.ExtendReservation) -> View:
        promise = self._promise(command.reservation_id)
        self._require_open(promise)
        promise.expires = max(promise.expires, self._expiry(command.ttl_ms))
        return self._view(promise)

    def do_resize(self, command: c.ResizeReservation) -> View:
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
                if self.take(promise, line, more):
                    raise e.InsufficientStock("")
                line.requested = max(line.requested, line.held)
        if not any(line.held for line in promise.lines):
            raise e.InvalidArgument("")
        return self._view(promise)

    def do_return(self, command: c.ReturnStock) -> View:
        promise = self._promise(command.reservation_id)
        if self.state(promise) != "COMMITTED":
            raise e.ReservationNotCommitted("")
        self._place(None, command.location)
        wanted = _quantities(command.lines, promise)
        if wanted and not any(wanted.values()):
            raise e.InvalidArgument("")
        if any(wanted.get(number, 0) > line.returnable for number, line in enumerate(promise.lines, start=1)):
            raise e.AboveHeld("")
        before = deepcopy(promise.lines)
        for number, line in enumerate(promise.lines, start=1):
            back = wanted.get(number, 0) if wanted else line.returnable
            for location, allotment in line.at.items():
                given = min(back, allotment[1] - allotment[2])
                allotment[2] += given
                back -= given
                self.happen((line.sku, command.location or location), given)
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
            if missing := self.take(promise, line, quantity):
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
                self.happen((line.sku, location), -allotment[1])
        if not any(line.returnable for line in promise.lines):
            raise e.InvalidArgument("")

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
