"""How fast orders come in: new ones, page by page, over three channels at once."""

import itertools
from collections.abc import Iterator, Sequence
from statistics import median

from gateway.v1 import channel_service_pb2 as pb
from tests.bench.figures import RUN_SECONDS, Figure
from tests.bench.load import closed_loop
from tests.bench.selling_shop import CHANNELS, Seller, clerks, page_of
from tests.bench.shop import BATCH, zipf

PAGES_IN_FLIGHT = 12
# More than a run can take in.
PAGES_MADE = 1_200


async def orders_taken_in(seller: Seller, skus: Sequence[str], rounds: int) -> list[Figure]:
    """Orders per second, all of one SKU and over all SKUs by Zipf's law."""
    await seller.set_up(skus)
    draw = zipf(list(skus), 3, PAGES_MADE * BATCH)
    hot, spread = [], []
    async with clerks(seller):
        for _ in range(rounds):
            hot.append(await _rate(seller, [skus[0]] * (PAGES_MADE * BATCH)))
            spread.append(await _rate(seller, draw))
    return [
        Figure("orders taken in, one SKU", median(hot), "/s", 5_000, 10_000),
        Figure(f"orders taken in, {len(skus):,} SKUs (Zipf)", median(spread), "/s", 5_000, 10_000),
    ]


async def _rate(seller: Seller, skus: Sequence[str]) -> float:
    pages = _pages(skus)

    async def report() -> None:
        answer = await seller.report_orders(next(pages))
        assert answer.taken == BATCH, "every order is new"

    return (await closed_loop(report, PAGES_IN_FLIGHT, RUN_SECONDS)).rate * BATCH


def _pages(skus: Sequence[str]) -> Iterator[pb.ReportOrdersRequest]:
    """Made before the clock runs."""
    names = itertools.cycle(CHANNELS)
    starts = range(0, len(skus), BATCH)
    return iter([page_of(next(names), skus[start : start + BATCH]) for start in starts])
