"""Stock writes and readings, and which call is the safest for which (`/sku/*` of the official SDK).

A raise goes by `/sku/syncStock` with `incremental`, under its own idempotent_id: whatever happens to the answer, a
repeat is applied once, and a success means all of it. A repeat that is answered `isv.idempotent-id-existed` is taken as
done; should the platform have refused the first one and kept its id, too much is booked as shown, which is harmless.

A lowering goes by `/sku/syncStockBatchMultiProducts`, alone or with others, because that call alone says how much it
took: nobody has documented what a delta below zero does, and where the platform clamps, `/sku/syncStock` says success
to a lowering by 5 of which it applied 3. `change_num` in the batch's results is what was really changed. To look first
and lower by at most what is shown would not help, as a sale may come between. A repeat that is answered
`isv.idempotent-id-existed` is over too, but nobody says again how much it took or whether it was refused: its units are
None, and what is shown is read back.

A batch has one idempotent_id, made of its changes' ids. While its outcome is unknown, a change of it is repeated with
the whole batch, so that the platform knows it. After a restart the batch is forgotten and a repeated change may be
applied twice: to a lowering that is harmless (less is shown than is booked), to a raise it is not, so raises are never
batched.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Sequence
from typing import NamedTuple

import msgspec

from connectors.base import Applied, Change, ListingKey, Shelf
from connectors.douyin.codes import BY_CODE, OK, AlreadyKnown, Refused, error_of
from connectors.douyin.requests import Caller, Id, Nothing
from connectors.errors import BelowZero, ConnectorError, Misunderstood, OutcomeUnknown, Rejected, Transient
from connectors.transport import LOWERING, RAISING, READING, TO_ZERO

BATCH_MAX = 50
UNRESOLVED_MAX = 10_000
REGIONAL = 1
# The two ways the platform says success: that of its envelope, and none at all.
FINE = frozenset({0, OK})


class StockNumber(msgspec.Struct, frozen=True):
    """What `/sku/stockNum` reads. prom is locked for a promotion, step is sold with a later delivery, prehold is sold.

    For a regional SKU stock_num is empty unless a warehouse was asked for.
    """

    sku_type: int = 0
    sku_id: Id = 0
    stock_num: int | None = None
    prom_stock_num: int | None = 0
    step_stock_num: int | None = 0
    prom_step_stock_num: int | None = 0
    channel_stock_num: int | None = 0


class Result(msgspec.Struct, frozen=True):
    """What a batch did to one SKU."""

    sku_id: Id
    status_code: int
    stock_num: int | None = None
    change_num: int | None = None
    status_message: str = ""


class Results(msgspec.Struct, frozen=True):
    """What a batch did."""

    results: list[Result]


class _Wanted(NamedTuple):
    product_id: int
    sku_id: int


class Stock:
    """One shop's stock numbers."""

    def __init__(self, caller: Caller) -> None:
        """Nothing is read yet."""
        self._caller = caller
        # The batch that a change was sent in, while nobody knows what became of it.
        self._unresolved: dict[str, tuple[Change, ...]] = {}

    async def change(self, change: Change) -> Applied:
        """Move one listing by the call that is safest for the direction."""
        if change.units > 0:
            return await self._raise(change)
        [result] = await self._lower_all([change])
        if isinstance(result, ConnectorError):
            raise result
        return result

    async def change_many(self, changes: Sequence[Change]) -> list[Applied | ConnectorError]:
        """Lowerings in one call, raises one call each; results in the order of `changes`."""
        lowerings = [change for change in changes if change.units <= 0]
        raises = [change for change in changes if change.units > 0]
        lowered, raised = await asyncio.gather(
            self._lower_all(lowerings), asyncio.gather(*(_caught(self._raise(change)) for change in raises))
        )
        of_lowering, of_raise = iter(lowered), iter(raised)
        return [next(of_raise if change.units > 0 else of_lowering) for change in changes]

    async def set_shown(self, key: ListingKey, units: int) -> Applied:
        """Set the plain stock; what is locked for a promotion stays as it is."""
        if units < 0:
            raise Rejected(f"nothing can show {units} units")
        params = self._one(key) | {"stock_num": units, "incremental": False}
        priority = RAISING if units else TO_ZERO
        await self._caller.write("/sku/syncStock", params, Nothing, priority=priority, changes=[key])
        return Applied(units=None, shown=units)

    async def read(self, key: ListingKey, priority: float = READING) -> Shelf:
        """What one listing would still sell, whichever stock it would sell it from.

        `withheld` are those of them that no lowering can take, as they are locked for a promotion or the like. What the
        platform calls prehold is in neither: it belongs to orders that have taken their units, by the listing's own
        rule of when that is, and those are known as orders.
        """
        number = await self._number(key, priority)
        asides = (number.prom_stock_num, number.step_stock_num, number.prom_step_stock_num, number.channel_stock_num)
        locked = sum(units or 0 for units in asides)
        return Shelf(key, shown=self._plain(number) + locked, withheld=locked)

    async def _number(self, key: ListingKey, priority: float) -> StockNumber:
        params: dict[str, object] = {"sku_id": _wanted(key).sku_id} | self._warehouse()
        return await self._caller.read("/sku/stockNum", params, StockNumber, priority=priority)

    async def _raise(self, change: Change) -> Applied:
        params = self._one(change.key)
        params |= {"stock_num": change.units, "incremental": True, "idempotent_id": change.change_id}
        try:
            await self._caller.write("/sku/syncStock", params, Nothing, priority=RAISING, changes=[change.key])
        except AlreadyKnown:
            return Applied(change.units, await self._shown(change.key, RAISING))
        return Applied(change.units)

    async def _lower_all(self, changes: Sequence[Change]) -> list[Applied | ConnectorError]:
        """One call for as many of these as can share one; changes of an unresolved batch go with all of it."""
        found: dict[str, Applied | ConnectorError] = {c.change_id: Applied(0) for c in changes if not c.units}
        waiting = [change for change in dict.fromkeys(changes) if change.units]
        while waiting:
            batch = self._unresolved.get(waiting[0].change_id) or self._fresh_batch(waiting)
            found |= await self._send(batch)
            waiting = [change for change in waiting if change.change_id not in found]
        return [found[change.change_id] for change in changes]

    def _fresh_batch(self, waiting: Sequence[Change]) -> tuple[Change, ...]:
        """The first changes that are in no batch yet, each of another listing."""
        by_key: dict[ListingKey, Change] = {}
        for change in waiting:
            if change.change_id not in self._unresolved:
                by_key.setdefault(change.key, change)
        return tuple(by_key.values())[:BATCH_MAX]

    async def _send(self, batch: tuple[Change, ...]) -> dict[str, Applied | ConnectorError]:
        was_unresolved = batch[0].change_id in self._unresolved
        self._remember(batch)
        try:
            results = await self._sync(batch)
        except AlreadyKnown:
            results = list(await asyncio.gather(*(_caught(self._repeated(change)) for change in batch)))
        except Rejected as error:
            results = await self._apart(batch, error)
        except (OutcomeUnknown, Misunderstood) as error:
            return {change.change_id: error for change in batch}
        except ConnectorError as error:
            if not was_unresolved:
                self._forget(batch)
            return {change.change_id: error for change in batch}
        self._forget([c for c, result in zip(batch, results, strict=True) if not isinstance(result, OutcomeUnknown)])
        return {change.change_id: result for change, result in zip(batch, results, strict=True)}

    def _remember(self, batch: tuple[Change, ...]) -> None:
        self._unresolved |= {change.change_id: batch for change in batch}
        while len(self._unresolved) > UNRESOLVED_MAX:
            del self._unresolved[next(iter(self._unresolved))]

    def _forget(self, changes: Sequence[Change]) -> None:
        for change in changes:
            self._unresolved.pop(change.change_id, None)

    async def _apart(self, batch: tuple[Change, ...], error: Rejected) -> list[Applied | ConnectorError]:
        """A batch that is refused as a whole did nothing: one bad listing must not hold up the others."""
        self._forget(batch)
        if len(batch) == 1:
            return [await self._explained(batch[0], error)]
        return [(await self._send((change,)))[change.change_id] for change in batch]

    async def _sync(self, batch: tuple[Change, ...]) -> list[Applied | ConnectorError]:
        items = [self._one(change.key) | {"stock_num": change.units} for change in batch]
        params = {"items": items, "idempotent_id": batch_id(batch), "incremental": True}
        answer = await self._caller.write(
            "/sku/syncStockBatchMultiProducts",
            params,
            Results,
            priority=LOWERING,
            changes=[change.key for change in batch],
            partly=True,
        )
        by_sku = {str(result.sku_id): result for result in answer.results}
        found = [by_sku.get(change.key.platform_sku_id) for change in batch]
        return list(await asyncio.gather(*(_caught(self._booked(c, r)) for c, r in zip(batch, found, strict=True))))

    async def _booked(self, change: Change, result: Result | None) -> Applied:
        """What the platform says it did for one change; raises what it refuses."""
        if result is None:
            raise OutcomeUnknown(f"a batch's results do not name SKU {change.key.platform_sku_id}")
        if result.status_code not in FINE:
            error = _error_of(result)
            raise await self._explained(change, error)
        done = result.change_num
        says = done is not None and change.units <= done <= 0
        return Applied(done if says else None, await self._shown(change.key, LOWERING) if not says else None)

    async def _repeated(self, change: Change) -> Applied:
        """A batch that the platform has seen before is over, but what it did to each item was said only once.

        It may have refused this one. To book it all the same would be to sell units twice.
        """
        return Applied(None, await self._shown(change.key, LOWERING))

    async def _explained(self, change: Change, error: ConnectorError) -> ConnectorError:
        """A refused lowering of more than the plain stock is `BelowZero`; the platform's number for it is unknown."""
        if not isinstance(error, Refused):
            return error
        try:
            number = await self._number(change.key, LOWERING)
            if self._plain(number) < -change.units:
                return BelowZero(error.message, code=error.code)
        except Rejected:
            return error
        except ConnectorError as unread:
            return Transient(f"{error.message}; and it could not be read back: {unread.message}", code=error.code)
        return error

    async def _shown(self, key: ListingKey, priority: float) -> int:
        try:
            return (await self.read(key, priority)).shown
        except ConnectorError as error:
            raise OutcomeUnknown(f"applied, but not read back: {error.message}", code=error.code) from error

    def _one(self, key: ListingKey) -> dict[str, object]:
        wanted = _wanted(key)
        return {"product_id": wanted.product_id, "sku_id": wanted.sku_id} | self._warehouse()

    def _plain(self, number: StockNumber) -> int:
        warehouse = self._caller.credentials.out_warehouse_id
        if number.stock_num is None or (number.sku_type == REGIONAL and not warehouse):
            raise Rejected("the SKU has regional stock, and no warehouse is set", code=f"sku_type {number.sku_type}")
        return number.stock_num

    def _warehouse(self) -> dict[str, object]:
        """With a warehouse the regional stock is meant, without one the plain stock."""
        warehouse = self._caller.credentials.out_warehouse_id
        return {"out_warehouse_id": warehouse} if warehouse else {}


