"""The messages of one seller: at least once, until confirmed (the API metadata of `taobao.tmc.*`)."""

import heapq
import itertools
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from connectors.sandbox.faults import Faults
from connectors.sandbox.shop import Event, EventKind, Shop
from connectors.sandbox.taobao.answers import Answer, numeric
from connectors.sandbox.taobao.orders import refund_id_of, status_of
from connectors.sandbox.taobao.params import Params
from connectors.sandbox.taobao.refusals import invalid
from connectors.sandbox.taobao.settings import Settings
from connectors.taobao.times import written

FIRST_ID = 7_160_000_000_000_000_001
QUANTITY_MIN, QUANTITY, QUANTITY_MAX = 10, 100, 200
TOPICS = {
    EventKind.PLACED: "taobao_trade_TradeCreate",
    EventKind.PAID: "taobao_trade_TradeBuyerPay",
    EventKind.CLOSED: "taobao_trade_TradeClose",
    EventKind.REFUNDED: "taobao_refund_RefundSuccess",
    EventKind.SHIPPED: "taobao_trade_TradeSellerShip",
    EventKind.STOCK_CHANGED: "taobao_item_ItemStockChanged",
}


@dataclass
class Message:
    """One message on its way; `deliveries` so far."""

    id: int
    topic: str
    content: str
    time: datetime
    deliveries: int = 0


class Mailbox:
    """What has not been confirmed yet, and when it is to be delivered."""

    def __init__(self, shop: Shop, faults: Faults, settings: Settings) -> None:
        """Hear of everything that happens in the shop."""
        self._shop, self._faults, self._settings = shop, faults, settings
        self._numbers = itertools.count(FIRST_ID)
        self._pending: dict[int, Message] = {}
        self._due: list[tuple[float, int]] = []
        self._permitted: set[str] | None = None
        self.heard: list[Callable[[], None]] = []
        shop.heard.append(self._post_event)

    def methods(self) -> dict[str, Callable[[Params], Answer]]:
        """The methods that need no seller, by name."""
        return {
            "taobao.tmc.messages.consume": self._consume,
            "taobao.tmc.messages.confirm": self._confirm,
            "taobao.tmc.queue.get": self._queue,
        }

    def seller_methods(self) -> dict[str, Callable[[Params], Answer]]:
        """The methods that a seller allows, by name."""
        return {
            "taobao.tmc.user.permit": self._permit,
            "taobao.tmc.user.get": self._user,
            "taobao.tmc.user.cancel": self._cancel,
        }

    def post(self, topic: str, content: str) -> int:
        """A new message; returns its id. What becomes of its first delivery is up to the weather."""
        message = Message(next(self._numbers), topic, content, self._shop.time)
        self._pending[message.id] = message
        now = time.monotonic()
        delays = self._faults.fate_of_push() or [self._settings.redelivery_seconds]
        for delay in delays:
            heapq.heappush(self._due, (now + delay, message.id))
        for hear in self.heard:
            hear()
        return message.id

    @property
    def unconfirmed(self) -> int:
        """How many messages still wait."""
        return len(self._pending)

    @property
    def wait_seconds(self) -> float | None:
        """How long until the next delivery; None if there is none."""
        return max(0.0, self._due[0][0] - time.monotonic()) if self._due else None

    def take(self, number_max: int) -> list[Message]:
        """Deliver what is due; unless confirmed, it comes again."""
        now, taken = time.monotonic(), list[Message]()
        while self._due and self._due[0][0] <= now and len(taken) < number_max:
            message = self._pending.get(heapq.heappop(self._due)[1])
            if message is None:
                continue
            message.deliveries += 1
            taken.append(message)
            if message.deliveries < self._settings.deliveries_max:
                heapq.heappush(self._due, (now + self._settings.redelivery_seconds, message.id))
        return taken

    def confirm(self, message_id: int) -> None:
        """It need not come again."""
        self._pending.pop(message_id, None)

    def redeliver(self) -> None:
        """Make everything that is not confirmed due at once."""
        self._due = [(time.monotonic(), message_id) for message_id in self._pending]
        heapq.heapify(self._due)
        for hear in self.heard:
            hear()

    def _consume(self, params: Params) -> Answer:
        messages = self.take(params.number("quantity", QUANTITY, QUANTITY_MIN, QUANTITY_MAX))
        told = [
            {
                "id": message.id,
                "topic": message.topic,
                "content": message.content,
                "pub_time": written(message.time),
                "pub_app_key": self._settings.app_key,
                "user_id": self._settings.seller_id,
                "user_nick": self._settings.seller_nick,
            }
            for message in messages
        ]
        return {"messages": {"tmc_message": told}} if told else {}

    def _confirm(self, params: Params) -> Answer:
        ids = params.text("s_message_ids").split(",")
        if len(ids) > QUANTITY_MAX or not all(one.isascii() and one.isdigit() for one in ids):
            raise invalid("s_message_ids")
        for one in ids:
            self.confirm(int(one))
        return {"is_success": True}

    def _queue(self, params: Params) -> Answer:
        name = params.text("group_name")
        return {"datas": {"tmc_queue_info": [{"name": name, "topic": "*", "message_count": self.unconfirmed}]}}

    def _permit(self, params: Params) -> Answer:
        """The topics of this call, and no longer those of an earlier one; all of them if it names none."""
        topics = params.optional("topics")
        self._permitted = set(topics.split(",")) if topics else None
        return {"is_success": True}

    def _user(self, params: Params) -> Answer:
        fields = params.fields()
        topics = sorted(TOPICS.values() if self._permitted is None else self._permitted)
        user: Answer = {
            "user_id": self._settings.seller_id,
            "user_nick": self._settings.seller_nick,
            "is_valid": self._permitted != set(),
            "topics": {"string": topics},
        }
        return {"tmc_user": {name: value for name, value in user.items() if name in fields}}

    def _cancel(self, params: Params) -> Answer:
        self._permitted = set()
        return {"is_success": True}

    def _post_event(self, event: Event) -> None:
        topic = TOPICS[event.kind]
        if self._permitted is None or topic in self._permitted:
            content = self._about_order(event) if event.order else self._about_stock(event)
            self.post(topic, json.dumps(content, ensure_ascii=False))

    def _about_order(self, event: Event) -> Answer:
        order = event.order
        assert order is not None
        line = max(order.lines, key=lambda one: one.given_back_time or order.placed_time)
        content: Answer = {
            "tid": numeric(order.order_id),
            "oid": numeric(line.line_id),
            "seller_nick": self._settings.seller_nick,
        }
        if event.kind is EventKind.REFUNDED:
            refund = {"refund_id": numeric(refund_id_of(line)), "bill_type": "REFUND_BILL", "refund_phase": "ONSALE"}
            return content | refund | {"modified": written(event.time)}
        return content | {"status": status_of(order), "type": "guarantee_trade"}

    def _about_stock(self, event: Event) -> Answer:
        assert event.key is not None
        displays = self._shop.items(event.key.item_id)
        content: Answer = {
            "num_iid": numeric(event.key.item_id),
            "num": sum(one.shown for one in displays),
            "increment": event.change,
            "nick": self._settings.seller_nick,
        }
        if event.key.platform_sku_id:
            content["sku_id"] = numeric(event.key.platform_sku_id)
            content["sku_num"] = self._shop.displays[event.key].shown
        return content
