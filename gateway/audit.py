"""Who did what, when and why: what people ask for is written down before it is done, and then what became of it.

An entry whose outcome is empty is of a call that is under way, or of one during which the gateway died or its caller
left: whether it was done is told by the thing itself. The entry comes before the deed, so no deed is without one.
"""

import logging

from gateway.domain.audit import Asked, AuditEntry
from gateway.domain.errors import DatabaseUnavailable
from gateway.store import audit as store
from gateway.store.audit import AuditFilter
from gateway.store.database import MerchantDatabase

log = logging.getLogger(__name__)


class Audit:
    """One merchant's audit."""

    def __init__(self, database: MerchantDatabase) -> None:
        """Keep it in this database."""
        self._database = database

    async def begin(self, asked: Asked) -> int:
        """Write down what is asked; the entry's number. Raises `DatabaseUnavailable`, and then nothing may be done."""
        async with self._database.statements() as connection:
            return await store.begin_entry(connection, self._database, asked)

    async def end(self, audit_id: int, outcome: str, *, sku: str = "", channel: str = "") -> None:
        """Write down what became of it. What is done is done: if this cannot be written, the log says so."""
        try:
            async with self._database.statements() as connection:
                await store.end_entry(connection, audit_id, outcome, sku=sku, channel=channel)
        except DatabaseUnavailable:
            log.warning(
                "an outcome is missing in the audit",
                extra={"merchant": self._database.merchant, "audit_id": audit_id, "outcome": outcome},
            )

    async def list(self, wanted: AuditFilter, *, before: int, count_max: int) -> list[AuditEntry]:
        """Up to `count_max` entries with a number below `before`, newest first."""
        async with self._database.statements() as connection:
            return await store.list_entries(connection, wanted, before=before, count_max=count_max)
