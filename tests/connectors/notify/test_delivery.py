"""From notices to what a group reads, through every fault: nothing lost, and twice only under the same number."""

import asyncio
import contextlib
import re
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime
from typing import Any

import httpx
import pytest
import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families
from starlette.requests import Request

from connectors.errors import ConnectorError, Misunderstood, OutcomeUnknown, Rejected, Throttled, Transient
from connectors.notify import delivery
from connectors.notify.delivery import Delivery, courier
from connectors.notify.notices import Tier
from connectors.notify.robot import Message
from connectors.notify.schedule import Outbox, Tempo, Window
from connectors.notify.verdicts import Case, Verdict, verdict
from connectors.sandbox.robots import Fault
from gateway import exposition, telemetry
from tests.connectors.contract.storefront import Stage, until
from tests.connectors.notify.book import ClaimBook
from tests.connectors.notify.rig import Rig, rigged
from tests.connectors.notify.test_contract import answering
from tests.connectors.notify.test_schedule import told

QUICK = Tempo(wait_seconds=0.02, interval_seconds=0.05)


@pytest.fixture
def book() -> ClaimBook:
    return ClaimBook()


@pytest_asyncio.fixture(loop_scope="session", params=["dingtalk", "feishu", "wecom"])
async def group(request: pytest.FixtureRequest, stage: Stage, client: httpx.AsyncClient) -> Rig:
    """A group's robot on each of the three, with little patience."""
    rig = rigged(str(request.param), stage, client)
    rig.lose_patience()
    return rig


@contextlib.asynccontextmanager
async def running(*deliveries: Delivery) -> AsyncIterator[None]:
    """They work while this is entered."""
    tasks = [asyncio.create_task(each.run()) for each in deliveries]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def numbers(rig: Rig) -> list[int]:
    """Every number that the group has read, in order."""
    return [int(number) for text in rig.desk.texts for number in re.findall(r"#(\d+)", text)]


def quick(rig: Rig, book: ClaimBook, name: str = "one") -> Delivery:
    return courier(rig.robot, book.notifier(name), QUICK)


async def test_notices_reach_the_group_once_and_in_order(group: Rig, book: ClaimBook) -> None:
    """Each is told and settled, and then nothing is left to do."""
    one = quick(group, book)
    async with running(one):
        for revision in range(1, 6):
            one.tell(told(revision))
        one.tell(told(6, Tier.URGENT))
        await until(lambda: len(numbers(group)) == 6)
        await until(lambda: one.oldest_revision is None)
    assert sorted(numbers(group)) == [1, 2, 3, 4, 5, 6]
    assert book.sent == {(revision, group.robot.name) for revision in range(1, 7)}


FAULTS = [fault for fault in Fault if fault not in {Fault.REFUSE, Fault.THROTTLE}]


