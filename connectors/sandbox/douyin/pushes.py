"""Outgoing pushes: signed, sent again under the same msg_id until taken in, lost and repeated by the weather."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import httpx

from connectors.douyin.signing import event_sign
from connectors.sandbox.douyin.orders import AfterSale, status_of
from connectors.sandbox.douyin.settings import DouyinSettings
from connectors.sandbox.faults import Faults
from connectors.sandbox.shop import EventKind, ShopOrder

TAGS = {EventKind.PLACED: "100", EventKind.PAID: "101", EventKind.SHIPPED: "102", EventKind.CLOSED: "106"}
REFUND_SUCCEEDED = "206"
PROBE = "0"
OK = 200
FORGER = "a guess at the secret"


@dataclass
class Pushes:
    """The pushes of one application to one URL; none are kept while there is no URL."""

    settings: DouyinSettings
    faults: Faults
    url: str = ""
    sent: int = 0
    taken_in: int = 0
    given_up: int = 0
    _queue: "asyncio.Queue[bytes]" = field(default_factory=asyncio.Queue)
    _number: int = 0

    def tell_of_order(self, kind: EventKind, order: ShopOrder) -> None:
        """An order was placed, paid, shipped or closed."""
        times = {"create_time": order.placed_time, "pay_time": order.paid_time, "update_time": order.update_time}
        if kind is EventKind.CLOSED:
            times["cancel_time"] = order.update_time
        data = {
            "p_id": int(order.order_id),
            "s_ids": [int(line.line_id) for line in order.lines],
            "shop_id": int(self.settings.shop_id),
            "order_status": status_of(order),
            "order_type": 0,
            "biz": 2,
            "pay_type": 1,
        }
        self._tell(TAGS[kind], data | {name: _seconds(time) for name, time in times.items()})

    def tell_of_refund(self, sale: AfterSale) -> None:
        """A refund has succeeded."""
        data = {
            "aftersale_id": sale.sale_id,
            "aftersale_status": 12,
            "aftersale_type": 1 if sale.was_shipped else 2,
            "p_id": int(sale.order_id),
            "s_id": int(sale.line_id),
            "shop_id": int(self.settings.shop_id),
            "refund_amount": sale.units * 100,
            "success_time": _seconds(sale.time),
        }
        self._tell(REFUND_SUCCEEDED, data)

    async def run(self) -> None:
        """Send until cancelled."""
        async with httpx.AsyncClient(timeout=self.settings.push_ack_seconds) as client, asyncio.TaskGroup() as sending:
            while True:
                body = await self._queue.get()
                for delay_seconds in self.faults.fate_of_push():
                    sending.create_task(self._deliver(client, body, delay_seconds))

    async def probe(self) -> bool:
        """What the console does when the URL is registered; True if it is answered as it should be."""
        async with httpx.AsyncClient(timeout=self.settings.push_ack_seconds) as client:
            return await self._is_taken_in(client, _body(PROBE, "0", "2026-01-02 03:04:05"))

    async def forge(self, order_id: str) -> bool:
        """A stranger who has no secret sends a push about an order; True if it is taken in."""
        body = _body("101", "forged", json.dumps({"p_id": int(order_id)}))
        async with httpx.AsyncClient(timeout=self.settings.push_ack_seconds) as client:
            return await self._is_taken_in(client, body, FORGER)

    def _tell(self, tag: str, data: Mapping[str, object]) -> None:
        if self.url:
            self._number += 1
            number = str(8_000_000_000_000_000_000 + self._number)
            self._queue.put_nowait(_body(tag, number, json.dumps(data, separators=(",", ":"))))

    async def _deliver(self, client: httpx.AsyncClient, body: bytes, delay_seconds: float) -> None:
        await asyncio.sleep(delay_seconds)
        for _ in range(self.settings.push_tries_max):
            if not self.faults.away and await self._is_taken_in(client, body):
                self.taken_in += 1
                return
            await asyncio.sleep(self.settings.push_again_seconds)
        self.given_up += 1

    async def _is_taken_in(self, client: httpx.AsyncClient, body: bytes, secret: str | None = None) -> bool:
        """One try; anything but HTTP 200 with code 0 in time counts as failed."""
        app = self.settings
        headers = {
            "content-type": "application/json",
            "app-id": app.app_key,
            "event-sign": event_sign(app.app_key, secret or app.app_secret, body, app.event_sign_method),
            "sign-method": app.event_sign_method.value,
        }
        self.sent += 1
        try:
            response = await client.post(self.url, content=body, headers=headers)
            return response.status_code == OK and response.json()["code"] == 0
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, LookupError, TypeError):
            return False


def _body(tag: str, msg_id: str, data: str) -> bytes:
    entries = [{"tag": tag, "msg_id": msg_id, "data": data}]
    return json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()


def _seconds(time: datetime | None) -> int:
    return int(time.timestamp()) if time else 0
