"""Steering a city over HTTP on this machine: JSON in, JSON out.

    GET  /shops                               everything there is to see
    GET  /shops/{shop}/orders/{order}         one order
    POST /weather                             {"weather": "harsh"}                           everywhere
    POST /shops/{shop}/weather                {"weather": "calm"}
    POST /shops/{shop}/away                   {"seconds": 20}                                0: back
    POST /shops/{shop}/rate                   {"orders_per_minute": 60}                      in the busiest hour
    POST /shops/{shop}/push-url               {"url": "http://127.0.0.1:8080/inbox/douyin"}  "": no pushes
    POST /shops/{shop}/hand-edit              {"item_id": "1", "platform_sku_id": "2", "shown": 50}
    POST /shops/{shop}/cached                 {"item_id": "1", "platform_sku_id": "2", "seconds": 60}
    POST /shops/{shop}/orders                 {"item_id": "1", "platform_sku_id": "2", "quantity": 1}
    POST /shops/{shop}/orders/{order}/pay     and cancel, ship
    POST /shops/{shop}/orders/{order}/refund  {"line_id": "3", "quantity": 1}

`cached`: so long whoever asks is told the number of now, whatever the shop really shows by then.

The robots beside the shops have routes of their own (`robots/control.py`).

A refusal is {"error": "..."}: 400 what was asked makes no sense, 404 no such thing, 409 sold out, 413 too much.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from connectors.base import ListingKey
from connectors.sandbox.city import AWAY_SECONDS_MAX, City, Stall
from connectors.sandbox.crowd import Crowd
from connectors.sandbox.shop import Display, ShopOrder, SoldOut

_BODY_BYTES_MAX = 16 * 1024
# Pages of strangers cannot reach this machine's services by a name of their own.
_HOSTS = ["127.0.0.1", "localhost"]

_Units = Annotated[int, msgspec.Meta(ge=1, le=9_999_999)]
_Shown = Annotated[int, msgspec.Meta(ge=0, le=9_999_999)]
_Text = Annotated[str, msgspec.Meta(max_length=64)]


class _Weather(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    weather: Literal["none", "calm", "harsh"]


class _Away(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    seconds: Annotated[float, msgspec.Meta(ge=0, le=AWAY_SECONDS_MAX)]


class _Rate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    orders_per_minute: Annotated[float, msgspec.Meta(ge=0, le=60_000)]


class _PushUrl(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    url: Annotated[str, msgspec.Meta(max_length=500, pattern=r"^(http://(127\.0\.0\.1|localhost)(:\d{1,5})?(/\S*)?)?$")]


class _HandEdit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    item_id: _Text
    shown: _Shown
    platform_sku_id: _Text = ""


class _Cached(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    item_id: _Text
    seconds: Annotated[float, msgspec.Meta(ge=0, le=AWAY_SECONDS_MAX)]
    platform_sku_id: _Text = ""


class _Wanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    item_id: _Text
    quantity: _Units
    platform_sku_id: _Text = ""


class _Refund(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    line_id: _Text
    quantity: _Units


Body = TypeVar("Body", bound=msgspec.Struct)


class Refused(Exception):
    """What was asked is not done."""

    def __init__(self, status: int, message: str) -> None:
        """Say why, under this HTTP status."""
        super().__init__(message)
        self.status = status


def control_app(city: City, crowd: Crowd | None = None, more: Sequence[Route] = ()) -> Starlette:
    """The app that steers this city, and by `more` what stands beside it; without a crowd there are no rates."""
    control = _Control(city, crowd)
    routes = {
        "/weather": control.weather,
        "/shops/{shop}/weather": control.weather_of_one,
        "/shops/{shop}/away": control.away,
        "/shops/{shop}/rate": control.rate,
        "/shops/{shop}/push-url": control.push_url,
        "/shops/{shop}/hand-edit": control.hand_edit,
        "/shops/{shop}/cached": control.cached,
        "/shops/{shop}/orders": control.place,
        "/shops/{shop}/orders/{order}/pay": control.pay,
        "/shops/{shop}/orders/{order}/cancel": control.cancel,
        "/shops/{shop}/orders/{order}/ship": control.ship,
        "/shops/{shop}/orders/{order}/refund": control.refund,
    }
    return Starlette(
        routes=[
            Route("/shops", answering(control.shops), methods=["GET"]),
            Route("/shops/{shop}/orders/{order}", answering(control.order), methods=["GET"]),
            *(Route(path, answering(handle), methods=["POST"]) for path, handle in routes.items()),
            *more,
        ],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=_HOSTS)],
    )


def answering(handle: Callable[[Request], Awaitable[object]]) -> Callable[[Request], Awaitable[Response]]:
    """An endpoint that answers with what `handle` returns, or with why it refused."""

    async def endpoint(request: Request) -> Response:
        try:
            status, answer = 200, await handle(request)
        except Refused as refused:
            status, answer = refused.status, {"error": str(refused)}
        except SoldOut as sold_out:
            status, answer = 409, {"error": str(sold_out)}
        return Response(msgspec.json.encode(answer), status, media_type="application/json")

    return endpoint


class _Control:
    def __init__(self, city: City, crowd: Crowd | None) -> None:
        self._city, self._crowd = city, crowd

    async def shops(self, _: Request) -> object:
        return {name: self._stall_json(stall) for name, stall in self._city.stalls.items()}

    async def weather(self, request: Request) -> object:
        self._city.set_weather((await body_of(request, _Weather)).weather)
        return await self.shops(request)

    async def weather_of_one(self, request: Request) -> object:
        stall = self._stall(request)
        stall.set_weather((await body_of(request, _Weather)).weather)
        return self._stall_json(stall)

    async def away(self, request: Request) -> object:
        stall = self._stall(request)
        stall.go_away((await body_of(request, _Away)).seconds)
        return self._stall_json(stall)

    async def rate(self, request: Request) -> object:
        stall = self._stall(request)
        body = await body_of(request, _Rate)
        if self._crowd is None:
            raise Refused(404, "this city has no crowd")
        self._crowd.visitors[stall.name].rate = body.orders_per_minute / 60
        return self._stall_json(stall)

    async def push_url(self, request: Request) -> object:
        stall = self._stall(request)
        stall.push_url = (await body_of(request, _PushUrl)).url
        return self._stall_json(stall)

    async def hand_edit(self, request: Request) -> object:
        stall = self._stall(request)
        body = await body_of(request, _HandEdit)
        display = _display(stall, body.item_id, body.platform_sku_id)
        stall.shop.edit_by_hand(display.key, body.shown)
        return _display_json(display)

    async def cached(self, request: Request) -> object:
        stall = self._stall(request)
        body = await body_of(request, _Cached)
        display = _display(stall, body.item_id, body.platform_sku_id)
        stall.cache(display.key, body.seconds)
        return _display_json(display)

    async def place(self, request: Request) -> object:
        stall = self._stall(request)
        body = await body_of(request, _Wanted)
        display = _display(stall, body.item_id, body.platform_sku_id)
        return _order_json(stall.shop.place({display.key: body.quantity}))

    async def order(self, request: Request) -> object:
        return _order_json(_order(self._stall(request), request))

    async def pay(self, request: Request) -> object:
        stall = self._stall(request)
        return _order_json(stall.shop.pay(_order(stall, request).order_id))

    async def cancel(self, request: Request) -> object:
        stall = self._stall(request)
        return _order_json(stall.shop.close(_order(stall, request).order_id))

    async def ship(self, request: Request) -> object:
        stall = self._stall(request)
        return _order_json(stall.shop.ship(_order(stall, request).order_id))

    async def refund(self, request: Request) -> object:
        stall = self._stall(request)
        order = _order(stall, request)
        body = await body_of(request, _Refund)
        if body.line_id not in {line.line_id for line in order.lines}:
            raise Refused(404, "the order has no such line")
        return _order_json(stall.shop.refund(order.order_id, body.line_id, body.quantity))

    def _stall(self, request: Request) -> Stall:
        name = request.path_params["shop"]
        if name not in self._city.stalls:
            raise Refused(404, f"the shops are {', '.join(self._city.stalls)}")
        return self._city.stalls[name]

    def _stall_json(self, stall: Stall) -> dict[str, Any]:
        tally = stall.shop.tally
        return {
            "address": stall.address,
            "weather": stall.weather,
            "away": stall.faults.away,
            "orders_per_minute": self._crowd.visitors[stall.name].rate * 60 if self._crowd else 0.0,
            "push_url": stall.push_url,
            "orders": tally.orders,
            "units_sold": tally.units_sold,
            "refused": tally.refused,
            "hand_edits": tally.hand_edits,
            "hand_edited_units": tally.hand_edited_units,
            "listings": [_display_json(display) for display in stall.shop.displays.values()],
        }


async def body_of(request: Request, kind: type[Body]) -> Body:
    """The body as `kind`; raises `Refused` for anything else, and for too much."""
    raw = b""
    async for part in request.stream():
        raw += part
        if len(raw) > _BODY_BYTES_MAX:
            raise Refused(413, f"a body has at most {_BODY_BYTES_MAX} bytes")
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(400, f"not as it should be: {error}") from error


def _display(stall: Stall, item_id: str, platform_sku_id: str) -> Display:
    display = stall.shop.displays.get(ListingKey(item_id, platform_sku_id))
    if display is None:
        raise Refused(404, f"{stall.name} has no such listing; GET /shops shows them")
    return display


def _order(stall: Stall, request: Request) -> ShopOrder:
    order = stall.shop.orders.get(request.path_params["order"])
    if order is None:
        raise Refused(404, f"{stall.name} has no such order")
    return order


def _display_json(display: Display) -> dict[str, Any]:
    return {
        "item_id": display.key.item_id,
        "platform_sku_id": display.key.platform_sku_id,
        "title": display.title,
        "sku": display.outer_id,
        "shown": display.shown,
        "withheld": display.withheld,
        "told": display.told,
    }


def _order_json(order: ShopOrder) -> dict[str, Any]:
    return {
        "order_id": order.order_id,
        "state": order.state.name,
        "placed_time": order.placed_time,
        "update_time": order.update_time,
        "lines": [
            {
                "line_id": line.line_id,
                "item_id": line.key.item_id,
                "platform_sku_id": line.key.platform_sku_id,
                "quantity": line.quantity,
                "refunded": line.refunded,
                "shipped": line.shipped,
            }
            for line in order.lines
        ],
    }
