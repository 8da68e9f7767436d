"""Taking in what platforms have sold: from (what we knew, what we now know) to promises, sales, returns.

    the order is now            and we knew       the ledger does (listings that take units on order)
    placed, unpaid              nothing           promises
    paid                        nothing, placed   sells; promises and sells at once if need be
    closed before payment       placed            gives the promise up
    closed before it was seen   nothing           nothing, and the order is remembered
    refunded, not shipped       paid              puts the units back on the shelf
    refunded, shipped           paid              nothing, until somebody says that the goods are back
    fewer units                 more              only the difference

Where the platform takes units on payment (R33), an unpaid order does nothing, and payment promises and sells at once.
An order only moves forward; a snapshot older than the one we know changes nothing, one of the same time only what it
has more (a platform's times may be whole seconds). What a platform has accepted is never dropped: it takes the
listing's own exposure, and beyond that what is unallocated, and beyond that it is promised all the same. Whether that
was one unit too many is known when no cancel can be on its way any more (R23, `exposure.py`).
"""

from datetime import timedelta

from msgspec.structs import replace

from gateway.domain import promises
from gateway.domain.book import Book
from gateway.domain.commands import (
    CommitReservation,
    LineQuantity,
    ReleaseReservation,
    ResizeReservation,
    ReturnStock,
)
from gateway.domain.errors import InvalidArgument
from gateway.domain.exposure import given_back, is_overdrawn, room_at, takes_on, tell_missing
from gateway.domain.listings import ChannelRule, Listing, Share, TakesOn
from gateway.domain.reservations import Allotment, Line, Reservation, ReservationState
from gateway.domain.selling import (
    KnownLine,
    KnownOrder,
    LinkOrders,
    MoveWatermark,
    OrderLine,
    OrderState,
    OrderTaken,
    TakeOrder,
    WatermarkMoved,
)
from gateway.domain.stock import MovementKind

# A promise to a platform's buyer outlives the platform's own payment limit by this much: the platform closes the order,
# and until we have heard of it the units may be paid for.
UNHEARD = timedelta(hours=24)
# Platforms' clocks and ours may differ by so much. A watermark from the future, once believed, would have every reading
# judged before its orders are in; the usual cause is a local time that was taken for UTC.
CLOCKS_DIFFER_MAX = timedelta(minutes=10)


def take_order(book: Book, command: TakeOrder) -> OrderTaken:
    """Bring our books to what the snapshot says; exactly once, in whatever order snapshots come."""
    rule = book.channel(command.channel)
    known = book.order(command.channel, command.order_id)
    snapshot = command if known is None else _merged(known, command)
    if snapshot is None:
        assert known is not None, "only a known order can be newer"
        return OrderTaken(changed=False, unlinked=_unlinked(known))
    known_lines = {line.line.line_id: line for line in known.lines} if known else {}
    lines = [_bring_up(book, rule, snapshot, line, known_lines.pop(line.line_id, None)) for line in snapshot.lines]
    order = KnownOrder(
        command.channel,
        command.order_id,
        snapshot.state,
        snapshot.update_time,
        snapshot.placed_time,
        snapshot.paid_time,
        (*lines, *known_lines.values()),
    )
    book.keep_order(order)
    return OrderTaken(changed=True, unlinked=_unlinked(order))


def link_orders(book: Book, command: LinkOrders) -> OrderTaken:
    """Take in the lines of these orders whose listing has been linked meanwhile."""
    rule = book.channel(command.channel)
    changed = False
    for order_id in command.order_ids:
        order = book.order(command.channel, order_id)
        if order is None or not order.is_waiting:
            continue
        now = TakeOrder(
            order.channel,
            order.order_id,
            order.state,
            tuple(line.line for line in order.lines),
            order.placed_time,
            order.update_time,
            order.paid_time,
        )
        lines = tuple(_bring_up(book, rule, now, line.line, line) for line in order.lines)
        if lines != order.lines:
            book.keep_order(replace(order, lines=lines))
            changed = True
    return OrderTaken(changed)


