"""Walking a list that moves: nothing that stays in the span is skipped, whatever the rest does."""

import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest

from connectors.douyin.paging import PAGE_SIZE, WINDOW_SECONDS, Page, walk
from connectors.errors import Misunderstood
from tests.connectors.douyin.rig import SEED


@dataclass(frozen=True)
class Row:
    """A row; `index_time` is where the platform's index has it, which may be behind."""

    name: int
    updated: int
    index_time: int


class MovingList:
    """A platform's list of which rows are updated whenever a page was read."""

    def __init__(self, chance: random.Random, rows: Sequence[Row], now: int, moves: int, lag: float) -> None:
        self.rows = {row.name: row for row in rows}
        self.moved: set[int] = set()
        self._chance, self._now, self._moves, self._lag = chance, now, moves, lag

    async def page(self, start: int, end: int, number: int) -> Page[Row]:
        """One page, the oldest first; then some rows move."""
        found = [row for row in self.rows.values() if start <= row.index_time <= end]
        found.sort(key=lambda row: (row.index_time, row.name))
        page = Page(len(found), found[number * PAGE_SIZE : (number + 1) * PAGE_SIZE])
        for name in self._chance.sample(sorted(self.rows), self._moves):
            self._now += self._chance.randint(0, 1)
            row = self.rows[name]
            # The index is sometimes not told.
            index_time = row.index_time if self._chance.random() < self._lag else self._now
            self.rows[name] = replace(row, updated=self._now, index_time=index_time)
            self.moved.add(name)
        return page


@pytest.mark.parametrize("spread", [1, 3, 400, 2 * WINDOW_SECONDS])
@pytest.mark.parametrize("lag", [0.0, 0.5])
async def test_what_stays_is_seen(spread: int, lag: float) -> None:
    """Rows within one second or over hours, of which some move after each page, some of them unnoticed by the index."""
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    for _ in range(20):
        times = [1000 + chance.randrange(spread) for _ in range(chance.choice([0, 99, 100, 101, 750]))]
        rows = [Row(name, time, time) for name, time in enumerate(times)]
        listing = MovingList(chance, rows, 1000 + spread, min(len(rows), chance.choice([0, 5, 40])), lag)
        seen: set[int] = set()
        async for page in walk(listing.page, 1000, 1000 + spread - 1):
            seen |= {row.name for row in page}
        assert {row.name for row in rows} - listing.moved <= seen


async def test_what_moves_within_the_span_is_seen_as_it_is_then() -> None:
    """A row that is updated within the span comes (again) with its new time."""
    chance = random.Random(SEED)
    rows = [Row(name, 1000 + name, 1000 + name) for name in range(500)]
    listing = MovingList(chance, rows, 1600, 30, lag=0.0)
    seen: dict[int, int] = {}
    async for page in walk(listing.page, 1000, 3000):
        seen |= {row.name: row.updated for row in page}
    late = {name for name, row in listing.rows.items() if seen.get(name) != row.updated}
    # Only what moved after the last page was read.
    assert len(late) <= 30


async def test_windows_leave_no_gap_and_no_overlap() -> None:
    """A span is cut into windows that touch."""
    asked: list[tuple[int, int]] = []

    async def empty(start: int, end: int, _number: int) -> Page[Row]:
        asked.append((start, end))
        return Page(0, ())

    async for _ in walk(empty, 5, 5 + 3 * WINDOW_SECONDS):
        pass
    assert (asked[0][0], asked[-1][1], len(asked)) == (5, 5 + 3 * WINDOW_SECONDS, 4)
    assert all(later[0] == earlier[1] + 1 for earlier, later in itertools.pairwise(asked))


async def test_a_list_that_contradicts_itself_is_misunderstood() -> None:
    """Rows that are counted but not shown would be skipped."""

    async def liar(_start: int, _end: int, _number: int) -> Page[Row]:
        return Page(500, ())

    with pytest.raises(Misunderstood):
        async for _ in walk(liar, 0, 10):
            pass
