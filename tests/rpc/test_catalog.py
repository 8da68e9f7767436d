"""The catalog: SKUs and locations are created once, changed by field, listed in order, and decide what is sold."""

from typing import Any

import pytest
from google.protobuf.message import Message
from grpc import StatusCode

from gateway.domain.errors import QueueFull
from gateway.rpc.paging import token
from gateway.v1 import catalog_service_pb2 as pb
from gateway.v1.catalog_pb2 import Location, Sku
from gateway.v1.stock_pb2 import MovementKind
from gateway.writer import Writer
from tests.client import Client, made
from tests.refusals import refused
from tests.store.history import add_location, movements, units

CUP = {
    "sku": "CUP",
    "title": "Cup, blue",
    "safety_stock": 2,
    "lead_time_mean_days": 7.5,
    "lead_time_deviation_days": 0.0,
    "substitutes": ["MUG"],
}


async def test_a_sku_is_stored_as_it_was_sent(client: Client) -> None:
    """Code, title, safety stock, lead time, substitutes; the gateway adds its times and that it is not frozen."""
    await client.add_sku("MUG")
    created = await create(client, **CUP)
    assert created == await get(client, "CUP")
    assert (created.title, created.safety_stock, list(created.substitutes)) == ("Cup, blue", 2, ["MUG"])
    assert (created.lead_time_mean_days, created.lead_time_deviation_days) == (7.5, 0.0)
    assert (created.HasField("lead_time_deviation_days"), created.frozen) == (True, False)
    assert created.create_time.ToNanoseconds() <= created.update_time.ToNanoseconds()


async def test_what_is_not_known_is_absent(client: Client) -> None:
    """A lead time of nothing is another thing than none."""
    created = await create(client, sku="CUP")
    assert not created.HasField("lead_time_mean_days")
    assert not created.HasField("lead_time_deviation_days")
    assert (created.title, created.safety_stock) == ("", 0)


async def test_creating_the_same_again_is_no_error(client: Client) -> None:
    """The same content answers with the SKU as it is, times and frozen included."""
    await client.add_sku("MUG")
    first = await create(client, **CUP)
    frozen = await freeze(client, "CUP")
    assert await create(client, **CUP) == frozen
    assert frozen.create_time == first.create_time


@pytest.mark.parametrize(
    "other",
    [
        {"title": "Cup"},
        {"safety_stock": 3},
        {"lead_time_mean_days": 7.0},
        {"lead_time_deviation_days": None},
        {"substitutes": []},
    ],
    ids=str,
)
async def test_creating_another_under_the_same_code_is_refused(client: Client, other: dict[str, Any]) -> None:
    """Other content is refused and names the field; the SKU stays as it was."""
    await client.add_sku("MUG")
    first = await create(client, **CUP)
    refusal = await refused(create(client, **{**CUP, **other}))
    assert (refusal.code, refusal.reason) == (StatusCode.ALREADY_EXISTS, "ALREADY_EXISTS")
    assert refusal.field == f"sku.{next(iter(other))}"
    assert await get(client, "CUP") == first


async def test_what_is_the_gateways_to_set_is_ignored(client: Client) -> None:
    """Frozen, its reason and the times of a request change nothing."""
    stamp = {"seconds": 1}
    created = await create(client, sku="CUP", frozen=True, freeze_reason="x", create_time=stamp, update_time=stamp)
    assert (created.frozen, created.freeze_reason) == (False, "")
    assert created.create_time.seconds > 1_000_000
    changed = await update(client, [], sku="CUP", title="Cup", frozen=True, freeze_reason="x", create_time=stamp)
    assert (changed.frozen, changed.freeze_reason, changed.create_time) == (False, "", created.create_time)


async def test_an_update_changes_what_the_mask_names(client: Client) -> None:
    """Named fields get the new value, or none if it is absent; the others stay."""
    await client.add_sku("MUG")
    before = await create(client, **CUP)
    after = await update(client, ["title", "lead_time_mean_days"], sku="CUP", title="Bowl", safety_stock=9)
    assert (after.title, after.HasField("lead_time_mean_days")) == ("Bowl", False)
    assert (after.safety_stock, list(after.substitutes)) == (2, ["MUG"])
    assert after.update_time.ToNanoseconds() > before.update_time.ToNanoseconds()
    cleared = await update(client, ["title", "substitutes", "safety_stock"], sku="CUP")
    assert (cleared.title, list(cleared.substitutes), cleared.safety_stock) == ("", [], 0)


