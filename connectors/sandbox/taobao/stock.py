"""The stock methods, with the semantics that the API metadata of the official docs states.

Every change is checked whole before any of it is applied (a choice for the lists).
"""

import json
from collections.abc import Callable
from typing import Any

from connectors.base import ListingKey
from connectors.sandbox.shop import Display, Shop, TakesOn
from connectors.sandbox.taobao.answers import Answer, numeric
from connectors.sandbox.taobao.params import Params, whole
from connectors.sandbox.taobao.refusals import (
    BELOW_WITHHELD,
    INVALID_PARAMETER,
    INVALID_QUANTITY,
    ITEM_DELETED,
    ITEM_HAS_SKUS,
    ITEM_NOT_FOUND,
    ITEM_UNKNOWN,
    SKU_UNKNOWN,
    Refusal,
    invalid,
    service,
)
from connectors.sandbox.taobao.settings import Settings
from connectors.taobao.times import written

PAIRS_MAX = 20
ITEMS_MAX = 40
PAGE_SIZE_MAX = 200
_FULL, _INCREMENTAL = 1, 2
# The longest number of units a listing may show.
QUANTITY_MAX = 10**9


# New numbers by listing, checked and not applied yet.
Plan = dict[ListingKey, int]


class StockMethods:
    """What a caller may do to the shelf."""

    def __init__(self, shop: Shop, settings: Settings) -> None:
        """Serve this shop."""
        self._shop, self._settings = shop, settings
        self._adjusted: set[str] = set()

    def methods(self) -> dict[str, Callable[[Params], Answer]]:
        """The methods by name."""
        return {
            "taobao.item.quantity.update": self._item_quantity_update,
            "taobao.skus.quantity.update": self._skus_quantity_update,
            "tmall.item.quantity.update": self._tmall_item_quantity_update,
            "taobao.inventory.merchant.adjust": self._merchant_adjust,
            "taobao.item.sku.get": self._item_sku_get,
            "taobao.item.skus.get": self._item_skus_get,
            "taobao.item.seller.get": self._item_seller_get,
            "taobao.items.onsale.get": lambda params: self._items(params, is_on_sale=True),
            "taobao.items.inventory.get": lambda params: self._items(params, is_on_sale=False),
        }

    # ---- writes

    def _item_quantity_update(self, params: Params) -> Answer:
        item_id, quantity = params.text("num_iid"), params.number("quantity", least=-QUANTITY_MAX, most=QUANTITY_MAX)
        kind = params.number("type", _FULL, _FULL, _INCREMENTAL)
        displays = self._named(self._item(item_id), params.optional("sku_id"), params.optional("outer_id"))
        return self._apply(item_id, self._planned([(display, quantity) for display in displays], kind))

    def _skus_quantity_update(self, params: Params) -> Answer:
        item_id, kind = params.text("num_iid"), params.number("type", _FULL, _FULL, _INCREMENTAL)
        displays = self._item(item_id)
        name = "skuid_quantities" if params.optional("skuid_quantities") else "outerid_quantities"
        is_by_id = name == "skuid_quantities"
        wanted = [
            (display, quantity)
            for selector, quantity in _pairs(params.text(name), name)
            for display in self._named(displays, selector if is_by_id else "", "" if is_by_id else selector)
        ]
        return self._apply(item_id, self._planned(wanted, kind, clamps=True))

    def _tmall_item_quantity_update(self, params: Params) -> Answer:
        item_id = params.text("item_id")
        options = _object(params.optional("options", "{}"), "options")
        kind = whole(str(options.get("type", _FULL)), "options", _FULL, _INCREMENTAL)
        wanted = _objects(params.optional("sku_quantities", "[]"), "sku_quantities")
        selectors = {name for sku in wanted for name in ("sku_id", "outer_id", "properties") if sku.get(name)}
        if len(wanted) > PAIRS_MAX or len(selectors) > 1:
            raise service(INVALID_PARAMETER, "at most 20 SKUs, all named in the same way")
        displays = self._item(item_id)
        moves = [
            (display, whole(str(sku.get("quantity", "")), "sku_quantities", -QUANTITY_MAX, QUANTITY_MAX))
            for sku in wanted
            for display in self._named(displays, str(sku.get("sku_id", "")), str(sku.get("outer_id", "")))
        ]
        if not wanted:
            quantity = params.number("item_quantity", least=-QUANTITY_MAX, most=QUANTITY_MAX)
            moves = [(display, quantity) for display in self._named(displays, "", "")]
        self._apply(item_id, self._planned(moves, kind))
        return {"quantity_update_result": item_id}

    def _merchant_adjust(self, params: Params) -> Answer:
        """One full or delta change per detail; a `sub_order_id` that was applied is not applied again."""
        check = _object(params.text("inventory_check"), "inventory_check")
        kind = whole(str(check.get("check_mode", "")), "inventory_check", _FULL, _INCREMENTAL)
        moves: list[tuple[Display, int]] = []
        done: set[str] = set()
        for detail in _objects(json.dumps(check.get("detail_list")), "detail_list"):
            name = str(detail.get("sub_order_id") or "")
            if not name:
                raise service("isv.missing-parameter:sub_order_id")
            if name not in self._adjusted | done:
                quantity = whole(str(detail.get("quantity", "")), "inventory_check", -QUANTITY_MAX, QUANTITY_MAX)
                moves.append((self._sku(str(detail.get("sku_id", ""))), quantity))
                done.add(name)
        self._show(self._planned(moves, kind))
        self._adjusted |= done
        return {"result": {"success": True, "data": True}}

    def _planned(self, wanted: list[tuple[Display, int]], kind: int, *, clamps: bool = False) -> Plan:
        """The new numbers, if the platform would take them all; a listing that is named twice is moved twice."""
        plan: Plan = {}
        for display, quantity in wanted:
            if kind == _FULL:
                self._require_settable(display, quantity)
                plan[display.key] = quantity
                continue
            shown = plan.get(display.key, display.shown) + quantity
            if shown < 0 and not clamps:
                raise self._refusal(self._settings.below_zero_sub_code, "quantity would be less than zero")
            plan[display.key] = max(0, shown)
        return plan

    def _require_settable(self, display: Display, quantity: int) -> None:
        if quantity < 0:
            raise self._refusal(INVALID_QUANTITY, "quantity must not be negative")
        if quantity < display.withheld:
            raise service(BELOW_WITHHELD, "编辑库存数不能低于预扣库存数")

    def _show(self, plan: Plan) -> None:
        for key, shown in plan.items():
            self._shop.show(key, shown)

    def _apply(self, item_id: str, plan: Plan) -> Answer:
        """Show the new numbers, and say them."""
        self._show(plan)
        displays = self._shop.items(item_id)
        skus = [
            {"sku_id": numeric(one.key.platform_sku_id), "modified": written(one.update_time), "quantity": one.shown}
            for one in displays
            if one.key.platform_sku_id and (self._settings.answers_all_skus or one.key in plan)
        ]
        item: Answer = {
            "iid": item_id,
            "num_iid": numeric(item_id),
            "modified": written(self._shop.time),
            "num": sum(one.shown for one in displays),
        }
        return {"item": item | ({"skus": {"sku": skus}} if skus else {})}

    # ---- reads

    def _item_sku_get(self, params: Params) -> Answer:
        fields, display = params.fields(), self._sku(params.text("sku_id"))
        if params.optional("num_iid", display.key.item_id) != display.key.item_id:
            raise self._refusal(ITEM_UNKNOWN)
        return {"sku": _chosen(_sku(display), fields)}

    def _item_skus_get(self, params: Params) -> Answer:
        """The SKUs of all these items; items and SKUs that are gone are left out (a choice)."""
        fields, item_ids = params.fields(), params.text("num_iids").split(",")
        if len(item_ids) > ITEMS_MAX:
            raise invalid("num_iids")
        displays = [one for item_id in item_ids for one in self._shop.items(item_id) if not one.deleted]
        skus = [_chosen(_sku(one), fields) for one in displays if one.key.platform_sku_id]
        return {"skus": {"sku": skus}} if skus else {}

    def _item_seller_get(self, params: Params) -> Answer:
        fields, item_id = params.fields(), params.text("num_iid")
        displays = [one for one in self._shop.items(item_id) if not one.deleted]
        if not displays:
            raise self._refusal(ITEM_NOT_FOUND)
        return {"item": _chosen(self._described(displays), fields)}

    def _items(self, params: Params, *, is_on_sale: bool) -> Answer:
        """A page of the items that are on sale, or of those in the warehouse, which a sandbox has none of."""
        fields = params.fields()
        number, size = params.number("page_no", 1, 1), params.number("page_size", 40, 1, PAGE_SIZE_MAX)
        item_ids = sorted({one.key.item_id for one in self._shop.displays.values() if not one.deleted and is_on_sale})
        items = [self._described(self._shop.items(item_id)) for item_id in item_ids]
        items.sort(key=lambda item: str(item["modified"]), reverse=True)
        page = [_chosen(item, fields) for item in items[(number - 1) * size : number * size]]
        return {"total_results": len(items)} | ({"items": {"item": page}} if page else {})

    def _described(self, displays: list[Display]) -> Answer:
        first = displays[0]
        skus = [_sku(one) for one in displays if one.key.platform_sku_id]
        item: Answer = {
            "num_iid": numeric(first.key.item_id),
            "title": first.title,
            "outer_id": first.outer_id,
            "num": sum(one.told for one in displays),
            "with_hold_quantity": sum(one.withheld for one in displays),
            "sub_stock": 1 if self._shop.facts.takes_on is TakesOn.ORDER else 2,
            "modified": written(max(one.update_time for one in displays)),
            "approve_status": "onsale",
        }
        return item | ({"skus": {"sku": skus}} if skus else {})

    # ---- finding

    def _item(self, item_id: str) -> list[Display]:
        displays = self._shop.items(item_id)
        if not displays:
            raise self._refusal(ITEM_UNKNOWN)
        if all(one.deleted for one in displays):
            raise self._refusal(ITEM_DELETED)
        return displays

    def _named(self, displays: list[Display], sku_id: str, outer_id: str) -> list[Display]:
        """The listings of an item that a caller means: the SKU, all of that outer id, or the item itself."""
        if sku_id:
            found = [one for one in displays if one.key.platform_sku_id == sku_id]
        elif outer_id:
            found = [one for one in displays if one.outer_id == outer_id]
        else:
            found = [one for one in displays if not one.key.platform_sku_id]
            if not found:
                raise self._refusal(ITEM_HAS_SKUS, "the item has SKUs")
        live = [one for one in found if not one.deleted]
        if not live:
            raise self._refusal(SKU_UNKNOWN, "the item has no such SKU")
        return live

    def _sku(self, sku_id: str) -> Display:
        for display in self._shop.displays.values():
            if display.key.platform_sku_id == sku_id and not display.deleted and sku_id:
                return display
        raise self._refusal(SKU_UNKNOWN, "there is no such SKU")

    def _refusal(self, sub_code: str, words: str = "") -> Refusal:
        return service(sub_code + ("-tmall" if self._settings.is_tmall else ""), words)


