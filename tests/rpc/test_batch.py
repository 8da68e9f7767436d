"""ApplyBatch: any mix of commands, one answer per item, in order; atomic groups; malformed items (R10, R11)."""

from typing import Any

import pytest
from google.protobuf.message import Message
from grpc import StatusCode

from gateway.rpc.stock import BATCH_LINES_MAX
from gateway.v1 import operations_service_pb2 as operations
from gateway.v1 import stock_service_pb2 as pb
from tests.client import Client, new_id
from tests.refusals import Refusal, refusal_of, refused
from tests.rpc.requests import MUTATIONS, mutations_of
from tests.rpc.stalls import open_stall
from tests.store.history import movements, units

Item = dict[str, Any]


async def test_every_command_has_its_answer(client: Client) -> None:
    """Each of the ten commands works in a batch, and its answer stands where the command stood."""
    stall = await open_stall(client)
    mutations: dict[str, Message] = mutations_of(stall)
    # The one reservation there is can be resolved once: the others go to ones that the batch itself makes.
    names = [*(name for name in MUTATIONS if name not in {"commit", "release", "count"}), "commit"]
    items: list[Item] = [{name: mutations[name]} for name in names]
    items.append({"count": {"request_id": new_id(), "sku": stall.sku, "counted": 7}})
    results = await apply(client, *items)
    assert [result.WhichOneof("outcome") for result in results] == [*names, "count"]
    again = await apply(client, *items)
    assert again == results
    assert await _released(client, stall.sku)
    verdict = await client.ask(client.operations.CheckConsistency, operations.CheckConsistencyRequest)
    assert verdict.consistent


async def test_items_are_applied_in_order(client: Client) -> None:
    """Each item sees what those before it did, and nothing of those after it."""
    await client.add_sku("CUP")
    results = await apply(
        client,
        reserve(2),
        receive(3),
        reserve(2),
        reserve(2),
        {"release": {"request_id": new_id(), "reservation_id": "1"}},
    )
    assert outcomes(results) == ["INSUFFICIENT_STOCK", "receive", "reserve", "INSUFFICIENT_STOCK", "release"]
    assert refusal_of(results[3].error).facts["available"] == "1"
    assert [movement.revision for movement in await movements(client)] == [3, 2, 1]
    assert await units(client, "CUP") == (3, 0, 3)


async def test_one_refusal_disturbs_no_neighbour(client: Client) -> None:
    """Without groups every item stands alone: refused, malformed and good ones side by side (R11)."""
    await client.add_sku("CUP", 3)
    results = await apply(client, reserve(1), reserve(0), reserve(9), {}, reserve(1, sku="NOPE"), reserve(2))
    expected = ["reserve", "INVALID_ARGUMENT", "INSUFFICIENT_STOCK", "INVALID_ARGUMENT", "SKU_UNKNOWN", "reserve"]
    assert outcomes(results) == expected
    # The ledger's refusals name the field from the batch's point of view, as the parser's do.
    assert refusal_of(results[1].error).field == "items[1].reserve.lines[0].quantity"
    assert refusal_of(results[2].error).field == "items[2].reserve.lines[0].quantity"
    assert refusal_of(results[4].error).field == "items[4].reserve.lines[0].sku"
    assert refusal_of(results[1].error).field.endswith("lines[0].quantity")
    assert await units(client, "CUP") == (3, 3, 0)


async def test_a_group_is_applied_together_or_not_at_all(client: Client) -> None:
    """If one of a group is refused it says why, the others say whose fault it was, and nothing of them happened."""
    await client.add_sku("CUP", 5)
    before = reserve(1)
    group = [receive(10, "a"), reserve(12, "a"), reserve(9, "a")]
    results = await apply(client, before, *group, reserve(4))
    assert outcomes(results) == [
        "reserve",
        "ATOMIC_GROUP_FAILED",
        "ATOMIC_GROUP_FAILED",
        "INSUFFICIENT_STOCK",
        "reserve",
    ]
    blamed = refusal_of(results[1].error)
    assert (blamed.code, blamed.facts) == (StatusCode.ABORTED, {"failed_item": group[2]["reserve"]["request_id"]})
    assert refusal_of(results[3].error).facts["available"] == "2"
    assert await units(client, "CUP") == (5, 5, 0)
    good = await apply(client, receive(10, "a"), reserve(7, "a"), reserve(3, "a"))
    assert outcomes(good) == ["receive", "reserve", "reserve"]


