"""A merchant in the middle of his evening: goods with every kind of name, three shops, orders, trouble, people."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from gateway.v1 import alert_service_pb2 as alerts
from gateway.v1 import catalog_service_pb2 as catalog
from gateway.v1 import live_service_pb2 as live
from gateway.v1 import stock_service_pb2 as stock
from gateway.v1.channel_pb2 import Platform
from tests.client import Client
from tests.rpc.played_shop import PAID, Shop, order
from tests.rpc.shop_calls import create

# What a platform, an import or a person may write; it must stay text.
MARKUP = (
    '<img src=x onerror="document.title=1">',
    "<script>document.title=1</script>",
    '"><svg onload=document.title=1>',
    "{{7*7}}${7*7}<%= 7*7 %>",
    "</title></script><style>*{display:none}</style>",
)
HOSTILE = "".join(MARKUP)[:180]
LONG = "超长商品名称" * 30
TITLES = {
    "CUP-01": "手冲咖啡杯 350ml",
    "MUG-02": "保温马克杯 · 樱花限定",
    "TEA-03": "明前龙井 250g",
    "BOX-04": "礼盒装（十二件）",
    "A/B&C=D?#1": HOSTILE,
    "L" * 64: LONG,
}
UNITS = 40


@asynccontextmanager
async def evening(client: Client) -> AsyncIterator[Shop]:
    """Have it play; the shop whose connector lives while this lasts."""
    for sku, title in TITLES.items():
        content = {"sku": sku, "title": title}
        await client.ask(client.catalog.CreateSku, catalog.CreateSkuRequest, sku=content)
        await client.receive(sku, UNITS)
    shop = Shop(client)
    await shop.open()
    for number, sku in enumerate(TITLES, start=1):
        await shop.link((sku, 1), item_id=str(number))
    await create(client, channel="dy", platform=Platform.PLATFORM_DOUYIN, title=HOSTILE)
    await create(client, channel="ks", platform=Platform.PLATFORM_KUAISHOU)
    await shop.link(("CUP-01", 1), channel="dy", item_id="9")
    async with shop.serving():
        await shop.wait_shown(**{f"L{number}": UNITS for number in range(2, len(TITLES) + 1)})
        await _trouble(shop)
        await _people(client)
        yield shop


async def _people(client: Client) -> None:
    """A session is on the air; something was lost; warnings of one SKU are silenced."""
    soon = datetime.now(UTC) + timedelta(hours=2)
    room = {"room": HOSTILE[:60], "channels": ["dy"], "skus": [{"sku": "CUP-01"}], "planned_end_time": soon}
    await client.tell(client.live.OpenSession, live.OpenSessionRequest, actor="李敏", **room)
    silence = {"matcher": {"skus": ["BOX-04"]}, "end_time": soon, "comment": HOSTILE}
    await client.tell(client.alerts.Silence, alerts.SilenceRequest, actor="王芳", **silence)
    lost = {"sku": "TEA-03", "change": -15, "reason": f"盘亏 {MARKUP[0]}", "record_reality": True}
    await client.tell(client.stock.AdjustStock, stock.AdjustStockRequest, **lost)


async def _trouble(shop: Shop) -> None:
    """Orders come in; a number was typed by hand; the platform refuses one and says why, in its own words."""
    await shop.report_orders(
        *(order(shop, f"order-{number}", PAID, {"item_id": "2", "quantity": 3}) for number in range(5)),
        order(shop, "order-5", PAID, {"item_id": "4", "quantity": UNITS + 5}),
        watermark=True,
    )
    shop.shown[3] = 25 + 12
    await shop.report_reading(3)
