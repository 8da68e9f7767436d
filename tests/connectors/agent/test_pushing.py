"""Pushes: what is done on the platform, and what is said of it."""

import asyncio
from dataclasses import replace

import pytest

from connectors.sandbox.shop import ShopFacts, TakesOn
from connectors.sandbox.taobao import Refusal
from gateway.v1.channel_pb2 import PushKind
from tests.connectors.agent.desk import (
    BOX,
    BOX_ID,
    CUP,
    CUP_ID,
    LIMITS,
    MUG,
    MUG_ID,
    PATIENT,
    Desk,
    a_shop,
    kuaishou_desk,
    quick,
    until,
)
from tests.connectors.agent.gateway import APPLIED, LOWER, NOT_SENT, RAISE, REFUSED, TO_ZERO, UNKNOWN

UPDATE = "taobao.item.quantity.update"


async def test_a_raise_is_done_and_reported(taobao: Desk) -> None:
    """A raise moves the number once and is reported with what was added."""
    await taobao.serve()
    report = await taobao.report_on(taobao.book.push(MUG_ID, RAISE, 4))
    assert (report.result, report.applied, report.attempts, report.error) == (APPLIED, 4, 1, "")
    assert taobao.shown() == 14


async def test_a_lowering_takes_what_there_is(taobao: Desk) -> None:
    """A lowering by more than is shown takes what is shown, says so, and is followed by a reading."""
    await taobao.serve()
    push_id = taobao.book.push(MUG_ID, LOWER, 15)
    report = await taobao.report_on(push_id)
    assert (report.result, report.applied) == (APPLIED, 10)
    assert taobao.shown() == 0
    await until(lambda: [r for r in taobao.book.readings if r.after_push_id == push_id and r.listing_id == MUG_ID])


async def test_what_unpaid_orders_withhold_is_read_and_not_taken() -> None:
    """Where units go on payment, a lowering takes those nobody waits to pay for, and the others count as shown."""
    shop = a_shop(ShopFacts(takes_on=TakesOn.PAYMENT))
    async with kuaishou_desk(shop) as desk:
        shop.place({MUG: 6})
        await desk.serve()
        push_id = desk.book.push(MUG_ID, LOWER, 10)
        report = await desk.report_on(push_id)
        assert (report.result, report.applied) == (APPLIED, 4)
        await until(lambda: any(one.after_push_id == push_id for one in desk.book.readings))
        assert next(one.shown for one in desk.book.readings if one.after_push_id == push_id) == 6


async def test_to_zero_clears_the_shelf(taobao: Desk) -> None:
    """To zero leaves nothing on the shelf, even if it shows more than we know of; only what is certain is reported."""
    await taobao.serve()
    report = await taobao.report_on(taobao.book.push(MUG_ID, TO_ZERO, 7))
    assert (report.result, report.applied) == (APPLIED, 7)
    assert taobao.shown() == 0


async def test_a_refusal_is_reported_with_the_words(taobao: Desk) -> None:
    """What the platform refuses is reported as refused, in its words, on one line."""
    taobao.sandbox.inject(Refusal(15, "isv.item-not-exist", "gone\n for good"), method=UPDATE)
    await taobao.serve()
    report = await taobao.report_on(taobao.book.push(MUG_ID, RAISE, 1))
    assert report.result == REFUSED
    assert "gone for good" in report.error
    assert taobao.shown() == 10


async def test_a_lost_answer_is_unknown_and_not_sent_again(taobao: Desk) -> None:
    """A raise whose answer is lost is unknown, is not sent again, and is left alone when the stream repeats it."""
    taobao.faults.weather = replace(taobao.faults.weather, lose_answer=1.0)
    await taobao.serve()
    push_id = taobao.book.push(MUG_ID, RAISE, 4)
    report = await taobao.report_on(push_id)
    assert report.result == UNKNOWN
    taobao.faults.weather = replace(taobao.faults.weather, lose_answer=0.0)
    taobao.book.go_away("MAX_AGE")
    await until(lambda: taobao.book.streams)
    await taobao.report_on(taobao.book.push(CUP_ID, RAISE, 1))
    assert taobao.shown(MUG) == 14
    assert len(taobao.book.reports_on(push_id)) == 1