async def test_groups_fail_apart(client: Client) -> None:
    """Two groups side by side, and items without a group between them, do not touch each other."""
    await client.add_sku("CUP", 5)
    results = await apply(
        client, reserve(1, "a"), reserve(9, "a"), reserve(1), reserve(1, "b"), reserve(1, "b"), reserve(9, "c")
    )
    expected = ["ATOMIC_GROUP_FAILED", "INSUFFICIENT_STOCK", "reserve", "reserve", "reserve", "INSUFFICIENT_STOCK"]
    assert outcomes(results) == expected
    assert await units(client, "CUP") == (5, 3, 2)


async def test_a_failed_group_burns_no_id(client: Client) -> None:
    """All items of a failed group may be sent again under their ids, and get their reservation then (R11)."""
    await client.add_sku("CUP", 5)
    group = [reserve(3, "a"), reserve(3, "a")]
    assert outcomes(await apply(client, *group)) == ["ATOMIC_GROUP_FAILED", "INSUFFICIENT_STOCK"]
    await client.receive("CUP", 1)
    first = await apply(client, *group)
    assert outcomes(first) == ["reserve", "reserve"]
    assert await apply(client, *group) == first
    assert [result.reserve.reservation.reservation_id for result in first] == ["1", "2"]


async def test_a_malformed_item_takes_its_group_along(client: Client) -> None:
    """A group with an item that cannot be read is refused whole; others go on (R11)."""
    await client.add_sku("CUP", 5)
    results = await apply(
        client, reserve(1, "a"), reserve(0, "a"), {"atomic_group": "b"}, reserve(1, "b"), reserve(1, "c")
    )
    expected = ["ATOMIC_GROUP_FAILED", "INVALID_ARGUMENT", "INVALID_ARGUMENT", "ATOMIC_GROUP_FAILED", "reserve"]
    assert outcomes(results) == expected
    assert await units(client, "CUP") == (5, 1, 4)


async def test_malformed_items_do_not_shift_groups(client: Client) -> None:
    """A malformed item before a group moves no border: the group still fails or succeeds as itself."""
    await client.add_sku("CUP", 5)
    results = await apply(client, reserve(0), reserve(1, "a"), reserve(9, "a"), {}, reserve(1, "b"), reserve(1, "b"))
    assert outcomes(results)[1:3] == ["ATOMIC_GROUP_FAILED", "INSUFFICIENT_STOCK"]
    assert outcomes(results)[4:] == ["reserve", "reserve"]
    assert await units(client, "CUP") == (5, 2, 3)


async def test_a_torn_group_spoils_the_batch(client: Client) -> None:
    """Items of one group must stand next to each other; else nothing of the batch is applied."""
    await client.add_sku("CUP", 5)
    refusal = await refused(apply(client, reserve(1, "a"), reserve(1), reserve(1, "a")))
    assert (refusal.code, refusal.field) == (StatusCode.INVALID_ARGUMENT, "items[2].atomic_group")
    assert await units(client, "CUP") == (5, 0, 5)


async def test_a_group_may_hold_what_was_applied_before(client: Client) -> None:
    """An item that has its answer gives it again inside a group; if the group fails it stays applied (R10)."""
    await client.add_sku("CUP", 5)
    known = reserve(2)
    (first,) = await apply(client, known)
    again = {**known, "atomic_group": "a"}
    failed = await apply(client, again, reserve(9, "a"))
    assert outcomes(failed) == ["ATOMIC_GROUP_FAILED", "INSUFFICIENT_STOCK"]
    assert await units(client, "CUP") == (5, 2, 3)
    good = await apply(client, again, reserve(1, "a"))
    assert good[0].reserve == first.reserve
    assert await units(client, "CUP") == (5, 3, 2)


