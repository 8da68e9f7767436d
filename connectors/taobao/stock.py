"""Moving, setting and reading what listings show.

`taobao.item.quantity.update` moves (type 2) or sets (type 1) one listing and refuses to pass below zero.
`taobao.skus.quantity.update` does the same for up to 20 SKUs of one item, but stops at zero and says success, so that
only raises go that way. Neither knows a change again, so that no change is ever sent twice from here (the API metadata
of the official docs for both).
"""

import asyncio
from collections.abc import Iterable, Sequence

from connectors.base import Applied, Change, ListingKey, Shelf
from connectors.errors import ConnectorError, Misunderstood, OutcomeUnknown, Rejected
from connectors.taobao.answers import Item, ItemAnswer, Sku, SkusAnswer, identity
from connectors.taobao.codes import error_of_lowering
from connectors.taobao.requests import Requests
from connectors.transport import LOWERING, RAISING, READING, TO_ZERO

SKUS_AT_ONCE = 20
ITEMS_AT_ONCE = 40
_SET, _MOVE = "1", "2"


class Stock:
    """The shelf of one seller."""

    def __init__(self, requests: Requests) -> None:
        """Call through these."""
        self._requests = requests
        # Items of which a list of raises was refused. Nobody says that such a list is applied whole or not at all, so
        # their raises go one by one: then it shows which listing is the guilty one.
        self._one_by_one: set[str] = set()

    async def change(self, change: Change) -> Applied:
        """Move what one listing shows; `BelowZero` if it shows less."""
        if not change.units:
            return Applied(0)
        try:
            item = await self._write(change.key, change.units, _MOVE, LOWERING if change.units < 0 else RAISING)
        except ConnectorError as error:
            raise (error_of_lowering(error) if change.units < 0 else error) from error.__cause__
        return Applied(change.units, _shown(item, change.key))

    async def set_shown(self, key: ListingKey, units: int) -> Applied:
        """Set what a listing shows; repeated by the transport if need be, which is the same again."""
        item = await self._write(key, units, _SET, LOWERING if units else TO_ZERO)
        return Applied(None, _shown(item, key))

    async def change_many(self, changes: Sequence[Change]) -> list[Applied | ConnectorError]:
        """Lowerings one by one, raises of one item's SKUs together."""
        results: dict[int, Applied | ConnectorError] = {}

        async def do(places: list[int]) -> None:
            results.update(zip(places, await self._together([changes[place] for place in places]), strict=True))

        await asyncio.gather(*(do(places) for places in self._groups(changes)))
        return [results[place] for place in range(len(changes))]

    async def read(self, keys: Sequence[ListingKey]) -> dict[ListingKey, Shelf | ConnectorError]:
        """What these listings show; one that is gone is `Rejected`."""
        items = sorted({key.item_id for key in keys if key.platform_sku_id})
        bare = {key for key in keys if not key.platform_sku_id}
        batches = [items[start : start + ITEMS_AT_ONCE] for start in range(0, len(items), ITEMS_AT_ONCE)]
        found = await asyncio.gather(*(self._read_skus(batch) for batch in batches), *map(self._read_item, bare))
        shelves = {key: shelf for part in found for key, shelf in part.items()}
        return {key: shelves.get(key) or shelves.get(ListingKey(key.item_id, "")) or _gone(key) for key in keys}

    def _groups(self, changes: Sequence[Change]) -> list[list[int]]:
        """The places of changes that go together; a listing is at most once in a group."""
        raises: dict[str, list[int]] = {}
        singles: list[list[int]] = []
        seen: set[ListingKey] = set()
        for place, change in enumerate(changes):
            key = change.key
            goes_along = change.units > 0 and key.platform_sku_id and key.item_id not in self._one_by_one
            if goes_along and key not in seen:
                raises.setdefault(key.item_id, []).append(place)
            else:
                singles.append([place])
            seen.add(key)
        return singles + [
            places[start : start + SKUS_AT_ONCE]
            for places in raises.values()
            for start in range(0, len(places), SKUS_AT_ONCE)
        ]

    async def _together(self, changes: list[Change]) -> Sequence[Applied | ConnectorError]:
        try:
            return [await self.change(changes[0])] if len(changes) == 1 else await self._raise_many(changes)
        except ConnectorError as error:
            return [error] * len(changes)

    async def _raise_many(self, changes: list[Change]) -> list[Applied | ConnectorError]:
        item_id = changes[0].key.item_id
        pairs = ";".join(f"{change.key.platform_sku_id}:{change.units}" for change in changes)
        params = {"num_iid": item_id, "skuid_quantities": pairs, "type": _MOVE}
        try:
            answer = await self._requests.call(
                "taobao.skus.quantity.update",
                params,
                ItemAnswer,
                priority=RAISING,
                repeatable=False,
                changes=[change.key for change in changes],
            )
        except Rejected as error:
            if not error.code.startswith("isv."):
                raise  # by the gateway: it came no further
            self._one_by_one.add(item_id)
            raise OutcomeUnknown(f"a list was refused: {error.message}", code=error.code) from error
        return [Applied(change.units, _shown(answer.item, change.key)) for change in changes]

    async def _write(self, key: ListingKey, units: int, kind: str, priority: float) -> Item:
        params = {"num_iid": key.item_id, "sku_id": key.platform_sku_id, "quantity": str(units), "type": kind}
        answer = await self._requests.call(
            "taobao.item.quantity.update",
            params,
            ItemAnswer,
            priority=priority,
            repeatable=kind == _SET,
            changes=[key],
        )
        return answer.item

    async def _read_skus(self, item_ids: list[str]) -> dict[ListingKey, Shelf | ConnectorError]:
        """The SKUs of these items; an error stands under the item's own key."""
        fields = "sku_id,num_iid,quantity,with_hold_quantity,status"
        params = {"fields": fields, "num_iids": ",".join(item_ids)}
        try:
            answer = await self._requests.read("taobao.item.skus.get", params, SkusAnswer, priority=READING)
        except Rejected as error:
            if len(item_ids) == 1:
                return {ListingKey(item_ids[0], ""): error}
            parts = await asyncio.gather(*(self._read_skus([item_id]) for item_id in item_ids))
            return {key: shelf for part in parts for key, shelf in part.items()}
        except ConnectorError as error:
            return {ListingKey(item_id, ""): error for item_id in item_ids}
        return dict(_shelves(answer.skus.sku))

    async def _read_item(self, key: ListingKey) -> dict[ListingKey, Shelf | ConnectorError]:
        params = {"fields": "num_iid,num,with_hold_quantity", "num_iid": key.item_id}
        try:
            answer = await self._requests.read("taobao.item.seller.get", params, ItemAnswer, priority=READING)
        except ConnectorError as error:
            return {key: error}
        if answer.item.num is None:
            return {key: Misunderstood("taobao.item.seller.get: an item without its number")}
        return {key: Shelf(key, answer.item.num, answer.item.with_hold_quantity)}


def _shelves(skus: Iterable[Sku]) -> Iterable[tuple[ListingKey, Shelf | ConnectorError]]:
    for sku in skus:
        key = ListingKey(identity(sku.num_iid), identity(sku.sku_id))
        if sku.quantity is None:
            yield key, Misunderstood("taobao.item.skus.get: a SKU without its quantity")
        elif sku.status != "delete":
            yield key, Shelf(key, sku.quantity, sku.with_hold_quantity)


def _gone(key: ListingKey) -> Rejected:
    return Rejected(f"the platform has no SKU {key.platform_sku_id} of item {key.item_id}", code="NO_SUCH_SKU")


def _shown(item: Item, key: ListingKey) -> int | None:
    if not key.platform_sku_id:
        return item.num
    return next((sku.quantity for sku in item.skus.sku if identity(sku.sku_id) == key.platform_sku_id), None)