def _sku(display: Display) -> Answer:
    key: ListingKey = display.key
    return {
        "sku_id": numeric(key.platform_sku_id),
        "num_iid": numeric(key.item_id),
        "quantity": display.told,
        "with_hold_quantity": display.withheld,
        "outer_id": display.outer_id,
        "status": "normal",
        "modified": written(display.update_time),
        "price": "10.00",
    }


def _chosen(values: Answer, fields: set[str]) -> Answer:
    return {name: value for name, value in values.items() if name in fields}


def _pairs(text: str, name: str) -> list[tuple[str, int]]:
    """`id:n;id:n`, at most 20."""
    pairs = [pair.rpartition(":") for pair in text.split(";") if pair]
    if not 0 < len(pairs) <= PAIRS_MAX:
        raise invalid(name)
    return [(selector, whole(units, name, -QUANTITY_MAX, QUANTITY_MAX)) for selector, _, units in pairs]


def _object(text: str, name: str) -> dict[str, Any]:
    value = _json(text, name)
    if not isinstance(value, dict):
        raise invalid(name)
    return value


def _objects(text: str, name: str) -> list[dict[str, Any]]:
    value = _json(text, name)
    if not (isinstance(value, list) and all(isinstance(one, dict) for one in value)):
        raise invalid(name)
    return value


def _json(text: str, name: str) -> object:
    try:
        value: object = json.loads(text)
        return value
    except (ValueError, RecursionError):
        raise invalid(name) from None
