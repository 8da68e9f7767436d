"""The platform: a shop behind the open platform's gate."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from connectors.base import ListingKey, Tokens
from connectors.sandbox.douyin.answers import Envelopes, Refusal, invalid
from connectors.sandbox.douyin.gate import Arrival, admitted, arrival_of
from connectors.sandbox.douyin.grants import Grants
from connectors.sandbox.douyin.orders import Orders
from connectors.sandbox.douyin.params import Params
from connectors.sandbox.douyin.products import Products
from connectors.sandbox.douyin.pushes import TAGS, Pushes
from connectors.sandbox.douyin.settings import DouyinSettings
from connectors.sandbox.douyin.stock import Aside, Stocks
from connectors.sandbox.faults import BusyError, Faults, TooManyCalls
from connectors.sandbox.serving import through_weather
from connectors.sandbox.shop import Event, Shop

THROTTLED = Refusal(60000, "isv.traffic-limited", "too many calls")
# Either may come before the write was applied, or after.
BUSY = (Refusal(20000, "isp.service-error:1", "service error"), Refusal(20001, "", "internal timeout"))


@dataclass(frozen=True)
class Injected:
    """An error that the next call of a path meets, after it was applied or instead."""

    path: str
    refusal: Refusal
    is_applied: bool


class DouyinSandbox:
    """Douyin for one application and one shop; `app` serves its calls, `run` sends its pushes."""

    def __init__(self, shop: Shop, faults: Faults | None = None, settings: DouyinSettings | None = None) -> None:
        """Put the protocol before the shop."""
        self.shop, self.faults, self.settings = shop, faults or Faults(), settings or DouyinSettings()
        self.grants = Grants(self.settings, shop)
        self.stocks = Stocks(self.settings, shop)
        self.orders = Orders(self.settings, shop)
        self.pushes = Pushes(self.settings, self.faults)
        self.app = Starlette(routes=[Route("/{path:path}", through_weather(self._answer), methods=["GET", "POST"])])
        # Paths of the calls that were let in, the newest last.
        self.calls: deque[str] = deque(maxlen=10_000)
        self._injected: list[Injected] = []
        self._envelopes = Envelopes(self.settings.legacy_failure_number)
        products = Products(self.stocks)
        self._calls: dict[str, Callable[[Params], object]] = {
            "/token/create": self.grants.create,
            "/token/refresh": self.grants.refresh,
            "/sku/syncStock": self.stocks.sync,
            "/sku/syncStockBatch": self.stocks.sync_batch,
            "/sku/syncStockBatchMultiProducts": self.stocks.sync_many,
            "/sku/stockNum": self.stocks.number,
            "/sku/list": products.skus,
            "/sku/detail": products.sku,
            "/product/listV2": products.products,
            "/warehouse/list": products.warehouses,
            "/order/searchList": self.orders.search,
            "/order/orderDetail": self.orders.detail,
            "/afterSale/List": self.orders.after_sales,
            "/afterSale/Detail": self.orders.after_sale,
        }
        shop.heard.append(self._hear)

    @property
    def push_url(self) -> str:
        """Where pushes go; "" while nobody wants any."""
        return self.pushes.url

    @push_url.setter
    def push_url(self, url: str) -> None:
        """Send pushes there from now on."""
        self.pushes.url = url

    def issue_tokens(self) -> Tokens:
        """Tokens of a seller who has agreed."""
        return self.grants.issue()

    def aside(self, key: ListingKey) -> Aside:
        """What a listing has besides its plain number; to be set by hand."""
        return self.stocks.asides.setdefault(key, Aside())

    def inject(self, path: str, code: int, sub_code: str = "", *, is_applied: bool = False) -> None:
        """The next call of `path` meets this error, after it was applied or instead."""
        self._injected.append(Injected(path, Refusal(code, sub_code, "injected"), is_applied))

    async def run(self) -> None:
        """Send pushes until cancelled."""
        await self.pushes.run()

    async def _answer(self, request: Request) -> Response:
        arrival = await arrival_of(request)
        try:
            answer = await self.faults.serve(lambda: self._tried(arrival))
        except TooManyCalls:
            answer = THROTTLED
        except BusyError:
            answer = self.faults.random.choice(BUSY)
        if isinstance(answer, Refusal):
            return self._envelopes.refused(answer, self.shop.time, has_legacy=arrival.has_legacy)
        return self._envelopes.fine(answer, self.shop.time, has_legacy=arrival.has_legacy)

    def _tried(self, arrival: Arrival) -> object:
        """A refusal is an answer, which may be lost like any other."""
        try:
            return self._apply(arrival)
        except Refusal as refusal:
            return refusal

    def _apply(self, arrival: Arrival) -> object:
        """One call, in one instant of the platform."""
        call = self._calls.get(arrival.path)
        if call is None:
            raise invalid("method")
        params = admitted(arrival, self.settings, self.grants, self.shop.time)
        self.calls.append(arrival.path)
        injected = next((one for one in self._injected if one.path == arrival.path), None)
        if injected is None:
            return call(params)
        self._injected.remove(injected)
        if injected.is_applied:
            call(params)
        raise injected.refusal

    def _hear(self, event: Event) -> None:
        self.stocks.hear(event)
        for sale in self.orders.hear(event):
            self.pushes.tell_of_refund(sale)
        if event.order is not None and event.kind in TAGS:
            self.pushes.tell_of_order(event.kind, event.order)
