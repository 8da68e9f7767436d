"""What the model knows, in plain dicts, and what follows from it.

Whatever can be worked out is worked out afresh: on hand from the last count and what happened after it (R15), reserved
from the open reservations (R18), expiry from the clock (R7; there is no sweeper here). A refusal puts a copy back that
was taken before (R11).
"""

import pickle
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gateway.domain.commands import AnyCommand
from gateway.domain.errors import AtomicGroupFailed, GatewayError, QuantityOverflow, RequestIdReused

UNITS_MAX = 10**15

Place = tuple[str, str]
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
    """A reservation; `state` is what was done to it, `Facts.state` what it is now."""

    number: int
    expires: datetime
    locations: tuple[str, ...]
    order: str
    lines: list[Line] = field(default_factory=list)
    state: str = "HELD"
    replaces: int | None = None
    replaced_by: int | None = None


class Facts:
    """All of one merchant's stock; `now` is moved by hand, never backwards. A verb is the method `do_` and its tag."""

    def __init__(self, now: datetime, locations: Sequence[str], skus: Sequence[str]) -> None:
        self.now = now
        self.locations = tuple(locations)
        self.safety = dict.fromkeys(skus, 0)
        self.frozen = dict.fromkeys(skus, False)
        self.happenings: list[Happening] = []
        self.counts: dict[Place, tuple[datetime, int, int]] = {}
        self.promises: dict[int, Promise] = {}
        self.answers: dict[str, tuple[AnyCommand, View]] = {}
        self.arrivals = 0

    # ---- what there is

    def on_hand(self, place: Place) -> int:
        """What the last count saw and all that happened since; what the ledger itself did after it came in is since."""
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

    # ---- what happens

    def happen(self, place: Place, change: int, when: datetime | None = None) -> None:
        self.arrivals += 1
        self.happenings.append(Happening(place, change, when or self.now, when is not None, self.arrivals))
        self._limit(place)

    def count(self, place: Place, units: int, when: datetime | None) -> None:
        """A count of an earlier time than the last one says nothing new."""
        self.arrivals += 1
        if when is None or place not in self.counts or when > self.counts[place][0]:
            self.counts[place] = (when or self.now, units, self.arrivals)
        self._limit(place)

    def take(self, promise: Promise, line: Line, quantity: int) -> int:
        """Promise up to so many units, location by location (R3); returns what is missing."""
        for location in [line.location] if line.location else promise.locations or self.locations:
            if taken := min(quantity, self.available((line.sku, location))):
                line.at.setdefault(location, [0, 0, 0])[0] += taken
                quantity -= taken
        return quantity

    def _limit(self, place: Place) -> None:
        if self.on_hand(place) > UNITS_MAX:
            raise QuantityOverflow("")

    # ---- one command, or several together

    def play(self, command: AnyCommand) -> View | GatewayError:
        before = pickle.dumps(self.__dict__)
        try:
            return self._answer(command)
        except GatewayError as error:
            self.__dict__ = pickle.loads(before)
            return error

    def play_together(self, commands: Sequence[AnyCommand]) -> list[View | GatewayError]:
        before = pickle.dumps(self.__dict__)
        outcomes = [self.play(command) for command in commands]
        refused = [place for place, outcome in enumerate(outcomes) if isinstance(outcome, GatewayError)]
        if not refused:
            return outcomes
        self.__dict__ = pickle.loads(before)
        failed = AtomicGroupFailed("", failed_item=commands[refused[0]].request_id)
        return [outcome if place == refused[0] else failed for place, outcome in enumerate(outcomes)]

    def _answer(self, command: AnyCommand) -> View:
        """R10: same id, same content: the first answer, again; other content: refused."""
        first, answer = self.answers.get(command.request_id, (command, None))
        if first != command:
            raise RequestIdReused("")
        if answer is None:
            verb: Callable[[Any], View] = getattr(self, f"do_{type(command).__struct_config__.tag}")
            answer = deepcopy(verb(command))
            if command.request_id:
                self.answers[command.request_id] = (command, answer)
        return answer
