"""What a gateway's journal teaches: `stockgate learn` and `stockgate backtest` with `--journal`."""

from datetime import UTC, datetime, timedelta

from gateway.cli.pages import PAGE_SIZE_MAX
from tests.cli.conftest import Stockgate
from tests.client import Client


async def test_learn_reads_what_was_reserved(stockgate: Stockgate, client: Client) -> None:
    """Each reservation is an order, whatever became of it; receipts and commits are none."""
    await client.add_sku("TEA", 100)
    await client.add_sku("CUP", 100)
    for quantity in (1, 2, 3):
        await client.commit((await client.reserve("TEA", quantity)).reservation_id)
    await client.release((await client.reserve("CUP", 5)).reservation_id)
    learned = await stockgate("learn", "--journal", "--json")
    assert learned.exit_code == 0
    skus = learned.document["skus"]
    assert {sku: each["orders"] for sku, each in skus.items()} == {"TEA": 3, "CUP": 1}
    assert (skus["TEA"]["quantity_mean"], skus["CUP"]["quantity_mean"]) == (2.0, 5.0)


async def test_a_span_of_time_is_asked_for(stockgate: Stockgate, client: Client) -> None:
    """From --since until before --until; where there is nothing, it says so."""
    await client.add_sku("TEA", 100)
    await client.reserve("TEA")
    between = datetime.now(UTC).isoformat()
    await client.reserve("TEA")
    await client.reserve("TEA")
    for arguments, orders in ((("--since", between), 2), (("--until", between), 1), (("--since", "1h"), 3)):
        learned = await stockgate("learn", "--journal", *arguments, "--json")
        assert learned.document["skus"]["TEA"]["orders"] == orders
    later = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    nothing = await stockgate("learn", "--journal", "--since", later, "--json")
    assert nothing.exit_code == 2
    assert "no orders" in nothing.error["message"]


async def test_more_than_a_page_is_read_whole(stockgate: Stockgate, client: Client) -> None:
    """A thousand movements are one page; here are two, and none is missing or counted twice."""
    await client.add_sku("TEA", 5_000)
    for _ in range(PAGE_SIZE_MAX // 2 + 3):
        await client.release((await client.reserve("TEA")).reservation_id)
    learned = await stockgate("learn", "--journal", "--json")
    assert learned.document["skus"]["TEA"]["orders"] == PAGE_SIZE_MAX // 2 + 3


async def test_policies_are_run_over_a_past_session(stockgate: Stockgate, client: Client) -> None:
    """The journal is a log like any other, and a short one is judged without an error."""
    await client.add_sku("TEA", 500)
    for _ in range(120):
        await client.reserve("TEA")
    arguments = ("--policy", "tiers", "--policy", "static-20", "--sessions", "10", "--units", "60", "--lead-time", "1s")
    judged = await stockgate("backtest", "--journal", *arguments, "--json")
    assert judged.exit_code == 0, judged.err
    assert {row["policy"] for row in judged.document["sessions"]} == {"tiers", "static-20"}


async def test_no_gateway_is_a_failure_that_says_so(stockgate: Stockgate) -> None:
    """As for every command that asks one."""
    failed = await stockgate("learn", "--journal", "--address", "127.0.0.1:1", "--json")
    assert failed.exit_code == 1
    assert "127.0.0.1:1" in failed.error["message"]
