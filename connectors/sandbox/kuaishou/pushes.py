"""Outgoing pushes: encrypted, not signed, sent again until the receiver says `{"result":1}`, and then lost.

The body is Base64 of AES-128-CBC with PKCS7 and an IV of zero bytes, as Kuaishou's demo decrypts it.
"""

import asyncio
import base64
import json
import secrets
from collections import Counter
from collections.abc import Mapping
from typing import Any

import httpx
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from connectors.sandbox.faults import Faults
from connectors.sandbox.kuaishou.answers import to_milliseconds
from connectors.sandbox.kuaishou.sales import REFUND_ASKED, RefundRecord, Sale
from connectors.sandbox.kuaishou.settings import KuaishouSettings
from connectors.sandbox.shop import Clock, EventKind

AT_ONCE_MAX = 32
_BLOCK_BITS = 128
_WRONG_KEY = base64.b64encode(b"not the real key").decode()

EVENT_OF = {
    EventKind.PLACED: "kwaishop_order_addOrder",
    EventKind.PAID: "kwaishop_order_paySuccess",
    EventKind.SHIPPED: "kwaishop_order_delivering",
    EventKind.CLOSED: "kwaishop_order_orderFail",
}
REFUND_ADDED, REFUND_UPDATED = "kwaishop_aftersales_addRefund", "kwaishop_aftersales_updateRefund"


class Pushes:
    """What the platform tells the seller's server, to `url` once it is known. `counts`: sent, taken, lost."""

    def __init__(self, settings: KuaishouSettings, faults: Faults, clock: Clock) -> None:
        """Begin without a receiver: what happens then is told to nobody."""
        self.settings = settings
        self.url = ""
        self.counts: Counter[str] = Counter()
        self._faults = faults
        self._clock = clock
        self._queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        self._gate = asyncio.Semaphore(AT_ONCE_MAX)
        # Event ids of two sandboxes never meet.
        self._name, self._number = secrets.token_hex(6), 0

    # ---- what is told

    def tell_order(self, kind: EventKind, sale: Sale, status: int) -> None:
        """An order is new or has changed."""
        info = {"oid": sale.oid, "sellerId": self.settings.seller_id, "openId": f"open-{self.settings.seller_id}"}
        if kind is EventKind.PLACED:
            info |= {"buyerOpenId": f"buyer-{sale.order.order_id}"}
            info |= {"createTime": to_milliseconds(sale.order.placed_time)}
        else:
            info |= {"status": status, "updateTime": to_milliseconds(sale.order.update_time)}
        self.tell(EVENT_OF[kind], info, biz_id=sale.oid)

    def tell_refund(self, refund: RefundRecord) -> None:
        """A refund is there, and has come to its end if it has."""
        info: dict[str, Any] = {
            "orderId": refund.oid,
            "refundId": refund.refund_id,
            "sellerId": self.settings.seller_id,
            "handlingWay": refund.handling_way,
            "specialRefundType": refund.special_type,
        }
        created = {"status": REFUND_ASKED, "createTime": to_milliseconds(refund.create_time)}
        self.tell(REFUND_ADDED, info | created, biz_id=refund.refund_id)
        if refund.status != REFUND_ASKED:
            changed = {"status": refund.status, "eventType": 1, "updateTime": to_milliseconds(refund.update_time)}
            self.tell(REFUND_UPDATED, info | changed, biz_id=refund.refund_id)

    def tell(self, event: str, info: Mapping[str, Any], *, biz_id: int = 0, test: bool = False) -> str:
        """Send an event, as the weather has it; returns its `eventId`."""
        message = self.message(event, info, biz_id=biz_id, test=test)
        self.send(seal(json.dumps(message).encode(), self.settings.message_secret))
        return str(message["eventId"])

    def heartbeat(self) -> str:
        """Send the probe that is to be answered and not used."""
        return self.tell("kwaishop_order_addOrder", {"oid": 1}, test=True)

    def forge(self, oid: int) -> None:
        """Send what a stranger who does not know the secret would."""
        message = self.message("kwaishop_order_paySuccess", {"oid": oid, "status": 30})
        self.send(seal(json.dumps(message).encode(), _WRONG_KEY))

    def send(self, body: bytes) -> None:
        """Send these bytes, once, twice or never, each time until they are taken."""
        if not self.url:
            return
        delays = self._faults.fate_of_push()
        self.counts["lost"] += not delays
        for delay in delays:
            self._queue.put_nowait((delay, body))

    def message(self, event: str, info: Mapping[str, Any], *, biz_id: int = 0, test: bool = False) -> dict[str, Any]:
        """A push in the clear; `info` is JSON inside of JSON."""
        self._number += 1
        now = to_milliseconds(self._clock())
        return {
            "eventId": f"{self._name}-{self._number}",
            "msgId": f"m-{self._name}-{self._number}",
            "bizId": biz_id,
            "userId": self.settings.seller_id,
            "openId": f"open-{self.settings.seller_id}",
            "appKey": self.settings.app_key,
            "event": event,
            "info": json.dumps(info, separators=(",", ":")),
            "status": 1,
            "createTime": now,
            "updateTime": now,
            "operator": "",
            "test": test,
        }

    # ---- how it gets there

    async def run(self) -> None:
        """Deliver until cancelled."""
        async with (
            httpx.AsyncClient(timeout=self.settings.push_timeout_seconds, trust_env=False) as client,
            asyncio.TaskGroup() as tasks,
        ):
            while True:
                delay, body = await self._queue.get()
                # The group keeps it until it is done.
                tasks.create_task(self._deliver(client, delay, body))

    async def _deliver(self, client: httpx.AsyncClient, delay: float, body: bytes) -> None:
        for _ in range(1 + self.settings.redeliveries_max):
            await asyncio.sleep(delay)
            async with self._gate:
                taken = await self._post(client, body)
            self.counts["sent"] += 1
            if taken:
                self.counts["taken"] += 1
                return
            delay = self.settings.redelivery_seconds
        self.counts["lost"] += 1

    async def _post(self, client: httpx.AsyncClient, body: bytes) -> bool:
        try:
            response = await client.post(self.url, content=body, headers={"content-type": "text/plain"})
            answer = response.json()
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, RecursionError):
            return False
        return response.status_code == httpx.codes.OK and isinstance(answer, dict) and answer.get("result") == 1


def seal(plain: bytes, message_secret: str) -> bytes:
    """The body of a push."""
    padder = PKCS7(_BLOCK_BITS).padder()
    padded = padder.update(plain) + padder.finalize()
    encryptor = Cipher(algorithms.AES(base64.b64decode(message_secret)), modes.CBC(bytes(16))).encryptor()
    return base64.b64encode(encryptor.update(padded) + encryptor.finalize())