async def test_an_update_without_a_mask_changes_what_is_set(client: Client) -> None:
    """An empty mask means all fields that are set; a field at its default is not (protobuf cannot tell)."""
    await client.add_sku("MUG")
    await create(client, **CUP)
    after = await update(client, [], sku="CUP", title="Bowl", lead_time_deviation_days=1.5)
    assert (after.title, after.lead_time_deviation_days) == ("Bowl", 1.5)
    assert (after.safety_stock, after.lead_time_mean_days, list(after.substitutes)) == (2, 7.5, ["MUG"])
    same = await update(client, [], sku="CUP")
    assert same.title == "Bowl"


async def test_substitutes_are_other_skus(client: Client) -> None:
    """Each is a SKU there is, is not the SKU itself, and is named once; the order is kept."""
    for code in ("MUG", "JUG"):
        await client.add_sku(code)
    await create(client, sku="CUP", substitutes=["MUG", "JUG"])
    for substitutes, field in (
        (["NOPE"], "sku.substitutes[0]"),
        (["MUG", "NOPE"], "sku.substitutes[1]"),
        (["MUG", "CUP"], "sku.substitutes"),
        (["MUG", "MUG"], "sku.substitutes"),
    ):
        assert (await refused(update(client, ["substitutes"], sku="CUP", substitutes=substitutes))).field == field
    assert list((await get(client, "CUP")).substitutes) == ["MUG", "JUG"]
    assert (await refused(create(client, sku="POT", substitutes=["POT"]))).field == "sku.substitutes"
    assert (await refused(get(client, "POT"))).reason == "SKU_UNKNOWN"


async def test_a_new_safety_stock_is_in_the_journal(client: Client) -> None:
    """At each location that holds the SKU a movement says what is not offered any more; unchanged, none does (R19)."""
    await add_location(client, "north")
    await client.add_sku("CUP", 10)
    await client.receive("CUP", 4, location="north")
    await update(client, [], sku="CUP", safety_stock=3)
    rows = await movements(client, kinds=[MovementKind.MOVEMENT_KIND_SAFETY_STOCK])
    assert {(row.location, row.safety_stock_after, row.on_hand_change) for row in rows} == {
        ("main", 3, 0),
        ("north", 3, 0),
    }
    assert await units(client, "CUP") == (14, 0, 8)
    await update(client, [], sku="CUP", safety_stock=3)
    assert len(await movements(client)) == 4


