"""Deciding a group: many commands, one after the other, as if each had come alone.

A group is whatever gathered while the last one was being saved. How commands are cut into groups must not show: the
outcome of each is that of the same commands played singly in the same order. Commands of one atomic span are applied
together or not at all.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from msgspec import Struct

from gateway.domain import promises, shelves
from gateway.domain.book import Book
from gateway.domain.commands import (
    AdjustStock,
    AnyAnswer,
    AnyCommand,
    CommitReservation,
    CountNeed,
    CountStock,
    ExpireReservation,
    ExtendReservation,
    ReceiveStock,
    ReleaseReservation,
    ReservationChanged,
    ReserveStock,
    ResizeReservation,
    ReturnStock,
    SetFrozen,
    SetSafetyStock,
    StockMoved,
    TransferStock,
)
from gateway.domain.errors import AtomicGroupFailed, BelowReserved, GatewayError, InsufficientStock
from gateway.domain.stock import Shortfall

Outcome = AnyAnswer | GatewayError

_VERBS: dict[type, Callable[[Book, Any], AnyAnswer]] = {
    ReceiveStock: shelves.receive,
    AdjustStock: shelves.adjust,
    CountStock: shelves.count,
    TransferStock: shelves.transfer,
    SetSafetyStock: shelves.set_safety_stock,
    SetFrozen: shelves.set_frozen,
    ReserveStock: promises.reserve,
    CommitReservation: promises.commit,
    ReleaseReservation: promises.release,
    ExpireReservation: promises.expire,
    ExtendReservation: promises.extend,
    ResizeReservation: promises.resize,
    ReturnStock: promises.return_,
}

Span = tuple[int, int]


class Needs(Struct, frozen=True):
    """What must be loaded before a group can be decided."""

    request_ids: list[str]
    skus: set[str]
    reservation_ids: set[int]
    counts: list[CountNeed]


def needs(commands: Iterable[AnyCommand]) -> Needs:
    """What these commands touch, as far as they say; the SKUs of reservations are known only once those are loaded."""
    found = Needs([], set(), set(), [])
    for command in commands:
        if command.request_id:
            found.request_ids.append(command.request_id)
        match command:
            case ReserveStock(lines=lines):
                found.skus.update([line.sku for line in lines])
            case CountStock(_, sku, location, _, taken):
                found.skus.add(sku)
                if taken:
                    found.counts.append(CountNeed(sku, location, taken))
            case ReceiveStock() | AdjustStock() | TransferStock() | SetSafetyStock() | SetFrozen():
                found.skus.add(command.sku)
            case _:
                found.reservation_ids.add(command.reservation_id)
    return found


def decide(book: Book, commands: Sequence[AnyCommand], atomic_spans: Sequence[Span] = ()) -> list[Outcome]:
    """Apply the commands in order; one outcome each. Spans are [start, stop) places, in order, not overlapping."""
    if not atomic_spans:
        return [_decide_one(book, command) for command in commands]
    outcomes: list[Outcome] = []
    for start, stop in atomic_spans:
        outcomes += [_decide_one(book, command) for command in commands[len(outcomes) : start]]
        outcomes += _decide_together(book, commands[start:stop])
    return outcomes + [_decide_one(book, command) for command in commands[len(outcomes) :]]


def short_skus(outcomes: Iterable[Outcome]) -> set[str]:
    """The SKUs of which some command found too few units: whose outcome an overdue hold may have changed (R7)."""
    short: set[str] = set()
    for outcome in outcomes:
        match outcome:
            case InsufficientStock() | BelowReserved():
                short.add(str(outcome.facts["sku"]))
            case StockMoved(shortfall=Shortfall(sku=sku)):
                short.add(sku)
            case ReservationChanged(reservation=reservation):
                short.update(line.sku for line in reservation.lines if line.held < line.requested)
    return short


def _decide_one(book: Book, command: AnyCommand) -> Outcome:
    mark = book.mark()
    try:
        known = book.first_answer(command)
        if known is not None:
            return known
        answer = _VERBS[type(command)](book, command)
    except GatewayError as error:
        book.rollback(mark)
        # Its traceback would keep the whole book alive.
        return error.with_traceback(None)
    book.record(command, answer)
    return answer


def _decide_together(book: Book, commands: Sequence[AnyCommand]) -> list[Outcome]:
    mark = book.mark()
    outcomes = [_decide_one(book, command) for command in commands]
    refused = next((place for place, o in enumerate(outcomes) if isinstance(o, GatewayError)), None)
    if refused is None:
        return outcomes
    book.rollback(mark)
    culprit = commands[refused].request_id
    others = AtomicGroupFailed(
        f"nothing of the atomic group was applied: its item with request_id {culprit!r} was refused",
        failed_item=culprit,
    )
    return [outcomes[refused] if place == refused else others for place in range(len(commands))]
