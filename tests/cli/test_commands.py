"""The commands as a person uses them, against a real gateway."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from datetime import UTC, datetime

from tests.cli.conftest import Stockgate


async def test_a_day_in_the_shop(stockgate: Stockgate) -> None:
    """Make a SKU, receive, reserve, commit part, return; the level and the journal show it all."""
    assert (await stockgate("sku", "add", "TEA", "--title", "Green tea [bold]", "--safety-stock", "5")).exit_code == 0
    received = await stockgate("stock", "receive", "TEA", "100")
    assert "Received 100 of TEA at main." in received.out
    assert "on hand 100 · reserved 0 · safety stock 5 · available 95" in received.out
    reserved = await stockgate("stock", "reserve", "TEA", "3", "--ttl", "15m", "--order-id", "6064", "--json")
    reservation_id = reserved.document["reservation"]["reservation_id"]
    committed = await stockgate("stock", "commit", reservation_id, "--line", "1=2")
    assert f"Reservation {reservation_id} for order 6064: COMMITTED" in committed.out
    assert (await stockgate("stock", "return", reservation_id, "--line", "1=1")).exit_code == 0
    level = (await stockgate("stock", "level", "TEA", "--json")).document["level"]
    assert (level["on_hand"], level["reserved"], level["available"]) == (99, 0, 94)
    movements = (await stockgate("stock", "movements", "TEA", "--limit", "1")).out
    assert movements.startswith("Movements of TEA")
    assert "CST   return" in movements
    assert "+1 → 99" in movements
    assert "Green tea [bold]" in (await stockgate("sku", "list")).out


async def test_a_repeated_request_id_is_one_effect(stockgate: Stockgate) -> None:
    """R10: the second answer is the first one, and the id is in the output."""
    await stockgate("sku", "add", "TEA")
    first, second = [await stockgate("stock", "receive", "TEA", "5", "--request-id", "truck-7", "--json") for _ in "12"]
    assert first.document == second.document
    assert first.document["request_id"] == "truck-7"
    reused = await stockgate("stock", "receive", "TEA", "6", "--request-id", "truck-7", "--json")
    assert (reused.exit_code, reused.error["reason"]) == (1, "REQUEST_ID_REUSED")


async def test_quantities_in_json_are_numbers(stockgate: Stockgate) -> None:
    """64-bit integers are numbers, fields with their default value are there, times are RFC 3339."""
    await stockgate("sku", "add", "TEA")
    answer = (await stockgate("stock", "receive", "TEA", str(10**15), "--json")).document
    assert answer["level"]["on_hand"] == 10**15
    assert answer["level"]["deficit"] == 0
    assert datetime.fromisoformat(answer["record_time"]) <= datetime.now(UTC)


async def test_a_refusal_says_what_to_do(stockgate: Stockgate) -> None:
    """Exit code 1, the numbers, and the command that helps."""
    await stockgate("sku", "add", "TEA")
    refused = await stockgate("stock", "reserve", "TEA", "3")
    assert refused.exit_code == 1
    assert refused.out == ""
    assert refused.err.startswith("INSUFFICIENT_STOCK")
    assert "stockgate stock receive TEA QUANTITY" in refused.err
    unknown = await stockgate("stock", "level", "NOPE", "--json")
    assert unknown.error["reason"] == "SKU_UNKNOWN"


async def test_corrections_and_counts(stockgate: Stockgate) -> None:
    """Adjust takes a negative number as it is; a count is reality; what is gone is a shortfall (R14)."""
    await stockgate("sku", "add", "TEA")
    await stockgate("stock", "receive", "TEA", "10")
    assert "by -3" in (await stockgate("stock", "adjust", "TEA", "-3", "--reason", "broken")).out
    await stockgate("stock", "reserve", "TEA", "5")
    refused = await stockgate("stock", "adjust", "TEA", "-4", "--reason", "broken", "--json")
    assert refused.error["reason"] == "BELOW_RESERVED"
    counted = await stockgate("stock", "count", "TEA", "2")
    assert "3 units are promised and gone" in counted.out
    assert "goods gone" in (await stockgate("stock", "shortfalls")).out


async def test_transfers_and_locations(stockgate: Stockgate) -> None:
    """A SKU with several locations is shown with each of them."""
    await stockgate("sku", "add", "TEA")
    await stockgate("location", "add", "north", "--title", "North", "--position", "2")
    await stockgate("stock", "receive", "TEA", "10")
    assert (await stockgate("stock", "transfer", "TEA", "4", "--from", "main", "--to", "north")).exit_code == 0
    rows = [line.split() for line in (await stockgate("stock", "level", "TEA")).out.splitlines()[2:]]
    assert [row[:3] for row in rows] == [["TEA", "all", "10"], ["main", "6", "0"], ["north", "4", "0"]]
    moved = (await stockgate("location", "set", "north", "--position", "0", "--json")).document["location"]
    assert (moved["title"], moved["position"]) == ("North", 0)
    assert (await stockgate("location", "set", "north")).exit_code == 2


async def test_the_past_can_be_read(stockgate: Stockgate) -> None:
    """R19: before the first goods came in there were none."""
    await stockgate("sku", "add", "TEA")
    await stockgate("stock", "receive", "TEA", "10")
    past = await stockgate("stock", "as-of", "TEA", "1h", "--json")
    assert past.document["level"]["on_hand"] == 0


async def test_lists_go_on_page_after_page(stockgate: Stockgate) -> None:
    """`--limit` counts items, not pages, and a list says if there is more."""
    for number in range(3):
        await stockgate("sku", "add", f"SKU-{number}")
    short = await stockgate("sku", "list", "--limit", "2")
    assert "SKU-1" in short.out
    assert "SKU-2" not in short.out
    assert "There are more than these 2" in short.out
    assert len((await stockgate("sku", "list", "--json")).document["skus"]) == 3


async def test_watch_prints_json_lines_and_ends_with_ctrl_c(
    stockgate: Stockgate, gateway_address: str, token: str
) -> None:
    """Created, the snapshot, then each change, one message a line; Ctrl-C is a clean end."""
    await stockgate("sku", "add", "TEA")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "stock", "watch", "--json"),
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"STOCKGATE_ADDRESS": gateway_address, "STOCKGATE_TOKEN": token},
    )
    assert process.stdout is not None
    try:
        seen: list[str] = []
        async with asyncio.timeout(30):
            while "level" not in seen:
                seen += json.loads(await process.stdout.readline())
                if seen[-1] == "snapshot_end":
                    await stockgate("stock", "receive", "TEA", "5")
        assert seen[0] == "created"
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(30):
            assert await process.wait() == 0
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()


async def test_a_wrong_token_is_said(stockgate: Stockgate, gateway_address: str) -> None:
    """... with how to get a right one."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "stock", "level"),
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | {"STOCKGATE_ADDRESS": gateway_address, "STOCKGATE_TOKEN": "nobody.bogus"},
    )
    _, err = await process.communicate()
    assert process.returncode == 1
    assert b"stockgate merchant token" in err
    assert b"bogus" not in err
    assert (await stockgate("version")).exit_code == 0