async def test_nobody_there_is_not_sent(taobao: Desk) -> None:
    """While the breaker is open nothing is sent, and the gateway is told so, also in the heartbeat."""
    settings = quick(limits=replace(LIMITS, breaker_failures=1, breaker_seconds=60))
    taobao.faults.away = True
    await taobao.serve(settings)
    await until(lambda: any(beat.breaker_open for beat in taobao.book.heartbeats))
    report = await taobao.report_on(taobao.book.push(MUG_ID, RAISE, 4))
    assert report.result == NOT_SENT
    assert "BREAKER_OPEN" in report.error


async def test_a_throttled_push_is_done_after_the_ban(taobao: Desk) -> None:
    """A push that meets a ban stays under way and is done when the ban is over."""
    taobao.sandbox.inject(
        Refusal(7, "accesscontrol.limited-by-api-access-count", "This ban will last for 1 more seconds"), method=UPDATE
    )
    await taobao.serve()
    report = await taobao.report_on(taobao.book.push(MUG_ID, RAISE, 4))
    assert (report.result, report.applied, report.attempts) == (APPLIED, 4, 2)
    assert report.duration.ToTimedelta().total_seconds() >= 0.9
    assert taobao.shown() == 14


async def test_a_withdrawn_push_that_waits_is_not_sent(taobao: Desk) -> None:
    """A push that waits for a ban to end and is withdrawn meanwhile is never sent."""
    taobao.sandbox.inject(
        Refusal(7, "accesscontrol.limited-by-api-access-count", "This ban will last for 60 more seconds"), method=UPDATE
    )
    await taobao.serve()
    push_id = taobao.book.push(MUG_ID, RAISE, 4)
    await until(lambda: taobao.sandbox.calls.get(UPDATE))
    await until(lambda: any(beat.ban.seconds for beat in taobao.book.heartbeats))
    taobao.book.withdraw(MUG_ID)
    report = await taobao.report_on(push_id)
    assert report.result == NOT_SENT
    assert taobao.shown() == 10


async def test_a_lost_report_is_repeated_and_the_push_is_not(taobao: Desk) -> None:
    """A push that comes again because its report's answer was lost is not done again; its report is."""
    await taobao.serve()
    taobao.book.answers_to_lose = 1
    push_id = taobao.book.push(MUG_ID, RAISE, 4)
    await until(lambda: len(taobao.book.reports_on(push_id)) >= 2)
    assert {report.applied for report in taobao.book.reports_on(push_id)} == {4}
    assert taobao.shown() == 14


async def test_a_push_that_was_done_is_reported_again_on_the_next_stream(taobao: Desk) -> None:
    """A gateway that has forgotten a report gets it again with the next stream."""
    await taobao.serve()
    push_id = taobao.book.push(MUG_ID, RAISE, 4)
    allocation = taobao.book.under_way[MUG_ID]
    await taobao.report_on(push_id)
    taobao.book.under_way[MUG_ID] = allocation
    taobao.book.go_away("SHUTDOWN")
    await until(lambda: len(taobao.book.reports_on(push_id)) == 2)
    assert taobao.shown() == 14


async def test_a_new_process_does_not_repeat_what_may_be_done(taobao: Desk) -> None:
    """After a kill amid a push, the next process says unknown at once and sends nothing."""
    first = await taobao.serve(PATIENT)
    taobao.faults.weather = replace(taobao.faults.weather, lose_answer=1.0)
    push_id = taobao.book.push(MUG_ID, RAISE, 4)
    await until(lambda: taobao.shown() == 14)
    await taobao.kill(first)
    assert not taobao.book.reports_on(push_id)
    await taobao.serve()
    report = await taobao.report_on(push_id)
    assert (report.result, report.attempts) == (UNKNOWN, 0)
    assert taobao.shown() == 14


