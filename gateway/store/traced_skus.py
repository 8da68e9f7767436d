"""SKUs of which everything is traced, for a while."""

from sqlalchemy import select

from gateway.store.database import MerchantDatabase, ReadConnection
from gateway.store.operations_tables import traced_skus


async def read_traced_skus(connection: ReadConnection, database: MerchantDatabase) -> frozenset[str]:
    """Those that are traced now."""
    now = select(traced_skus.c.sku).where(traced_skus.c.until > database.now)
    return frozenset(await connection.scalars(now))
