"""SKUs of which everything is traced, for a while."""

from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.store.database import MerchantDatabase, ReadConnection
from gateway.store.operations_tables import traced_skus


async def read_traced_skus(connection: ReadConnection, database: MerchantDatabase) -> frozenset[str]:
    """Those that are traced now."""
    now = select(traced_skus.c.sku).where(traced_skus.c.until > database.now)
    return frozenset(await connection.scalars(now))


async def trace_sku(connection: AsyncConnection, database: MerchantDatabase, sku: str, duration: timedelta) -> datetime:
    """Trace everything about a SKU for so long from now on, and no longer; returns until when."""
    values = {"sku": sku, "until": database.now + duration}
    statement = (
        upsert(traced_skus)
        .values(values)
        .on_conflict_do_update(index_elements=[traced_skus.c.sku], set_={"until": values["until"]})
    )
    until: datetime = (await connection.execute(statement.returning(traced_skus.c.until))).scalar_one()
    return until
