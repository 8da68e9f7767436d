"""Checks all the time that the ledger adds up (R18). A breach is an alarm, never a quiet repair."""

import asyncio
import logging

from gateway import metrics
from gateway.domain.errors import GatewayError
from gateway.ledger import Ledger

log = logging.getLogger(__name__)

INTERVAL_SECONDS = 10.0


class Auditor:
    """Audits one merchant while `run` runs."""

    def __init__(self, ledger: Ledger, merchant: str) -> None:
        """Go on where the last audit of this merchant ended."""
        self._ledger = ledger
        self._merchant = merchant

    async def run(self) -> None:
        """Check what has moved, again and again, until cancelled."""
        while True:
            try:
                await self.audit()
            except GatewayError as error:
                log.warning("the audit pauses", extra={"merchant": self._merchant, "error": str(error)})
                metrics.loop_pauses.add(1, {"loop": "auditor"})
            await asyncio.sleep(INTERVAL_SECONDS)

    async def audit(self) -> bool:
        """Check once; True if the ledger adds up."""
        verdict = await self._ledger.check_on()
        for breach in verdict.breaches:
            log.critical("the ledger does not add up", extra={"merchant": self._merchant, "breach": str(breach)})
            metrics.invariant_breaches.add(1, {"merchant": self._merchant, "rule": breach.check})
        return verdict.consistent
