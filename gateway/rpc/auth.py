"""Who is calling: the merchant comes from the caller's token, never from the request.

`authorization: Bearer <merchant>.<secret>`. Without a token the caller acts for `main`, but only where the gateway
listens on loopback alone; on any other address a token is needed. Tokens are compared by their SHA-256, kept in the
merchant's schema; one that was good is not looked up again for a minute.
"""

import time
from collections.abc import Iterable
from typing import NamedTuple

from gateway.domain.errors import Unauthenticated
from gateway.merchants import Merchant, Merchants

DEFAULT_MERCHANT = "main"
TRUST_SECONDS = 60.0
TRUSTED_MAX = 10_000


class _Trusted(NamedTuple):
    """A caller whose token was found good; `until` is on the monotonic clock."""

    merchant: Merchant
    until: float


class Callers:
    """Tells which merchant a call is for."""

    def __init__(self, merchants: Merchants, *, anonymous: bool) -> None:
        """`anonymous`: calls without a token act for the default merchant."""
        self._merchants = merchants
        self._anonymous = anonymous
        self._trusted: dict[str, _Trusted] = {}

    def trusted(self, metadata: Iterable[tuple[str, str | bytes]] | None) -> Merchant | None:
        """The merchant, if that needs no look-up; raises `Unauthenticated` for a caller without a token."""
        header = _authorization(metadata)
        if header is None:
            if not self._anonymous:
                raise Unauthenticated("this gateway needs an access token: send 'authorization: Bearer <token>'")
            return self._merchants.get(DEFAULT_MERCHANT)
        trusted = self._trusted.get(header)
        return trusted.merchant if trusted and trusted.until > time.monotonic() else None

    async def look_up(self, metadata: Iterable[tuple[str, str | bytes]] | None) -> Merchant:
        """The merchant whose token the caller has sent, trusted from now on; raises `Unauthenticated`."""
        header = _authorization(metadata) or ""
        kind, _, token = header.partition(" ")
        if kind.lower() != "bearer":
            raise _unknown()
        merchant = await self._merchants.find(token.partition(".")[0])
        if merchant is None or not await merchant.is_known_token(token):
            raise _unknown()
        if len(self._trusted) >= TRUSTED_MAX:
            self._trusted.clear()
        self._trusted[header] = _Trusted(merchant, time.monotonic() + TRUST_SECONDS)
        return merchant


def _authorization(metadata: Iterable[tuple[str, str | bytes]] | None) -> str | None:
    for name, value in metadata or ():
        if name == "authorization":
            return str(value)
    return None


def _unknown() -> Unauthenticated:
    return Unauthenticated("this access token is not known; get one with 'stockgate merchant token NAME'")
