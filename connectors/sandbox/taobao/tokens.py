"""The seller's grants: access and refresh tokens, their lives and their rotation."""

import json
import secrets
from dataclasses import dataclass
from datetime import datetime

from connectors.base import Tokens
from connectors.sandbox.taobao.answers import Answer
from connectors.sandbox.taobao.refusals import Refusal, service
from connectors.sandbox.taobao.settings import Settings


@dataclass
class _Renewal:
    """What a refresh token was given for."""

    time: datetime
    tokens: Tokens


class Grants:
    """The tokens of one seller."""

    def __init__(self, settings: Settings) -> None:
        """Begin with none."""
        self._settings = settings
        self._access: dict[str, datetime] = {}
        self._refresh: set[str] = set()
        self._renewals: dict[str, _Renewal] = {}
        self._codes: set[str] = set()

    def issue(self, now: datetime) -> Tokens:
        """A new grant; older ones live on."""
        tokens = Tokens(secrets.token_hex(28), secrets.token_hex(28), now + self._settings.access_lifetime)
        assert tokens.expire_time is not None
        self._access[tokens.access_token] = tokens.expire_time
        self._refresh.add(tokens.refresh_token)
        return tokens

    def issue_code(self) -> str:
        """What a seller's browser brings back; good for one `taobao.top.auth.token.create`."""
        code = secrets.token_hex(12)
        self._codes.add(code)
        return code

    def is_alive(self, access_token: str, now: datetime) -> bool:
        """True if calls with it are allowed."""
        return now < self._access.get(access_token, now)

    def revoke_all(self) -> None:
        """The seller takes every access back; refreshing still helps."""
        self._access.clear()

    def forget_all(self) -> None:
        """The seller takes every grant back; only a new authorisation helps."""
        self._access.clear()
        self._refresh.clear()
        self._renewals.clear()

    def create(self, code: str, now: datetime) -> Answer:
        """`taobao.top.auth.token.create`."""
        if code not in self._codes:
            raise service("isv.invalid-parameter:code", "code is invalid or was used")
        self._codes.remove(code)
        return self._answer(self.issue(now), now)

    def refresh(self, refresh_token: str, now: datetime) -> Answer:
        """`taobao.top.auth.token.refresh`; the old access token dies with it."""
        if not self._settings.may_refresh:
            raise Refusal(11, "isv.permission-api-package-limit", "this kind of app has no token to refresh")
        renewal = self._renewals.get(refresh_token)
        if renewal and now - renewal.time <= self._settings.refresh_repeat_max:
            return self._answer(renewal.tokens, now)
        if refresh_token not in self._refresh:
            raise service("isv.invalid-parameter:refresh_token", "refresh_token is invalid or was used")
        self._access.clear()
        tokens = self.issue(now)
        if self._settings.refresh_rotates:
            self._refresh.remove(refresh_token)
            self._renewals[refresh_token] = _Renewal(now, tokens)
        else:
            self._refresh.remove(tokens.refresh_token)
            tokens = tokens._replace(refresh_token=refresh_token)
        return self._answer(tokens, now)

    def _answer(self, tokens: Tokens, now: datetime) -> Answer:
        assert tokens.expire_time is not None
        left = int((tokens.expire_time - now).total_seconds())
        grant = {
            "access_token": tokens.access_token,
            "refresh_token": tokens.refresh_token,
            "token_type": "Bearer",
            "expires_in": left,
            "re_expires_in": left,
            **dict.fromkeys(("hra_expires_in", "r1_expires_in", "r2_expires_in"), left),
            **dict.fromkeys(("w1_expires_in", "w2_expires_in"), left),
            "taobao_user_id": str(self._settings.seller_id),
            "taobao_user_nick": self._settings.seller_nick,
        }
        return {"token_result": json.dumps(grant)}
