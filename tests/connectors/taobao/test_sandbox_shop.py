"""The sandbox keeps its shelf and its orders as the platform's documents say, to the letter."""

import json
from datetime import timedelta
from typing import Any

from connectors.base import ListingKey
from connectors.sandbox.shop import Shop, ShopFacts, TakesOn
from connectors.sandbox.taobao import Settings
from tests.connectors.taobao.caller import call, refusal, time_of
from tests.connectors.taobao.stand import CUP, MUG_BLUE, MUG_RED, SHOWN, HandClock, Stand, a_stand

MOVE, MOVE_MANY = "taobao.item.quantity.update", "taobao.skus.quantity.update"
TMALL, ADJUST = "tmall.item.quantity.update", "taobao.inventory.merchant.adjust"
INCREMENT = "taobao.trades.sold.increment.get"
RED = {"num_iid": MUG_RED.item_id, "sku_id": MUG_RED.platform_sku_id}
MUG = {"num_iid": MUG_RED.item_id}
HAS_SKUS = "isv.item-quantity-item-update-service-error"
NO_SKU = "isv.item-quantity-sku-update-service-error"
UNKNOWN = "isv.item-not-exist:invalid-numIid-or-iid"
DELETED = "isv.item-is-delete:invalid-numIid-or-iid"


async def test_the_answer_to_a_write(stand: Stand) -> None:
    """As the API metadata shows it: the item, and in it the SKU that was moved."""
    answer = (await call(stand, MOVE, **RED, quantity="100"))["item_quantity_update_response"]
    modified = answer["item"].pop("modified")
    sku = {"sku_id": int(MUG_RED.platform_sku_id), "modified": modified, "quantity": 100}
    assert answer["item"] == {
        "iid": MUG_RED.item_id,
        "num_iid": int(MUG_RED.item_id),
        "num": 100 + SHOWN,
        "skus": {"sku": [sku]},
    }
    assert modified == time_of(stand.shop.time) or modified < time_of(stand.shop.time)
    assert answer["request_id"]


async def test_who_is_meant_by_a_write(stand: Stand) -> None:
    """The SKU id before the outer id; neither means the item, which must have no SKUs."""
    await call(stand, MOVE, **RED, outer_id="MUG-B", quantity="1")
    await call(stand, MOVE, **MUG, outer_id="MUG-B", quantity="2")
    await call(stand, MOVE, num_iid=CUP.item_id, quantity="3")
    assert [stand.shown(key) for key in (MUG_RED, MUG_BLUE, CUP)] == [1, 2, 3]
    assert await refusal(stand, MOVE, **MUG, quantity="4") == (15, HAS_SKUS)
    assert await refusal(stand, MOVE, **MUG, sku_id="404", quantity="4") == (15, NO_SKU)
    assert await refusal(stand, MOVE, **MUG, outer_id="404", quantity="4") == (15, NO_SKU)
    assert await refusal(stand, MOVE, num_iid=CUP.item_id, sku_id="1", quantity="4") == (15, NO_SKU)
    assert await refusal(stand, MOVE, num_iid="404", quantity="4") == (15, UNKNOWN)
    stand.shop.displays[CUP].deleted = True
    assert await refusal(stand, MOVE, num_iid=CUP.item_id, quantity="4") == (15, DELETED)
    assert [stand.shown(key) for key in (MUG_RED, MUG_BLUE, CUP)] == [1, 2, 3]


async def test_bad_parameters_of_a_write(stand: Stand) -> None:
    """Missing is 40, senseless is 41, a negative full quantity is the service's."""
    assert await refusal(stand, MOVE, quantity="1") == (40, "isv.missing-parameter:num_iid")
    assert await refusal(stand, MOVE, **RED) == (40, "isv.missing-parameter:quantity")
    for quantity in ("1.5", "one", "+1", "1e3", "\u0661", "9" * 12):
        assert await refusal(stand, MOVE, **RED, quantity=quantity) == (41, "isv.invalid-parameter:quantity")
    assert await refusal(stand, MOVE, **RED, quantity="1", type="3") == (41, "isv.invalid-parameter:type")
    assert await refusal(stand, MOVE, **RED, quantity="-1") == (15, "isv.invalid-parameter:quantity")
    assert await refusal(stand, MOVE_MANY, **MUG, skuid_quantities=f"{MUG_RED.platform_sku_id}:-1") == (
        15,
        "isv.invalid-parameter:quantity",
    )
    assert stand.shown(MUG_RED) == SHOWN