def move_watermark(book: Book, command: MoveWatermark) -> WatermarkMoved:
    """All orders up to this time are in; it never falls, and does not run ahead of the clock."""
    rule, watermark = book.channel(command.channel), command.watermark
    if watermark is None:
        return WatermarkMoved(rule.watermark)
    if watermark > book.now + CLOCKS_DIFFER_MAX:
        raise InvalidArgument(f"watermark {watermark.isoformat()} lies in the future", field="watermark")
    if rule.watermark is None or watermark > rule.watermark:
        rule = replace(rule, watermark=watermark)
        book.keep_channel(rule)
    return WatermarkMoved(rule.watermark)


def _unlinked(order: KnownOrder) -> int:
    return sum(line.is_waiting for line in order.lines) if order.is_waiting else 0


def _merged(known: KnownOrder, now: TakeOrder) -> TakeOrder | None:
    """What we know after the snapshot; None if it brings nothing new."""
    if now.update_time < known.update_time:
        return None
    before = {line.line.line_id: line.line for line in known.lines}
    is_newer = now.update_time > known.update_time
    lines = tuple(_merged_line(before.get(line.line_id), line, is_newer) for line in now.lines)
    merged = replace(now, state=max(known.state, now.state), lines=lines, paid_time=now.paid_time or known.paid_time)
    is_same = merged.state is known.state and all(before.get(line.line_id) == line for line in lines)
    return None if is_same and not is_newer else merged


def _merged_line(known: OrderLine | None, now: OrderLine, is_newer: bool) -> OrderLine:
    if known is None:
        return now
    times = [time for time in (known.given_back_time, now.given_back_time) if time is not None]
    quantity = now.quantity if is_newer else min(known.quantity, now.quantity)
    return replace(
        now,
        quantity=quantity,
        refunded=min(quantity, max(known.refunded, now.refunded)),
        shipped=known.shipped or now.shipped,
        given_back_time=max(times, default=None),
    )


# ---- one line


def _bring_up(book: Book, rule: ChannelRule, now: TakeOrder, line: OrderLine, known: KnownLine | None) -> KnownLine:
    """What the ledger does for one line, and the line as we know it then."""
    kept = replace(known, line=line) if known else KnownLine(line)
    listing = book.find_listing((now.channel, line.item_id, line.platform_sku_id))
    if listing is not None:
        kept = replace(kept, listing_id=listing.listing_id)
    if kept.take_time is not None:
        return _seen_before(book, rule, listing, kept, now)
    if listing is None:
        return replace(kept, listing_id=0)
    wanted = line.quantity - (0 if line.shipped else line.refunded)
    if wanted and now.state is not OrderState.CLOSED and (known is None or not known.listing_id):
        # Demand, once: an order that is placed, changed and paid is one.
        listing = replace(listing, state=listing.state.sold(book.now, wanted))
    on = takes_on(rule, listing)
    kept = replace(kept, take_time=now.paid_time or now.update_time if on is TakesOn.PAYMENT else now.placed_time)
    if now.state is OrderState.CLOSED or (on is TakesOn.PAYMENT and now.state is OrderState.PLACED):
        return _unseen(book, rule, listing, kept, now, on)
    return _first_seen(book, rule, listing, kept, now)


def _unseen(book: Book, rule: ChannelRule, listing: Listing, line: KnownLine, now: TakeOrder, on: TakesOn) -> KnownLine:
    """Nothing is owed: closed before we ever saw it, or not paid where payment takes."""
    if on is TakesOn.PAYMENT:
        if listing is not book.listing(listing.listing_id):
            book.keep_listing(listing)
        return replace(line, take_time=None)
    kept = line.line.quantity - given_back(rule, now.state, line)
    if kept:
        _consume(book, rule, listing, kept, now)
    return line


