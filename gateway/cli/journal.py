"""The journal of a running gateway as an order log: what was asked for is in it as well as any report."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from gateway.cli.client import Caller
from gateway.cli.errors import EXIT_USAGE, failure
from gateway.cli.orderlog import LoggedOrder
from gateway.cli.pages import PAGE_SIZE_MAX
from gateway.v1 import stock_pb2, stock_service_pb2

MOVEMENTS_MAX = 2_000_000  # several minutes of reading, and as many orders as fit into memory with ease
ASKED = stock_pb2.MOVEMENT_KIND_RESERVE
GIVEN_BACK = (stock_pb2.MOVEMENT_KIND_RELEASE, stock_pb2.MOVEMENT_KIND_EXPIRE)


def read_journal(caller: Caller, since: datetime | None, until: datetime | None) -> list[LoggedOrder]:
    """The orders recorded from `since` until before `until`, in the order of their times. Raises Failure.

    Each RESERVE is an order at the time it was recorded; what several locations hold of one SKU for one reservation is
    one. A reservation that was released or has expired was not paid.
    """
    units: dict[tuple[str, str], int] = {}
    times: dict[tuple[str, str], float] = {}
    unpaid: set[str] = set()
    for movement in _movements(caller, since, until):
        if movement.kind != ASKED:
            unpaid.add(movement.reservation_id)
            continue
        order = movement.reservation_id or str(movement.revision), movement.sku
        units[order] = units.get(order, 0) + movement.quantity
        times[order] = movement.record_time.ToNanoseconds() / 1e9
    if not units:
        raise failure(
            "JOURNAL", "the journal has no orders in that time", "Check --since and --until.", exit_code=EXIT_USAGE
        )
    orders = [
        LoggedOrder(times[reservation, sku], sku, quantity, reservation not in unpaid)
        for (reservation, sku), quantity in units.items()
    ]
    return sorted(orders, key=lambda order: (order.time, order.sku))


def _movements(caller: Caller, since: datetime | None, until: datetime | None) -> Iterator[stock_pb2.Movement]:
    """Newest first, page after page."""
    request = stock_service_pb2.ListMovementsRequest(
        page_size=PAGE_SIZE_MAX,
        kinds=[ASKED, *GIVEN_BACK],
        start_time=_stamp(since),
        # What is recorded while we read would move the pages.
        end_time=_stamp(until or datetime.now(UTC)),
    )
    read = 0
    while True:
        response = caller.ask(caller.stock.ListMovements, request)
        yield from response.movements
        read += len(response.movements)
        if not response.next_page_token:
            return
        if read >= MOVEMENTS_MAX:
            message = f"the journal has more than {MOVEMENTS_MAX:,} movements in that time"
            raise failure("JOURNAL", message, "Ask for less with --since and --until.", exit_code=EXIT_USAGE)
        request.page_token = response.next_page_token


def _stamp(moment: datetime | None) -> Timestamp | None:
    if moment is None:
        return None
    written = Timestamp()
    written.FromDatetime(moment)
    return written