async def test_one_id_twice_in_a_batch(client: Client) -> None:
    """The same item twice is applied once and answered twice; another item under its id is refused (R10)."""
    await client.add_sku("CUP", 5)
    item = reserve(2)
    other = {"reserve": {**item["reserve"], "order_id": "another"}}
    results = await apply(client, item, item, other)
    assert outcomes(results) == ["reserve", "reserve", "REQUEST_ID_REUSED"]
    assert results[0] == results[1]
    assert await units(client, "CUP") == (5, 2, 3)


async def test_a_batch_answers_what_single_calls_would(client: Client) -> None:
    """An item sent alone later gets the answer it got in the batch, and the other way round (R10)."""
    await client.add_sku("CUP", 5)
    held = await client.reserve("CUP", 1, request_id="alone")
    in_batch = {"reserve": {"request_id": "together", "lines": [{"sku": "CUP", "quantity": 2}]}}
    both = [{"reserve": {"request_id": "alone", "lines": [{"sku": "CUP", "quantity": 1}]}}, in_batch]
    results = await apply(client, *both)
    assert results[0].reserve.reservation == held
    assert await client.reserve("CUP", 2, request_id="together") == results[1].reserve.reservation


@pytest.mark.parametrize("is_atomic", [False, True])
async def test_a_thousand_items_are_one_batch(client: Client, *, is_atomic: bool) -> None:
    """The largest batch is applied whole, in one group or none, and each item has its number in the journal."""
    await client.add_sku("CUP", 999)
    group = "a" if is_atomic else ""
    results = await apply(client, receive(1, group), *(reserve(1, group) for _ in range(999)))
    assert outcomes(results) == ["receive", *["reserve"] * 999]
    revisions = [result.receive.revision or result.reserve.revision for result in results]
    assert revisions == list(range(2, 1002))
    assert await units(client, "CUP") == (1000, 999, 1)


async def test_a_batch_of_very_many_lines_is_refused(client: Client) -> None:
    """The lines of all reservations together are bounded; one more and nothing of the batch is looked at."""
    await client.add_sku("CUP", 10)
    line = {"sku": "CUP", "quantity": 1}
    full = [{"reserve": {"request_id": new_id(), "lines": [line] * 100}} for _ in range(BATCH_LINES_MAX // 100)]
    refusal = await refused(apply(client, *full, reserve(1)))
    assert (refusal.code, refusal.field) == (StatusCode.INVALID_ARGUMENT, "items")
    assert outcomes(await apply(client, *full)) == ["INSUFFICIENT_STOCK"] * len(full)
    assert await units(client, "CUP") == (10, 0, 10)


def receive(quantity: int, group: str = "") -> Item:
    """An item that receives CUP."""
    return {"receive": {"request_id": new_id(), "sku": "CUP", "quantity": quantity}, "atomic_group": group}


def reserve(quantity: int, group: str = "", sku: str = "CUP") -> Item:
    """An item that reserves."""
    return {"reserve": {"request_id": new_id(), "lines": [{"sku": sku, "quantity": quantity}]}, "atomic_group": group}


async def apply(client: Client, *items: Item) -> list[pb.BatchResult]:
    """The results of a batch, of which there is one per item."""
    response = await client.ask(client.stock.ApplyBatch, pb.ApplyBatchRequest, items=items)
    assert len(response.results) == len(items)
    return list(response.results)


def outcomes(results: list[pb.BatchResult]) -> list[str]:
    """Per result the name of its answer, or the reason of its refusal."""
    return [_reason(result.error).reason if result.HasField("error") else _answer(result) for result in results]


def _reason(error: Any) -> Refusal:
    return refusal_of(error)


def _answer(result: pb.BatchResult) -> str:
    return result.WhichOneof("outcome") or "nothing"


async def _released(client: Client, sku: str) -> bool:
    """A batch may make a reservation and give it up, if its maker knows the next id."""
    made = await client.reserve(sku, 1)
    release = {"release": {"request_id": new_id(), "reservation_id": str(int(made.reservation_id) + 1)}}
    results = await apply(client, reserve(1, sku=sku), release)
    return outcomes(results) == ["reserve", "release"]
