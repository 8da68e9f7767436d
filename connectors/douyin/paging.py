"""Walking a list that is sorted by update time and moves while one reads it.

Douyin's lists have page numbers and no cursor. A row that is updated between two pages leaves its place, so that all
rows behind it move up and one slips from the page that is yet to come to the page that was read. So pages are not
counted upward: after a full page the list is asked anew from the second of its last row. Only where one second fills a
page are pages counted, from the last one down: rows that move up then move to pages that are yet to come.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from connectors.errors import Misunderstood

PAGE_SIZE = 100
WINDOW_SECONDS = 3600


class Dated(Protocol):
    """A row of such a list."""

    @property
    def updated(self) -> int:
        """Its update time in Unix seconds."""


R = TypeVar("R", bound=Dated)


@dataclass(frozen=True)
class Page(Generic[R]):
    """Some rows of a list that has `total` of them."""

    total: int
    rows: Sequence[R]


# Rows updated in [start, end], the oldest first; the third number is that of the page, from 0.
List = Callable[[int, int, int], Awaitable[Page[R]]]


async def walk(listing: List[R], start: int, end: int) -> AsyncIterator[Sequence[R]]:
    """Every row that was updated in [start, end], in windows; rows may come more than once."""
    while start <= end:
        until = min(end, start + WINDOW_SECONDS - 1)
        async for rows in _window(listing, start, until):
            yield rows
        start = until + 1


async def _window(listing: List[R], start: int, end: int) -> AsyncIterator[Sequence[R]]:
    while start <= end:
        page = await listing(start, end, 0)
        if page.total <= PAGE_SIZE:
            yield page.rows
            return
        times = [row.updated for row in page.rows]
        if not times:
            raise Misunderstood(f"a list of {page.total} rows has an empty first page")
        if times != sorted(times) or times[-1] > end:  # a row moved between the platform's index and its answer
            async for rows in _downward(listing, start, end):
                yield rows
            return
        yield page.rows
        if times[-1] > start:
            start = times[-1]
            continue
        async for rows in _downward(listing, start, start):
            yield rows
        start += 1


async def _downward(listing: List[R], start: int, end: int) -> AsyncIterator[Sequence[R]]:
    total = (await listing(start, end, 0)).total
    for number in reversed(range(-(-total // PAGE_SIZE))):
        yield (await listing(start, end, number)).rows