async def test_the_two_apis_differ_below_zero(stand: Stand) -> None:
    """The single one refuses; the list sets to zero and says success. And nothing is known again."""
    red, blue = MUG_RED.platform_sku_id, MUG_BLUE.platform_sku_id
    assert (await refusal(stand, MOVE, **RED, quantity=str(-SHOWN - 1), type="2"))[0] == 15
    answer = await call(stand, MOVE_MANY, **MUG, skuid_quantities=f"{red}:{-SHOWN - 5};{blue}:2", type="2")
    skus = answer["skus_quantity_update_response"]["item"]["skus"]["sku"]
    assert {sku["sku_id"]: sku["quantity"] for sku in skus} == {int(red): 0, int(blue): SHOWN + 2}
    for _ in range(2):
        await call(stand, MOVE_MANY, **MUG, skuid_quantities=f"{blue}:2", type="2")
    assert stand.shown(MUG_BLUE) == SHOWN + 6


async def test_lists_of_skus(stand: Stand) -> None:
    """Twenty at most; outer ids only if there are no SKU ids, and then for every SKU of that name; all or none."""
    red = MUG_RED.platform_sku_id
    pairs = ";".join([f"{red}:1"] * 20)
    await call(stand, MOVE_MANY, **MUG, skuid_quantities=pairs, type="2")
    assert stand.shown(MUG_RED) == SHOWN + 20
    assert (await refusal(stand, MOVE_MANY, **MUG, skuid_quantities=pairs + f";{red}:1", type="2"))[0] == 41
    for text in (":", "1", "1:", "1:x", ";"):
        assert (await refusal(stand, MOVE_MANY, **MUG, skuid_quantities=text))[0] in {15, 41}
    assert (await refusal(stand, MOVE_MANY, **MUG))[0] == 40
    assert await refusal(stand, MOVE_MANY, **MUG, skuid_quantities=f"{red}:7;404:7") == (15, NO_SKU)
    assert stand.shown(MUG_RED) == SHOWN + 20
    stand.shop.displays[MUG_BLUE].outer_id = "MUG-R"
    await call(stand, MOVE_MANY, **MUG, skuid_quantities=f"{red}:1", outerid_quantities="MUG-R:9")
    assert (stand.shown(MUG_RED), stand.shown(MUG_BLUE)) == (1, SHOWN)
    await call(stand, MOVE_MANY, **MUG, outerid_quantities="MUG-R:9")
    assert (stand.shown(MUG_RED), stand.shown(MUG_BLUE)) == (9, 9)


async def test_withheld_units() -> None:
    """Taken on payment: withheld by unpaid orders, and no full quantity below that; both numbers are read."""
    async with a_stand(ShopFacts(takes_on=TakesOn.PAYMENT)) as stand:
        order = stand.shop.place({MUG_RED: 4})
        fields = {"fields": "quantity,with_hold_quantity,sub_stock"}
        sku = (await call(stand, "taobao.item.sku.get", **fields, sku_id=MUG_RED.platform_sku_id))[
            "item_sku_get_response"
        ]
        assert sku["sku"] == {"quantity": SHOWN, "with_hold_quantity": 4}
        item = (await call(stand, "taobao.item.seller.get", **fields, **MUG))["item_seller_get_response"]
        assert item["item"] == {"with_hold_quantity": 4, "sub_stock": 2}
        assert await refusal(stand, MOVE, **RED, quantity="3") == (
            15,
            "isv.error-inventory-invalid-item-quantity-tmall",
        )
        stand.shop.close(order.order_id)
        await call(stand, MOVE, **RED, quantity="3")


async def test_units_taken_on_order(stand: Stand) -> None:
    """Taken when the order is created, and back when it is cancelled."""
    order = stand.shop.place({CUP: 4})
    item = await call(stand, "taobao.item.seller.get", fields="num,with_hold_quantity,sub_stock", num_iid=CUP.item_id)
    assert item["item_seller_get_response"]["item"] == {"num": SHOWN - 4, "with_hold_quantity": 0, "sub_stock": 1}
    stand.shop.close(order.order_id)
    assert stand.shown(CUP) == SHOWN


async def test_tmalls_own_write() -> None:
    """JSON lists; selectors are not mixed; its sub_codes end in -tmall."""
    async with a_stand(settings=Settings(is_tmall=True)) as stand:
        red = {"sku_id": int(MUG_RED.platform_sku_id), "quantity": -3}
        item, increment = {"item_id": MUG_RED.item_id}, json.dumps({"type": 2})
        answer = await call(stand, TMALL, **item, sku_quantities=json.dumps([red]), options=increment)
        assert answer["tmall_item_quantity_update_response"]["quantity_update_result"] == MUG_RED.item_id
        assert stand.shown(MUG_RED) == SHOWN - 3
        mixed = [red, {"outer_id": "MUG-B", "quantity": 1}]
        assert (await refusal(stand, TMALL, **item, sku_quantities=json.dumps(mixed)))[0] == 15
        assert (await refusal(stand, TMALL, **item, sku_quantities=json.dumps([red] * 21)))[0] == 15
        assert await refusal(stand, TMALL, **item, item_quantity="5") == (15, HAS_SKUS + "-tmall")
        await call(stand, TMALL, item_id=CUP.item_id, item_quantity="5")
        assert stand.shown(CUP) == 5
        assert await refusal(stand, MOVE, num_iid="404", quantity="1") == (15, UNKNOWN + "-tmall")


