"""Who is looking at the page, and who may act.

Where the page is served on loopback, whoever asks from this machine by one of its own names may read; who acts says
first who he is: a name, and one of the merchant's access tokens, or the name alone where gRPC asks for no token either.
From anywhere else nothing is shown before that. A page reached through a proxy, or under a foreign name (so that no
site can make a browser read it: DNS rebinding), counts as from elsewhere. Of a proxy that hides itself entirely nothing
can be seen: whoever sets one up has it say X-Forwarded-For, or serves the page at an address that is not loopback.

Signed in is who has a cookie: random, not for scripts, kept here by its SHA-256 alone, good for twelve hours. Forms and
frames of other sites do not send it; their links do, or whoever follows one from a chat would have to sign in. Whatever
changes anything must carry, beside it, a header that only the page's own scripts can know: derived from the cookie and
told in GET /session, which no other site can read.
"""

import hashlib
import hmac
import secrets
import time
from collections import deque
from datetime import timedelta
from http import HTTPStatus
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import urlsplit

from starlette.requests import Request

from gateway.domain.errors import Unauthenticated
from gateway.merchants import Merchant, Merchants
from gateway.rpc import desk_parsing
from gateway.rpc.auth import DEFAULT_MERCHANT, Callers
from gateway.web.refusals import PageRefusal

COOKIE = "stockgate_session"
CSRF_HEADER = "x-csrf-token"
# Whose stock the page shows that asks.
MERCHANT_HEADER = "x-merchant"
LIFETIME = timedelta(hours=12)
TRIES_MAX, TRIES_SECONDS = 10, 60.0
TRIES_OF_ALL_MAX = 60
_FORWARDED = frozenset(
    {"forwarded", "via", "x-real-ip", "x-client-ip", "true-client-ip", "cf-connecting-ip", "x-original-host"}
)
# Of browsers that say where a request comes from.
_OURS = frozenset({"same-origin", "none"})
_FORWARDED_PREFIX = "x-forwarded-"
# What nginx speaks to what is behind it unless it is told otherwise, and no browser does.
_PROXYS_HTTP = "1.0"


class Visitor(NamedTuple):
    """Somebody at the page; `actor` is empty for who only looks."""

    merchant: Merchant
    actor: str = ""
    csrf: str = ""


class SignedIn(NamedTuple):
    """A new session: the visitor, and the cookie he is known by."""

    visitor: Visitor
    cookie: str


class Visitors:
    """Tells who a request is from; keeps who is signed in."""

    def __init__(self, merchants: Merchants, callers: Callers, *, on_loopback: bool, anonymous: bool) -> None:
        """`on_loopback`: the page is served there; `anonymous`: who calls without a token acts for the default one."""
        self._merchants = merchants
        self._callers = callers
        self._on_loopback = on_loopback
        self._anonymous = anonymous
        self._tries = _Tries()

    def is_local(self, request: Request) -> bool:
        """True if the request is from this machine, by one of its own names, and nothing says that it was passed on."""
        if not self._on_loopback or _is_passed_on(request):
            return False
        return is_loopback(request.url.hostname or "")

    def needs_token(self, request: Request) -> bool:
        """True if a name alone is not enough to sign in."""
        return not (self._anonymous and self.is_local(request))

    async def visitor(self, request: Request) -> Visitor:
        """Who it is; raises `PageRefusal` if nothing is shown to him, or another site asks in his browser."""
        if request.headers.get("sec-fetch-site", "none") not in _OURS and not _is_followed(request):
            raise PageRefusal(HTTPStatus.FORBIDDEN, "ORIGIN", "this request comes from another site")
        found = await self.signed_in(request)
        if found is None and self.is_local(request):
            found = Visitor(self._merchants.get(DEFAULT_MERCHANT))
        if found is None:
            raise _sign_in_first()
        return _same_merchant(request, found)

    async def bearer(self, request: Request) -> Merchant:
        """Whose access token a program shows; raises `Unauthenticated`."""
        return await self._callers.look_up([("authorization", request.headers.get("authorization", ""))])

    async def actor(self, request: Request) -> Visitor:
        """Who acts; raises `PageRefusal` unless he is signed in, and it is the page that asks."""
        require_same_origin(request)
        found = await self.signed_in(request)
        if found is None:
            raise _sign_in_first()
        if not hmac.compare_digest(request.headers.get(CSRF_HEADER, "").encode(), found.csrf.encode()):
            message = "the page's token is missing or old; load the page again"
            raise PageRefusal(HTTPStatus.FORBIDDEN, "CSRF", message)
        return _same_merchant(request, found)

    async def signed_in(self, request: Request) -> Visitor | None:
        """Who has a cookie that holds."""
        cookie = request.cookies.get(cookie_name(request), "")
        merchant = await self._merchants.find(cookie.partition(".")[0]) if cookie.isascii() else None
        session = await merchant.page_sessions.find(cookie) if merchant is not None else None
        if merchant is None or session is None:
            return None
        return Visitor(merchant, session.actor, _csrf_of(cookie))

    async def sign_in(self, request: Request, name: str, token: str) -> SignedIn:
        """Begin a session; raises `PageRefusal`, `InvalidArgument`, `Unauthenticated`."""
        require_same_origin(request)
        actor = desk_parsing.who(name, "name")
        peer = request.client.host if request.client else ""
        if not self._tries.begin(peer, time.monotonic()):
            message = "too many tries to sign in; wait a minute"
            raise PageRefusal(HTTPStatus.TOO_MANY_REQUESTS, "TOO_MANY_TRIES", message)
        merchant = await self._merchant_for(request, token)
        self._tries.forgive(peer)
        cookie = f"{merchant.name}.{secrets.token_urlsafe(32)}"
        await merchant.page_sessions.begin(cookie, actor, LIFETIME)
        return SignedIn(Visitor(merchant, actor, _csrf_of(cookie)), cookie)

    async def sign_out(self, request: Request) -> None:
        """End the session."""
        visitor = await self.actor(request)
        await visitor.merchant.page_sessions.end(request.cookies[cookie_name(request)])

    async def _merchant_for(self, request: Request, token: str) -> Merchant:
        if token:
            try:
                header = f"Bearer {token}".encode("ascii").decode()
            except UnicodeEncodeError:
                raise Unauthenticated("this access token is not known", field="token") from None
            return await self._callers.look_up([("authorization", header)])
        if self.needs_token(request):
            raise Unauthenticated(
                "say the merchant's access token: 'stockgate merchant token NAME' gives one", field="token"
            )
        return self._merchants.get(DEFAULT_MERCHANT)


