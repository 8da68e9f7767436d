"""Single calls to a platform: each is told of once, with what it came to, and soon."""

import itertools
from dataclasses import replace
from datetime import UTC, datetime

from connectors.sandbox.taobao import Refusal
from gateway.v1.operations_pb2 import AttemptOutcome, PushAttempt
from tests.connectors.agent.desk import BOX_ID, CUP_ID, LIMITS, MUG_ID, Desk, quick, until
from tests.connectors.agent.gateway import APPLIED, LOWER, NOT_SENT, RAISE, REFUSED, TO_ZERO, UNKNOWN

UPDATE = "taobao.item.quantity.update"
DONE = AttemptOutcome.ATTEMPT_OUTCOME_APPLIED
NOT_DONE = AttemptOutcome.ATTEMPT_OUTCOME_NOT_APPLIED
NOBODY_KNOWS = AttemptOutcome.ATTEMPT_OUTCOME_UNKNOWN
NEVER_SENT = AttemptOutcome.ATTEMPT_OUTCOME_NOT_SENT
BAN = Refusal(7, "accesscontrol.limited-by-api-access-count", "This ban will last for 1 more seconds")


def told(desk: Desk, push_id: int) -> list[PushAttempt]:
    """What was told of a push's calls, in order."""
    return sorted((one for one in desk.book.attempts if one.push_id == push_id), key=lambda one: one.number)


async def over(desk: Desk, push_id: int) -> list[PushAttempt]:
    """The same, once the push is over; calls of one go with its report."""
    await desk.report_on(push_id)
    return told(desk, push_id)


async def test_a_call_that_was_applied_is_told_with_the_report(taobao: Desk) -> None:
    """It has the platform's number of the request, when it began and how long it took."""
    begun = datetime.now(UTC)
    await taobao.serve()
    (one,) = await over(taobao, taobao.book.push(MUG_ID, RAISE, 4))
    assert (one.listing_id, one.number, one.outcome, one.http_status) == (MUG_ID, 1, DONE, 200)
    assert one.platform_request_id.startswith("sandbox")
    assert (one.platform_code, one.message, one.HasField("next_try_time")) == ("", "", False)
    assert begun <= one.begin_time.ToDatetime(UTC) <= begun + one.duration.ToTimedelta() + (datetime.now(UTC) - begun)


async def test_every_platform_says_its_number_of_a_request(douyin: Desk, kuaishou: Desk) -> None:
    """Whatever it calls it: it is what the platform's support asks for."""
    for desk in (douyin, kuaishou):
        await desk.serve()
        for kind in (RAISE, LOWER):
            (one, *_) = await over(desk, desk.book.push(MUG_ID, kind, 4))
            assert one.outcome == DONE
            assert one.platform_request_id


async def test_a_refusal_is_told_with_its_code_on_one_line(taobao: Desk) -> None:
    """The platform's words are text, markup or not, and not more than 500 characters of them."""
    taobao.sandbox.inject(Refusal(15, "isv.item-not-exist", "<b>gone\n\x00</b>" + "x" * 600), method=UPDATE)
    await taobao.serve()
    push_id = taobao.book.push(MUG_ID, RAISE, 1)
    (one,) = await over(taobao, push_id)
    assert taobao.book.reports_on(push_id)[0].result == REFUSED
    assert (one.outcome, one.platform_code) == (AttemptOutcome.ATTEMPT_OUTCOME_REFUSED, "isv.item-not-exist")
    assert "<b>gone </b>" in one.message
    assert len(one.message) == 500


async def test_a_throttled_call_is_told_at_once_with_when_it_is_tried_again(taobao: Desk) -> None:
    """A push that waits for a ban to end is not over; what it waits for is known all the same."""
    taobao.sandbox.inject(BAN, method=UPDATE)
    await taobao.serve()
    push_id = taobao.book.push(MUG_ID, RAISE, 4)
    await until(lambda: told(taobao, push_id))
    assert not taobao.book.reports_on(push_id)
    first, second = await over(taobao, push_id)
    assert (first.outcome, second.outcome) == (AttemptOutcome.ATTEMPT_OUTCOME_THROTTLED, DONE)
    assert first.platform_code == "7" or "limited" in first.platform_code
    waited = second.begin_time.ToDatetime() - first.next_try_time.ToDatetime()
    assert abs(waited.total_seconds()) < 0.5