async def test_an_adjustment_is_known_again(stand: Stand) -> None:
    """`taobao.inventory.merchant.adjust` applies a `sub_order_id` once."""

    def check(*details: dict[str, Any], mode: int = 2) -> dict[str, str]:
        return {"inventory_check": json.dumps({"order_id": "1", "check_mode": mode, "detail_list": details})}

    one = {"sku_id": MUG_RED.platform_sku_id, "quantity": 2, "sub_order_id": "a"}
    for _ in range(2):
        answer = await call(stand, ADJUST, **check(one, one, {**one, "sub_order_id": "b"}))
        assert answer["inventory_merchant_adjust_response"]["result"]["success"]
    assert stand.shown(MUG_RED) == SHOWN + 4
    await call(stand, ADJUST, **check({**one, "sub_order_id": "c"}, mode=1))
    assert stand.shown(MUG_RED) == 2
    assert (await refusal(stand, ADJUST, **check({**one, "sub_order_id": ""})))[0] == 15


async def test_lists_of_items(stand: Stand) -> None:
    """Items on sale in pages; forty items at most in a list of SKUs; fields must be named."""
    answer = await call(stand, "taobao.items.onsale.get", fields="num_iid,num", page_no="2", page_size="1")
    body = answer["items_onsale_get_response"]
    assert body["total_results"] == 2
    assert len(body["items"]["item"]) == 1
    empty = await call(stand, "taobao.items.inventory.get", fields="num_iid")
    assert empty["items_inventory_get_response"]["total_results"] == 0
    assert (await refusal(stand, "taobao.items.onsale.get"))[0] == 40
    assert (await refusal(stand, "taobao.items.onsale.get", fields="num", page_size="201"))[0] == 41
    ids = ",".join(["1"] * 41)
    assert (await refusal(stand, "taobao.item.skus.get", fields="sku_id", num_iids=ids))[0] == 41
    assert (await refusal(stand, "taobao.item.seller.get", fields="num", num_iid="404"))[1].endswith("ITEM_NOT_FOUND")
    assert (await refusal(stand, "taobao.item.get", num_iid=CUP.item_id))[0] == 22  # retired


async def test_a_page_of_trades(stand: Stand) -> None:
    """Ids are numbers, money is text in yuan; a count or whether more follow, as it was asked for."""
    order = stand.shop.place({MUG_RED: 2, CUP: 1})
    stand.shop.place({CUP: 1})
    stand.shop.pay(order.order_id)
    window = {
        "start_modified": time_of(stand.shop.time - timedelta(hours=1)),
        "end_modified": time_of(stand.shop.time),
        "fields": "tid,status,payment,orders.oid,created",
    }
    body = (await call(stand, INCREMENT, **window))["trades_sold_increment_get_response"]
    assert (body["total_results"], "has_next" in body) == (2, False)
    found = next(trade for trade in body["trades"]["trade"] if trade["tid"] == int(order.order_id))
    assert (found["status"], found["payment"], "modified" in found) == ("WAIT_SELLER_SEND_GOODS", "30.00", False)
    assert [line["oid"] for line in found["orders"]["order"]] == [int(line.line_id) for line in order.lines]
    more = [
        (await call(stand, INCREMENT, **window, use_has_next="true", page_size="1", page_no=page))[
            "trades_sold_increment_get_response"
        ]
        for page in ("1", "2", "3")
    ]
    assert [page["has_next"] for page in more] == [True, False, False]
    assert "trades" not in more[2]
    assert "total_results" not in more[0]
    unpaid = (await call(stand, INCREMENT, **window, status="WAIT_BUYER_PAY"))["trades_sold_increment_get_response"]
    assert unpaid["total_results"] == 1
    sold = (await call(stand, "taobao.trades.sold.get", fields="tid"))["trades_sold_get_response"]
    assert sold["total_results"] == 2


