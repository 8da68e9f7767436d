"""Two processes for one channel: one serves it, the other waits; and no push is done twice."""

import asyncio
from dataclasses import replace

from tests.connectors.agent.desk import MUG, MUG_ID, PATIENT, Desk, quick, until
from tests.connectors.agent.gateway import APPLIED, RAISE, UNKNOWN


async def test_the_newer_process_serves(taobao: Desk) -> None:
    """A second process takes over; the first stands by, and does not take it back while the other is heard."""
    first, second = await taobao.serve(), await taobao.serve()
    assert (await taobao.report_on(taobao.book.push(MUG_ID, RAISE, 1))).result == APPLIED
    heard = len(taobao.book.heartbeats)
    await until(lambda: len(taobao.book.heartbeats) > heard + 10)
    assert {beat.connector_id for beat in taobao.book.heartbeats[heard:]} == {second.connector_id}
    assert first.connector_id != second.connector_id
    assert taobao.shown() == 11


async def test_the_process_that_stands_by_takes_over(taobao: Desk) -> None:
    """When the serving process dies amid a push, the other takes over, and what may have been done is unknown."""
    first = await taobao.serve(quick(standby_seconds=2.0))
    second = await taobao.serve(PATIENT)
    taobao.faults.weather = replace(taobao.faults.weather, lose_answer=1.0)
    push_id = taobao.book.push(MUG_ID, RAISE, 4)
    await until(lambda: taobao.shown() == 14)
    await taobao.kill(second)
    taobao.faults.weather = replace(taobao.faults.weather, lose_answer=0.0)
    assert (await taobao.report_on(push_id)).result == UNKNOWN
    assert taobao.book.connector.connector_id == first.connector_id
    order = taobao.shop.place({MUG: 1})
    await until(lambda: order.order_id in taobao.book.orders)
    assert taobao.shown() == 13


async def test_what_waits_is_not_begun_after_another_took_over(taobao: Desk) -> None:
    """A raise that waits for a ban to end is forgotten when another process serves the channel."""
    taobao.faults.weather = replace(taobao.faults.weather, calls_per_second_max=0.001, ban_seconds=1.0)
    first = await taobao.serve(quick(poll_seconds=1000))
    await until(lambda: taobao.book.connector.ban.ToTimedelta().total_seconds() > 0.1)
    push_id = taobao.book.push(MUG_ID, RAISE, 4)
    taobao.book.go_away("REPLACED")
    taobao.faults.weather = replace(taobao.faults.weather, calls_per_second_max=0.0)
    await asyncio.sleep(1.5)  # the ban is over by then
    assert not taobao.book.reports_on(push_id) or taobao.book.reports_on(push_id)[0].result == UNKNOWN
    assert taobao.shown() == 10
    await taobao.kill(first)


async def test_processes_that_are_killed_again_and_again_do_no_push_twice(taobao: Desk) -> None:
    """However often processes die, what was raised is between what was reported and what may have been applied."""
    taobao.faults.weather = replace(taobao.faults.weather, latency_seconds=0.01, latency_spread_seconds=0.05)
    pushed = 0
    for round_number in range(6):
        agent = await taobao.serve()
        for _ in range(3):
            if MUG_ID not in taobao.book.under_way:
                taobao.book.push(MUG_ID, RAISE, 1)
                pushed += 1
            await asyncio.sleep(0.02 + 0.01 * round_number)
        await taobao.kill(agent)
        # A reading would settle what is unknown.
        taobao.book.under_way = {k: one for k, one in taobao.book.under_way.items() if not one.push.unknown}
    certain = sum({report.push_id: report.applied for report in taobao.book.reports}.values())
    assert 10 + certain <= taobao.shown() <= 10 + pushed
