"""The table of errors is whole, and every refusal reaches the caller with what a program needs."""

import re
from collections.abc import Iterator

import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from grpc import StatusCode

from gateway.domain import errors
from gateway.domain.errors import GatewayError
from gateway.ledger import Ledger
from gateway.rpc import status as wire
from gateway.rpc.status import DOMAIN, INTERNAL, RETRY_AFTER_MS, STATUS_OF
from gateway.v1 import operations_service_pb2 as operations
from gateway.v1 import stock_service_pb2 as pb
from tests.client import Client, made, new_id
from tests.refusals import CODES, refusal_of, refused


def kinds(parent: type[GatewayError] = GatewayError) -> Iterator[type[GatewayError]]:
    """Every class of error there is, however deep."""
    for kind in parent.__subclasses__():
        yield kind
        yield from kinds(kind)


def test_every_error_has_its_line_and_no_line_is_left_over() -> None:
    """The table maps exactly the errors of the domain."""
    assert set(STATUS_OF) == set(kinds())
    assert set(RETRY_AFTER_MS) <= set(STATUS_OF)


def test_reasons_are_one_per_error() -> None:
    """A reason is UPPER_SNAKE, as `google.rpc.ErrorInfo` asks, and names one kind of error only."""
    reasons = [reason for _, reason in STATUS_OF.values()]
    assert len(set(reasons)) == len(reasons)
    assert all(re.fullmatch(r"[A-Z][A-Z0-9_]+[A-Z0-9]", reason) and len(reason) <= 63 for reason in reasons)
    assert "INTERNAL" not in reasons


def test_no_refusal_looks_like_a_fault_of_the_gateway() -> None:
    """What a caller asked wrongly is never OK, UNKNOWN, INTERNAL or DATA_LOSS."""
    faults = {StatusCode.OK, StatusCode.UNKNOWN, StatusCode.INTERNAL, StatusCode.DATA_LOSS, StatusCode.UNIMPLEMENTED}
    assert not faults & {code for code, _ in STATUS_OF.values()}


def test_who_may_come_back_is_told_when() -> None:
    """UNAVAILABLE and RESOURCE_EXHAUSTED carry RetryInfo, and nothing else does: only they are worth a blind retry."""
    passing = {StatusCode.UNAVAILABLE, StatusCode.RESOURCE_EXHAUSTED}
    assert set(RETRY_AFTER_MS) == {kind for kind, (code, _) in STATUS_OF.items() if code in passing}
    assert all(wait_ms > 0 for wait_ms in RETRY_AFTER_MS.values())


@pytest.mark.parametrize("kind", sorted(STATUS_OF, key=repr))
def test_a_status_carries_all_the_error_says(kind: type[GatewayError]) -> None:
    """Code, message, reason, domain, facts as text, the field, and when to come back."""
    refusal = refusal_of(wire.refusal_of(kind("what is wrong", field="lines[0].quantity", available=2, asked=3)).status)
    assert (refusal.code, refusal.reason) == STATUS_OF[kind]
    assert (refusal.message, refusal.domain) == ("what is wrong", DOMAIN)
    assert refusal.facts == {"available": "2", "asked": "3"}
    assert refusal.fields == ("lines[0].quantity",)
    assert refusal.retry_ms == RETRY_AFTER_MS.get(kind)


def test_a_status_without_a_field_blames_none() -> None:
    """An error that no input is to blame for has no BadRequest, and one that passes by says so (RetryInfo)."""
    refusal = refusal_of(wire.refusal_of(errors.QueueFull("full", retry_after_ms=200)).status)
    assert refusal.fields == ()
    assert refusal.retry_ms == 200
    assert refusal.facts == {"retry_after_ms": "200"}


async def test_a_refusal_says_what_is_available_and_what_was_asked(client: Client) -> None:
    """Over the wire: FAILED_PRECONDITION, INSUFFICIENT_STOCK, the line at fault, available and asked (R1)."""
    await client.add_sku("CUP", 2)
    refusal = await refused(client.reserve("CUP", 3))
    assert (refusal.code, refusal.reason) == (StatusCode.FAILED_PRECONDITION, "INSUFFICIENT_STOCK")
    assert refusal.domain == "stockgate"
    assert refusal.facts == {"sku": "CUP", "location": "", "available": "2", "asked": "3"}
    assert refusal.field == "lines[0].quantity"
    assert refusal.message == "3 units of CUP asked, 2 available"
    assert refusal.retry_ms is None


async def test_a_final_state_says_what_came_first(client: Client) -> None:
    """A second resolution carries the state and the time of the first (R6)."""
    await client.add_sku("CUP", 2)
    first = await client.commit((await client.reserve("CUP")).reservation_id)
    refusal = await refused(client.release(first.reservation_id))
    assert (refusal.code, refusal.reason) == (StatusCode.FAILED_PRECONDITION, "RESERVATION_RESOLVED")
    assert refusal.facts["state"] == "COMMITTED"
    assert refusal.facts["reservation_id"] == first.reservation_id
    assert refusal.facts["resolve_time"][:19] == first.resolve_time.ToJsonString()[:19]
    assert refusal.field == "reservation_id"


async def test_the_longest_words_of_any_script_survive_the_way(client: Client) -> None:
    """An error that repeats 128 characters of four bytes each fits into what grpc lets a status be, and is unharmed."""
    await client.add_sku("CUP", 5)
    request_id = "\U0001f600" * 128
    await client.reserve("CUP", 1, request_id=request_id)
    refusal = await refused(client.reserve("CUP", 2, request_id=request_id))
    assert (refusal.code, refusal.reason) == (StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")
    assert refusal.facts["request_id"] == request_id
    assert request_id in refusal.message


async def test_an_item_of_a_batch_carries_the_same_details(client: Client) -> None:
    """The error of a batch's item has the code, reason and facts that a single call would get."""
    await client.add_sku("CUP", 2)
    line = {"sku": "CUP", "quantity": 3}
    item = {"reserve": {"request_id": new_id(), "lines": [line]}}
    batch = await client.stock.ApplyBatch(made(pb.ApplyBatchRequest, items=[item]), **client.options)
    in_batch = refusal_of(batch.results[0].error)
    alone = await refused(client.reserve("CUP", 3))
    assert (in_batch.code, in_batch.reason, in_batch.facts) == (alone.code, alone.reason, alone.facts)


async def test_a_fault_of_ours_tells_no_secrets(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody foresaw is INTERNAL with a reason; its text is in the log, not on the wire."""

    async def fail(_ledger: Ledger, _since: int = 0) -> None:
        raise RuntimeError("password=hunter2")

    monkeypatch.setattr(Ledger, "check", fail)
    request = operations.CheckConsistencyRequest()
    refusal = await refused(client.operations.CheckConsistency(request, **client.options))
    assert (refusal.code, refusal.reason) == (StatusCode.INTERNAL, "INTERNAL")
    assert "hunter2" not in str(refusal)


def test_every_code_and_reason_is_one_of_the_closed_list() -> None:
    """The status for our own faults is a status like any other: a code of grpc's and ErrorInfo of our domain."""
    info = ErrorInfo()
    status = INTERNAL.status
    assert status.details[0].Unpack(info)
    assert (CODES[status.code], info.domain) == (StatusCode.INTERNAL, DOMAIN)
