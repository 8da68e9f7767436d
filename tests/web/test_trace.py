"""Traces on the page: recent ones, and a waterfall that shows what came of what."""

import grpc.aio
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub
from opentelemetry.proto.trace.v1.trace_pb2 import Status
from playwright.async_api import expect

from tests.rpc.test_traces import Traces, hex_id, span, told
from tests.web.people import Person

pytestmark = pytest.mark.asyncio(loop_scope="session")

MARKUP = "<img src=x onerror=alert(1)>"


async def trace(person: Person) -> None:
    """An order's trace, and a push of another trace that goes on from it and has failed at the platform."""
    async with grpc.aio.insecure_channel(person.place.address) as channel:
        traces = Traces(person.place.client, TraceServiceStub(channel))  # type: ignore[no-untyped-call]  # generated
        failed = Status(code=Status.STATUS_CODE_ERROR)
        said = [told("error.type", string_value="Throttled"), told("said", string_value=MARKUP)]
        sku = told("stockgate.sku", string_value="CUP/红")
        await traces.export(span(1, 1, name="take order"), span(1, 2, parent=1, name="POST /router/rest"))
        await traces.export(span(2, 1, links=(1,), name="process push", attributes=[sku]))
        await traces.export(span(2, 3, parent=1, name=MARKUP, status=failed, attributes=said))


async def test_from_the_list_to_the_cause_with_the_keyboard(person: Person) -> None:
    """A trace is opened from the list; what failed says so in words; its details open with Enter; markup is text."""
    await trace(person)
    page = await person.open("/trace")
    rows = page.locator("tbody tr")
    await expect(rows).to_have_count(2)
    await expect(rows.filter(has_text="取订单")).to_contain_text("正常")
    await expect(rows.filter(has_text="改数")).to_contain_text("出错")
    await rows.filter(has_text="取订单").focus()
    await page.keyboard.press("Enter")
    await page.wait_for_url(f"**/trace/{hex_id(1)}")
    await person.settled()
    lines = page.locator("button.span-line")
    await expect(lines).to_have_count(4)
    await expect(page.locator(".trace-facts")).to_contain_text("4 段 · 2 条链路")
    await expect(page.locator(".trace-facts .chip.bad")).to_contain_text("1 段出错")
    await expect(lines.first).to_contain_text("take order")
    failed = lines.filter(has_text=MARKUP)
    await expect(failed).to_contain_text("Throttled")
    await failed.focus()
    await page.keyboard.press("Enter")
    await expect(failed).to_have_attribute("aria-expanded", "true")
    await expect(page.locator(".span-more", has_text=MARKUP)).to_be_visible()
    push = lines.filter(has_text="process push")
    await push.click()
    await expect(page.locator(".span-more a[href='/sku/CUP%2F%E7%BA%A2']")).to_be_visible()
    await expect(page.locator(f".span-more a.link-line[href='/trace/{hex_id(1)}']")).to_be_visible()


async def test_only_what_is_asked_for(person: Person) -> None:
    """By SKU, by failure; the address says it, so that it can be sent to somebody. A trace that is gone says so."""
    await trace(person)
    page = await person.open("/trace?errors=1")
    await expect(page.locator("tbody tr")).to_have_count(1)
    await page.get_by_placeholder("只看这个 SKU").fill("MUG")
    await page.keyboard.press("Enter")
    await expect(page.locator(".empty")).to_contain_text("没有符合的链路")
    await page.wait_for_url("**/trace?sku=MUG&errors=1")
    page = await person.open(f"/trace/{hex_id(9)}")
    await expect(page.locator(".empty")).to_contain_text("已经没有了")


async def test_a_sku_is_followed_from_the_page(person: Person) -> None:
    """Only one that there is; until when is said."""
    await person.place.client.add_sku("CUP")
    page = await person.open("/trace?sku=CUP")
    await page.get_by_role("button", name="跟踪 10 分钟").click()
    await expect(page.locator(".notice.ok")).to_contain_text("CUP")
