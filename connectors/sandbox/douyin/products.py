"""Products and their SKUs as the platform's calls show them."""

from dataclasses import dataclass

from connectors.sandbox.douyin.answers import Data, Refusal, invalid
from connectors.sandbox.douyin.params import Params
from connectors.sandbox.douyin.stock import Stocks
from connectors.sandbox.shop import Display

PAGE_SIZE_MAX = 100


@dataclass
class Products:
    """What a shop has on sale."""

    stocks: Stocks

    def skus(self, params: Params) -> list[Data]:
        """`/sku/list`: the data are the list itself."""
        return [self._said(display) for display in self._of(str(params.number("product_id")))]

    def sku(self, params: Params) -> Data:
        """`/sku/detail`."""
        sku_id = str(params.number("sku_id"))
        for display in self.stocks.shop.displays.values():
            if display.key.platform_sku_id == sku_id and not display.deleted:
                return self._said(display)
        raise self._unknown()

    def products(self, params: Params) -> Data:
        """`/product/listV2`: pages from 1."""
        page, size = params.number("page", 1), params.number("size", 10)
        if page < 1 or not 1 <= size <= PAGE_SIZE_MAX:
            raise invalid("page")
        displays = [display for display in self.stocks.shop.displays.values() if not display.deleted]
        found = {display.key.item_id: display for display in displays}
        rows = list(found.values())[(page - 1) * size : page * size]
        return {"total": len(found), "page": page, "size": size, "data": [_product(display) for display in rows]}

    def warehouses(self, params: Params) -> Data:
        """`/warehouse/list`."""
        names = {name for aside in self.stocks.asides.values() for name in aside.warehouses}
        return {"warehouses": [{"out_warehouse_id": name, "name": name} for name in sorted(names)], "total": len(names)}

    def _of(self, item_id: str) -> list[Display]:
        found = [display for display in self.stocks.shop.items(item_id) if not display.deleted]
        if not found:
            raise self._unknown()
        return found

    def _said(self, display: Display) -> Data:
        return {
            "id": int(display.key.platform_sku_id),
            "product_id": int(display.key.item_id),
            "product_id_str": display.key.item_id,
            "code": display.outer_id,
            "sku_type": self.stocks.type_of(display.key),
            "stock_num": display.shown,
        }

    def _unknown(self) -> Refusal:
        number = self.stocks.settings.unknown_sku_number
        return Refusal(50002, f"isv.business-failed:{number}", "no such product is on sale")


def _product(display: Display) -> Data:
    return {"product_id": int(display.key.item_id), "name": display.title, "status": 0, "check_status": 3}
