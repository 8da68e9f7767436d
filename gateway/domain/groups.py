"""Deciding a group: many commands, one after the other, as if each had come alone.

A group is whatever gathered while the last one was being saved. How commands are cut into groups must not show: the
outcome of each is that of the same commands played singly in the same order. Commands of one atomic span are applied
together or not at all.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from msgspec import Struct

from gateway.domain import exposure, orders, promises, shelves
from gateway.domain.book import Book
from gateway.domain.changes import OrderKey
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
from gateway.domain.listings import ListingKey
from gateway.domain.selling import (
    AnySelling,
    AnySellingAnswer,
    AskReading,
    JudgeReading,
    LinkOrders,
    MoveWatermark,
    PlanPush,
    ReportPush,
    SellingCommand,
    SettleBelowZero,
    TakeOrder,
    TakeReading,
    WithdrawPush,
)
from gateway.domain.stock import Shortfall

Wish = AnyCommand | AnySelling
Outcome = AnyAnswer | AnySellingAnswer | GatewayError

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
_SELLING_VERBS: dict[type, Callable[[Book, Any], AnySellingAnswer]] = {
    TakeOrder: orders.take_order,
    LinkOrders: orders.link_orders,
    MoveWatermark: orders.move_watermark,
    PlanPush: exposure.plan_push,
    WithdrawPush: exposure.withdraw_push,
    ReportPush: exposure.report_push,
    AskReading: exposure.ask_reading,
    TakeReading: exposure.take_reading,
    JudgeReading: exposure.judge_reading,
    SettleBelowZero: exposure.settle_below_zero,
}

Span = tuple[int, int]


class Needs(Struct):
    """What must be loaded before a group can be decided."""

    request_ids: list[str]
    skus: set[str]
    reservation_ids: set[int]
    counts: list[CountNeed]
    listing_ids: set[int]
    listing_keys: set[ListingKey]
    orders: set[OrderKey]
    readings: set[int]
    moves_watermark: bool = False

    @property
    def is_selling(self) -> bool:
        """True if channels or listings are touched."""
        return self.moves_watermark or bool(self.listing_ids or self.listing_keys or self.orders)


def needs(commands: Iterable[Wish]) -> Needs:
    """What these commands touch, as far as they say; the SKUs of reservations are known only once those are loaded."""
    found = Needs([], set(), set(), [], set(), set(), set(), set())
    for command in commands:
        if isinstance(command, SellingCommand):
            _selling_needs(found, command)
            continue
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


def _selling_needs(found: Needs, command: AnySelling) -> None:
    match command:
        case TakeOrder(channel=channel, order_id=order_id, lines=lines):
            found.orders.add((channel, order_id))
            found.listing_keys.update([(channel, line.item_id, line.platform_sku_id) for line in lines])
        case LinkOrders(channel=channel, order_ids=order_ids):
            found.orders.update([(channel, order_id) for order_id in order_ids])
        case MoveWatermark():
            found.moves_watermark = True
        case JudgeReading(listing_id=listing_id):
            found.listing_ids.add(listing_id)
            found.readings.add(listing_id)
        case _:
            found.listing_ids.add(command.listing_id)


def decide(book: Book, commands: Sequence[Wish], atomic_spans: Sequence[Span] = ()) -> list[Outcome]:
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


def _decide_one(book: Book, command: Wish) -> Outcome:
    mark = book.mark()
    book.selling_channel = None
    try:
        if isinstance(command, SellingCommand):
            if isinstance(command, TakeOrder | LinkOrders):
                book.selling_channel = command.channel
            return _SELLING_VERBS[type(command)](book, command)
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


def _decide_together(book: Book, commands: Sequence[Wish]) -> list[Outcome]:
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
