"""Use cases of the catalog: SKUs and locations.

What the ledger decides by (safety stock, frozen) goes through the writer, so that it takes effect between two groups
and the journal knows of it; the rest is written straight to the store.
"""

from collections.abc import Collection
from typing import Any
from uuid import uuid4

from msgspec.structs import asdict

from gateway.domain.commands import SetFrozen, SetSafetyStock
from gateway.domain.errors import AlreadyExists, GatewayError, LocationUnknown, SkuUnknown
from gateway.store import catalog as store
from gateway.store.catalog import Location, Sku
from gateway.store.database import MerchantDatabase, ReadConnection
from gateway.store.shops import begin_change, touch_listings
from gateway.store.states import keep_sku_state
from gateway.writer import Writer

_SKU_CONTENT = ("title", "safety_stock", "lead_time_mean_days", "lead_time_deviation_days", "substitutes")
_LOCATION_CONTENT = ("title", "position")


class Catalog:
    """The catalog of one merchant."""

    def __init__(self, database: MerchantDatabase, writer: Writer) -> None:
        """Use the merchant's store, and its writer for what the ledger decides by."""
        self._database = database
        self._writer = writer

    async def create_sku(self, sku: Sku) -> Sku:
        """Store a SKU; the same again is no error. Raises `AlreadyExists`, `SkuUnknown` (a substitute)."""
        async with self._database.transaction() as connection:
            await _require_substitutes(connection, sku)
            created = await store.create_sku(connection, sku)
            stored = await _read_sku(connection, sku.sku)
        if not created:
            _require_same(sku, stored, _SKU_CONTENT, "SKU")
        return stored

    async def update_sku(self, sku: Sku, fields: Collection[str]) -> Sku:
        """Change the named fields; raises `SkuUnknown`."""
        content = {name: value for name, value in asdict(sku).items() if name in fields}
        async with self._database.transaction() as connection:
            await _read_sku(connection, sku.sku, "sku.sku")
            if "substitutes" in content:
                await _require_substitutes(connection, sku)
                content["substitutes"] = list(sku.substitutes)
        # First what may be refused, so that a refusal leaves nothing behind.
        safety_stock = content.pop("safety_stock", None)
        if safety_stock is not None:
            await self._apply(SetSafetyStock(_new_request_id(), sku.sku, safety_stock))
        async with self._database.transaction() as connection:
            await store.update_sku(connection, sku.sku, _with_time(content))
            return await _read_sku(connection, sku.sku)

    async def sku(self, code: str) -> Sku:
        """One SKU; raises `SkuUnknown`."""
        async with self._database.transaction() as connection:
            return await _read_sku(connection, code)

    async def list_skus(self, *, prefix: str, after: str, count_max: int) -> list[Sku]:
        """Up to `count_max` SKUs whose code begins with `prefix` and comes after `after`, by code."""
        async with self._database.transaction() as connection:
            return await store.list_skus(connection, prefix=prefix, after=after, count_max=count_max)

    async def set_frozen(self, code: str, frozen: bool, reason: str) -> Sku:
        """Stop new reservations of a SKU, or allow them again; raises `SkuUnknown`."""
        await self._apply(SetFrozen(_new_request_id(), code, frozen, reason))
        async with self._database.transaction() as connection:
            await store.update_sku(connection, code, _with_time({"freeze_reason": reason}))
            version = await begin_change(connection, self._database.schema)
            await touch_listings(connection, version, sku=code)
            await keep_sku_state(connection, code, self._database.now)
            return await _read_sku(connection, code)

    async def create_location(self, location: Location) -> Location:
        """Store a location; the same again is no error. Raises `AlreadyExists`."""
        async with self._database.transaction() as connection:
            created = await store.create_location(connection, location)
            stored = await _read_location(connection, location.location)
        if not created:
            _require_same(location, stored, _LOCATION_CONTENT, "location")
        return stored

    async def update_location(self, location: Location, fields: Collection[str]) -> Location:
        """Change the named fields; raises `LocationUnknown`."""
        content = {name: value for name, value in asdict(location).items() if name in fields}
        async with self._database.transaction() as connection:
            await _read_location(connection, location.location, "location.location")
            if content:
                await store.update_location(connection, location.location, content)
            return await _read_location(connection, location.location)

    async def location(self, code: str) -> Location:
        """One location; raises `LocationUnknown`."""
        async with self._database.transaction() as connection:
            return await _read_location(connection, code)

    async def list_locations(self, *, after: tuple[int, str] | None, count_max: int) -> list[Location]:
        """Up to `count_max` locations after (position, code), in the order in which they serve."""
        async with self._database.transaction() as connection:
            return await store.list_locations(connection, after=after, count_max=count_max)

    async def _apply(self, command: SetSafetyStock | SetFrozen) -> None:
        (outcome,) = await self._writer.apply([command])
        if isinstance(outcome, GatewayError):
            raise outcome


def _new_request_id() -> str:
    return f"catalog-{uuid4()}"


def _with_time(content: dict[str, Any]) -> dict[str, Any]:
    return {**content, "update_time": store.NOW}


async def _read_sku(connection: ReadConnection, code: str, field: str = "sku") -> Sku:
    found = await store.read_sku(connection, code)
    if found is None:
        raise SkuUnknown(f"no SKU has the code {code!r}", field=field, sku=code)
    return found


async def _read_location(connection: ReadConnection, code: str, field: str = "location") -> Location:
    found = await store.read_location(connection, code)
    if found is None:
        raise LocationUnknown(f"no location has the code {code!r}", field=field, location=code)
    return found


async def _require_substitutes(connection: ReadConnection, sku: Sku) -> None:
    unknown = set(sku.substitutes) - await store.known_skus(connection, sku.substitutes)
    for place, code in enumerate(sku.substitutes):
        if code in unknown:
            raise SkuUnknown(f"no SKU has the code {code!r}", field=f"sku.substitutes[{place}]", sku=code)


def _require_same(asked: Sku | Location, stored: Sku | Location, names: tuple[str, ...], what: str) -> None:
    for name in names:
        if getattr(asked, name) != getattr(stored, name):
            raise AlreadyExists(
                f"the {what} exists already, with another {name}; update it instead", field=f"{what.lower()}.{name}"
            )