def _first_seen(book: Book, rule: ChannelRule, listing: Listing, line: KnownLine, now: TakeOrder) -> KnownLine:
    back = 0 if line.line.shipped else line.line.refunded
    owed = line.line.quantity - back
    kept_back = back - given_back(rule, now.state, line)
    if kept_back > 0:
        _consume(book, rule, listing, kept_back, now)
        listing = book.listing(listing.listing_id)
    line = replace(line, returned=back)
    if not owed:
        return line
    shares = _consume(book, rule, listing, owed, now)
    reservation = _promise(book, rule, listing, shares, now)
    if now.state is OrderState.PAID:
        promises.commit(book, CommitReservation("", reservation.reservation_id))
    parts = tuple(component.units for component in listing.components)
    return replace(line, reservation_id=reservation.reservation_id, taken=shares, parts=parts)


def _seen_before(book: Book, rule: ChannelRule, listing: Listing | None, line: KnownLine, now: TakeOrder) -> KnownLine:
    """An order outlives its listing, and what that was made of: its reservation knows what is owed."""
    if not line.reservation_id:
        return line
    line, state = _open_or_sold(book, line, is_paid=now.state is OrderState.PAID)
    if now.state is OrderState.CLOSED:
        return _give_up(book, rule, listing, line, state)
    back = 0 if line.line.shipped else line.line.refunded
    left = sum(share.sales for share in line.taken)
    fewer = min(left, left - (line.line.quantity - back))
    if fewer > 0:
        line = _give_back(book, rule, listing, line, fewer, state)
    return replace(line, returned=max(line.returned, back))


def _open_or_sold(book: Book, line: KnownLine, *, is_paid: bool) -> tuple[KnownLine, ReservationState]:
    """The line's promise, sold if it is paid, and its state; whatever somebody has done to it by hand meanwhile."""
    reservation = book.reservation(line.reservation_id)
    if reservation.replaced_by_reservation_id:
        reservation = book.reservation(reservation.replaced_by_reservation_id)
        line = replace(line, reservation_id=reservation.reservation_id)
    state = reservation.state_at(book.now)
    if not is_paid or state is ReservationState.COMMITTED:
        return line, state
    commit = CommitReservation("", reservation.reservation_id)
    if state is not ReservationState.HELD:
        # It has run out, or was given up by hand: what is owed is taken again, and what is not there is a shortfall.
        commit = replace(commit, lines=_units(line, sum(share.sales for share in line.taken), reservation))
        if not any(one.quantity for one in commit.lines):
            return line, state
        sold = promises.retake(book, commit, reservation)
    else:
        sold = promises.commit(book, commit)
    return replace(line, reservation_id=sold.reservation.reservation_id), ReservationState.COMMITTED


def _units(line: KnownLine, sales: int, reservation: Reservation) -> tuple[LineQuantity, ...]:
    """The units of so many sales, line by line, but never more than the reservation has."""
    return tuple(
        LineQuantity(held.line_number, min(sales * part, held.held))
        for held, part in zip(reservation.lines, line.parts, strict=True)
    )


def _give_up(
    book: Book, rule: ChannelRule, listing: Listing | None, line: KnownLine, state: ReservationState
) -> KnownLine:
    """Closed before payment."""
    if state is ReservationState.HELD:
        promises.release(book, ReleaseReservation("", line.reservation_id))
    elif state is ReservationState.COMMITTED:
        _return(book, line, sum(share.sales for share in line.taken))
    if rule.facts.close_restores:
        _restore(book, listing, line.taken)
    return replace(line, taken=())


def _give_back(
    book: Book, rule: ChannelRule, listing: Listing | None, line: KnownLine, sales: int, state: ReservationState
) -> KnownLine:
    """So many sales fewer: refunded before shipping, or taken out of an unpaid order."""
    back, rest = _cut(line.taken, sales)
    if state is ReservationState.COMMITTED:
        _return(book, line, sales)
        restores = rule.facts.refund_restores
    else:
        units = _units(line, sum(share.sales for share in rest), book.reservation(line.reservation_id))
        if state is ReservationState.HELD and any(one.quantity for one in units):
            promises.resize(book, ResizeReservation("", line.reservation_id, units))
        elif state is ReservationState.HELD:
            promises.release(book, ReleaseReservation("", line.reservation_id))
        restores = rule.facts.close_restores
    if restores:
        _restore(book, listing, back)
    return replace(line, taken=rest)