@pytest.mark.parametrize("fault", FAULTS)
async def test_after_a_fault_it_is_told_again(
    group: Rig, book: ClaimBook, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Busy, hanging, lost after it was accepted, 502 before and after: told in the end, twice only if it was accepted
    before, then with the word that it may be a repeat, and under the same number."""
    hurry(monkeypatch)
    one = quick(group, book)
    group.desk.go_wrong(fault, calls=1)
    async with running(one):
        one.tell(told(7, Tier.URGENT))
        await until(lambda: one.oldest_revision is None)
    was_accepted = fault in {Fault.LOSE_ANSWER, Fault.ERROR_AFTER}
    assert numbers(group) == [7] * (1 + was_accepted)
    assert ("可能重复" in group.desk.texts[-1]) == (fault is not Fault.BUSY)


async def test_a_ban_is_waited_out_and_the_most_pressing_goes_first(dingtalk: Rig, book: ClaimBook) -> None:
    """DingTalk's punishment is ten minutes in which no call is made; claims are free for who may not be banned."""
    one = quick(dingtalk, book)
    dingtalk.desk.go_wrong(Fault.THROTTLE, calls=1)
    async with running(one):
        one.tell(told(7, Tier.URGENT))
        await until(lambda: one.failures == 1)
        one.tell(told(8, Tier.SOLD_OUT))
        await until(lambda: not book.held)
    assert dingtalk.desk.calls == 1
    ban = one.outbox.quiet_until - asyncio.get_running_loop().time()
    assert 590 < ban <= 600
    assert 590 < dingtalk.robot.banned_seconds <= 600
    one.outbox.quiet_until = dingtalk.transport.limiter._banned_until = 0.0
    async with running(one):
        await until(lambda: one.oldest_revision is None)
    assert numbers(dingtalk) == [8, 7]


async def test_a_refusal_parks_the_robot_and_keeps_escalations(
    dingtalk: Rig, book: ClaimBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong token is not tried again and again; when somebody has mended it, what still matters is told."""
    hurry(monkeypatch)
    one = quick(dingtalk, book)
    dingtalk.desk.go_wrong(Fault.REFUSE)
    async with running(one):
        one.tell(told(7, Tier.URGENT))
        one.tell(replace(told(8, Tier.NORMAL), tier_before=Tier.URGENT))
        await until(lambda: one.failures >= 5)
        await until(lambda: one.given_up == 1)
        dingtalk.desk.go_wrong(None)
        await until(lambda: one.oldest_revision is None)
    assert numbers(dingtalk) == [7]


async def test_a_message_that_is_refused_for_itself_holds_up_no_other(
    group: Rig, book: ClaimBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A word that the platform does not like, under a code nobody knows: the others are told, and it is given up."""
    hurry(monkeypatch)
    dislike(group, "BAD")
    one = quick(group, book)
    async with running(one):
        one.tell(replace(told(7, Tier.SOLD_OUT), title="BAD"))
        one.tell(told(8, Tier.URGENT))
        one.tell(told(9))
        await until(lambda: one.oldest_revision is None)
    assert (sorted(numbers(group)), one.given_up) == ([8, 9], 1)


def dislike(rig: Rig, word: str) -> None:
    """From now on the platform refuses what has this word in it."""
    taken = rig.stage.app
    assert taken is not None

    async def picky(scope: Any, receive: Any, send: Any) -> None:
        body = await Request(scope, receive).body()
        if word.encode() in body:
            await answering(200, b'{"errcode":430104,"code":430104,"errmsg":"inappropriate"}')(
                scope, replayed(body), send
            )
        else:
            await taken(scope, replayed(body), send)

    rig.stage.app = picky


def replayed(body: bytes) -> Any:
    """The body once more, for who is asked next."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


async def test_a_message_that_no_robot_would_take_is_given_up(group: Rig, book: ClaimBook) -> None:
    """A drill at a robot without drills gets no further than the guard, and holds nothing up."""
    one = quick(group, book)
    async with running(one):
        one.tell(replace(told(7, Tier.URGENT), drill_id=3))
        one.tell(told(8))
        await until(lambda: one.oldest_revision is None)
    assert (numbers(group), one.given_up) == ([8], 1)


# ---- two notifiers, and one that dies


async def test_who_loses_a_race_keeps_to_half_of_the_limit(dingtalk: Rig, book: ClaimBook) -> None:
    """Another notifier serves the robot, and the platform counts both."""
    one = Delivery(
        dingtalk.robot, book.notifier("one"), Outbox(QUICK, Window(dingtalk.robot.limits.rates)), dingtalk.robot.name
    )
    before = one.outbox.window.free(time.monotonic())
    book.sent.add((7, dingtalk.robot.name))
    one.tell(told(7, Tier.URGENT))
    assert await one.send_due()
    assert (before, one.outbox.window.free(time.monotonic()), numbers(dingtalk)) == (10, 5, [])


async def test_two_notifiers_tell_once(group: Rig, book: ClaimBook) -> None:
    """Whatever both have heard is told by one of them."""
    both = [quick(group, book, name) for name in ("one", "two")]
    async with running(*both):
        for revision in range(1, 9):
            for each in both:
                each.tell(told(revision, Tier.URGENT if revision % 3 == 0 else Tier.THRESHOLD))
            await asyncio.sleep(0)
        await until(lambda: len(book.sent) == 8)
    assert Counter(numbers(group)) == Counter(range(1, 9))


async def test_what_another_notifier_holds_waits_for_it(
    group: Rig, book: ClaimBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not told, nor is what is newer of its SKU; when the other is gone it is, with a word of doubt."""
    monkeypatch.setattr(delivery, "HELD_SECONDS", 0.02)
    other = book.notifier("other")
    assert (await other.claim(7, group.robot.name)).granted
    one = quick(group, book)
    async with running(one):
        one.tell(told(7, Tier.URGENT, sku="MUG"))
        one.tell(told(8, Tier.NORMAL, sku="MUG"))
        one.tell(told(9, Tier.URGENT, sku="BOWL"))
        await until(lambda: numbers(group) == [9])
        assert one.oldest_revision == 7
        book.forget("other")
        await until(lambda: one.oldest_revision is None)
    assert numbers(group) == [9, 7, 8]
    assert "可能重复" in group.desk.texts[1]


async def test_a_word_of_doubt_outlives_a_failure(group: Rig, book: ClaimBook, monkeypatch: pytest.MonkeyPatch) -> None:
    """What another may have told says so at the first try, and at the next one too."""
    hurry(monkeypatch)
    book.lapsed.add((7, group.robot.name))
    group.desk.go_wrong(Fault.BUSY, calls=1)
    one = quick(group, book)
    async with running(one):
        one.tell(told(7, Tier.URGENT))
        await until(lambda: group.desk.calls >= 1)
        book.lapsed.clear()
        await until(lambda: one.oldest_revision is None)
    assert "可能重复" in group.desk.texts[0]


async def test_without_the_gateway_it_is_told_with_a_word_of_doubt(group: Rig, book: ClaimBook) -> None:
    """Who cannot claim posts all the same."""
    mine = book.notifier("one")
    mine.is_gateway_away = True
    one = courier(group.robot, mine, QUICK)
    async with running(one):
        one.tell(told(7, Tier.URGENT))
        await until(lambda: one.oldest_revision is None)
    assert numbers(group) == [7]
    assert "可能重复" in group.desk.texts[0]


async def test_killed_in_the_middle_of_a_post_it_is_not_forgotten(group: Rig, book: ClaimBook) -> None:
    """What was on its way still counts as not told; the next process tells it again, with a word of doubt."""
    one = quick(group, book)
    group.desk.go_wrong(Fault.LOSE_ANSWER, calls=1)
    async with running(one):
        one.tell(told(7, Tier.URGENT))
        await until(lambda: numbers(group) == [7])
    assert one.oldest_revision == 7
    book.forget("one")
    two = quick(group, book, "two")
    async with running(two):
        two.tell(told(7, Tier.URGENT))
        await until(lambda: two.oldest_revision is None)
    assert numbers(group) == [7, 7]
    assert ["可能重复" in text for text in group.desk.texts] == [False, True]


async def test_a_run_that_breaks_off_and_begins_anew_forgets_nothing(group: Rig, book: ClaimBook) -> None:
    """What was on its way is told again by the same process, with a word of doubt."""
    one = quick(group, book)
    group.desk.go_wrong(Fault.LOSE_ANSWER, calls=1)
    async with running(one):
        one.tell(told(7, Tier.URGENT))
        await until(lambda: numbers(group) == [7])
    async with running(one):
        await until(lambda: one.oldest_revision is None)
    assert numbers(group) == [7, 7]
    assert ["可能重复" in text for text in group.desk.texts] == [False, True]


async def test_a_fault_of_ours_costs_one_notice(
    dingtalk: Rig, book: ClaimBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be written, for a reason nobody has foreseen, is tried alone and given up; the others are told."""
    hurry(monkeypatch)
    request = dingtalk.robot.dialect.request

    def written(message: Message, now: datetime) -> httpx.Request:
        if "#7" in message.text:
            raise LookupError("nobody has foreseen it")
        return request(message, now)

    monkeypatch.setattr(type(dingtalk.robot.dialect), "request", lambda _, message, now: written(message, now))
    one = quick(dingtalk, book)
    async with running(one):
        one.tell(told(7))
        one.tell(told(8, sku="MUG"))
        await until(lambda: one.oldest_revision is None)
    assert numbers(dingtalk) == [8]
    assert one.given_up == 1


async def test_what_became_of_notices_is_counted(
    dingtalk: Rig, book: ClaimBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who looks at a robot from outside sees that it is refused, and what its group was never told."""
    hurry(monkeypatch)
    telemetry.configure("tests")
    one = quick(dingtalk, book)
    before = outcomes()
    dingtalk.desk.go_wrong(Fault.REFUSE)
    async with running(one):
        one.tell(replace(told(7), tier_before=Tier.URGENT))
        await until(lambda: one.given_up == 1)
        dingtalk.desk.go_wrong(None)
        one.tell(told(8))
        await until(lambda: one.oldest_revision is None)
    after = outcomes()
    grown = {outcome: after[outcome] - before.get(outcome, 0) for outcome in ("TOLD", "REFUSED", "GIVEN_UP")}
    assert grown == {"TOLD": 1, "REFUSED": 3, "GIVEN_UP": 1}


async def test_a_rehearsed_message_can_be_read_in_the_log(
    dingtalk: Rig, book: ClaimBook, caplog: pytest.LogCaptureFixture
) -> None:
    """What is written and not sent is for somebody to look at."""
    caplog.set_level("INFO", logger="connectors.notify")
    one = courier(dingtalk.another(is_guarded=True), book.notifier("one"), QUICK)
    async with running(one):
        one.tell(told(7, Tier.URGENT))
        await until(lambda: one.oldest_revision is None)
    [record] = [record for record in caplog.records if record.message == "notices rehearsed"]
    assert "#7" in vars(record)["text"]
    assert not dingtalk.desk.calls


def outcomes() -> dict[str, float]:
    """How many notices for DingTalk's robot have come to what."""
    families = text_string_to_metric_families(exposition.render()[1].decode())
    found = [one for family in families for one in family.samples if one.name == "stockgate_notices_total"]
    return {one.labels["outcome"]: one.value for one in found if one.labels["robot"] == "dingtalk"}


# ---- the table


@pytest.mark.parametrize(
    ("error", "case", "expected"),
    [
        (Throttled("", retry_after_seconds=600.0), Case(), Verdict(quiet_seconds=600.0)),
        (Throttled(""), Case(failures=3), Verdict(quiet_seconds=16.0)),
        (Throttled(""), Case(failures=99), Verdict(quiet_seconds=60.0)),
        (Transient(""), Case(), Verdict(1.0)),
        (Transient(""), Case(tries=99, failures=99), Verdict(30.0)),
        (OutcomeUnknown(""), Case(), Verdict(2.0, may_be_told=True)),
        (OutcomeUnknown(""), Case(tries=3), Verdict(16.0, may_be_told=True, gives_up=True)),
        (OutcomeUnknown(""), Case(tries=99, is_escalation=True), Verdict(300.0, may_be_told=True)),
        (Misunderstood(""), Case(), Verdict(quiet_seconds=60.0, may_be_told=True, alone=True)),
        (Rejected("", code="93000"), Case(), Verdict(quiet_seconds=60.0, alone=True)),
        (Rejected("", code="93000"), Case(tries=2), Verdict(quiet_seconds=60.0, alone=True, gives_up=True)),
        (Rejected("", code="1"), Case(tries=9, failures=9, is_escalation=True), Verdict(quiet_seconds=900, alone=True)),
        (
            Rejected("", code="1"),
            Case(tries=2, is_escalation=True, others_were_taken=True),
            Verdict(quiet_seconds=60.0, alone=True, gives_up=True),
        ),
        (Rejected("", code="40058"), Case(is_escalation=True), Verdict(gives_up=True)),
    ],
)
async def test_verdicts(error: ConnectorError, case: Case, expected: Verdict) -> None:
    """How long it waits, how long its robot is left alone, whether it may show, whether that was it."""
    assert verdict(error, case) == expected


def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Verdicts of seconds become as many milliseconds."""

    def hurried(error: ConnectorError, case: Case) -> Verdict:
        ruled = verdict(error, case)
        return ruled._replace(wait_seconds=ruled.wait_seconds / 1000, quiet_seconds=ruled.quiet_seconds / 10_000)

    monkeypatch.setattr(delivery, "verdict", hurried)
