"""Random histories: commands that make sense most of the time, repeated, reused, too late, too many and too large.

Everything is small so that commands meet: two SKUs, two locations, a handful of reservations, times in half seconds, so
that holds run out exactly at, before and after a command. Commands are picked from pools that are made once: that is
quick, and a failing history shrinks to the first, plainest commands of their pools.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import product
from typing import NamedTuple

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from msgspec.structs import replace

from gateway.domain import commands as c
from gateway.domain.book import Book
from gateway.domain.changes import Counters, Limits
from gateway.domain.stock import UNITS_MAX, SkuRule

START = datetime(2025, 11, 11, tzinfo=UTC)
LOCATIONS = ("east", "west")
SKUS = ("A", "B")
TTL_MAX_MS = Limits().ttl_max_ms

# Runs differ, in CI too, and a failure prints what reproduces it: `@reproduce_failure`.
bounded = partial(settings, deadline=None, derandomize=False, print_blob=True)
# Seconds for a test that fails: a history is then shrunk, which hypothesis does for five minutes at most.
SHRINKING_TIMEOUT = 400

Verb = SearchStrategy[c.AnyCommand]


class Moment(NamedTuple):
    """What comes at one time: parts of one command each, or of several that are one atomic span."""

    elapsed: timedelta
    parts: list[list[c.AnyCommand]]


class Wish(NamedTuple):
    """A command without its request id, and where that is to come from: see `_named`."""

    command: c.AnyCommand
    origin: int


# Beside fresh ids: the whole command so many places back again, or its id with other content.
_FRESH, _AGAIN, _REUSED = 0, range(1, 6), range(6, 9)


def _lines(*choices: Iterable[c.LineQuantity]) -> list[tuple[c.LineQuantity, ...]]:
    return list(product(*choices))


_BIG = UNITS_MAX - 5
_NUMBERS = (1, 2, 3, 4, 5)
_PLACES = ("", *LOCATIONS)
_UNITS = (1, 2, 1, 3, 2, 5, 9)
_TIMES = (*[None] * 6, *[START + timedelta(milliseconds=500 * n) for n in range(-2, 10)])
_FIRST = [c.LineQuantity(1, units) for units in (1, 2, 3, 4, 0)]
_SECOND = [c.LineQuantity(2, units) for units in (1, 2, 3, 4, 0)]
_QUANTITIES = [*_lines(_FIRST), *_lines(_SECOND), *_lines(_FIRST, _SECOND), *_lines(_SECOND, _FIRST)]
_ALL_OR_SOME = [*[()] * len(_QUANTITIES), *_QUANTITIES]
_LOCATIONS = ((), (), (), ("west",), ("west", "east"))


def _verb(kind: Callable[..., c.AnyCommand], *choices: Iterable[object]) -> Verb:
    """A command of this kind, from all that these choices make."""
    return st.sampled_from([kind("", *values) for values in product(*choices)])


def _promise(units: Iterable[int], lines_max: int) -> Verb:
    line = st.sampled_from([c.ReserveLine(sku, quantity, at) for at, quantity, sku in product(_PLACES, units, SKUS)])
    rest = list(product((2000, 60_000, 500, 1000, 0), (False, True), ("", "o1"), _LOCATIONS))
    lines = st.lists(line, min_size=1, max_size=lines_max)
    return st.builds(lambda lines, rest: c.ReserveStock("", tuple(lines), *rest), lines, st.sampled_from(rest))


_promises: list[Verb] = [_promise(_UNITS, 2), _promise(_UNITS, 3), _promise((1, 2), 2)]
_reservation_verbs: list[Verb] = [
    _verb(c.CommitReservation, _NUMBERS, _ALL_OR_SOME, (False, True)),
    _verb(c.CommitReservation, _NUMBERS, _ALL_OR_SOME, (True,)),
    _verb(c.ReleaseReservation, _NUMBERS),
    _verb(c.ExtendReservation, _NUMBERS, (500, 1000, 60_000)),
    _verb(c.ResizeReservation, _NUMBERS, _QUANTITIES),
    _verb(c.ResizeReservation, _NUMBERS, _QUANTITIES),
    _verb(c.ReturnStock, _NUMBERS, _ALL_OR_SOME, _PLACES),
    _verb(c.ReturnStock, _NUMBERS, _ALL_OR_SOME, _PLACES),
    _verb(c.ExpireReservation, _NUMBERS),
]
_goods_verbs: list[Verb] = [
    _verb(c.ReceiveStock, SKUS, _PLACES, _UNITS, ("",), _TIMES),
    _verb(c.AdjustStock, SKUS, _PLACES, (-1, 1, -3, -9, 4), ("",), (None, None, 3), (False, True), (0,), _TIMES),
    _verb(c.CountStock, SKUS, _PLACES, (0, 1, 3, 6, 9), _TIMES, ("",), (None, None, None, 3)),
    _verb(c.TransferStock, SKUS, ("east",), ("west",), _UNITS),
    _verb(c.TransferStock, SKUS, ("west",), ("east",), _UNITS),
    _verb(c.SetSafetyStock, SKUS, (0, 1, 2)),
    _verb(c.SetFrozen, SKUS, (False, True, False)),
]
_oddities: Verb = st.sampled_from(
    [
        c.ReceiveStock("", "A", "east", _BIG),
        c.ReceiveStock("", "A", "west", UNITS_MAX),
        c.ReceiveStock("", "nothing", "", 1),
        c.ReceiveStock("", "A", "nowhere", 1),
        c.ReceiveStock("", "A", "", 1, "", START + timedelta(days=1)),
        c.AdjustStock("", "A", "east", _BIG),
        c.AdjustStock("", "A", "", -UNITS_MAX, record_reality=True),
        c.AdjustStock("", "A", "", -UNITS_MAX),
        c.AdjustStock("", "nothing", "", 1),
        c.CountStock("", "A", "east", UNITS_MAX, START),
        c.CountStock("", "A", "west", _BIG),
        c.CountStock("", "A", "", 1, START + timedelta(days=1)),
        c.TransferStock("", "A", "east", "west", _BIG),
        c.TransferStock("", "A", "east", "east", 1),
        c.TransferStock("", "A", "nowhere", "east", 1),
        c.TransferStock("", "A", "east", "nowhere", 1),
        c.SetSafetyStock("", "nothing", 1),
        c.SetSafetyStock("", "A", UNITS_MAX),
        c.SetFrozen("", "nothing", True),
        c.ReserveStock("", (c.ReserveLine("A", UNITS_MAX),), allow_partial=True),
        c.ReserveStock("", (c.ReserveLine("A", 1), c.ReserveLine("nothing", 1))),
        c.ReserveStock("", (c.ReserveLine("A", 1, "nowhere"),)),
        c.ReserveStock("", (c.ReserveLine("A", 1),), locations=("east", "nowhere")),
        c.ReserveStock("", (c.ReserveLine("A", 9),), locations=("east", "east")),
        c.ReserveStock("", (c.ReserveLine("A", 1),), TTL_MAX_MS + 1),
        c.ReserveStock("", (c.ReserveLine("A", 1),), TTL_MAX_MS),
        c.CommitReservation("", 99),
        c.CommitReservation("", 1, (c.LineQuantity(3, 1),)),
        c.CommitReservation("", 1, (c.LineQuantity(1, 1), c.LineQuantity(1, 1))),
        c.CommitReservation("", 1, (c.LineQuantity(1, UNITS_MAX),), retake_expired=True),
        c.ReleaseReservation("", 99),
        c.ExtendReservation("", 1, TTL_MAX_MS + 1),
        c.ExtendReservation("", 99, 1),
        c.ResizeReservation("", 1, (c.LineQuantity(1, UNITS_MAX),)),
        c.ResizeReservation("", 1, (c.LineQuantity(0, 1),)),
        c.ReturnStock("", 1, (), "nowhere"),
        c.ReturnStock("", 1, (c.LineQuantity(1, UNITS_MAX),)),
        c.ReturnStock("", 99),
    ]
)
_command = st.one_of(*_promises, *_reservation_verbs, *_goods_verbs, _oddities)
_wish = st.builds(Wish, _command, st.sampled_from([_FRESH] * 40 + [*_AGAIN, *_REUSED]))
_part = st.one_of(*[st.lists(_wish, min_size=1, max_size=1)] * 5, st.lists(_wish, min_size=2, max_size=3))
_elapsed = st.sampled_from([0, 0, 0, 1, 499, 500, 500, 1000]).map(lambda ms: timedelta(milliseconds=ms))
_stock = st.tuples(*[st.sampled_from([5, 9, 3, 7, 0])] * 4)
_soon = st.one_of(*[_promise((1, 2, 3), 2)] * 3, _verb(c.CommitReservation, _NUMBERS))
_early = st.lists(st.builds(Wish, _soon, st.just(_FRESH)), min_size=2, max_size=5)


def empty_book() -> Book:
    """Where histories happen."""
    skus = {sku: SkuRule() for sku in SKUS}
    return Book(now=START, counters=Counters(), locations=LOCATIONS, skus=skus, levels={})


def histories(moments_max: int, parts_max: int) -> SearchStrategy[list[Moment]]:
    """Histories that begin with some stock on the shelves and some of it promised."""
    moment = st.tuples(_elapsed, st.lists(_part, min_size=1, max_size=parts_max))
    moments = st.integers(1, moments_max).flatmap(lambda size: st.lists(moment, min_size=size, max_size=size))
    return st.builds(_told, _stock, _early, moments)


def _told(stock: tuple[int, ...], early: list[Wish], moments: list[tuple[timedelta, list[list[Wish]]]]) -> list[Moment]:
    """The history with a request id on every command but the ledger's own."""
    filled = [(place, units) for place, units in zip(product(SKUS, LOCATIONS), stock, strict=True) if units]
    opening = [c.ReceiveStock(f"stock-{sku}-{at}", sku, at, units) for (sku, at), units in filled]
    told = [Moment(timedelta(0), [[command] for command in opening])]
    sent: list[c.AnyCommand] = []
    for elapsed, parts in [(timedelta(0), [[promise] for promise in early]), *moments]:
        told.append(Moment(elapsed, [[_named(wish, sent) for wish in part] for part in parts]))
    return told


def _named(wish: Wish, sent: list[c.AnyCommand]) -> c.AnyCommand:
    """The wish with its request id; what it asks of a reservation, it asks of one that there may be."""
    command = replace(wish.command, request_id=f"r{len(sent)}")
    number = getattr(command, "reservation_id", 0)
    if number in _NUMBERS:
        promised = sum(isinstance(one, c.ReserveStock) for one in sent)
        command = replace(command, reservation_id=1 + (number - 1) % max(1, promised))
    back = wish.origin
    if back in _AGAIN and back <= len(sent):
        command = sent[-back]
    elif back in _REUSED and back - _REUSED.start < len(sent):
        command = replace(command, request_id=sent[_REUSED.start - back - 1].request_id)
    if isinstance(command, c.ExpireReservation):
        return replace(command, request_id="")
    sent.append(command)
    return command
