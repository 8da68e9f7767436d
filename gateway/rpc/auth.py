"""Who is calling: the merchant comes from the caller's token, never from the request.

`authorization: Bearer <merchant>.<secret>`. Without a token the caller acts for `main`, but only where the gateway
listens on loopback alone; on any other address a token is needed. Tokens are compared by their SHA-256, kept in the
merchant's schema; one that was good is not looked up again for a minute.
"""

import time
from collections.abc import Iterable

from gateway.domain.errors import Unauthenticated
from gateway.merchants import Merchant, Merchants

DEFAULT_MERCHANT = "main"
TRUST_SECONDS = 60.0
TRUSTED_MAX = 10_000


class Callers:
    """Tells which merchant a call is for."""

    def __init__(self, merchants: Merchants, *, anonymous: bool) -> None:
        """`anonymous`: calls without a token act for the default merchant."""
        self._merchants = merchants
        self._anonymous = anonymous
        self._trusted: dict[str, float] = {}

    async def merchant_of(self, metadata: Iterable[tuple[str, str | bytes]] | None) -> Merchant:
        """The merchant; raises `Unauthenticated`."""
        for name, value in metadata or ():
            if name == "authorization":
                return await self._merchant_of_token(str(value))
        if not self._anonymous:
            raise Unauthenticated("this gateway needs an access token: send 'authorization: Bearer <token>'")
        return self._merchants.get(DEFAULT_MERCHANT)

    async def _merchant_of_token(self, header: str) -> Merchant:
        kind, _, token = header.partition(" ")
        name = token.partition(".")[0]
        if kind.lower() != "bearer" or not self._merchants.has(name):
            raise _unknown()
        merchant = self._merchants.get(name)
        if self._trusted.get(token, 0.0) < time.monotonic():
            if not await merchant.is_known_token(token):
                raise _unknown()
            if len(self._trusted) >= TRUSTED_MAX:
                self._trusted.clear()
            self._trusted[token] = time.monotonic() + TRUST_SECONDS
        return merchant


def _unknown() -> Unauthenticated:
    return Unauthenticated("this access token is not known; get one with 'stockgate merchant token NAME'")
