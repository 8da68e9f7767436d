"""The platform as a server: every call goes through the weather, then the gate, then to its method."""

import itertools
import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import format_datetime

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute

from connectors.base import Tokens
from connectors.sandbox.faults import BusyError, Faults, TooManyCalls
from connectors.sandbox.serving import through_weather
from connectors.sandbox.shop import Shop
from connectors.sandbox.taobao.answers import Answer, response
from connectors.sandbox.taobao.channel import Channel
from connectors.sandbox.taobao.gate import Gate
from connectors.sandbox.taobao.mailbox import Mailbox
from connectors.sandbox.taobao.orders import OrderMethods
from connectors.sandbox.taobao.params import Params, params_of
from connectors.sandbox.taobao.refusals import Refusal
from connectors.sandbox.taobao.settings import Settings
from connectors.sandbox.taobao.stock import StockMethods
from connectors.sandbox.taobao.tokens import Grants

Method = Callable[[Params], Answer]


@dataclass
class _Injected:
    refusal: Refusal
    method: str
    is_applied: bool


class TaobaoSandbox:
    """Taobao before one shop. `push_url` is there for the likeness of the sandboxes: Taobao sends no HTTP pushes."""

    def __init__(self, shop: Shop, faults: Faults, settings: Settings | None = None) -> None:
        """Serve this shop in this weather."""
        self.shop, self.faults, self.settings = shop, faults, settings or Settings()
        self.push_url = ""
        self.grants = Grants(self.settings)
        self.mailbox = Mailbox(shop, faults, self.settings)
        self.channel = Channel(shop, faults, self.settings, self.mailbox)
        self.calls: dict[str, int] = {}
        self._gate = Gate(self.settings, self.grants)
        self._injected: deque[_Injected] = deque()
        self._numbers = itertools.count(1)
        self._open: dict[str, Method] = {
            "taobao.top.auth.token.create": lambda params: self.grants.create(params.text("code"), shop.time),
            "taobao.top.auth.token.refresh": lambda params: self.grants.refresh(
                params.text("refresh_token"), shop.time
            ),
            **self.mailbox.methods(),
        }
        self._methods: dict[str, Method] = {
            **StockMethods(shop, self.settings).methods(),
            **OrderMethods(shop, self.settings).methods(),
            **self.mailbox.seller_methods(),
        }
        rest = Route("/router/rest", through_weather(self._rest), methods=["GET", "POST"])
        self.app = Starlette(routes=[rest, WebSocketRoute("/", self.channel.endpoint)])

    def issue_tokens(self) -> Tokens:
        """The seller authorises the app."""
        return self.grants.issue(self.shop.time)

    async def run(self) -> None:
        """Deliver messages over the open connections, until cancelled."""
        await self.channel.run()

    def inject(self, refusal: Refusal, *, times: int = 1, method: str = "", is_applied: bool = False) -> None:
        """Answer the next `times` calls (of `method`, if it is named) so; `is_applied`: after having done them."""
        self._injected += [_Injected(refusal, method, is_applied) for _ in range(times)]

    def forge(self, topic: str = "taobao_trade_TradeBuyerPay", content: str = '{"tid":1,"oid":1}') -> int:
        """Post a message about what never happened; returns its id."""
        return self.mailbox.post(topic, content)

    async def _rest(self, request: Request) -> Response:
        params: Mapping[str, str] = {}
        try:
            params = await params_of(request)
            outcome = await self.faults.serve(lambda: self._outcome(params))
            if isinstance(outcome, Refusal):
                raise outcome
            name, answer = _wrapper(params["method"]), outcome
        except Refusal as refusal:
            name, answer = "error_response", refusal.fields
        except BusyError:
            name, answer = "error_response", self._busy().fields
        except TooManyCalls as ban:
            name, answer = "error_response", self._banned(ban).fields
        form = "json" if params.get("format", "").lower() == "json" else "xml"
        answer["request_id"] = f"sandbox{next(self._numbers):09}"
        answered = response(name, answer, form=form, simplified=params.get("simplify") == "true")
        # The shop's clock, which may be wrong.
        answered.headers["date"] = format_datetime(self.shop.time, usegmt=True)
        return answered

    def _outcome(self, params: Mapping[str, str]) -> Answer | Refusal:
        """What comes of a call; a refusal is an outcome like others, which may come late or be lost."""
        try:
            return self._answer(params)
        except Refusal as refusal:
            return refusal

    def _answer(self, params: Mapping[str, str]) -> Answer:
        """One call, whole: one instant of the platform."""
        now, name = self.shop.time, params.get("method", "")
        self._gate.require_call(params, now)
        self.calls[name] = self.calls.get(name, 0) + 1
        injected = self._next_injected(name)
        if injected and not injected.is_applied:
            raise injected.refusal
        answer = dict(self._method(name, params)(Params(params)))
        if injected:
            raise injected.refusal
        return answer

    def _method(self, name: str, params: Mapping[str, str]) -> Method:
        if name in self._open:
            return self._open[name]
        if name not in self._methods:
            raise Refusal(22)
        self._gate.require_session(params, self.shop.time)
        return self._methods[name]

    def _next_injected(self, name: str) -> _Injected | None:
        for injected in self._injected:
            if injected.method in {"", name}:
                self._injected.remove(injected)
                return injected
        return None

    def _busy(self) -> Refusal:
        return Refusal(15, self.settings.busy_sub_code, self.settings.busy_words)

    def _banned(self, ban: TooManyCalls) -> Refusal:
        words = f"This ban will last for {math.ceil(ban.ban_seconds)} more seconds"
        return Refusal(7, self.settings.ban_sub_code, words)


def _wrapper(method: str) -> str:
    """`taobao.item.sku.get` answers in `item_sku_get_response`, `tmall.item...` in `tmall_item..._response`."""
    return method.removeprefix("taobao.").replace(".", "_") + "_response"