async def test_a_push_decided_while_the_stream_was_down_is_done(taobao: Desk) -> None:
    """After a break in the stream alone, what was decided meanwhile is done: nobody else can have begun it."""
    await taobao.serve()
    await taobao.report_on(taobao.book.push(MUG_ID, RAISE, 1))
    taobao.book.go_away("MAX_AGE", retry_after_ms=50)
    report = await taobao.report_on(taobao.book.push(MUG_ID, RAISE, 1))
    assert report.result == APPLIED
    assert taobao.shown() == 12


async def test_pushes_before_the_end_are_reported(taobao: Desk) -> None:
    """A process that is told to stop finishes what it has begun, reports it, and ends."""
    taobao.faults.weather = replace(taobao.faults.weather, latency_seconds=0.2)
    agent = await taobao.serve()
    await until(lambda: taobao.book.streams)
    push_id = taobao.book.push(MUG_ID, RAISE, 4)
    await asyncio.sleep(0.1)
    await taobao.stop(agent)
    assert [report.result for report in taobao.book.reports_on(push_id)] in ([APPLIED], [])
    assert taobao.shown() == (14 if taobao.book.reports_on(push_id) else 10)


async def test_raises_of_one_item_go_together(taobao: Desk) -> None:
    """Raises of one item that wait together are one call."""
    for listing_id in (MUG_ID, CUP_ID, BOX_ID):
        taobao.book.push(listing_id, RAISE, 3)
    await taobao.serve(quick(workers=1))
    await until(lambda: len(taobao.book.reports) == 3)
    assert [taobao.shown(key) for key in (MUG, CUP, BOX)] == [13, 13, 13]
    assert taobao.sandbox.calls["taobao.skus.quantity.update"] == 1


async def test_the_most_urgent_goes_first(taobao: Desk) -> None:
    """To zero goes before lowering, lowering before raising, and the lower urgency before the higher."""
    raised = taobao.book.push(MUG_ID, RAISE, 1, urgency=0)
    lowered = taobao.book.push(CUP_ID, LOWER, 1, urgency=7)
    cleared = taobao.book.push(BOX_ID, TO_ZERO, 10, urgency=9)
    await taobao.serve(quick(workers=1))
    await until(lambda: len(taobao.book.reports) == 3)
    assert [report.push_id for report in taobao.book.reports] == [cleared, lowered, raised]


@pytest.mark.parametrize("kind", [RAISE, LOWER, TO_ZERO])
async def test_a_push_marked_unknown_is_left_alone(taobao: Desk, kind: PushKind.ValueType) -> None:
    """A push whose outcome is unknown waits for a reading; nothing is sent and nothing said."""
    push_id = taobao.book.push(MUG_ID, kind, 3, unknown=True)
    await taobao.serve()
    await until(lambda: taobao.book.streams)
    await taobao.report_on(taobao.book.push(CUP_ID, RAISE, 1))
    assert not taobao.book.reports_on(push_id)
    assert taobao.shown() == 10


async def test_a_platform_that_knows_changes_again_is_asked_again(douyin: Desk) -> None:
    """After a kill amid a push, the next process repeats it with its id; it is applied once and reported whole."""
    first = await douyin.serve(PATIENT)
    douyin.faults.weather = replace(douyin.faults.weather, lose_answer=1.0)
    push_id = douyin.book.push(MUG_ID, RAISE, 4)
    await until(lambda: douyin.shown() == 14)
    await douyin.kill(first)
    douyin.faults.weather = replace(douyin.faults.weather, lose_answer=0.0)
    douyin.start()
    report = await douyin.report_on(push_id)
    assert (report.result, report.applied) == (APPLIED, 4)
    assert douyin.shown() == 14


async def test_lowerings_on_every_platform(douyin: Desk, kuaishou: Desk) -> None:
    """Douyin and Kuaishou, too, give up what they show and no more."""
    for desk in (douyin, kuaishou):
        await desk.serve()
        report = await desk.report_on(desk.book.push(MUG_ID, LOWER, 15))
        assert (report.result, report.applied) == (APPLIED, 10)
        report = await desk.report_on(desk.book.push(CUP_ID, TO_ZERO, 10))
        assert (report.result, report.applied) == (APPLIED, 10)
        assert (desk.shown(MUG), desk.shown(CUP)) == (0, 0)
