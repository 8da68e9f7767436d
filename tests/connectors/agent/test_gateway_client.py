"""The gateway from an agent's side: away, busy, or of another opinion."""

import asyncio
import time

import pytest

from connectors.contract import GatewayRefused, PushReport, PushResult
from connectors.gateway_client import GatewayAddress, GatewayClient
from tests.connectors.agent.desk import CUP_ID, MUG, MUG_ID, Desk, quick, until
from tests.connectors.agent.gateway import APPLIED, CHANNEL, RAISE, serving_gateway


async def test_a_gateway_that_was_away_gets_everything(taobao: Desk) -> None:
    """While the gateway is away nothing is lost: reports and orders arrive when it is back."""
    async with serving_gateway(taobao.book) as address:
        taobao.gateway_address = address
        await taobao.serve()
        await taobao.report_on(taobao.book.push(MUG_ID, RAISE, 1))
    order = taobao.shop.place({MUG: 1})
    push_id = taobao.book.push(MUG_ID, RAISE, 1)
    await asyncio.sleep(0.5)
    assert order.order_id not in taobao.book.orders
    async with serving_gateway(taobao.book, int(address.rpartition(":")[2])):
        assert (await taobao.report_on(push_id)).result == APPLIED
        await until(lambda: order.order_id in taobao.book.orders)
        assert taobao.shown() == 11


async def test_a_silent_gateway_is_left(taobao: Desk) -> None:
    """A stream without a sign of life is given up and opened again."""
    taobao.book.is_silent = True
    await taobao.serve(quick(progress_seconds=1, silence_seconds=0.5))
    push_id = taobao.book.push(MUG_ID, RAISE, 1)
    assert not taobao.book.reports_on(push_id)
    taobao.book.is_silent = False
    assert (await taobao.report_on(push_id)).result == APPLIED


async def test_a_busy_gateway_is_given_the_time_it_asks_for(taobao: Desk) -> None:
    """RESOURCE_EXHAUSTED is tried again, after the delay that RetryInfo names."""
    client = GatewayClient(GatewayAddress(taobao.gateway_address))
    taobao.clients.append(client)
    taobao.book.busy_calls = 2
    begun = time.monotonic()
    await client.report_pushes(CHANNEL, [PushReport(1, 1, PushResult.APPLIED)])
    assert time.monotonic() - begun >= 2 * taobao.book.busy_seconds
    assert len(taobao.book.reports) == 1


async def test_a_refusal_is_told_with_its_reason(taobao: Desk) -> None:
    """What the gateway refuses is not tried again; its reason says why."""
    client = GatewayClient(GatewayAddress(taobao.gateway_address))
    taobao.clients.append(client)
    with pytest.raises(GatewayRefused) as refusal:
        await client.store_tokens(CHANNEL, 17, taobao.book.tokens)
    assert (refusal.value.code, refusal.value.reason) == ("ABORTED", "TOKENS_CHANGED")


async def test_a_report_that_is_refused_holds_up_no_other(taobao: Desk) -> None:
    """The others arrive, and a person is told of the one, until it is taken after all."""
    bad = taobao.book.push(MUG_ID, RAISE, 1)
    good = taobao.book.push(CUP_ID, RAISE, 1)
    taobao.book.bad_pushes.add(bad)
    await taobao.serve()
    assert (await taobao.report_on(good)).result == APPLIED
    await until(lambda: f"push {bad}" in taobao.book.heartbeats[-1].needs)
    taobao.book.bad_pushes.clear()
    taobao.book.go_away("MAX_AGE")
    assert (await taobao.report_on(bad)).result == APPLIED
    await until(lambda: not taobao.book.heartbeats[-1].needs)
