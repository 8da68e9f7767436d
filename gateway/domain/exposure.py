"""What a listing may still sell on a platform that sells by itself: the escrow, and why it cannot oversell (R20-R25).

A platform is a replica that cannot run our code. For one listing, at any moment:

    S   what the platform shows, and so would still sell
    U   what it has sold and we have not taken in, less what it has given back and we have not heard of
    P   the raises we have sent that may still be applied
    E   the exposure in our books

The invariant is  E >= S + U + P.  Every event keeps it:

    the platform sells q                 S - q, U + q                                     nothing changes in sum
    the platform gives q back            S + q, U - q                                     (if it does; R26)
    we take the sale in                  U - q, E - q, and the ledger promises q units    both sides fall together
    we take the giving back in           U + q, E + q, and the ledger frees q units       both sides rise together
    we decide to raise by k              P + k, E + k             counted before it is sent; at most one push at a time
    the raise is reported, j of k        S + j, P - k, E - (k - j)
    we decide to lower by k              nothing yet: E falls only by evidence
    the lowering is reported, j of k     S - j, E - j             a platform that clamps reports what it really took
    an outcome is unknown                nothing: a raise stays in E, a lowering does not leave it
    a reading, once judged               E <= what the reading proves, see below

A raise is decided only if the ledger's own inequality holds afterwards, at every location and for every component:

    reserved + sum over listings of E + safety stock <= on hand                                               (R20)

Taking an order in moves q from E to reserved, so the inequality cares for itself; what is reserved directly takes only
what is unallocated. Sum E >= S + U + P over all listings, and what buyers are owed is reserved + U: so whatever the
platforms sell, however late we hear of it, is on hand. Only what the world does on its own can break it (goods gone,
somebody typing a number into a seller's console); then the exposure is told as it is, and lowered at once.

**Readings.** The platform showed s at some moment between b and e, on its clock, whose stated times may be off by m. It
proves nothing by itself, for orders may be on their way. Once the watermark has passed e + m, all that was sold before
is taken in, and nothing of ours was under way when it was read, so

    S + U + P now  <=  s + raises since - lowerings since - sales since, taken in + givings back since, taken in

A sale counts as "since" for the upper bound only if it is certainly later than the reading (after e + m), a giving back
if it may be (after b - m); the other way round for the lower bound. E falls to the upper bound if that is lower. Only
if the lower bound is above E has something happened that we do not know of: then E becomes the upper bound, and the
drift is kept.

**Unknown outcomes.** A reading asked for later than the platform may still apply the call says it all: judged as above,
it bounds E whether the call was applied or not. Nothing else is sent to that listing meanwhile.

Sources: the demarcation protocol (Barbara, Garcia-Molina, 1994) and escrow (O'Neil, 1986), with replicas that cannot
take part in a protocol and are watched instead.
"""

from collections.abc import Iterable
from datetime import timedelta

from msgspec.structs import replace

from gateway.domain.book import Book
from gateway.domain.listings import (
    ChannelRule,
    Listing,
    ListingState,
    Push,
    PushKind,
    PushResult,
    Reading,
    Share,
    TakesOn,
)
from gateway.domain.selling import (
    AskReading,
    Drift,
    JudgeReading,
    KnownLine,
    KnownOrder,
    ListingChanged,
    OrderState,
    PlanPush,
    PushRecord,
    ReportPush,
    SettleBelowZero,
    TakeReading,
    WithdrawPush,
)
from gateway.domain.stock import ShortfallCause

# A reading that waits for late orders gives way after so long: what has happened since need not be gone through.
READING_WAITS_MAX = timedelta(minutes=10)


def plan_push(book: Book, command: PlanPush) -> ListingChanged:
    """Decide a push, as much of it as can still be; nothing if the listing is busy, parked or was never read."""
    listing = book.listing(command.listing_id)
    state = listing.state
    if state.push is not None or state.parked_reason or state.exposure is None:
        return ListingChanged(listing, changed=False)
    if command.kind is PushKind.RAISE:
        state, shares = _grant(book, listing, command)
    else:
        shares = tuple(
            Share(share.location, min(share.sales, max(0, state.exposed_at(share.location))))
            for share in command.shares
        )
    shares = tuple(share for share in shares if share.sales)
    if not shares:
        return ListingChanged(listing, changed=False)
    span = command.traceparent or book.traceparent or ""
    push = Push(book.next_push_id(), command.kind, shares, book.now, command.urgency, traceparent=span)
    if push.kind is PushKind.RAISE:
        for share in shares:
            state = state.moved(share.location, share.sales)
        if state.reading is not None:
            state = replace(state, reading=replace(state.reading, raised=state.reading.raised + push.sales))
    decided = PushRecord(push.push_id, listing.listing_id, push.kind, push.sales, book.now)
    origin = {"origin_revision": command.origin_revision, "origin_time": command.origin_time}
    book.pushes.append(replace(decided, traceparent=span or None, **origin))
    return _keep(book, listing, replace(state, push=push))


