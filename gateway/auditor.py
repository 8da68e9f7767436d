"""Checks all the time that the ledger adds up (R18). A breach is an alarm, never a quiet repair."""

import asyncio
import logging

from gateway.domain.errors import GatewayError
from gateway.ledger import Ledger

log = logging.getLogger(__name__)

INTERVAL_SECONDS = 10.0


class Auditor:
    """Audits one merchant while `run` runs."""

    def __init__(self, ledger: Ledger, merchant: str) -> None:
        """Start from what the whole check finds."""
        self._ledger = ledger
        self._merchant = merchant
        self._good_until = 0

    async def run(self) -> None:
        """Check all once, then what has moved since, until cancelled."""
        while True:
            try:
                await self.audit()
            except GatewayError as error:
                log.warning("the audit of %s pauses: %s", self._merchant, error)
            await asyncio.sleep(INTERVAL_SECONDS)

    async def audit(self) -> bool:
        """Check once; True if the ledger adds up."""
        verdict = await self._ledger.check(self._good_until)
        for breach in verdict.breaches:
            log.critical("the ledger of %s does not add up: %s", self._merchant, breach)
        if verdict.consistent:
            self._good_until = verdict.revision
        return verdict.consistent
