"""The sandbox's stock before a stranger's client: the true semantics of every write."""

from dataclasses import replace

import pytest

from connectors.sandbox.kuaishou import KuaishouSettings
from connectors.sandbox.shop import ShopFacts, TakesOn
from tests.connectors.kuaishou.conftest import BOX, CUP, Bench, OpenBench
from tests.connectors.kuaishou.strangers import call, change, envelope_of, fields_of

pytestmark = pytest.mark.asyncio(loop_scope="session")

UPDATE = "open.item.sku.stock.update"
ADJUST = "open.scm.inventory.adjust"
INVENTORY = KuaishouSettings(goods_inventory_items=frozenset({CUP.item_id}))
BAD = 804000


# ---- item stock


@pytest.mark.parametrize(
    "param",
    [
        change(0),
        change(-1),
        change(9_999_999),
        change(10**20),
        change(1.5),
        change("five"),
        change(None),
        change(True),
        change(1, 0),
        change(1, 3),
        change(1, None),
        change(skuId=None),
        change(kwaiItemId="item"),
    ],
)
async def test_changes_that_are_badly_put(bench: Bench, param: dict[str, object]) -> None:
    """A change is a positive number below 9,999,999, added or subtracted; there is no absolute one."""
    assert (await call(bench, UPDATE, param))["result"] == BAD
    assert bench.shown() == 10


async def test_changes_that_cannot_be(bench: Bench) -> None:
    """Below zero, above the maximum, and of what is not there: refused with the business numbers, nothing is done."""
    settings = bench.sandbox.settings
    assert (await call(bench, UPDATE, change(11, 2)))["result"] == settings.below_zero_code
    assert (await call(bench, UPDATE, change(9_999_990)))["result"] == settings.over_maximum_code
    assert (await call(bench, UPDATE, change(skuId=1)))["result"] == settings.sku_not_found_code
    assert (await call(bench, UPDATE, change(kwaiItemId=1)))["result"] == settings.item_not_found_code
    assert bench.shown() == 10
    assert (await call(bench, UPDATE, change(9_999_989)))["result"] == 1
    assert bench.shown() == 9_999_999


async def test_nothing_is_deduplicated(bench: Bench) -> None:
    """The very same signed request twice is applied twice."""
    fields = fields_of(bench, UPDATE, change(3, 2))
    for _ in range(2):
        answer = await bench.client.post(f"{bench.url}/open/item/sku/stock/update", data=fields)
        assert envelope_of(answer)["data"] is None
    assert bench.shown() == 4


async def test_items_are_listed(bench: Bench) -> None:
    """Items with their SKUs, by item, by page, and by the seller's own code."""
    item = (await call(bench, "open.item.get", {"kwaiItemId": int(CUP.item_id)}))["data"]
    assert (item["multipleStock"], len(item["skuInfos"])) == (False, 2)
    skus = (await call(bench, "open.item.sku.list.get", {"kwaiItemId": int(CUP.item_id), "skuStatus": 1}))["data"]
    assert skus["skuCount"] == 2
    assert {"kwaiSkuId": 9000001, "skuStock": 10, "reserveStock": 0, "relSkuId": 9000001, "isValid": 1}.items() <= skus[
        "skuList"
    ][0].items()
    one = {"kwaiItemId": int(CUP.item_id), "skuStatus": 1, "relSkuId": 9000002}
    assert (await call(bench, "open.item.sku.list.get", one))["data"]["skuCount"] == 1
    pages = [
        (await call(bench, "open.item.list.get", {"pageNumber": page, "pageSize": 1}))["data"] for page in (1, 2, 3)
    ]
    assert [len(page["items"]) for page in pages] == [1, 1, 0]
    assert {page["totalItemCount"] for page in pages} == {2}


# ---- goods inventory


def inventory(**others: object) -> dict[str, object]:
    """The param of a call for CUP's goods."""
    return {"wareOutCode": f"ware-{CUP.platform_sku_id}", "warehouseOutCode": "main", **others}


async def test_goods_inventory_is_apart(open_bench: OpenBench) -> None:
    """An item of that mode refuses the item's call, and only such an item has goods."""
    bench = await open_bench(INVENTORY)
    assert (await call(bench, UPDATE, change()))["result"] == bench.sandbox.settings.goods_inventory_code
    assert (await call(bench, "open.item.get", {"kwaiItemId": int(CUP.item_id)}))["data"]["multipleStock"] is True
    other = inventory(wareOutCode=f"ware-{BOX.platform_sku_id}", quantity=1)
    assert (await call(bench, "open.scm.inventory.update", other))["result"] == 120002
    assert (bench.shown(CUP), bench.shown(BOX)) == (10, 100)


async def test_goods_are_set_to_what_is_possible(open_bench: OpenBench) -> None:
    """An update is absolute and answers what there is: what unpaid orders occupy stays; both quantities are told."""
    bench = await open_bench(INVENTORY, facts=ShopFacts(takes_on=TakesOn.PAYMENT))
    bench.shop.place({CUP: 4})
    update = "open.scm.inventory.update"
    assert (await call(bench, update, inventory(quantity=20)))["quantity"] == 20
    assert (await call(bench, update, inventory(quantity=1)))["quantity"] == 4
    detail = (await call(bench, "open.scm.inventory.detail", inventory()))["data"]
    assert (detail["totalQuantity"], detail["totalAvailableSaleQuantity"]) == (4, 0)
    assert detail["itemList"][0]["warehouseOutCode"] == "main"
    for quantity in (-1, 10_000_000, None, "many"):
        assert (await call(bench, update, inventory(quantity=quantity)))["result"] == BAD
    assert (await call(bench, update, inventory(quantity=1, warehouseOutCode="elsewhere")))["result"] == BAD


async def test_goods_are_adjusted_once_per_id(open_bench: OpenBench) -> None:
    """An adjustment clamps, answers the real change, and a known id hears the first answer and changes nothing."""
    bench = await open_bench(INVENTORY)
    less = inventory(operationType="DECREASE", adjustQuantity=15, idempotentId="a")
    assert [(await call(bench, ADJUST, less, verb="POST"))["adjust_quantity"] for _ in range(3)] == [10, 10, 10]
    more = inventory(operationType="INCREASE", adjustQuantity=7, idempotentId="b")
    assert (await call(bench, ADJUST, more))["adjust_quantity"] == 7
    assert (await call(bench, ADJUST, more | {"adjustQuantity": 1}))["adjust_quantity"] == 7
    for bad in ({"idempotentId": ""}, {"operationType": "SET"}, {"adjustQuantity": 0}, {"idempotentId": "x" * 129}):
        assert (await call(bench, ADJUST, {**more, **bad}))["result"] == BAD
    assert bench.shown() == 7


async def test_the_choices_of_goods_inventory(open_bench: OpenBench) -> None:
    """What is not published can be otherwise: differences taken, nothing occupied, ids not known again."""
    settings = replace(
        INVENTORY,
        goods_inventory_refuses_difference=False,
        inventory_keeps_occupied=False,
        adjustment_knows_its_id=False,
    )
    bench = await open_bench(settings, facts=ShopFacts(takes_on=TakesOn.PAYMENT))
    bench.shop.place({CUP: 4})
    assert (await call(bench, UPDATE, change(5)))["result"] == 1
    more = inventory(operationType="INCREASE", adjustQuantity=7, idempotentId="b")
    assert [(await call(bench, ADJUST, more))["adjust_quantity"] for _ in range(2)] == [7, 7]
    assert bench.shown() == 29
    assert (await call(bench, "open.scm.inventory.update", inventory(quantity=1)))["quantity"] == 1
