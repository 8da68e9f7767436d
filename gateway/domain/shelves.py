"""What happens to goods: receive, adjust, count, transfer; and the catalog's wishes about a SKU.

Counts (R15). A count says what lay there at its time T. On hand becomes the counted units plus everything that
happened after T, whatever the order of arrival; a movement that says it happened at or before the last count's T was
seen by the counter already: it is written down, changes nothing, and names the count that absorbed it.
"""

from datetime import datetime, timedelta

from gateway.domain.book import Book
from gateway.domain.commands import (
    AdjustStock,
    CountNeed,
    CountStock,
    ReceiveStock,
    SetFrozen,
    SetSafetyStock,
    SkuChanged,
    StockMoved,
    TransferStock,
)
from gateway.domain.errors import BelowReserved, InsufficientStock, InvalidArgument, MovementUnknown, OnHandChanged
from gateway.domain.stock import Level, MovementKind, Shortfall, ShortfallCause, SkuRule

# A caller's clock may run ahead of the ledger's by so much; times up to there count as now.
CLOCK_SKEW_MAX = timedelta(seconds=60)


def receive(book: Book, command: ReceiveStock) -> StockMoved:
    """Book goods that came in."""
    level = book.level(command.sku, _home(book, command.location))
    happened = _past(book, command.occur_time, "occur_time")
    absorbed_by = _absorbing_count(level, happened)
    after = book.move(
        MovementKind.RECEIVE,
        level,
        command.quantity,
        0 if absorbed_by else command.quantity,
        request_id=command.request_id,
        reason=command.reason,
        occur_time=happened,
        absorbed_by_revision=absorbed_by,
    )
    return StockMoved(after, book.revision, book.now)


def adjust(book: Book, command: AdjustStock) -> StockMoved:
    """Correct on hand by a difference (R14, R16, R17)."""
    level = book.level(command.sku, _home(book, command.location))
    _require_expected(level, command.expected_on_hand)
    if command.corrects_revision > book.revision:
        raise MovementUnknown(
            f"the journal has no revision {command.corrects_revision}; its last is {book.revision}",
            field="corrects_revision",
            revision=book.revision,
        )
    happened = _past(book, command.occur_time, "occur_time")
    absorbed_by = _absorbing_count(level, happened)
    change = 0 if absorbed_by else command.change
    _require_allowed(level, change, command.record_reality)
    after = book.move(
        MovementKind.ADJUST,
        level,
        command.change,
        change,
        request_id=command.request_id,
        reason=command.reason,
        occur_time=happened,
        corrects_revision=command.corrects_revision,
        absorbed_by_revision=absorbed_by,
    )
    return StockMoved(after, book.revision, book.now, _shortfall(book, level, after))


def count(book: Book, command: CountStock) -> StockMoved:
    """Book a count taken at its time (R15)."""
    level = book.level(command.sku, _home(book, command.location))
    _require_expected(level, command.expected_on_hand)
    taken = _past(book, command.count_time, "count_time")
    absorbed_by = _absorbing_count(level, taken)
    change = 0
    if not absorbed_by:
        change = command.counted + _changed_since(book, command, level, taken) - level.on_hand
    after = book.move(
        MovementKind.COUNT,
        level,
        command.counted,
        change,
        request_id=command.request_id,
        reason=command.reason,
        occur_time=taken,
        absorbed_by_revision=absorbed_by,
    )
    return StockMoved(after, book.revision, book.now, _shortfall(book, level, after))


def transfer(book: Book, command: TransferStock) -> StockMoved:
    """Move goods that nobody reserved from one location to another: two movements, together."""
    if command.from_location == command.to_location:
        raise InvalidArgument("from_location and to_location are the same", field="to_location")
    source = book.level(command.sku, command.from_location, "from_location")
    target = book.level(command.sku, command.to_location, "to_location")
    free = max(0, source.on_hand - source.reserved - source.exposed)
    if command.quantity > free:
        raise InsufficientStock(
            f"{command.quantity} units of {command.sku} asked from {source.location}, {free} there are free",
            field="quantity",
            sku=command.sku,
            location=source.location,
            available=free,
            asked=command.quantity,
        )
    request_id, reason, units = command.request_id, command.reason, command.quantity
    left = book.move(MovementKind.TRANSFER_OUT, source, units, -units, request_id=request_id, reason=reason)
    reached = book.move(MovementKind.TRANSFER_IN, target, units, units, request_id=request_id, reason=reason)
    return StockMoved(reached, book.revision, book.now, from_level=left)


def set_safety_stock(book: Book, command: SetSafetyStock) -> SkuChanged:
    """From now on never offer so many units of the SKU, at each of its locations."""
    rule = book.rule(command.sku)
    book.keep_rule(command.sku, SkuRule(command.safety_stock, rule.frozen))
    for level in book.levels_of(command.sku):
        if level.safety_stock != command.safety_stock:
            book.move(
                MovementKind.SAFETY_STOCK,
                level,
                command.safety_stock,
                request_id=command.request_id,
                safety_stock=command.safety_stock,
            )
    return SkuChanged(book.revision, book.now)


def set_frozen(book: Book, command: SetFrozen) -> SkuChanged:
    """Stop, or allow again, new reservations of the SKU."""
    rule = book.rule(command.sku)
    book.keep_rule(command.sku, SkuRule(rule.safety_stock, command.frozen))
    return SkuChanged(book.revision, book.now)


def _home(book: Book, location: str) -> str:
    return location or book.locations[0]


def _past(book: Book, when: datetime | None, field: str) -> datetime | None:
    if when is None or when <= book.now:
        return when
    if when > book.now + CLOCK_SKEW_MAX:
        raise InvalidArgument(f"{field} {when.isoformat()} lies in the future", field=field)
    return book.now


def _absorbing_count(level: Level, happened: datetime | None) -> int:
    """The revision of the count that had seen what happened then; 0 if none had."""
    if happened is None or level.last_count_time is None or happened > level.last_count_time:
        return 0
    return level.last_count_revision


def _changed_since(book: Book, command: CountStock, level: Level, taken: datetime | None) -> int:
    """What movements after the count's time did to on hand: those in the journal, and those of this group."""
    if taken is None or command.count_time is None:
        return 0
    need = CountNeed(command.sku, command.location, command.count_time)
    here = (m for m in book.movements if m.sku == level.sku and m.location == level.location)
    return book.changed_since.get(need, 0) + sum(m.on_hand_change for m in here if m.occur_time > taken)


def _require_expected(level: Level, expected: int | None) -> None:
    if expected is not None and expected != level.on_hand:
        raise OnHandChanged(
            f"{level.sku} at {level.location} has {level.on_hand} units on hand, not {expected}: decide anew",
            field="expected_on_hand",
            on_hand=level.on_hand,
            expected_on_hand=expected,
        )


def _require_allowed(level: Level, change: int, record_reality: bool) -> None:
    after = level.on_hand + change
    if change >= 0 or after >= level.reserved:
        return
    if record_reality and after >= 0:
        return
    advice = "only that many can be gone" if record_reality else "set record_reality if the goods are really gone"
    raise BelowReserved(
        f"{level.sku} at {level.location} has {level.on_hand} units on hand, {level.reserved} reserved: {advice}",
        field="change",
        sku=level.sku,
        on_hand=level.on_hand,
        reserved=level.reserved,
        change=change,
    )


def _shortfall(book: Book, before: Level, after: Level) -> Shortfall | None:
    gone = after.promised_but_gone - before.promised_but_gone
    if gone <= 0:
        return None
    return book.open_shortfall(ShortfallCause.GOODS_GONE, after.sku, after.location, gone)