async def test_windows_that_are_refused(stand: Stand) -> None:
    """More than a day, backwards, no times at all; pages below one, sizes beyond a hundred."""
    now = stand.shop.time

    async def code(hours: float, **params: str) -> int:
        window = {"start_modified": time_of(now - timedelta(hours=hours)), "end_modified": time_of(now)}
        answer = await call(stand, INCREMENT, **{"fields": "tid", **window, **params})
        return int(answer.get("error_response", {"code": 0})["code"])

    assert await code(24) == 0
    assert await code(24.01) == 15
    assert await code(-1) == 15
    assert await code(1, start_modified="") == 40
    assert await code(1, end_modified="now") == 41
    assert await code(1, fields="") == 40
    for spoiled in ({"page_no": "0"}, {"page_no": "x"}, {"page_size": "0"}, {"page_size": "101"}):
        assert await code(1, **spoiled) == 41


async def test_the_newest_comes_first_and_three_months_are_kept() -> None:
    """Latest modification first; what is older than ninety days is in no list; what is too new may be late."""
    clock = HandClock()
    settings = Settings(orders_visible_after=timedelta(seconds=5), access_lifetime=timedelta(days=1000))
    async with a_stand(shop=Shop(now=clock), settings=settings) as stand:
        orders = []
        for _ in range(3):
            orders.append(stand.shop.place({CUP: 1}))
            clock.pass_by(minutes=1)
        stand.shop.pay(orders[0].order_id)
        start = clock.time - timedelta(hours=1)

        async def tids() -> list[str]:
            window = {"start_modified": time_of(start), "end_modified": time_of(start + timedelta(hours=2))}
            body = (await call(stand, INCREMENT, fields="tid", **window))["trades_sold_increment_get_response"]
            return [str(trade["tid"]) for trade in body.get("trades", {}).get("trade", [])]

        names = [order.order_id for order in orders]
        assert await tids() == [names[2], names[1]]
        clock.pass_by(seconds=6)
        assert await tids() == [names[0], names[2], names[1]]
        clock.pass_by(days=91)
        assert await tids() == []


async def test_refunds_one_by_one_and_in_pages(stand: Stand) -> None:
    """A refund names its trade, its line, how many units were bought, and the money of those that came back."""
    order = stand.shop.place({MUG_RED: 3, CUP: 1})
    stand.shop.pay(order.order_id)
    line = order.lines[0]
    stand.shop.refund(order.order_id, line.line_id, 2)
    fields = "refund_id,tid,oid,num,status,refund_fee,total_fee"
    body = (await call(stand, "taobao.refunds.receive.get", fields=fields, status="SUCCESS"))[
        "refunds_receive_get_response"
    ]
    (found,) = body["refunds"]["refund"]
    assert body["total_results"] == 1
    assert (found["tid"], found["oid"], found["num"]) == (int(order.order_id), int(line.line_id), 3)
    assert (found["refund_fee"], found["total_fee"]) == ("20.00", "30.00")
    one = await call(stand, "taobao.refund.get", fields=fields, refund_id=found["refund_id"])
    assert one["refund_get_response"]["refund"] == found
    assert (await refusal(stand, "taobao.refund.get", fields=fields, refund_id="404"))[0] == 15
    none = await call(stand, "taobao.refunds.receive.get", fields=fields, status="CLOSED", use_has_next="true")
    assert none["refunds_receive_get_response"]["has_next"] is False


async def test_parts_of_an_order_have_their_own_status(stand: Stand) -> None:
    """A line that was refunded whole is closed while the other one is shipped; then the whole trade is closed."""
    order = stand.shop.place({MUG_RED: 1, CUP: 1})
    stand.shop.pay(order.order_id)
    stand.shop.refund(order.order_id, order.lines[0].line_id, 1)
    stand.shop.ship(order.order_id)

    async def statuses() -> tuple[str, list[str]]:
        answer = await call(stand, "taobao.trade.fullinfo.get", fields="status,orders", tid=order.order_id)
        trade = answer["trade_fullinfo_get_response"]["trade"]
        return trade["status"], [line["status"] for line in trade["orders"]["order"]]

    assert await statuses() == ("WAIT_BUYER_CONFIRM_GOODS", ["TRADE_CLOSED", "WAIT_BUYER_CONFIRM_GOODS"])
    stand.shop.refund(order.order_id, order.lines[1].line_id, 1)
    assert await statuses() == ("TRADE_CLOSED", ["TRADE_CLOSED", "TRADE_CLOSED"])
    assert await refusal(stand, "taobao.trade.fullinfo.get", fields="tid", tid="9") == (15, "isv.trade-not-exist")


async def test_ids_that_are_no_numbers_are_told_as_text(stand: Stand) -> None:
    """A shop of another making may have any ids; they survive."""
    key = ListingKey("mug-7", "red")
    stand.shop.put_on_sale(key, shown=1)
    item: dict[str, Any] = (await call(stand, MOVE, num_iid="mug-7", sku_id="red", quantity="2"))[
        "item_quantity_update_response"
    ]["item"]
    assert (item["num_iid"], item["skus"]["sku"][0]["sku_id"]) == ("mug-7", "red")