def _return(book: Book, line: KnownLine, sales: int) -> None:
    """Put units back on the shelf, as far as nobody has done so already."""
    lines = book.reservation(line.reservation_id).lines
    units = tuple(
        LineQuantity(sold.line_number, min(sales * part, sold.returnable))
        for sold, part in zip(lines, line.parts, strict=True)
    )
    if any(one.quantity for one in units):
        promises.return_(book, ReturnStock("", line.reservation_id, units))


# ---- exposure and promises


def _consume(book: Book, rule: ChannelRule, listing: Listing, sales: int, now: TakeOrder) -> tuple[Share, ...]:
    """Take sales from the listing's exposure; returns which location serves how many.

    One where more is promised than there is serves last.
    """
    state = listing.state
    shares: list[Share] = []
    missing = sales
    for location in sorted(book.serving(rule), key=lambda at: is_overdrawn(book, listing, at)):
        taken = min(missing, max(0, state.exposed_at(location)))
        if taken:
            shares.append(Share(location, taken))
            missing -= taken
    if missing:
        # Beyond what we let it sell: where most is unallocated, and below zero there.
        place = max(book.serving(rule), key=lambda at: room_at(book, listing, at))
        before = next((share.sales for share in shares if share.location == place), 0)
        shares = [share for share in shares if share.location != place] + [Share(place, before + missing)]
    if state.exposure is not None:
        for share in shares:
            state = state.moved(share.location, -share.sales)
        if state.sales_left < 0:
            taken_at = now.paid_time or now.placed_time
            state = replace(state, below_zero_time=max(state.below_zero_time or taken_at, taken_at))
    book.keep_listing(replace(listing, state=state))
    return tuple(shares)


def _restore(book: Book, listing: Listing | None, shares: tuple[Share, ...]) -> None:
    """The platform has put sales back on its shelf: it may sell them again."""
    if listing is None:
        return
    listing = book.listing(listing.listing_id)
    state = listing.state
    if state.exposure is None:
        return
    for share in shares:
        state = state.moved(share.location, share.sales)
    if state.sales_left >= 0:
        state = replace(state, below_zero_time=None)
    book.keep_listing(replace(listing, state=state))


def _promise(book: Book, rule: ChannelRule, listing: Listing, shares: tuple[Share, ...], now: TakeOrder) -> Reservation:
    """Hold the units behind these sales, whether they are there or not."""
    reservation_id = book.next_reservation_id()
    lines = []
    for place, component in enumerate(listing.components, start=1):
        allotments = []
        for share in shares:
            units = share.sales * component.units
            level = book.level(component.sku, share.location)
            book.move(MovementKind.RESERVE, level, units, 0, units, reservation_id=reservation_id)
            allotments.append(Allotment(share.location, units))
        requested = sum(allotment.held for allotment in allotments)
        lines.append(Line(place, component.sku, "", requested, tuple(allotments)))
    expire_time = book.now + timedelta(milliseconds=rule.facts.payment_limit_ms) + UNHEARD
    order_id = f"{now.channel}/{now.order_id}"
    reservation = Reservation(
        reservation_id, ReservationState.HELD, tuple(lines), order_id, book.now, expire_time, locations=rule.locations
    )
    tell_missing(book, listing, [share.location for share in shares], order_id)
    return book.keep(reservation)


def _cut(shares: tuple[Share, ...], sales: int) -> tuple[tuple[Share, ...], tuple[Share, ...]]:
    """The first so many sales, and the rest."""
    first: list[Share] = []
    rest: list[Share] = []
    for share in shares:
        cut = min(sales, share.sales)
        sales -= cut
        first.append(Share(share.location, cut))
        rest.append(Share(share.location, share.sales - cut))
    return tuple(s for s in first if s.sales), tuple(s for s in rest if s.sales)