def withdraw_push(book: Book, command: WithdrawPush) -> ListingChanged:
    """Say that the push is wanted no more; one that has begun goes on."""
    listing = book.listing(command.listing_id)
    push = listing.state.push
    if push is None or push.push_id != command.push_id or push.withdrawn or push.unknown_since is not None:
        return ListingChanged(listing, changed=False)
    return _keep(book, listing, replace(listing.state, push=replace(push, withdrawn=True)))


def report_push(book: Book, command: ReportPush) -> ListingChanged:
    """Book what really became of a push. A report on another push than the one under way changes nothing."""
    listing = book.listing(command.listing_id)
    state, push = listing.state, listing.state.push
    if push is None or push.push_id != command.push_id:
        return ListingChanged(listing, changed=False)
    if command.result is PushResult.UNKNOWN:
        return _outcome_unknown(book, listing, push, command)
    applied = command.applied if command.result is PushResult.APPLIED else 0
    state = _raise_settled(state, push, applied) if push.kind is PushKind.RAISE else _lowered(state, push, applied)
    refused = command.result is PushResult.REFUSED
    state = replace(
        state,
        push=None,
        last_push_id=push.push_id,
        unsure=push.kind is not PushKind.RAISE and applied < push.sales,
        parked_reason=(command.error or "the platform refuses") if refused else "",
    )
    _settle(book, listing, push, command, applied)
    return _keep(book, listing, state)


def ask_reading(book: Book, command: AskReading) -> ListingChanged:
    """Have the listing read, from now on."""
    listing = book.listing(command.listing_id)
    state = replace(listing.state, read_id=book.next_push_id())
    if command.unpark:
        state = replace(state, parked_reason="")
    return _keep(book, listing, state)


def take_reading(book: Book, command: TakeReading) -> ListingChanged:
    """Keep a reading until the watermark has passed it; one that came amid a push is not used."""
    listing = book.listing(command.listing_id)
    state, push = listing.state, listing.state.push
    is_asked = command.read_id != 0 and command.read_id == state.read_id
    if push is not None:
        usable = push.unknown_since is not None and is_asked
    else:
        # One that waits already is not replaced before long: where readings come often, none would ever be judged.
        waits = state.reading and command.begin_time - state.reading.begin_time <= READING_WAITS_MAX
        usable = is_asked or (not waits and command.after_push_id == state.last_push_id)
    if not usable:
        return ListingChanged(listing, changed=False)
    if command.error:
        return _keep(book, listing, replace(state, read_id=0, parked_reason=command.error))
    reading = Reading(command.shown, command.begin_time, command.end_time)
    state = replace(state, reading=reading, read_id=0, shown=command.shown, read_time=command.end_time)
    return _keep(book, listing, state)


def judge_reading(book: Book, command: JudgeReading) -> ListingChanged:
    """Let a reading say what it proves, if the watermark has passed it; see the top of this file."""
    listing = book.listing(command.listing_id)
    rule, state, reading = book.channel(listing.channel), listing.state, listing.state.reading
    since = book.orders_since_reading(listing)
    if reading is None or since is None or not has_passed(rule, reading):
        return ListingChanged(listing, changed=False)
    least, most = _bounds(listing, rule, reading, since.values())
    known, push = state.sales_left, state.push
    if state.exposure is None:
        state = _set_exposure(book, rule, listing, replace(state, exposure=()), most)
    elif known < least:
        state = _set_exposure(book, rule, listing, state, most)
        _record_drift(book, listing, reading, known, least, most, "exposure told as it is; lowered if it is too much")
    elif most < known:
        state = _set_exposure(book, rule, listing, state, most)
        if push is None and not state.unsure:
            _record_drift(book, listing, reading, known, least, most, "exposure lowered to what the reading proves")
    state = replace(state, reading=None, unsure=False)
    # One that is still under way will be reported; what it may add is in the bounds. Only of what nobody will report is
    # this the answer: such a push has no reading but one that was asked for since.
    if push is not None and push.unknown_since is not None:
        found = state.sales_left - known
        report = ReportPush(listing.listing_id, push.push_id, PushResult.READ_BACK)
        _settle(book, listing, push, report, found + push.sales if push.kind is PushKind.RAISE else -found)
        state = replace(state, push=None, last_push_id=push.push_id)
    changed = _keep(book, listing, state)
    tell_missing(book, listing, book.serving(rule))
    return changed


