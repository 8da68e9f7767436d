"""Replays against a real gateway: the ledger has what the tape says, and what the replay worked out."""

import asyncio
import socket
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from gateway import app
from gateway.cli.client import ClientSettings
from gateway.cli.generate import generated_session
from gateway.cli.player import Pace, Player
from gateway.cli.replay import Plan
from gateway.cli.replay import replay as play
from gateway.cli.summary import Summary
from gateway.cli.tape import Order
from gateway.settings import Settings
from tests.cli.conftest import Stockgate

START = datetime(2020, 2, 24, 12, 0, 0, tzinfo=UTC)
MAX = Pace(speed=None, page_size=100, calls_in_flight=4)


def order(number: int, created: int, paid: int | None = None, *, is_refunded: bool = False) -> Order:
    """An order with its times in seconds after the start."""
    pay_time = None if paid is None else START + timedelta(seconds=paid)
    return Order(str(number), START + timedelta(seconds=created), pay_time, is_refunded)


async def played(address: str, token: str, plan: Plan) -> Summary:
    """Plays a plan, and insists that the ledger adds up."""
    summary = await play(ClientSettings(address, token), plan, lambda _: None)
    assert summary.is_good, summary
    return summary


async def test_a_session_at_full_speed(gateway_address: str, token: str) -> None:
    """Every order is accepted; those never paid expire; the refunded ones are back on the shelf."""
    orders = generated_session(300, seed=3)
    summary = await played(gateway_address, token, Plan("a session", orders, len(orders), MAX))
    unpaid, refunded = sum(each.pay_time is None for each in orders), sum(each.is_refunded for each in orders)
    assert (summary.accepted, summary.refused) == (300, 0)
    assert (summary.expired, summary.returned) == (unpaid, refunded)
    assert summary.on_hand == unpaid + refunded
    assert summary.commands == len(orders) + (len(orders) - unpaid) + refunded


async def test_an_empty_shelf_refuses(gateway_address: str, token: str) -> None:
    """As many orders are accepted as there are units, and the others' payments are not played."""
    orders = [order(number, number, number + 1) for number in range(50)]
    summary = await played(gateway_address, token, Plan("a rush", orders, 20, MAX))
    assert (summary.accepted, summary.refused, summary.committed, summary.on_hand) == (20, 30, 20, 0)


async def test_a_tape_clock_lets_holds_expire_between_orders(gateway_address: str, token: str) -> None:
    """A day after an order that was not paid its unit sells again."""
    day = 86_400
    orders = [order(1, 0), order(2, day // 2), order(3, 3 * day, 3 * day + 5)]
    summary = await played(gateway_address, token, Plan("three days", orders, 1, Pace(100_000.0)))
    assert (summary.accepted, summary.refused, summary.expired, summary.committed) == (2, 1, 1, 1)


async def test_a_payment_after_expiry_takes_the_unit_again(gateway_address: str, token: str) -> None:
    """R9: a paid order whose hold ran out is sold all the same if there is a unit, else it is a shortfall."""
    day = 86_400
    late = [order(1, 0, 3 * day)]
    summary = await played(gateway_address, token, Plan("late", late, 1, Pace(100_000.0)))
    assert (summary.accepted, summary.retaken, summary.committed, summary.expired) == (1, 1, 1, 0)
    too_late = [order(1, 0, 4 * day), order(2, 2 * day, 2 * day + 5)]
    summary = await played(gateway_address, token, Plan("too late", too_late, 1, Pace(100_000.0)))
    assert (summary.accepted, summary.committed, summary.paid_too_late, summary.on_hand) == (2, 1, 1, 0)


async def test_runs_on_one_sku_add_up_by_themselves(gateway_address: str, token: str) -> None:
    """A second run on the same SKU starts from what the first one left."""
    orders = [order(1, 0, 1), order(2, 1)]
    for run in (1, 2):
        summary = await played(gateway_address, token, Plan("again", orders, 5, MAX, sku="HOT"))
        assert (summary.sku, summary.on_hand, summary.on_hand_expected) == ("HOT", 4 * run, 4 * run)


async def test_a_restart_in_the_middle_changes_nothing(settings: Settings, token: str) -> None:
    """What was not answered is sent again with the same request ids, and happens once."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    orders = generated_session(2_000, seed=5)
    is_under_way = asyncio.Event()

    def watch(player: Player) -> None:
        if player.schedule.settled > player.events_count // 4:
            is_under_way.set()

    plan = Plan("a restart", orders, len(orders), replace(MAX, page_size=20))
    async with app.running_gateway(replace(settings, listen=address)):
        replaying = asyncio.create_task(play(ClientSettings(address, token), plan, watch))
        await is_under_way.wait()
    assert not replaying.done()
    await asyncio.sleep(0.5)
    async with app.running_gateway(replace(settings, listen=address)):
        summary = await replaying
    assert summary.is_good, summary
    assert summary.retries > 0
    assert summary.accepted == len(orders)


async def test_a_broken_report_changes_nothing(stockgate: Stockgate, tmp_path: Path) -> None:
    """The whole file is checked before the first command: no SKU, no movement, and the line is named."""
    report = tmp_path / "report.csv"
    good = "1,2020-02-01 00:00:00,2020-02-01 00:00:05,0"
    report.write_text(
        f"订单编号,订单创建时间,订单付款时间 ,退款金额\n{good}\n2,2020-02-01 00:00:00,soon,0\n", encoding="gb18030"
    )
    ended = await stockgate("replay", str(report), "--json")
    assert ended.exit_code == 1
    assert ended.out == ""
    assert ended.error["violations"][0]["field"] == "line 3, column 订单付款时间"
    assert (await stockgate("sku", "list", "--json")).document["skus"] == []


async def test_the_summary_for_programs(stockgate: Stockgate) -> None:
    """`--json` prints one document with the promised keys, and nothing else."""
    ended = await stockgate("replay", "--orders", "60", "--seed", "2", "--json")
    assert (ended.exit_code, ended.err) == (0, "")
    promised = {"orders", "accepted", "refused", "expired", "returned", "on_hand", "consistent"}
    assert promised <= ended.document.keys()
    assert ended.document["orders"] == 60
    assert ended.document["units"] == 50
    assert ended.document["consistent"] is True
    assert ended.document["latency_ms"].keys() == {"p50", "p90", "p99", "max"}


async def test_the_summary_for_people(stockgate: Stockgate) -> None:
    """Counts, speed, latency with what was measured, and the verdict."""
    ended = await stockgate("replay", "--orders", "60")
    assert ended.exit_code == 0
    assert "per ApplyBatch call of up to 100 commands" in ended.out
    assert "The ledger adds up" in ended.out
