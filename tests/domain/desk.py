"""A desk to try the ledger at: one book, the clock in hand, ids made up; adds up after every command (R18)."""

from datetime import datetime, timedelta
from itertools import count
from typing import TypeVar

from msgspec.structs import replace

from gateway.domain import commands as c
from gateway.domain.errors import GatewayError
from gateway.domain.groups import Outcome, decide
from gateway.domain.reservations import Reservation
from gateway.domain.stock import Level, Movement
from tests.domain.audit import audit, whole
from tests.domain.histories import empty_book

E = TypeVar("E", bound=GatewayError)


class Desk:
    """Commands may leave their request id empty: a fresh one is written in, except on the ledger's own."""

    def __init__(self, **stock: int) -> None:
        """`stock`: units at each location, of SKU A, received before anything else."""
        self.book = empty_book()
        self._numbers = count(1)
        for location, units in stock.items():
            self.moved(c.ReceiveStock("", "A", location, units))

    def wait(self, milliseconds: int) -> None:
        self.book.now += timedelta(milliseconds=milliseconds)

    def ago(self, milliseconds: int) -> datetime:
        return self.book.now - timedelta(milliseconds=milliseconds)

    def play(self, command: c.AnyCommand) -> Outcome:
        """The outcome; a refusal must have left nothing behind (R11)."""
        if not command.request_id and not isinstance(command, c.ExpireReservation):
            command = replace(command, request_id=f"made-up-{next(self._numbers)}")
        before = whole(self.book)
        (outcome,) = decide(self.book, [command])
        if isinstance(outcome, GatewayError):
            assert whole(self.book) == before
        audit(self.book._levels, self.book._reservations, self.book.movements, self.book.revision)
        return outcome

    def moved(self, command: c.ReceiveStock | c.AdjustStock | c.CountStock | c.TransferStock) -> c.StockMoved:
        outcome = self.play(command)
        assert isinstance(outcome, c.StockMoved), outcome
        return outcome

    def changed(self, command: c.AnyCommand) -> c.ReservationChanged:
        outcome = self.play(command)
        assert isinstance(outcome, c.ReservationChanged), outcome
        return outcome

    def refused(self, kind: type[E], command: c.AnyCommand) -> E:
        outcome = self.play(command)
        assert type(outcome) is kind, outcome
        return outcome

    def reserve(
        self,
        *lines: c.ReserveLine,
        ttl_ms: int = 1000,
        allow_partial: bool = False,
        locations: tuple[str, ...] = (),
    ) -> Reservation:
        command = c.ReserveStock("", lines, ttl_ms, allow_partial, locations=locations)
        return self.changed(command).reservation

    def level(self, sku: str = "A", location: str = "east") -> Level:
        return self.book.level(sku, location)

    def on_hand(self, location: str = "east") -> int:
        return self.level(location=location).on_hand

    def reserved(self, location: str = "east") -> int:
        return self.level(location=location).reserved

    @property
    def last(self) -> Movement:
        return self.book.movements[-1]


def line(quantity: int, location: str = "", sku: str = "A") -> c.ReserveLine:
    return c.ReserveLine(sku, quantity, location)


def some(*quantities: int) -> tuple[c.LineQuantity, ...]:
    """So many units of lines 1, 2, ..."""
    return tuple(c.LineQuantity(number, quantity) for number, quantity in enumerate(quantities, start=1))
