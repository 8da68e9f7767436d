"""Tokens: 7 days for access, 14 for refreshing; a refresh gives new ones and ends the old.

`/token/create` takes `authorization_code` (tool applications, a code lives 10 minutes) and `authorization_self`
(applications of the seller's own).
"""

import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from connectors.base import Tokens
from connectors.sandbox.douyin.answers import Data, Refusal
from connectors.sandbox.douyin.params import Params
from connectors.sandbox.douyin.settings import DouyinSettings
from connectors.sandbox.shop import Shop


@dataclass
class Grants:
    """The tokens of one shop's grants, with the ends of their lives."""

    settings: DouyinSettings
    shop: Shop
    _access: dict[str, datetime] = field(default_factory=dict)
    _refresh: dict[str, datetime] = field(default_factory=dict)
    _codes: dict[str, datetime] = field(default_factory=dict)

    def issue(self) -> Tokens:
        """New tokens."""
        access, refresh, now = secrets.token_hex(18), secrets.token_hex(18), self.shop.time
        self._access[access] = now + timedelta(seconds=self.settings.access_token_seconds)
        self._refresh[refresh] = now + timedelta(seconds=self.settings.refresh_token_seconds)
        return Tokens(access, refresh, self._access[access])

    def authorise(self) -> str:
        """The seller agrees on the authorise page: a code that is good once."""
        code = secrets.token_hex(16)
        self._codes[code] = self.shop.time + timedelta(seconds=self.settings.code_seconds)
        return code

    def expire(self) -> None:
        """All access tokens come to their end now."""
        self._access = dict.fromkeys(self._access, self.shop.time - timedelta(seconds=1))

    def revoke(self) -> None:
        """The seller takes the grant back."""
        self._access.clear()
        self._refresh.clear()

    def require_access(self, token: str) -> None:
        """Raise `Refusal` if the token is not good."""
        if token not in self._access:
            raise Refusal(40003, "isv.access-token-no-existed", "access_token is unknown")
        if self._access[token] < self.shop.time:
            raise Refusal(40003, "isv.access-token-expired", "access_token has expired")

    def create(self, params: Params) -> Data:
        """`/token/create`."""
        match params.text("grant_type"):
            case "authorization_self":
                is_named = params.text("shop_id", "") == self.settings.shop_id or params.text("test_shop", "") == "1"
                if not is_named:
                    raise Refusal(50001, "dop.token-generate-failed:shop", "the shop has not granted access")
            case "authorization_code":
                if self._codes.pop(params.text("code"), self.shop.time) <= self.shop.time:
                    raise Refusal(50001, "dop.token-generate-failed:code", "the code is not good")
            case _:
                raise Refusal(50001, "dop.token-generate-failed:grant_type", "grant_type is unknown")
        return self._said(self.issue())

    def refresh(self, params: Params) -> Data:
        """`/token/refresh`: the old access token ends at once, the old refresh token after a moment of grace."""
        old, now = params.text("refresh_token"), self.shop.time
        if params.text("grant_type") != "refresh_token" or self._refresh.get(old, now) <= now:
            raise Refusal(50001, "dop.token-generate-failed:refresh_token", "refresh_token is not good")
        grace = now + timedelta(seconds=self.settings.refresh_grace_seconds)
        self._refresh = {token: min(end, grace) for token, end in self._refresh.items()}
        self._access.clear()
        return self._said(self.issue())

    def _said(self, tokens: Tokens) -> Data:
        return {
            "access_token": tokens.access_token,
            "refresh_token": tokens.refresh_token,
            "expires_in": self.settings.access_token_seconds,
            "scope": "SCOPE",
            "shop_id": self.settings.shop_id,
            "shop_name": self.settings.shop_name,
            "authority_id": self.settings.shop_id,
            "auth_subject_type": "0",
        }