def settle_below_zero(book: Book, command: SettleBelowZero) -> ListingChanged:
    """The platform has sold more than we let it, and no cancel explains it: tell it as it is (R23)."""
    listing = book.listing(command.listing_id)
    rule, state = book.channel(listing.channel), listing.state
    if state.sales_left >= 0 or not has_passed_time(rule, state):
        return ListingChanged(listing, changed=False)
    # What other locations still keep for it stays kept: it is owed to the same buyers, and not to be shown again.
    beyond = -state.sales_left
    for share in state.exposure or ():
        told = min(beyond, max(0, -share.sales))
        state = state.moved(share.location, told)
        beyond -= told
    changed = _keep(book, listing, state)
    tell_missing(book, listing, book.serving(rule))
    return changed


def has_passed(rule: ChannelRule, reading: Reading) -> bool:
    """True if all orders up to the reading are in."""
    return rule.watermark is not None and rule.watermark > reading.end_time + rule.facts.margin


def has_passed_time(rule: ChannelRule, state: ListingState) -> bool:
    """True if all orders up to the one that took the listing below zero are in, and so all cancels before it."""
    since = state.below_zero_time
    return since is None or (rule.watermark is not None and rule.watermark > since + rule.facts.margin)


def takes_on(rule: ChannelRule, listing: Listing) -> TakesOn:
    """When the platform takes units for this listing (R33)."""
    return listing.takes_on or rule.facts.takes_on


def tell_missing(book: Book, listing: Listing, locations: Iterable[str], order_id: str = "") -> None:
    """Open a shortfall for promised units that are not there, and of which nobody knows yet."""
    cause = ShortfallCause.POLICY if listing.state.permitted else ShortfallCause.SOLD_BEYOND
    for location in locations:
        for component in listing.components:
            level = book.level(component.sku, location)
            if level.overdrawn > level.short:
                missing = level.overdrawn - level.short
                book.open_shortfall(cause, component.sku, location, missing, order_id=order_id)


# ---- raising


def _grant(book: Book, listing: Listing, command: PlanPush) -> tuple[ListingState, tuple[Share, ...]]:
    """As many of the wanted sales as R20 has room for, location by location."""
    state = listing.state
    if command.permitted:
        return replace(state, permitted=True), command.shares
    if state.permitted:
        if not _fits(book, listing):
            return state, ()
        state = replace(state, permitted=False)
        book.keep_listing(replace(listing, state=state))
    return state, tuple(Share(s.location, min(s.sales, room_at(book, listing, s.location))) for s in command.shares)