def batch_id(batch: Sequence[Change]) -> str:
    """The idempotent_id of a batch: that of its only change, or one made of all ids, in whatever order they came."""
    if len(batch) == 1:
        return batch[0].change_id
    return hashlib.sha256("\n".join(sorted(change.change_id for change in batch)).encode()).hexdigest()[:32]


def _error_of(result: Result) -> ConnectorError:
    """One item's status; a number that is not one of the codes is the business's own, as in `isv.business-failed`."""
    if result.status_code in BY_CODE or result.status_code in {30001, 40001, 40002, 40003}:
        return error_of("sku.syncStockBatchMultiProducts", result.status_code, words=result.status_message)
    return Refused(f"a batch's item: status {result.status_code}", code=str(result.status_code))


def _wanted(key: ListingKey) -> _Wanted:
    if not (key.item_id.isascii() and key.item_id.isdecimal()):
        raise Rejected(f"{key.item_id!r} is not an id of a Douyin product")
    if not (key.platform_sku_id.isascii() and key.platform_sku_id.isdecimal()):
        raise Rejected(f"{key.platform_sku_id!r} is not an id of a Douyin SKU")
    return _Wanted(int(key.item_id), int(key.platform_sku_id))


async def _caught(doing: Awaitable[Applied]) -> Applied | ConnectorError:
    try:
        return await doing
    except ConnectorError as error:
        return error
