"""OAuth: codes for one use, access tokens of two days, refresh tokens that rotate (the "APP authorisation" page)."""

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from connectors.base import Tokens
from connectors.sandbox.kuaishou.answers import SUCCESS, Refusal
from connectors.sandbox.kuaishou.settings import KuaishouSettings
from connectors.sandbox.shop import Clock

INVALID_REQUEST = 100200100
UNAUTHORIZED_CLIENT = 100200101
UNSUPPORTED_GRANT_TYPE = 100200104
INVALID_GRANT = 100200105
INVALID_SCOPE = 100200106
SERVER_ERROR = 100200500

Form = Mapping[str, str]


@dataclass(frozen=True)
class Grant:
    """What a code or a token stands for, until it dies; `renewable_until` is when its refresh token ends at last."""

    scopes: tuple[str, ...]
    expire_time: datetime
    renewable_until: datetime


class Grants:
    """The tokens of one app's one seller, on the shop's clock."""

    def __init__(self, settings: KuaishouSettings, clock: Clock) -> None:
        """Begin without any."""
        self.settings = settings
        self._clock = clock
        self._codes: dict[str, Grant] = {}
        self._access: dict[str, Grant] = {}
        self._refresh: dict[str, Grant] = {}

    def issue(self, scopes: tuple[str, ...] | None = None) -> Tokens:
        """A new pair, as the seller's consent would bring it."""
        limit = self._clock() + timedelta(seconds=self.settings.refresh_token_seconds)
        return self._issue(self.settings.scopes if scopes is None else scopes, limit)

    def scopes_of(self, access_token: str) -> tuple[str, ...] | None:
        """What a living token allows; None for a dead one."""
        grant = self._access.get(access_token)
        return grant.scopes if grant and self._clock() < grant.expire_time else None

    def expire_access(self) -> None:
        """Every access token dies now."""
        self._access.clear()

    # ---- endpoints

    def authorize(self, form: Form) -> str:
        """The code a consenting seller's browser carries back."""
        if form.get("app_id") != self.settings.app_key:
            raise Refusal(UNAUTHORIZED_CLIENT, "unauthorized_client")
        if form.get("response_type") != "code" or not form.get("redirect_uri"):
            raise Refusal(INVALID_REQUEST, "invalid_request")
        scopes = tuple(filter(None, form.get("scope", "").split(",")))
        if not scopes or not set(scopes) <= set(self.settings.scopes):
            raise Refusal(INVALID_SCOPE, "invalid_scope")
        code, now = secrets.token_urlsafe(24), self._clock()
        self._codes[code] = Grant(scopes, now + timedelta(seconds=self.settings.code_seconds), now)
        return code

    def access_token(self, form: Form) -> dict[str, Any]:
        """`GET /oauth2/access_token`: a pair for a code, or the app's own token."""
        self._require_app(form)
        match form.get("grant_type"):
            case "code":
                grant = self._living(self._codes, form.get("code", ""))
                del self._codes[form["code"]]
                return self._answer(self.issue(grant.scopes), grant.scopes)
            case "client_credentials":
                tokens = self.issue(())
                return {"result": SUCCESS, "access_token": tokens.access_token, "expires_in": self._expires_in}
            case _:
                raise Refusal(UNSUPPORTED_GRANT_TYPE, "unsupported_grant_type")

    def refresh_token(self, form: Form) -> dict[str, Any]:
        """`POST /oauth2/refresh_token`: the next pair. The old refresh token dies soon, its end is inherited."""
        self._require_app(form)
        if form.get("grant_type") != "refresh_token":
            raise Refusal(UNSUPPORTED_GRANT_TYPE, "unsupported_grant_type")
        old = form.get("refresh_token", "")
        grant = self._living(self._refresh, old)
        death = self._clock() + timedelta(seconds=self.settings.refresh_grace_seconds)
        self._refresh[old] = Grant(grant.scopes, min(grant.expire_time, death), grant.renewable_until)
        return self._answer(self._issue(grant.scopes, grant.renewable_until), grant.scopes)

    def _issue(self, scopes: tuple[str, ...], renewable_until: datetime) -> Tokens:
        self._forget_the_dead()
        expire_time = self._clock() + timedelta(seconds=self.settings.access_token_seconds)
        tokens = Tokens(f"ks-at-{secrets.token_hex(16)}", f"ks-rt-{secrets.token_hex(16)}", expire_time)
        self._access[tokens.access_token] = Grant(scopes, expire_time, renewable_until)
        self._refresh[tokens.refresh_token] = Grant(scopes, renewable_until, renewable_until)
        return tokens

    def _answer(self, tokens: Tokens, scopes: tuple[str, ...]) -> dict[str, Any]:
        left = self._refresh[tokens.refresh_token].renewable_until - self._clock()
        return {
            "result": SUCCESS,
            "access_token": tokens.access_token,
            "expires_in": self._expires_in,
            "refresh_token": tokens.refresh_token,
            "refresh_token_expires_in": round(left.total_seconds()),
            "open_id": f"open-{self.settings.seller_id}",
            "scopes": list(scopes),
        }

    @property
    def _expires_in(self) -> int:
        return int(self.settings.access_token_seconds)

    def _require_app(self, form: Form) -> None:
        if form.get("app_id") != self.settings.app_key:
            raise Refusal(UNAUTHORIZED_CLIENT, "unauthorized_client")
        if not hmac.compare_digest(form.get("app_secret", "").encode(), self.settings.app_secret.encode()):
            raise Refusal(UNAUTHORIZED_CLIENT, "unauthorized_client")

    def _living(self, grants: Mapping[str, Grant], token: str) -> Grant:
        grant = grants.get(token)
        if grant is None or self._clock() >= grant.expire_time:
            raise Refusal(INVALID_GRANT, "invalid_grant")
        return grant

    def _forget_the_dead(self) -> None:
        now = self._clock()
        for grants in (self._codes, self._access, self._refresh):
            for token in [token for token, grant in grants.items() if now >= grant.expire_time]:
                del grants[token]
