"""The inbox: hints are looked into, and everything else is turned away."""

import asyncio
import json

import httpx

from connectors.inbox import BODY_BYTES_MAX
from connectors.sandbox.kuaishou.pushes import seal
from tests.connectors.agent.desk import MUG, Desk, quick, until

# Nothing is walked: what is taken in, a hint has told of.
HINTS_ALONE = quick(poll_seconds=1000)


def push(desk: Desk, order_id: str) -> bytes:
    """What the platform sends when an order was paid; the same bytes are a repeat."""
    message = desk.sandbox.pushes.message("kwaishop_order_paySuccess", {"oid": int(order_id), "status": 30})
    return seal(json.dumps(message).encode(), desk.sandbox.settings.message_secret)


async def post(desk: Desk, body: bytes, channel: str = "shop") -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.post(f"http://{desk.inbox_address}/inbox/{channel}", content=body)


async def walked(desk: Desk) -> None:
    """Wait until the only walk is over."""
    await desk.serve(HINTS_ALONE)
    await until(lambda: desk.book.watermarks)


async def test_a_hint_brings_the_order_before_it_is_acknowledged(kuaishou: Desk) -> None:
    """When the platform hears "taken", the gateway has the order."""
    await walked(kuaishou)
    order = kuaishou.shop.place({MUG: 1})
    response = await post(kuaishou, push(kuaishou, order.order_id))
    assert (response.status_code, response.json()) == (200, {"result": 1})
    assert order.order_id in kuaishou.book.orders


async def test_the_platforms_own_pushes_are_understood(kuaishou: Desk) -> None:
    """What the sandbox sends by itself when an order is placed brings the order."""
    kuaishou.sandbox.push_url = f"http://{kuaishou.inbox_address}/inbox/shop"
    await walked(kuaishou)
    order = kuaishou.shop.place({MUG: 1})
    await until(lambda: order.order_id in kuaishou.book.orders)


async def test_a_repeated_hint_is_acknowledged_without_a_look(kuaishou: Desk) -> None:
    """A message that was taken is acknowledged again, and the platform is not asked again."""
    await walked(kuaishou)
    body = push(kuaishou, kuaishou.shop.place({MUG: 1}).order_id)
    await post(kuaishou, body)
    kuaishou.faults.away = True
    response = await post(kuaishou, body)
    assert response.json() == {"result": 1}


async def test_a_hint_that_cannot_be_looked_into_comes_again(kuaishou: Desk) -> None:
    """While the platform or the gateway is in trouble the push is not acknowledged; its repeat is."""
    await walked(kuaishou)
    order = kuaishou.shop.place({MUG: 1})
    body = push(kuaishou, order.order_id)
    kuaishou.faults.away = True
    assert (await post(kuaishou, body)).status_code == 503
    kuaishou.faults.away = False
    kuaishou.book.page_failures = 1
    assert (await post(kuaishou, body)).status_code == 503
    assert (await post(kuaishou, body)).status_code == 200
    assert order.order_id in kuaishou.book.orders


async def test_strangers_are_turned_away(kuaishou: Desk) -> None:
    """Forged, garbled, empty and huge bodies and unknown doors are refused, and the door stays open."""
    await walked(kuaishou)
    order = kuaishou.shop.place({MUG: 1})
    message = json.dumps(kuaishou.sandbox.pushes.message("kwaishop_order_paySuccess", {"oid": int(order.order_id)}))
    forged = seal(message.encode(), "A" * 22 + "==")
    for body in (forged, b"", b"\xff\x00garbage", b"{}", b"A" * 1000, b"[" * 100_000):
        assert (await post(kuaishou, body)).status_code == 403
    assert (await post(kuaishou, b"A" * (BODY_BYTES_MAX + 1))).status_code == 413
    assert (await post(kuaishou, b"", channel="other")).status_code == 404
    assert (await post(kuaishou, b"", channel="%2e%2e")).status_code == 404
    assert order.order_id not in kuaishou.book.orders
    assert (await post(kuaishou, push(kuaishou, order.order_id))).status_code == 200


async def test_more_hints_than_may_wait_are_sent_away(kuaishou: Desk) -> None:
    """Beyond a bound hints are refused at once, and taken when they come again."""
    settings = quick(poll_seconds=1000, hints_at_once=1, hints_waiting_max=2)
    await kuaishou.serve(settings)
    await until(lambda: kuaishou.book.watermarks)
    bodies = [push(kuaishou, kuaishou.shop.place({MUG: 1}).order_id) for _ in range(8)]
    codes = [response.status_code for response in await asyncio.gather(*(post(kuaishou, body) for body in bodies))]
    assert set(codes) <= {200, 503}
    for body in bodies:
        assert (await post(kuaishou, body)).status_code == 200
    assert set(kuaishou.book.orders) == set(kuaishou.shop.orders)
