"""Access tokens: two days; refresh tokens: 180 days, each good for one refresh (the "APP authorisation" page)."""

import asyncio
from datetime import timedelta

import httpx
import msgspec

from connectors.base import Tokens
from connectors.errors import AuthExpired, Misunderstood
from connectors.kuaishou.codes import SUCCESS
from connectors.kuaishou.requests import Requests
from connectors.transport import TO_ZERO

PATH = "/oauth2/refresh_token"


class Grant(msgspec.Struct):
    """What the endpoint answers; `expires_in` is in seconds."""

    result: int
    error_msg: str | None = None
    access_token: str = ""
    refresh_token: str = ""
    expires_in: int = 0


class Refreshing:
    """New tokens for old, one at a time: the old refresh token dies within five minutes of its use."""

    def __init__(self, requests: Requests) -> None:
        """Refresh with the app's own id and secret."""
        self._requests = requests
        self._lock = asyncio.Lock()
        self._last: tuple[str, Tokens] | None = None

    async def refresh(self, tokens: Tokens) -> Tokens:
        """The pair that follows `tokens`; who asks again with a token already used gets the same pair.

        Raises `OutcomeUnknown` if nobody answered: the old token may live on for minutes, try again at once.
        """
        async with self._lock:
            if self._last and self._last[0] == tokens.refresh_token:
                return self._last[1]
            if not tokens.refresh_token:
                raise AuthExpired("there is no refresh token; the seller must authorise the app again")
            new = await self._ask(tokens.refresh_token)
            self._last = tokens.refresh_token, new
            return new

    async def _ask(self, refresh_token: str) -> Tokens:
        form = {
            "grant_type": "refresh_token",
            "refresh_token": refresh_token,
            "app_id": self._requests.credentials.app_key,
            "app_secret": self._requests.credentials.app_secret,
        }
        url = self._requests.credentials.base_url.rstrip("/") + PATH
        return await self._requests.call(
            PATH,
            lambda: httpx.Request("POST", url, data=form),
            lambda body: self._read(body, refresh_token),
            priority=TO_ZERO,
        )

    def _read(self, body: bytes, refresh_token: str) -> Tokens:
        try:
            grant = msgspec.json.decode(body, type=Grant)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise Misunderstood("the answer to a refresh is not a grant") from None
        if grant.result != SUCCESS:
            words = (grant.error_msg or "").replace(refresh_token, "***")
            raise self._requests.refused("oauth2.refresh_token", grant.result, words, writes=True)
        if not (grant.access_token and grant.refresh_token and grant.expires_in > 0):
            raise Misunderstood("the answer to a refresh is a grant without tokens")
        expire_time = self._requests.transport.platform_now() + timedelta(seconds=grant.expires_in)
        return Tokens(grant.access_token, grant.refresh_token, expire_time)
