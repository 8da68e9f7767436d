"""Rehearsals whose scripts are made by the gateway, over real gRPC."""

from gateway.v1 import alert_service_pb2 as pb
from gateway.v1.alert_pb2 import AlertEventKind
from gateway.v1.channel_pb2 import Platform
from tests.client import Client, made, new_id
from tests.faults.calls import until
from tests.live.rooms import open_session
from tests.refusals import refused
from tests.rpc.played_shop import WAIT_SECONDS
from tests.rpc.shop_calls import create

FASTEST = 1_000.0


async def rehearse(client: Client, request_id: str = "", **source: object) -> pb.Drill:
    """Begin a rehearsal."""
    request = made(pb.RehearseRequest, request_id=request_id or new_id(), source=source, actor="小王")
    return (await client.alerts.Rehearse(request, **client.options)).drill


async def preview(client: Client, **source: object) -> pb.PreviewRehearsalResponse:
    """What would be rehearsed."""
    return await client.alerts.PreviewRehearsal(made(pb.PreviewRehearsalRequest, source=source), **client.options)


async def ended(client: Client, drill_id: int) -> pb.Drill:
    """The drill at its end."""
    request = pb.GetDrillRequest(drill_id=drill_id)

    async def is_over() -> bool:
        return (await client.alerts.GetDrill(request, **client.options)).drill.state != "RUNNING"

    await until(is_over, WAIT_SECONDS)
    return (await client.alerts.GetDrill(request, **client.options)).drill


async def played_session(client: Client) -> int:
    """A session in which 12 of 20 units were reserved, in 4 orders. Its number."""
    await client.add_sku("CUP", 20)
    await create(client, channel="tb", platform=Platform.PLATFORM_TAOBAO)
    session = await open_session(client, ["tb"], {"CUP": 0})
    for _ in range(4):
        await client.reserve("CUP", 3)
    return session.session_id


async def test_a_recorded_session_is_rehearsed(client: Client) -> None:
    """Its orders are played again, told as a drill's from end to end, scored, and no unit moves."""
    session_id = await played_session(client)
    shown = await preview(client, session_id=session_id, speed=FASTEST)
    assert shown.tape_orders == 4
    assert [(one.sku, one.units) for one in shown.script.skus] == [("CUP", 20)]
    assert not shown.script.tape
    before = await client.level("CUP")
    begun = await rehearse(client, session_id=session_id, speed=FASTEST)
    assert begun.script.room == "一号直播间"
    drill = await ended(client, begun.drill_id)
    assert (drill.state, drill.HasField("score")) == ("ENDED", True)
    assert await client.level("CUP") == before
    events = await client.ask(client.alerts.ListTierChanges, pb.ListTierChangesRequest, include_drills=True)
    of_drill = [one for one in events.events if one.drill_id == begun.drill_id]
    assert {AlertEventKind.ALERT_EVENT_KIND_DRILL_STARTED, AlertEventKind.ALERT_EVENT_KIND_DRILL_ENDED} <= {
        one.kind for one in of_drill
    }


async def test_made_up_sales_are_rehearsed_and_compared(client: Client) -> None:
    """A made-up drill of 20 units at 60 a minute warns before they are gone; the second time it is compared."""
    sales = {
        "name": "晚场",
        "skus": ["A"],
        "units": 200,
        "rate": 60.0,
        "seconds": 600.0,
        "lead_seconds": 60.0,
        "seed": 3,
    }
    shown = await preview(client, made_up=sales, speed=FASTEST)
    assert [one.sku for one in shown.script.expectations] == ["A"]
    first = await ended(client, (await rehearse(client, made_up=sales, speed=FASTEST)).drill_id)
    assert first.score.passed
    second = await ended(client, (await rehearse(client, made_up=sales, speed=FASTEST)).drill_id)
    assert second.score.compared


async def test_the_same_request_is_the_same_rehearsal(client: Client) -> None:
    """A repeated request id gets the drill that was begun, also while the session it is made from goes on (R10)."""
    session_id = await played_session(client)
    request_id = new_id()
    first = await rehearse(client, request_id, session_id=session_id)
    await client.reserve("CUP", 3)
    again = await rehearse(client, request_id, session_id=session_id)
    assert again.drill_id == first.drill_id
    refusal = await refused(rehearse(client, request_id, built_in="evening-peak"))
    assert refusal.reason == "REQUEST_ID_REUSED"


async def test_ours_are_listed(client: Client) -> None:
    """Each has a name to ask for it by, and words in two languages."""
    response = await client.alerts.ListRehearsals(pb.ListRehearsalsRequest(), **client.options)
    assert len(response.rehearsals) >= 3
    for one in response.rehearsals:
        assert all((one.title, one.title_en, one.text, one.text_en))
        shown = await preview(client, built_in=one.name)
        assert shown.script.name == one.script.name