async def test_a_refused_update_leaves_nothing_behind(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the ledger does not take the new safety stock, the other fields of the update stay as they were (R11)."""
    before = await create(client, sku="CUP", title="Cup", safety_stock=1)

    async def refuse(_writer: Writer, *_arguments: Any) -> None:
        raise QueueFull("full", retry_after_ms=200)

    with monkeypatch.context() as patched:
        patched.setattr(Writer, "apply", refuse)
        refusal = await refused(update(client, [], sku="CUP", title="Bowl", safety_stock=2))
    assert refusal.reason == "QUEUE_FULL"
    assert await get(client, "CUP") == before
    after = await update(client, [], sku="CUP", title="Bowl", safety_stock=2)
    assert (after.title, after.safety_stock) == ("Bowl", 2)


async def test_freezing_says_why(client: Client) -> None:
    """Frozen with a reason until it is unfrozen; twice is no error, and the last reason counts."""
    await client.add_sku("CUP", 5)
    assert (await freeze(client, "CUP", "recall")).freeze_reason == "recall"
    again = await freeze(client, "CUP", "recall of lot 7")
    assert (again.frozen, again.freeze_reason) == (True, "recall of lot 7")
    for _ in range(2):
        request = {"sku": "CUP"}
        free = (await client.ask(client.catalog.UnfreezeSku, pb.UnfreezeSkuRequest, **request)).sku
        assert (free.frozen, free.freeze_reason) == (False, "")
    assert len(await movements(client)) == 1


async def test_skus_are_listed_by_code(client: Client) -> None:
    """All of them once, in the order of their codes, whatever the page's size and the prefix."""
    codes = ["A-1", "A-10", "A-2", "B", "a"]
    for code in reversed(codes):
        await client.add_sku(code)
    for size in (1, 2, 5, 1000):
        assert await listed(client, size) == codes
    assert await listed(client, 1, sku_prefix="A-1") == ["A-1", "A-10"]
    assert await listed(client, 1, page_token=token("A-10")) == ["A-2", "B", "a"]


async def test_a_location_is_created_once(client: Client) -> None:
    """The same again is no error, another one under its code is and names the field."""
    first = await locate(client, location="north", title="North", position=2)
    assert await locate(client, location="north", title="North", position=2) == first
    for other in ({"title": "Nord"}, {"position": 3}):
        content = {"location": "north", "title": "North", "position": 2, **other}
        refusal = await refused(locate(client, **content))
        assert (refusal.code, refusal.field) == (StatusCode.ALREADY_EXISTS, f"location.{next(iter(other))}")
    asked = {"location": "north"}
    assert (await client.ask(client.catalog.GetLocation, pb.GetLocationRequest, **asked)).location == first


async def test_a_location_is_changed_by_field(client: Client) -> None:
    """Named fields, or without a mask those that are set; the code and the time stay."""
    first = await locate(client, location="north", title="North", position=2)
    moved = await relocate(client, ["position"], location="north", title="ignored", position=-4)
    assert (moved.title, moved.position, moved.create_time) == ("North", -4, first.create_time)
    renamed = await relocate(client, [], location="north", title="Nord")
    assert (renamed.title, renamed.position) == ("Nord", -4)
    assert (await relocate(client, ["title", "position"], location="north")).position == 0
    assert (await refused(relocate(client, [], location="nope"))).reason == "LOCATION_UNKNOWN"


async def test_locations_are_listed_as_they_serve(client: Client) -> None:
    """By position, then code; pages continue between locations of one position too."""
    for code, position in (("z", 1), ("a", 1), ("first", -(2**31)), ("last", 2**31 - 1)):
        await add_location(client, code, position)
    expected = ["first", "main", "a", "z", "last"]
    for size in (1, 2, 5, 1000):
        found, page_token = [], ""
        while True:
            asked = {"page_size": size, "page_token": page_token}
            page = await client.ask(client.catalog.ListLocations, pb.ListLocationsRequest, **asked)
            found += [location.location for location in page.locations]
            page_token = page.next_page_token
            if not page_token:
                break
        assert found == expected


async def test_a_changed_order_serves_at_once(client: Client) -> None:
    """The next reservation takes from the location that comes first now (R3)."""
    await add_location(client, "north")
    await client.add_sku("CUP", 5)
    await client.receive("CUP", 5, location="north")
    assert (await client.reserve("CUP")).lines[0].allotments[0].location == "main"
    await relocate(client, ["position"], location="north", position=-1)
    assert (await client.reserve("CUP")).lines[0].allotments[0].location == "north"
    assert [one.location for one in (await client.level("CUP")).locations] == ["north", "main"]


async def create(client: Client, **content: Any) -> Sku:
    """Create a SKU."""
    return (await client.ask(client.catalog.CreateSku, pb.CreateSkuRequest, sku=_without_none(content))).sku


async def update(client: Client, mask: list[str], **content: Any) -> Sku:
    """Change a SKU."""
    request = {"sku": content, "update_mask": {"paths": mask}}
    return (await client.ask(client.catalog.UpdateSku, pb.UpdateSkuRequest, **request)).sku


async def get(client: Client, sku: str) -> Sku:
    """Read a SKU."""
    return (await client.ask(client.catalog.GetSku, pb.GetSkuRequest, sku=sku)).sku


async def freeze(client: Client, sku: str, reason: str = "recall") -> Sku:
    """Freeze a SKU."""
    return (await client.ask(client.catalog.FreezeSku, pb.FreezeSkuRequest, sku=sku, reason=reason)).sku


async def locate(client: Client, **content: Any) -> Location:
    """Create a location."""
    return (await client.ask(client.catalog.CreateLocation, pb.CreateLocationRequest, location=content)).location


async def relocate(client: Client, mask: list[str], **content: Any) -> Location:
    """Change a location."""
    request = {"location": content, "update_mask": {"paths": mask}}
    return (await client.ask(client.catalog.UpdateLocation, pb.UpdateLocationRequest, **request)).location


async def listed(client: Client, size: int, **wanted: Any) -> list[str]:
    """The codes of all SKUs, page by page."""
    found: list[str] = []
    asked = {"page_size": size, **wanted}
    while True:
        page = await client.ask(client.catalog.ListSkus, pb.ListSkusRequest, **asked)
        assert len(page.skus) <= size
        found += [sku.sku for sku in page.skus]
        asked["page_token"] = page.next_page_token
        if not page.next_page_token:
            return found


def _without_none(content: dict[str, Any]) -> Message:
    return made(Sku, **{name: value for name, value in content.items() if value is not None})
