"""The stock numbers and their writes: absolute, or a delta under an idempotent_id that counts once.

`/sku/syncStockBatch` is all or nothing, `/sku/syncStockBatchMultiProducts` says for each item what it did. What is kept
apart from the plain number (sold and not final, locked for promotions) is never touched by a write.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from connectors.base import BelowZeroRule, ListingKey, OrderState
from connectors.douyin.codes import PART_FAILED
from connectors.sandbox.douyin.answers import Data, Refusal, invalid, missing
from connectors.sandbox.douyin.params import Params
from connectors.sandbox.douyin.settings import DouyinSettings
from connectors.sandbox.shop import Display, Event, Shop, ShopOrder, TakesOn

PLAIN, REGIONAL, STEPPED = 0, 1, 10


@dataclass
class Aside:
    """What a listing has besides its plain number."""

    promotion: int = 0
    step: int = 0
    promotion_step: int = 0
    channel: int = 0
    # Units by out_warehouse_id; a listing that has any is regional, and its plain number is their sum.
    warehouses: dict[str, int] = field(default_factory=dict)


class Place(NamedTuple):
    """One number of a listing: `what` is a warehouse, "" for the plain number, "step" for the stepped one."""

    key: ListingKey
    what: str
    is_step: bool = False


@dataclass
class Stocks:
    """One shop's stock numbers, as the platform's calls see them."""

    settings: DouyinSettings
    shop: Shop
    asides: dict[ListingKey, Aside] = field(default_factory=dict)
    _known_ids: set[str] = field(default_factory=set)
    _holding: dict[str, ShopOrder] = field(default_factory=dict)
    _keys: dict[str, list[ListingKey]] = field(default_factory=dict)
    _indexed: int = 0

    # ---- the calls

    def sync(self, params: Params) -> Data:
        """`/sku/syncStock`: one SKU."""
        incremental = params.flag("incremental", default=False)
        if not params.has("stock_num") and not params.has("step_stock_num"):
            raise missing("stock_num")

        def apply() -> None:
            self._set(self._targets([params], incremental=incremental))

        self._once(params, apply, incremental=incremental)
        return {}

    def sync_batch(self, params: Params) -> Data:
        """`/sku/syncStockBatch`: SKUs of one product, all or nothing."""
        incremental = params.flag("incremental", default=False)
        product_id = params.number("product_id")
        elements = params.elements("sku_sync_list", self.settings.product_batch_max)
        items = [item for element in elements for item in _by_warehouse(element, product_id)]

        def apply() -> None:
            self._set(self._targets(items, incremental=incremental))

        self._once(params, apply, incremental=incremental)
        return {}

    def sync_many(self, params: Params) -> Data:
        """`/sku/syncStockBatchMultiProducts`: each item by itself."""
        incremental = params.flag("incremental")
        params.text("idempotent_id")
        items = params.elements("items", self.settings.batch_max)
        for item in items:
            item.number("product_id"), item.number("sku_id")
        results: list[Data] = []
        self._once(
            params,
            lambda: results.extend(self._result(item, incremental=incremental) for item in items),
            incremental=incremental,
        )
        if any(result["status_code"] for result in results):
            raise Refusal(PART_FAILED, "isv.business-part-failed", "some items failed", {"results": results})
        return {"results": results}

    def number(self, params: Params) -> Data:
        """`/sku/stockNum`."""
        display = self._find(params)
        aside = self._aside(display.key)
        warehouse = params.text("out_warehouse_id", "")
        plain: int | None = display.told
        if aside.warehouses:
            plain = aside.warehouses.get(warehouse)
        return {
            "sku_id": int(display.key.platform_sku_id),
            "code": display.outer_id,
            "sku_type": self.type_of(display.key),
            "stock_num": plain,
            "prehold_stock_num": self.prehold(display.key),
            "prom_stock_num": aside.promotion,
            "step_stock_num": aside.step,
            "prehold_step_stock_num": 0,
            "prom_step_stock_num": aside.promotion_step,
            "stock_num_map": dict(aside.warehouses),
            "prehold_stock_map": dict.fromkeys(aside.warehouses, 0),
            "ship_rule_map": {name: {} for name in aside.warehouses},
            "normal_stock_num": plain,
            "channel_stock_num": aside.channel,
        }

    def prehold(self, key: ListingKey) -> int:
        """Units taken and not final: from the order until it is paid, or, taken on payment, until they are shipped."""
        return sum(
            line.quantity - line.refunded
            for order in self._holding.values()
            for line in order.lines
            if line.key == key and not line.shipped
        )

    def hear(self, event: Event) -> None:
        """Note which orders have taken units and are not final."""
        order = event.order
        if order is None:
            return
        self._holding.pop(order.order_id, None)
        if self._holds(order):
            self._holding[order.order_id] = order

    def type_of(self, key: ListingKey) -> int:
        """The sku_type of a listing."""
        aside = self._aside(key)
        if aside.warehouses:
            return REGIONAL
        return STEPPED if aside.step or aside.promotion_step else PLAIN

    # ---- how they do it

    def _holds(self, order: ShopOrder) -> bool:
        on_order = self.shop.facts.takes_on is TakesOn.ORDER
        if on_order:
            return order.state is OrderState.PLACED
        return order.state is OrderState.PAID and not all(line.shipped for line in order.lines)

    def _once(self, params: Params, apply: Callable[[], None], *, incremental: bool) -> None:
        """Apply, unless it is a delta under an id that has been applied."""
        if not incremental:
            apply()
            return
        idempotent_id = params.text("idempotent_id", "")
        if not idempotent_id:
            raise missing("idempotent_id")
        if idempotent_id in self._known_ids:
            raise Refusal(40003, "isv.idempotent-id-existed", "idempotent_id exists")
        if self.settings.refusals_use_up_ids:
            self._known_ids.add(idempotent_id)
        apply()
        self._known_ids.add(idempotent_id)

    def _result(self, item: Params, *, incremental: bool) -> Data:
        said: dict[str, object] = {"sku_id": item.number("sku_id"), "warehouse_id": 0}
        before: Mapping[Place, int] = {}
        try:
            targets = self._targets([item], incremental=incremental)
            before = {place: self._get(place) for place in targets}
            self._set(targets)
        except Refusal as refusal:
            number = int(refusal.sub_code.rpartition(":")[2]) if ":" in refusal.sub_code else refusal.code
            nothing = {"stock_num": 0, "step_stock_num": 0, "change_num": 0, "step_change_num": 0}
            return said | nothing | {"status_code": number, "status_message": refusal.words}
        for place, number in before.items():
            name = "step_" if place.is_step else ""
            said |= {f"{name}stock_num": self._get(place), f"{name}change_num": self._get(place) - number}
        return {"step_stock_num": 0, "step_change_num": 0, **said, "status_code": 0, "status_message": ""}

    def _targets(self, items: Sequence[Params], *, incremental: bool) -> dict[Place, int]:
        """What these writes come to; raises `Refusal`, and then nothing has happened."""
        targets: dict[Place, int] = {}
        for item in items:
            key = self._find(item).key
            warehouse = item.text("out_warehouse_id", "")
            if bool(warehouse) != bool(self._aside(key).warehouses):
                raise self._refused(self.settings.unknown_sku_number, "the SKU has no such stock")
            wanted = {Place(key, warehouse): item.number("stock_num", 0)}
            if item.has("step_stock_num"):
                wanted[Place(key, "step", is_step=True)] = item.number("step_stock_num")
            for place, number in wanted.items():
                targets[place] = self._target(targets.get(place, self._get(place)), number, incremental=incremental)
        return targets

    def _target(self, current: int, number: int, *, incremental: bool) -> int:
        target = current + number if incremental else number
        if target > self.settings.quantity_max or (number < 0 and not incremental):
            raise self._refused(self.settings.bad_quantity_number, "the quantity is out of range")
        if target >= 0:
            return target
        if self.settings.below_zero is BelowZeroRule.CLAMPS:
            return 0
        raise self._refused(self.settings.below_zero_number, "the stock would be below zero")

    def _get(self, place: Place) -> int:
        if place.is_step:
            return self._aside(place.key).step
        if place.what:
            return self._aside(place.key).warehouses.get(place.what, 0)
        return self.shop.displays[place.key].shown

    def _set(self, targets: Mapping[Place, int]) -> None:
        for place, number in targets.items():
            aside = self._aside(place.key)
            if place.is_step:
                self.asides.setdefault(place.key, aside).step = number
            elif place.what:
                aside.warehouses[place.what] = number
                self.shop.show(place.key, sum(aside.warehouses.values()))
            else:
                self.shop.show(place.key, number)

    def _aside(self, key: ListingKey) -> Aside:
        """What a listing has besides; buyers take from the first warehouses, and give back to the first."""
        aside = self.asides.get(key) or Aside()
        missing_units = sum(aside.warehouses.values()) - self.shop.displays[key].shown
        for name, units in aside.warehouses.items():
            taken = min(units, missing_units)  # negative: given back, all to the first
            aside.warehouses[name] -= taken
            missing_units -= taken
        return aside

    def _find(self, params: Params) -> Display:
        """The listing that is meant: by SKU id, or by the seller's own code."""
        if params.has("sku_id"):
            found = [self.shop.displays[key] for key in self._keys_of(str(params.number("sku_id")))]
        elif params.has("code") or params.has("out_sku_id"):
            code = params.text("code", "") or params.text("out_sku_id")
            found = [d for d in self.shop.displays.values() if d.outer_id == code]
        else:
            raise missing("sku_id")
        if params.has("product_id"):
            product_id = str(params.number("product_id"))
            found = [d for d in found if d.key.item_id == product_id]
        if len(found) != 1 or found[0].deleted:
            raise self._refused(self.settings.unknown_sku_number, "no such SKU is on sale")
        return found[0]

    def _keys_of(self, sku_id: str) -> list[ListingKey]:
        if self._indexed != len(self.shop.displays):
            self._keys, self._indexed = {}, len(self.shop.displays)
            for key in self.shop.displays:
                self._keys.setdefault(key.platform_sku_id, []).append(key)
        return self._keys.get(sku_id, [])

    def _refused(self, number: int, words: str) -> Refusal:
        return Refusal(50002, f"isv.business-failed:{number}", words)


def _by_warehouse(element: Params, product_id: int) -> list[Params]:
    """An element of `sku_sync_list`, as one item for each of its warehouses."""
    element.number("sku_id")
    kind = element.number("sku_type", PLAIN)
    if kind not in {PLAIN, REGIONAL, STEPPED}:
        raise invalid("sku_type")
    fields = {**element.fields, "product_id": product_id}
    if kind != REGIONAL:
        return [Params(fields)]
    return [Params({**fields, **stock.fields}) for stock in element.elements("stock_map", 100)]