class _Tries:
    """How often somebody has tried to sign in of late; who succeeds is not counted."""

    def __init__(self) -> None:
        self._all: deque[tuple[float, str]] = deque()

    def begin(self, peer: str, now: float) -> bool:
        """True if one more try is allowed."""
        while self._all and self._all[0][0] <= now - TRIES_SECONDS:
            self._all.popleft()
        if len(self._all) >= TRIES_OF_ALL_MAX or sum(of == peer for _, of in self._all) >= TRIES_MAX:
            return False
        self._all.append((now, peer))
        return True

    def forgive(self, peer: str) -> None:
        """The last try of this one was good."""
        for place in range(len(self._all) - 1, -1, -1):
            if self._all[place][1] == peer:
                del self._all[place]
                return


def cookie_name(request: Request) -> str:
    """Of this gateway's page: browsers keep cookies per host, whatever the port."""
    return f"{COOKIE}_{request.url.port or request.url.scheme}"


def is_loopback(host: str) -> bool:
    """True for a name or an address of this machine that no other machine can use."""
    try:
        return host == "localhost" or ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def require_same_origin(request: Request) -> None:
    """Raise `PageRefusal` for what another site has sent."""
    origin = request.headers.get("origin")
    if origin is None and request.headers.get("sec-fetch-site", "same-origin") in _OURS:
        return
    if origin is not None and urlsplit(origin).netloc == request.headers.get("host"):
        return
    raise PageRefusal(HTTPStatus.FORBIDDEN, "ORIGIN", "this request comes from another site")


def _is_followed(request: Request) -> bool:
    """True if somebody has followed a link, from wherever."""
    return request.headers.get("sec-fetch-mode") == "navigate"


def _is_passed_on(request: Request) -> bool:
    """True if a proxy has sent it, as far as it can be seen: by what it adds, speaks, or leaves of the browser's."""
    if request.scope["http_version"] == _PROXYS_HTTP:
        return True
    if any(name in _FORWARDED or name.startswith(_FORWARDED_PREFIX) for name in request.headers):
        return True
    origin = request.headers.get("origin")
    return origin is not None and not is_loopback(urlsplit(origin).hostname or "")


def _same_merchant(request: Request, found: Visitor) -> Visitor:
    """The visitor; raises `PageRefusal` if his page shows another merchant, whose session is over or was changed."""
    shown = request.headers.get(MERCHANT_HEADER) or request.query_params.get("merchant") or found.merchant.name
    if shown != found.merchant.name:
        message = "the page shows another merchant than who is signed in; load it again"
        raise PageRefusal(HTTPStatus.CONFLICT, "MERCHANT", message)
    return found


def _sign_in_first() -> PageRefusal:
    return PageRefusal(HTTPStatus.UNAUTHORIZED, "SIGN_IN", "sign in first: /login")


def _csrf_of(cookie: str) -> str:
    return hashlib.sha256(f"csrf {cookie}".encode()).hexdigest()