async def test_a_lost_answer_is_told_as_unknown(taobao: Desk) -> None:
    """Sent, and no answer: no status, and nobody knows."""
    taobao.faults.weather = replace(taobao.faults.weather, lose_answer=1.0)
    await taobao.serve()
    push_id = taobao.book.push(MUG_ID, RAISE, 4)
    (one,) = await over(taobao, push_id)
    assert taobao.book.reports_on(push_id)[0].result == UNKNOWN
    assert (one.outcome, one.http_status, one.platform_request_id) == (NOBODY_KNOWS, 0, "")


async def test_each_try_of_a_call_is_told(douyin: Desk) -> None:
    """A call that is safe to repeat is repeated at once; each time is one, and says when the next one is."""
    douyin.faults.weather = replace(douyin.faults.weather, lose_answer=1.0)
    await douyin.serve()
    tries = await over(douyin, douyin.book.push(MUG_ID, RAISE, 4))
    assert [(one.number, one.outcome) for one in tries] == [(1, NOBODY_KNOWS), (2, NOBODY_KNOWS), (3, NOBODY_KNOWS)]
    for one, following in itertools.pairwise(tries):
        assert one.next_try_time.ToDatetime() <= following.begin_time.ToDatetime()


async def test_a_call_that_was_never_sent_is_told_as_that(taobao: Desk) -> None:
    """While the breaker is open a push comes to nothing, and says why."""
    taobao.faults.away = True
    await taobao.serve(quick(limits=replace(LIMITS, breaker_failures=1, breaker_seconds=60)))
    await until(lambda: any(beat.breaker_open for beat in taobao.book.heartbeats))
    push_id = taobao.book.push(MUG_ID, RAISE, 4)
    (one,) = await over(taobao, push_id)
    assert taobao.book.reports_on(push_id)[0].result == NOT_SENT
    assert (one.outcome, one.platform_code, one.http_status) == (NEVER_SENT, "BREAKER_OPEN", 0)
    assert 50 < (one.next_try_time.ToDatetime() - one.begin_time.ToDatetime()).total_seconds() < 61


async def test_a_lowering_that_was_too_large_is_followed_by_a_smaller_one(taobao: Desk) -> None:
    """The refusal in between is no refusal of the push."""
    await taobao.serve()
    push_id = taobao.book.push(MUG_ID, LOWER, 15)
    first, second = await over(taobao, push_id)
    assert taobao.book.reports_on(push_id)[0].result == APPLIED
    assert (first.outcome, second.outcome) == (NOT_DONE, DONE)
    assert first.platform_code


async def test_to_zero_tells_of_both_calls(taobao: Desk) -> None:
    """Taking away, and then setting what is left to zero."""
    await taobao.serve()
    outcomes = [one.outcome for one in await over(taobao, taobao.book.push(MUG_ID, TO_ZERO, 7))]
    assert outcomes == [DONE, DONE]


async def test_a_call_for_several_pushes_is_told_of_each(taobao: Desk) -> None:
    """With one number each, and the same request."""
    taobao.sandbox.inject(BAN, method=UPDATE)
    await taobao.serve()
    taobao.book.push(BOX_ID, LOWER, 1)
    await until(lambda: any(beat.ban.nanos for beat in taobao.book.heartbeats))
    pushes = [taobao.book.push(listing_id, RAISE, 2) for listing_id in (MUG_ID, CUP_ID)]
    (first,), (second,) = [await over(taobao, push_id) for push_id in pushes]
    for one in (first, second):
        assert (one.number, one.outcome) == (1, DONE)
    assert first.platform_request_id == second.platform_request_id


async def test_calls_that_the_gateway_refuses_hold_up_no_report(taobao: Desk) -> None:
    """They are a record; the reports go on without them."""
    taobao.book.has_bad_attempts = True
    await taobao.serve()
    assert (await taobao.report_on(taobao.book.push(MUG_ID, RAISE, 4))).result == APPLIED
    assert taobao.book.attempts == []
