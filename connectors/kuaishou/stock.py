"""What listings show: moved by differences, one SKU per call, and read back by item.

An item is in one of two modes (`multipleStock` of `open.item.get`). Item stock: `open.item.sku.stock.update`, which has
no idempotency key and (as is assumed) refuses to go below zero. Goods inventory: `open.scm.inventory.adjust`, which has
one, clamps at what is there and answers what it really changed.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from connectors.base import Applied, Change, ListingKey, Shelf
from connectors.errors import AuthExpired, BelowZero, ConnectorError, Misunderstood, Rejected
from connectors.kuaishou.codes import is_published
from connectors.kuaishou.requests import Requests, number
from connectors.transport import LOWERING, RAISING, READING

ADD, SUBTRACT = 1, 2
# `skuChangeStock` lies between 0 and this, both excluded; nor may a stock pass it.
STOCK_MAX = 9_999_999
VALID = 1


class SkuInfo(msgspec.Struct, rename="camel"):
    """A SKU of an item; `goods_code` names the goods it consists of, `reserve_stock` is kept apart from `sku_stock`."""

    kwai_sku_id: int
    sku_stock: int
    reserve_stock: int | None = None
    is_valid: int | None = None
    goods_code: list[str] | None = None


class SkuList(msgspec.Struct, rename="camel"):
    """The answer of `open.item.sku.list.get`."""

    sku_list: list[SkuInfo] | None = None


class Item(msgspec.Struct, rename="camel"):
    """The answer of `open.item.get`."""

    item_id: int
    multiple_stock: bool | None = None
    sku_infos: list[SkuInfo] | None = None


class Warehouse(msgspec.Struct, rename="camel"):
    """An entry of `open.scm.inventory.detail`."""

    warehouse_out_code: str


class Inventory(msgspec.Struct, rename="camel"):
    """The answer of `open.scm.inventory.detail`."""

    item_list: list[Warehouse] | None = None


@dataclass(frozen=True, slots=True)
class Ware:
    """Goods in a warehouse, both by the codes that the seller gave them."""

    ware_code: str
    warehouse_code: str


class Stock:
    """What a seller's listings show."""

    def __init__(self, requests: Requests) -> None:
        """Call over `requests`."""
        self._requests = requests
        # By item: its SKUs' goods, or None in item-stock mode; asked for once.
        self._goods: dict[str, dict[str, list[str]] | None] = {}
        self._wares: dict[ListingKey, Ware] = {}

    async def change(self, change: Change) -> Applied:
        """Move what one listing shows, by the call that its item's mode asks for."""
        if change.units == 0:
            return Applied(0)
        if abs(change.units) >= STOCK_MAX:
            raise Rejected(f"a change of {change.units} units; Kuaishou takes less than {STOCK_MAX} at once")
        was_known = change.key.item_id in self._goods
        try:
            return await self._change(change)
        except BelowZero:
            raise
        except Rejected:
            if not await self._learns_otherwise(change, was_known=was_known):
                raise
            return await self._change(change)

    async def read(self, keys: Sequence[ListingKey]) -> dict[ListingKey, Shelf | ConnectorError]:
        """What these listings show; one call per item."""
        items: dict[str, list[ListingKey]] = {}
        for key in keys:
            items.setdefault(key.item_id, []).append(key)
        parts = await asyncio.gather(*(self._read_item(item_id, wanted) for item_id, wanted in items.items()))
        return {key: shelf for part in parts for key, shelf in part.items()}

    async def _change(self, change: Change) -> Applied:
        goods = await self._goods_of(change.key.item_id, _priority(change))
        if goods is None:
            return await self._change_item_stock(change)
        return await self._change_inventory(change, goods)

    async def _learns_otherwise(self, change: Change, *, was_known: bool) -> bool:
        """After a refusal: True if the item's mode or goods are not those that were remembered."""
        before = self._goods.pop(change.key.item_id, None)
        self._wares.pop(change.key, None)
        return was_known and await self._goods_of(change.key.item_id, _priority(change)) != before

    async def _read_item(self, item_id: str, keys: Sequence[ListingKey]) -> dict[ListingKey, Shelf | ConnectorError]:
        try:
            shelves = await self._shelves(item_id, READING)
        except AuthExpired:
            raise
        except ConnectorError as error:
            return dict.fromkeys(keys, error)
        return {key: shelves.get(key) or Rejected(f"item {item_id} has no SKU {key.platform_sku_id}") for key in keys}

    async def _shelves(self, item_id: str, priority: float) -> dict[ListingKey, Shelf]:
        param = {"kwaiItemId": number(item_id, "the item id"), "skuStatus": VALID}
        envelope = await self._requests.ask("open.item.sku.list.get", param, priority=priority)
        if envelope.is_empty:
            return {}
        valid = [sku for sku in envelope.read(SkuList).sku_list or () if sku.is_valid != 0]
        keys = [ListingKey(item_id, str(sku.kwai_sku_id)) for sku in valid]
        return {key: _shelf(key, sku) for key, sku in zip(keys, valid, strict=True)}

    # ---- item stock

    async def _change_item_stock(self, change: Change) -> Applied:
        param = {
            "kwaiItemId": number(change.key.item_id, "the item id"),
            "skuId": number(change.key.platform_sku_id, "the SKU id"),
            "skuChangeStock": abs(change.units),
            "changeType": ADD if change.units > 0 else SUBTRACT,
        }
        for is_last in (False, True):
            try:
                await self._requests.tell(
                    "open.item.sku.stock.update", param, priority=_priority(change), changes=[change.key]
                )
            except Rejected as refusal:
                if change.units > 0 or is_published(refusal.code):
                    raise
                await self._require_enough(change, refusal)
                # There are enough by now: a buyer gave up in between. Asked again, it says what is really wrong.
                if is_last:
                    raise
            else:
                break
        return Applied(change.units)

    async def _require_enough(self, change: Change, refusal: Rejected) -> None:
        """Raise `BelowZero` if that is why: its number is not published, but fewer units are shown."""
        try:
            shelf = (await self._shelves(change.key.item_id, LOWERING)).get(change.key)
        except (Rejected, Misunderstood):
            raise refusal from None
        if shelf is not None and shelf.shown - shelf.withheld < -change.units:
            said = f"{refusal.message}; {shelf.shown} units are shown, {shelf.withheld} of them withheld"
            raise BelowZero(said, code=refusal.code) from refusal

    # ---- goods inventory

    async def _change_inventory(self, change: Change, goods: dict[str, list[str]]) -> Applied:
        ware = await self._ware(change.key, goods, _priority(change))
        credentials = self._requests.credentials
        param = {
            "wareOutCode": ware.ware_code,
            "warehouseOutCode": ware.warehouse_code,
            "operationType": credentials.increase_word if change.units > 0 else credentials.decrease_word,
            "adjustQuantity": abs(change.units),
            "idempotentId": change.change_id,
        }
        method = "open.scm.inventory.adjust"
        answer = await self._requests.tell(
            method, param, priority=_priority(change), repeatable=True, changes=[change.key]
        )
        if answer.adjust_quantity is None or abs(answer.adjust_quantity) > abs(change.units):
            raise Misunderstood(f"{method} does not say what it changed")
        moved = abs(answer.adjust_quantity)
        return Applied(moved if change.units > 0 else -moved)

    async def _ware(self, key: ListingKey, goods: dict[str, list[str]], priority: float) -> Ware:
        if key not in self._wares:
            codes = goods.get(key.platform_sku_id, [])
            if len(codes) != 1:
                raise Rejected(f"SKU {key.platform_sku_id} has {len(codes)} goods codes; a change needs exactly one")
            self._wares[key] = Ware(codes[0], await self._warehouse(codes[0], priority))
        return self._wares[key]

    async def _warehouse(self, ware_code: str, priority: float) -> str:
        if code := self._requests.credentials.warehouse_code:
            return code
        envelope = await self._requests.ask("open.scm.inventory.detail", {"wareOutCode": ware_code}, priority=priority)
        warehouses = envelope.read(Inventory).item_list or []
        if len(warehouses) != 1:
            raise Rejected(f"the goods lie in {len(warehouses)} warehouses, and the channel names none")
        return warehouses[0].warehouse_out_code

    async def _goods_of(self, item_id: str, priority: float) -> dict[str, list[str]] | None:
        if item_id not in self._goods:
            param = {"kwaiItemId": number(item_id, "the item id")}
            envelope = await self._requests.ask("open.item.get", param, priority=priority)
            if envelope.is_empty:
                raise Rejected(f"Kuaishou has no item {item_id}")
            item = envelope.read(Item)
            goods = {str(sku.kwai_sku_id): sku.goods_code or [] for sku in item.sku_infos or ()}
            self._goods[item_id] = goods if item.multiple_stock else None
        return self._goods[item_id]


def _shelf(key: ListingKey, sku: SkuInfo) -> Shelf:
    """What a SKU may still sell.

    Published: `reserveStock` is kept apart from `skuStock`; what releases it is not. A careful reading: those units may
    yet be sold, by a buyer who pays or from wherever they are kept, so that they count, and no lowering reaches them.
    To leave them out would be to sell them elsewhere as well.
    """
    withheld = max(0, sku.reserve_stock or 0)
    return Shelf(key, sku.sku_stock + withheld, withheld)


def _priority(change: Change) -> float:
    return LOWERING if change.units < 0 else RAISING