def room_at(book: Book, listing: Listing, location: str) -> int:
    """Sales that could be added at a location: every component has unallocated units for them."""
    return max(0, min(book.level(one.sku, location).unallocated // one.units for one in listing.components))


def is_overdrawn(book: Book, listing: Listing, location: str) -> bool:
    """True if more of some component is promised and exposed at a location than there is."""
    return any(book.level(one.sku, location).unallocated < 0 for one in listing.components)


def _fits(book: Book, listing: Listing) -> bool:
    """True if what a permitted listing shows would fit into what is unallocated."""
    return all(room_at(book, listing, share.location) >= share.sales for share in listing.state.exposure or ())


# ---- settling


def _raise_settled(state: ListingState, push: Push, applied: int) -> ListingState:
    """What was not applied leaves the exposure again; from the last location first."""
    missing = push.sales - applied
    if state.reading is not None:
        state = replace(state, reading=replace(state.reading, raised=state.reading.raised - missing))
    if missing < 0:
        return state.moved(push.shares[0].location, -missing)
    for share in reversed(push.shares):
        back = min(missing, share.sales)
        state = state.moved(share.location, -back)
        missing -= back
    return state


def _lowered(state: ListingState, push: Push, applied: int) -> ListingState:
    if state.reading is not None:
        state = replace(state, reading=replace(state.reading, lowered=state.reading.lowered + applied))
    for share in push.shares:
        taken = min(applied, share.sales)
        state = state.moved(share.location, -taken)
        applied -= taken
    return state.moved(push.shares[0].location, -applied) if applied else state


def _rest(shares: tuple[Share, ...], applied: int) -> tuple[Share, ...]:
    rest = []
    for share in shares:
        taken = min(applied, share.sales)
        applied -= taken
        rest.append(Share(share.location, share.sales - taken))
    return tuple(rest)


def _outcome_unknown(book: Book, listing: Listing, push: Push, report: ReportPush) -> ListingChanged:
    """Wait for a reading that is late enough; one from before cannot know. What is certain counts at once."""
    if push.unknown_since is not None:
        return ListingChanged(listing, changed=False)
    state = listing.state
    if push.kind is not PushKind.RAISE:
        state = _lowered(state, push, report.applied)
        push = replace(push, shares=_rest(push.shares, report.applied))
    push = replace(push, unknown_since=book.now)
    return _keep(book, listing, replace(state, push=push, reading=None, read_id=0))


def _settle(book: Book, listing: Listing, push: Push, report: ReportPush, applied: int) -> None:
    said = (report.result, applied, report.attempts, report.duration_ms, report.error)
    decided = (push.push_id, listing.listing_id, push.kind, push.sales, push.create_time)
    book.pushes.append(PushRecord(*decided, book.now, *said))


# ---- judging


def _bounds(listing: Listing, rule: ChannelRule, reading: Reading, orders: Iterable[KnownOrder]) -> tuple[int, int]:
    """The least and the most that the listing may still sell now, by a reading that the watermark has passed."""
    begin, end = reading.begin_time - rule.facts.margin, reading.end_time + rule.facts.margin
    sold_surely = sold_maybe = back_surely = back_maybe = 0
    for order in orders:
        for line in order.lines:
            if line.listing_id != listing.listing_id or line.take_time is None:
                continue
            sold_surely += line.line.quantity * (line.take_time > end)
            sold_maybe += line.line.quantity * (line.take_time > begin)
            back, back_time = given_back(rule, order.state, line), line.line.given_back_time
            if back and back_time is not None:
                back_surely += back * (back_time > end)
                back_maybe += back * (back_time > begin)
    base = reading.shown + reading.raised - reading.lowered
    # The least may be below zero: something given back, and not taken in yet, was sold again.
    return base - sold_maybe + back_surely, max(0, base - sold_surely + back_maybe)


def given_back(rule: ChannelRule, state: OrderState, line: KnownLine) -> int:
    """Sales the platform has put back on its shelf for this line."""
    if state is OrderState.CLOSED:
        return line.line.quantity if rule.facts.close_restores else 0
    if not rule.facts.refund_restores:
        return 0
    # What was refunded before the rest was shipped is back all the same.
    return line.returned if line.line.shipped else max(line.line.refunded, line.returned)


def _set_exposure(book: Book, rule: ChannelRule, listing: Listing, state: ListingState, sales: int) -> ListingState:
    """The state with so many sales in all: added where most is unallocated, taken from the last location first.

    Before all others they are taken from where more is promised than there is: elsewhere they would be shown again.
    """
    more = sales - state.sales_left
    serving = book.serving(rule)
    if more > 0:
        return state.moved(max(serving, key=lambda at: room_at(book, listing, at)), more)
    last_first = reversed(state.exposure or ())
    for share in sorted(last_first, key=lambda one: not is_overdrawn(book, listing, one.location)):
        less = min(-more, max(0, share.sales))
        state = state.moved(share.location, -less)
        more += less
    return state.moved(serving[0], more) if more else state


def _record_drift(
    book: Book, listing: Listing, reading: Reading, known: int, least: int, most: int, action: str
) -> None:
    found = (reading.shown, known, least, most, reading.end_time)
    book.record_drift(Drift(0, listing.listing_id, listing.channel, *found, book.now, action))


def _keep(book: Book, listing: Listing, state: ListingState) -> ListingChanged:
    if state.sales_left >= 0 and state.below_zero_time is not None:
        state = replace(state, below_zero_time=None)
    return ListingChanged(book.keep_listing(replace(listing, state=state)))
