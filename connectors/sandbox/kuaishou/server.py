"""The server: a method's path is its name with `/` for `.`, on GET and POST; answers are HTTP 200 and an envelope."""

from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Mapping
from email.utils import format_datetime
from typing import Any
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from connectors.base import Tokens
from connectors.sandbox.faults import BusyError, Faults, TooManyCalls
from connectors.sandbox.kuaishou.answers import BAD_PARAMETERS, Answer, Param, Refusal, as_json, refused, success
from connectors.sandbox.kuaishou.gate import Gate, fields_of
from connectors.sandbox.kuaishou.grants import SERVER_ERROR, Grants
from connectors.sandbox.kuaishou.lists import Lists
from connectors.sandbox.kuaishou.pushes import EVENT_OF, Pushes
from connectors.sandbox.kuaishou.sales import FAILED, Sales
from connectors.sandbox.kuaishou.settings import KuaishouSettings
from connectors.sandbox.kuaishou.shelves import Shelves
from connectors.sandbox.serving import through_weather
from connectors.sandbox.shop import Event, EventKind, Shop

Endpoint = Callable[[Request], Awaitable[Response]]

INJECTED_WORDS = "the platform is not itself"


class KuaishouSandbox:
    """Kuaishou before one shop. Serve `app`, keep `run()` running, and set `push_url` to hear of events."""

    def __init__(self, shop: Shop, faults: Faults, settings: KuaishouSettings | None = None) -> None:
        """Serve the shop, in this weather."""
        self.shop = shop
        self.faults = faults
        self.settings = settings or KuaishouSettings()
        self.grants = Grants(self.settings, lambda: shop.time)
        self.pushes = Pushes(self.settings, faults, lambda: shop.time)
        self.sales = Sales(shop, self.settings)
        self._gate = Gate(self.settings, self.grants, lambda: shop.time)
        self._methods: dict[str, Callable[[Param], Answer]] = {
            **Shelves(shop, self.settings).methods,
            **Lists(shop, self.sales, self.settings).methods,
        }
        self._injected: defaultdict[str, deque[int]] = defaultdict(deque)
        shop.heard.append(self._hear)
        self.app = Starlette(
            routes=[
                Route("/oauth/authorize", self._dated(self._authorize), methods=["GET"]),
                Route("/oauth2/access_token", self._dated(self._access_token), methods=["GET", "POST"]),
                Route("/oauth2/refresh_token", self._dated(self._refresh_token), methods=["GET", "POST"]),
                Route("/{path:path}", self._dated(self._call), methods=["GET", "POST"]),
            ]
        )

    @property
    def push_url(self) -> str:
        """Where pushes go; "" for nowhere."""
        return self.pushes.url

    @push_url.setter
    def push_url(self, url: str) -> None:
        """From now on push to this address."""
        self.pushes.url = url

    def issue_tokens(self, scopes: tuple[str, ...] | None = None) -> Tokens:
        """The pair that a seller's consent brings; by default to all that the app may ask for."""
        return self.grants.issue(scopes)

    def answer_next(self, method: str, *codes: int) -> None:
        """Refuse the next calls of a method with these numbers, having done nothing."""
        self._injected[method].extend(codes)

    async def run(self) -> None:
        """Send pushes until cancelled."""
        await self.pushes.run()

    def _dated(self, handle: Endpoint) -> Endpoint:
        """Even a broken front states the platform's clock."""
        through = through_weather(handle)

        async def endpoint(request: Request) -> Response:
            response = await through(request)
            response.headers["date"] = format_datetime(self.shop.time, usegmt=True)
            return response

        return endpoint

    # ---- methods

    async def _call(self, request: Request) -> Response:
        method = request.path_params["path"].replace("/", ".")
        if not method.startswith("open."):
            return PlainTextResponse("not found", 404)
        try:
            fields = await fields_of(request)
            self._require_method(method)
            param = self._gate.admit(method, fields)
            self._require_no_injection(method)
            return as_json(await self.faults.serve(lambda: self._apply(method, param)))
        except TooManyCalls as error:
            return as_json(refused(Refusal(self.settings.throttle_code, f"too many calls; {error}")))
        except BusyError:
            return as_json(refused(Refusal(self.settings.busy_code, "the system is busy")))
        except Refusal as refusal:
            return as_json(refused(refusal))

    def _apply(self, method: str, param: Param) -> dict[str, Any]:
        try:
            return success(self._methods[method](param))
        except Refusal as refusal:
            return refused(refusal)

    def _require_method(self, method: str) -> None:
        if method not in self._methods:
            raise Refusal(BAD_PARAMETERS, "there is no such method")

    def _require_no_injection(self, method: str) -> None:
        if self._injected[method]:
            raise Refusal(self._injected[method].popleft(), INJECTED_WORDS)

    # ---- OAuth

    async def _authorize(self, request: Request) -> Response:
        """The seller consents at once."""
        try:
            fields = await fields_of(request)
            code = self.grants.authorize(fields)
        except Refusal as refusal:
            return _oauth_refused(refusal)
        target = fields["redirect_uri"]
        query = urlencode({"code": code, "state": fields.get("state", "")})
        return RedirectResponse(f"{target}{'&' if '?' in target else '?'}{query}", 302)

    async def _access_token(self, request: Request) -> Response:
        return await self._grant(request, self.grants.access_token)

    async def _refresh_token(self, request: Request) -> Response:
        return await self._grant(request, self.grants.refresh_token)

    async def _grant(self, request: Request, answer: Callable[[Mapping[str, str]], dict[str, Any]]) -> Response:
        def apply() -> dict[str, Any] | Refusal:
            try:
                return answer(fields)
            except Refusal as refusal:
                return refusal

        try:
            fields = await fields_of(request)
            given = await self.faults.serve(apply)
        except Refusal as refusal:
            return _oauth_refused(refusal)
        except (BusyError, TooManyCalls):
            return _oauth_refused(Refusal(SERVER_ERROR, "server_error"))
        return _oauth_refused(given) if isinstance(given, Refusal) else as_json(given)

    # ---- events

    def _hear(self, event: Event) -> None:
        for sale, refund in self.sales.hear(event):
            status = self.sales.status(sale)
            if refund is not None:
                self.pushes.tell_refund(refund)
            if event.kind in EVENT_OF:
                self.pushes.tell_order(event.kind, sale, status)
            elif status == FAILED:
                self.pushes.tell_order(EventKind.CLOSED, sale, status)


def _oauth_refused(refusal: Refusal) -> Response:
    return as_json({"result": refusal.code, "error": refusal.words, "error_msg": refusal.words})
