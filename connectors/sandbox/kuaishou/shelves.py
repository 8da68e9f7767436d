"""Items and their stock: item stock by differences, goods inventory by warehouse; never both for one item."""

from collections.abc import Callable
from typing import Any

from connectors.base import ListingKey
from connectors.sandbox.kuaishou.answers import BAD_PARAMETERS, Answer, Param, Refusal, to_milliseconds
from connectors.sandbox.kuaishou.settings import KuaishouSettings
from connectors.sandbox.shop import Display, Shop

STOCK_MAX = 9_999_999
ADD, SUBTRACT = 1, 2
IDEMPOTENT_IDS_MAX = 100_000


class Shelves:
    """The item and inventory methods over a shop.

    What is shown is the shop's number without what unpaid orders withhold; that is `reserveStock`, and apart.
    """

    def __init__(self, shop: Shop, settings: KuaishouSettings) -> None:
        """Serve this shop."""
        self.shop = shop
        self.settings = settings
        self._adjusted: dict[str, int] = {}
        self.methods: dict[str, Callable[[Param], Answer]] = {
            "open.item.get": self._item,
            "open.item.list.get": self._items,
            "open.item.sku.list.get": self._skus,
            "open.item.sku.stock.update": self._change,
            "open.scm.inventory.detail": self._inventory,
            "open.scm.inventory.update": self._set_inventory,
            "open.scm.inventory.adjust": self._adjust_inventory,
        }

    # ---- items

    def _item(self, param: Param) -> Answer:
        return Answer(self._item_json(self._displays(param.identity("kwaiItemId"))))

    def _items(self, param: Param) -> Answer:
        page, size = param.integer("pageNumber", 1, 1_000_000, 1), param.integer("pageSize", 1, 100, 100)
        items: dict[str, list[Display]] = {}
        for display in self.shop.displays.values():
            if not display.deleted:
                items.setdefault(display.key.item_id, []).append(display)
        chosen = [self._item_json(items[item_id]) for item_id in sorted(items)[(page - 1) * size : page * size]]
        return Answer(
            {
                "totalItemCount": len(items),
                "currentPageItemCount": len(chosen),
                "currentPageNumber": page,
                "totalPage": -(-len(items) // size),
                "items": chosen,
            }
        )

    def _skus(self, param: Param) -> Answer:
        param.integer("skuStatus", 1, 1, 1)
        outer_id = param.integer("relSkuId", 0, 2**63 - 1, 0)
        displays = self._displays(param.identity("kwaiItemId"))
        chosen = [display for display in displays if not outer_id or _number_of(display.outer_id) == outer_id]
        return Answer({"skuCount": len(chosen), "skuList": [self._sku_json(display) for display in chosen]})

    # ---- item stock: a difference, applied as often as it comes

    def _change(self, param: Param) -> Answer:
        key = ListingKey(str(param.identity("kwaiItemId")), str(param.identity("skuId")))
        units = param.integer("skuChangeStock", 1, STOCK_MAX - 1)
        kind = param.integer("changeType", ADD, SUBTRACT)
        display = self._display(key)
        if self._has_inventory(key.item_id) and self.settings.goods_inventory_refuses_difference:
            raise Refusal(self.settings.goods_inventory_code, "the item's stock is that of its goods")
        if kind == ADD:
            if _sellable(display) + units > STOCK_MAX:
                raise Refusal(self.settings.over_maximum_code, f"the stock may not pass {STOCK_MAX}")
            self.shop.show(key, display.shown + units)
        else:
            if units > _sellable(display):
                raise Refusal(self.settings.below_zero_code, "the stock is not enough")
            self.shop.show(key, display.shown - units)
        return Answer()

    # ---- goods inventory

    def _inventory(self, param: Param) -> Answer:
        display = self._ware(param)
        available = _sellable(display)
        item = {
            "warehouseOutCode": self.settings.warehouse_code,
            "warehouseName": self.settings.warehouse_code,
            "quantity": display.shown,
            "availableSaleQuantity": available,
        }
        return Answer(
            {
                "wareOutCode": ware_code(display),
                "wareName": display.title,
                "totalQuantity": display.shown,
                "totalAvailableSaleQuantity": available,
                "itemList": [item],
            }
        )

    def _set_inventory(self, param: Param) -> Answer:
        """Absolute, but what is occupied cannot be taken away; answers what there is now."""
        quantity = param.integer("quantity", 0, STOCK_MAX)
        display = self._ware(param)
        self._require_warehouse(param)
        occupied = display.withheld if self.settings.inventory_keeps_occupied else 0
        self.shop.show(display.key, max(quantity, occupied))
        return Answer(beside={"quantity": display.shown})

    def _adjust_inventory(self, param: Param) -> Answer:
        """A difference that ends at zero; a known id changes nothing and hears what the first one did."""
        identity = param.text("idempotentId")
        units = param.integer("adjustQuantity", 1, STOCK_MAX)
        word = param.text("operationType")
        if word not in {self.settings.increase_word, self.settings.decrease_word}:
            raise Refusal(BAD_PARAMETERS, "operationType is neither increase nor decrease")
        display = self._ware(param)
        self._require_warehouse(param)
        if identity not in self._adjusted or not self.settings.adjustment_knows_its_id:
            self._adjusted[identity] = self._adjust(display, units, raises=word == self.settings.increase_word)
            if len(self._adjusted) > IDEMPOTENT_IDS_MAX:
                del self._adjusted[next(iter(self._adjusted))]
        return Answer(beside={"adjust_quantity": self._adjusted[identity]})

    def _adjust(self, display: Display, units: int, *, raises: bool) -> int:
        moved = min(units, STOCK_MAX - display.shown if raises else _sellable(display))
        self.shop.show(display.key, display.shown + (moved if raises else -moved))
        return moved

    # ---- finding

    def _displays(self, item_id: int) -> list[Display]:
        found = [display for display in self.shop.items(str(item_id)) if not display.deleted]
        if not found:
            raise Refusal(self.settings.item_not_found_code, "the item does not exist")
        return found

    def _display(self, key: ListingKey) -> Display:
        self._displays(int(key.item_id))
        display = self.shop.displays.get(key)
        if display is None or display.deleted:
            raise Refusal(self.settings.sku_not_found_code, "the SKU does not exist")
        return display

    def _ware(self, param: Param) -> Display:
        code = param.text("wareOutCode")
        for display in self.shop.displays.values():
            if ware_code(display) == code and not display.deleted and self._has_inventory(display.key.item_id):
                return display
        raise Refusal(self.settings.sku_not_found_code, "the goods do not exist")

    def _require_warehouse(self, param: Param) -> None:
        if param.text("warehouseOutCode") != self.settings.warehouse_code:
            raise Refusal(BAD_PARAMETERS, "the warehouse does not exist")

    def _has_inventory(self, item_id: str) -> bool:
        return item_id in self.settings.goods_inventory_items

    # ---- shapes

    def _item_json(self, displays: list[Display]) -> dict[str, Any]:
        first = displays[0]
        return {
            "itemId": int(first.key.item_id),
            "kwaiItemId": int(first.key.item_id),
            "relItemId": 0,
            "title": first.title,
            "skuInfos": [self._sku_json(display) for display in displays],
            "auditStatus": 2,
            "onOfflineStatus": 1,
            "updateTime": to_milliseconds(max(display.update_time for display in displays)),
            "multipleStock": self._has_inventory(first.key.item_id),
        }

    def _sku_json(self, display: Display) -> dict[str, Any]:
        return {
            "kwaiSkuId": int(display.key.platform_sku_id),
            "kwaiItemId": int(display.key.item_id),
            "relSkuId": _number_of(display.outer_id),
            "skuStock": max(0, display.told - display.withheld),
            "reserveStock": display.withheld,
            "skuNick": display.outer_id,
            "skuSalePrice": self.settings.unit_price_fen,
            "specification": display.title,
            "isValid": 1,
            "updateTime": to_milliseconds(display.update_time),
            "goodsCode": [ware_code(display)] if self._has_inventory(display.key.item_id) else [],
        }


def ware_code(display: Display) -> str:
    """The code of the goods behind a listing; each listing has its own."""
    return f"ware-{display.key.platform_sku_id}"


def _sellable(display: Display) -> int:
    return max(0, display.shown - display.withheld)


def _number_of(outer_id: str) -> int:
    """`relSkuId` is a number; a code that is none is told in `skuNick` alone."""
    return int(outer_id) if outer_id.isascii() and outer_id.isdecimal() and len(outer_id) < 19 else 0  # noqa: PLR2004 - a Java long
