"""What is laid down before the case begins: goods, where they lie, what to be warned of, what to do, the live room."""

import uuid
from datetime import UTC, datetime, timedelta

from connectors.sandbox.city import City
from connectors.session.double11 import plan
from connectors.session.double11.plan import CaseSettings
from connectors.session.merchant import Merchant
from gateway.client import AlertsClient, LiveClient
from gateway.v1 import alert_pb2

MANAGER = "运营主管 manager"

RUNBOOKS = (
    alert_pb2.Runbook(
        tier=alert_pb2.TIER_TREND,
        steps=[
            alert_pb2.RunbookStep(text="看近仓有没有货，能调就调", text_en="See what the near warehouse has, move it")
        ],
        host_line="这款卖得很快，照常讲",
        host_line_en="It sells fast, go on as usual",
    ),
    alert_pb2.Runbook(
        tier=alert_pb2.TIER_THRESHOLD,
        steps=[
            alert_pb2.RunbookStep(text="主播换口播：不再加推这款", text_en="Host: stop pushing this one", owner="场控"),
            alert_pb2.RunbookStep(text="上架替代款", text_en="List the substitute", owner="运营"),
        ],
        host_line="这款库存不多了，带大家看看替代款",
        host_line_en="Not many left, show them the substitute",
    ),
    alert_pb2.Runbook(
        tier=alert_pb2.TIER_URGENT,
        steps=[alert_pb2.RunbookStep(text="只卖现有库存，不再承诺加货", text_en="Sell what is there, promise no more")],
        host_line="最后一点了，卖完就没有了",
        host_line_en="The last ones",
    ),
)


async def lay_down(merchant: Merchant, alerts: AlertsClient, city: City) -> None:
    """Everything but the session. Raises `GatewayError`, `ClientError`."""
    name = f"double11-{uuid.uuid4().hex}"
    sold, instead = (good.sku for good in city.goods)
    await merchant.set_up(city, {sold: plan.UNITS, instead: plan.UNITS_OF_SUBSTITUTE}, name, (plan.MAIN,))
    await merchant.stock(plan.NEAR, plan.NEAR_TITLE, {sold: plan.UNITS_NEAR}, name)
    await merchant.describe(sold, plan.TITLES[0], [instead])
    await merchant.describe(instead, plan.TITLES[1], [])
    policy = alert_pb2.AlertPolicy(
        sku=sold,
        lead_seconds=plan.LEAD_MINUTES * 60,
        fastest_lead_seconds=plan.FASTEST_LEAD_MINUTES * 60,
        hard_floor=plan.HARD_FLOOR,
    )
    await alerts.set_policy(policy, actor=MANAGER)
    for runbook in RUNBOOKS:
        await alerts.set_runbook(runbook, actor=MANAGER)


async def open_room(live: LiveClient, city: City, settings: CaseSettings) -> alert_pb2.Session:
    """The live session, from now on for as long as the case lasts. Raises `ClientError`."""
    return await live.open_session(
        plan.ROOM,
        channels=list(city.stalls),
        skus={city.goods[0].sku: 0},
        planned_end_time=datetime.now(UTC) + timedelta(seconds=settings.seconds(plan.MINUTES)),
        actor=MANAGER,
        host=plan.HOST,
        agora_channel=plan.AGORA_CHANNEL,
    )
