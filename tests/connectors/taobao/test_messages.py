"""The message channel: every hint at least once, over either way, whatever happens to the connection."""

import asyncio
import gzip
import json
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from connectors.base import Hint, Inbound, ListingKey
from connectors.errors import Forged, Misunderstood
from connectors.sandbox.taobao import Refusal, Settings
from connectors.taobao import Taobao
from connectors.taobao.pushes import hint_of
from connectors.taobao.toplink import Frame, FrameType, Kind, Value, decode, encode
from tests.connectors.taobao.caller import call, refusal, signature
from tests.connectors.taobao.stand import CUP, MUG_RED, STILL, Stand, a_stand, until

CONSUME, CONFIRM = "taobao.tmc.messages.consume", "taobao.tmc.messages.confirm"
WAYS = ["websocket", "http"]


class Ear:
    """What was heard; raises as long as it is told to."""

    def __init__(self) -> None:
        self.hints: list[Hint] = []
        self.refusals = 0

    async def __call__(self, hint: Hint) -> None:
        if self.refusals:
            self.refusals -= 1
            raise RuntimeError("not now")
        self.hints.append(hint)

    @property
    def orders(self) -> set[str]:
        return {hint.order_id for hint in self.hints}


def by(stand: Stand, way: str) -> Taobao:
    """A connector that listens over the WebSocket, or over HTTP."""
    return stand.platform if way == "websocket" else stand.another(replace(stand.credentials, messages_url=""))


@asynccontextmanager
async def listening(platform: Taobao, ear: Ear) -> AsyncIterator[None]:
    """Listen as long as the block lasts."""
    task = asyncio.create_task(platform.listen(ear))
    try:
        yield
    finally:
        task.cancel()
        (ended,) = await asyncio.gather(task, return_exceptions=True)
        assert isinstance(ended, asyncio.CancelledError)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("gzips", [False, True])
async def test_everything_that_happens_is_hinted_at(way: str, *, gzips: bool) -> None:
    """An order's whole life and a stock change; each is confirmed, and comes no more."""
    async with a_stand(settings=Settings(gzips_content=gzips, redelivery_seconds=0.05)) as stand:
        ear = Ear()
        async with listening(by(stand, way), ear):
            order = stand.shop.place({MUG_RED: 2, CUP: 1})
            stand.shop.pay(order.order_id)
            stand.shop.refund(order.order_id, order.lines[0].line_id, 1)
            stand.shop.ship(order.order_id)
            stand.shop.edit_by_hand(MUG_RED, 3)
            stand.shop.edit_by_hand(CUP, 3)
            await until(lambda: stand.sandbox.mailbox.unconfirmed == 0)
        assert Counter((hint.order_id, hint.key) for hint in ear.hints) >= Counter(
            {(order.order_id, None): 4, ("", MUG_RED): 1, ("", CUP): 1}
        )
        assert len({hint.message_id for hint in ear.hints}) == 6


@pytest.mark.parametrize("way", WAYS)
async def test_what_is_not_taken_in_comes_again(way: str, caplog: pytest.LogCaptureFixture) -> None:
    """With the same id; and the failure is in the log."""
    async with a_stand(settings=Settings(redelivery_seconds=0.05)) as stand:
        ear = Ear()
        ear.refusals = 2
        async with listening(by(stand, way), ear):
            order = stand.shop.place({CUP: 1})
            await until(lambda: stand.sandbox.mailbox.unconfirmed == 0)
        assert ear.orders == {order.order_id}
        assert sum(record.levelno == logging.ERROR for record in caplog.records) == 2


@pytest.mark.parametrize("way", WAYS)
async def test_lost_repeated_and_overtaken_messages(way: str) -> None:
    """What is lost on its way comes again; a repetition has the same id."""
    async with a_stand(settings=Settings(redelivery_seconds=0.1, deliveries_max=1000)) as stand:
        stand.faults.weather = replace(STILL, push_lose=0.4, push_repeat=0.4, push_delay_seconds=0.02)
        ear = Ear()
        async with listening(by(stand, way), ear):
            orders = {stand.shop.place({CUP: 1}).order_id for _ in range(10)}
            await until(lambda: ear.orders == orders and stand.sandbox.mailbox.unconfirmed == 0)
        assert len({hint.message_id for hint in ear.hints}) == 10


@pytest.mark.parametrize("way", WAYS)
async def test_a_slow_message_holds_up_no_other(stand: Stand, way: str) -> None:
    """The first hint is still being looked into when the second one has been taken in."""
    heard: list[str] = []
    second_is_in = asyncio.Event()

    async def hear(hint: Hint) -> None:
        heard.append(hint.order_id)
        if len(heard) == 1:
            await second_is_in.wait()
        second_is_in.set()

    orders = [stand.shop.place({CUP: 1}).order_id for _ in range(2)]
    await until(lambda: stand.sandbox.mailbox.unconfirmed == 2)
    listening = asyncio.create_task(by(stand, way).listen(hear))
    await until(lambda: stand.sandbox.mailbox.unconfirmed == 0)
    assert sorted(heard) == sorted(orders)
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)


async def test_a_lost_connection_is_made_again(stand: Stand) -> None:
    """What happened meanwhile is heard after that."""
    ear = Ear()
    async with listening(stand.platform, ear):
        await until(lambda: stand.sandbox.channel.connections == 1)
        stand.faults.away = True
        await stand.sandbox.channel.drop()
        await until(lambda: stand.sandbox.channel.connections == 0)
        order = stand.shop.place({CUP: 1})
        stand.faults.away = False
        await until(lambda: ear.orders == {order.order_id})


async def test_trouble_does_not_end_the_listening(stand: Stand) -> None:
    """Over HTTP: errors of the platform, a ban, a dead answer; then it goes on."""
    ear = Ear()
    for one in (Refusal(15, "isp.unknown-error"), Refusal(11), Refusal(27), Refusal(40)):
        stand.sandbox.inject(one, method=CONSUME)
    stand.sandbox.inject(Refusal(15, "isp.unknown-error"), method=CONFIRM, times=3)
    async with listening(by(stand, "http"), ear):
        order = stand.shop.place({CUP: 1})
        await until(lambda: ear.orders == {order.order_id})


async def test_spoiled_frames_do_no_harm(stand: Stand, caplog: pytest.LogCaptureFixture) -> None:
    """A frame that cannot be read costs itself alone: the others come over the same connection."""
    ear = Ear()
    nameless = encode(Frame(FrameType.SEND, {"__kind": Kind.DATA, "topic": "t"}))
    async with listening(stand.platform, ear):
        await until(lambda: stand.sandbox.channel.connections == 1)
        for frame in (b"", b"\x02\x02\xff", nameless, encode(Frame(FrameType.SEND_ACK, {}))):
            await stand.sandbox.channel.send_raw(frame)
        order = stand.shop.place({CUP: 1})
        await until(lambda: ear.orders == {order.order_id})
        assert stand.sandbox.channel.connections == 1
    assert [record.message for record in caplog.records] == ["frame not understood"] * 3


async def test_no_proxy_is_asked_for_what_is_on_this_machine(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the environment says; the calls over HTTP do not ask it either."""
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "https_proxy", "all_proxy", "socks_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    ear = Ear()
    async with listening(stand.platform, ear):
        order = stand.shop.place({CUP: 1})
        await until(lambda: ear.orders == {order.order_id})


async def test_spoiled_contents_do_no_harm(stand: Stand, caplog: pytest.LogCaptureFixture) -> None:
    """A garbled content costs only itself, and is not in the log; a forged hint is but a hint."""
    ear = Ear()
    async with listening(stand.platform, ear):
        await until(lambda: stand.sandbox.channel.connections == 1)
        spoiled: dict[str, Value] = {"__kind": Kind.DATA, "topic": "t", "id": 1, "content": b"no gzip"}
        await stand.sandbox.channel.send_raw(encode(Frame(FrameType.SEND, spoiled)))
        stand.sandbox.forge(content="garbage, with a phone number 13800138000")
        stand.sandbox.forge(content="[1]")
        forged = stand.sandbox.forge(content='{"tid":1}')
        await until(lambda: Hint(str(forged), order_id="1") in ear.hints)
        await until(lambda: stand.sandbox.mailbox.unconfirmed == 0)
    assert await stand.platform.order("1") is None
    assert len(caplog.records) == 3
    assert "13800138000" not in caplog.text + repr([vars(record) for record in caplog.records])


async def test_a_wrong_secret_opens_no_channel(stand: Stand, caplog: pytest.LogCaptureFixture) -> None:
    """The server says why, and the log does; nobody is let in, and no secret is said."""
    platform = stand.another(replace(stand.credentials, app_secret="wrong-secret"))
    async with listening(platform, Ear()):
        await until(lambda: any("invalid sign" in repr(vars(record)) for record in caplog.records))
        assert stand.sandbox.channel.connections == 0
    assert "wrong-secret" not in repr([vars(record) for record in caplog.records])


def about(change: Callable[[dict[str, str]], None], stand: Stand) -> Frame:
    """A CONNECT, signed independently and then spoiled."""
    milliseconds = str(int(stand.shop.time.timestamp() * 1000))
    custom = {"app_key": stand.credentials.app_key, "group_name": "default", "timestamp": milliseconds}
    change(custom)
    custom = {"sign": signature(custom, stand.credentials.app_secret, "md5"), **custom, "sdk": "test"}
    return Frame(FrameType.CONNECT, dict(custom), flag=77)


async def test_the_channel_lets_in_only_whom_it_knows(stand: Stand) -> None:
    """The sign, the app and the time are checked; the flag is echoed; with a token comes the conversation."""
    async with connect(stand.credentials.messages_url) as socket:
        await socket.send(encode(about(lambda _: None, stand)))
        answer = decode(bytes(await socket.recv(decode=False)))
        assert (answer.type, answer.flag, answer.status) == (FrameType.CONNECT_ACK, 77, None)
        assert answer.token
        order = stand.shop.place({CUP: 1})
        await socket.send(encode(Frame(FrameType.SEND, {"__kind": Kind.PULL}, token=answer.token)))
        data = decode(bytes(await socket.recv(decode=False)))
        assert (data.token, data.custom["__kind"]) == (answer.token, Kind.DATA)
        assert data.custom["topic"] == "taobao_trade_TradeCreate"
        assert json.loads(str(data.custom["content"]))["tid"] == int(order.order_id)
        confirm = {"__kind": Kind.CONFIRM, "id": data.custom["id"]}
        await socket.send(encode(Frame(FrameType.SEND, confirm, token=answer.token)))
        await until(lambda: stand.sandbox.mailbox.unconfirmed == 0)
    for spoiled in (
        about(lambda custom: custom.update(sign="0" * 32), stand),
        about(lambda custom: custom.update(app_key="9"), stand),
        about(lambda custom: custom.update(timestamp="1"), stand),
        about(lambda custom: custom.pop("timestamp"), stand),  # type: ignore[arg-type]  # what it returns is nothing to us
    ):
        async with connect(stand.credentials.messages_url) as socket:
            await socket.send(encode(spoiled))
            answer = decode(bytes(await socket.recv(decode=False)))
            assert (answer.status, answer.token, answer.flag) == (401, "", 77)
            assert answer.phrase
            with pytest.raises(ConnectionClosed):
                await socket.recv()


async def test_the_channel_hangs_up_on_nonsense(stand: Stand) -> None:
    """Text, garbage, a conversation without an introduction, a wrong token."""
    send = Frame(FrameType.SEND, {"__kind": Kind.PULL}, token="stolen")
    for frames in (["text"], [b"\x00"], [encode(send)], [encode(about(lambda _: None, stand)), encode(send)]):
        async with connect(stand.credentials.messages_url) as socket:
            for frame in frames:
                await socket.send(frame)
            await asyncio.wait_for(socket.wait_closed(), 10)
    assert stand.sandbox.channel.connections == 0


async def test_an_unconfirmed_message_comes_again_so_often_and_no_more() -> None:
    """Over HTTP: the same id, not before its time, at most so many times; confirmed ones never."""
    async with a_stand(settings=Settings(redelivery_seconds=0.02, deliveries_max=3)) as stand:
        one, two = stand.sandbox.forge(), stand.sandbox.forge()

        async def consumed() -> list[int]:
            answer = await call(stand, CONSUME, session="", group_name="default", quantity="10")
            rows = answer["tmc_messages_consume_response"].get("messages", {}).get("tmc_message", [])
            return [row["id"] for row in rows]

        assert await consumed() == [one, two]
        assert (await call(stand, CONFIRM, session="", group_name="default", s_message_ids=str(two)))[
            "tmc_messages_confirm_response"
        ]["is_success"]
        seen: list[int] = []
        while stand.sandbox.mailbox.wait_seconds is not None:
            seen += await consumed()
        assert seen == [one, one]
        assert await consumed() == []


async def test_the_message_methods_refuse_what_they_should(stand: Stand) -> None:
    """10 to 200 at once, ids that are numbers, and a seller's leave where topics are chosen."""
    for quantity in ("9", "201", "ten"):
        assert (await refusal(stand, CONSUME, session="", quantity=quantity))[0] == 41
    too_many = ",".join(["1"] * 201)
    for ids in ("a", "1,", too_many):
        assert (await refusal(stand, CONFIRM, session="", s_message_ids=ids))[0] == 41
    assert (await refusal(stand, "taobao.tmc.user.permit", session=""))[0] == 26


async def test_a_seller_chooses_topics(stand: Stand) -> None:
    """The topics of the last call count; after a cancel there are none."""
    await call(stand, "taobao.tmc.user.permit", topics="taobao_trade_TradeBuyerPay,taobao_trade_TradeClose")
    stand.shop.pay(stand.shop.place({CUP: 1}).order_id)
    assert stand.sandbox.mailbox.unconfirmed == 1
    user = await call(stand, "taobao.tmc.user.get", fields="topics,is_valid", user_nick="sandbox_seller")
    topics = ["taobao_trade_TradeBuyerPay", "taobao_trade_TradeClose"]
    assert user["tmc_user_get_response"]["tmc_user"] == {"is_valid": True, "topics": {"string": topics}}
    await call(stand, "taobao.tmc.user.cancel", nick="sandbox_seller")
    stand.shop.pay(stand.shop.place({CUP: 1}).order_id)
    assert stand.sandbox.mailbox.unconfirmed == 1


@pytest.mark.parametrize(
    ("topic", "content", "hint"),
    [
        ("taobao_trade_TradeCreate", '{"tid":2000000000000000001}', Hint("1", order_id="2000000000000000001")),
        ("taobao_refund_RefundSuccess", '{"tid":"7","oid":8}', Hint("1", order_id="7")),
        ("taobao_item_ItemStockChanged", '{"num_iid":5,"sku_id":6}', Hint("1", key=ListingKey("5", "6"))),
        ("taobao_item_ItemStockChanged", '{"num_iid":5,"sku_id":0}', Hint("1", key=ListingKey("5", ""))),
        ("taobao_item_ItemUpdate", gzip.compress(b'{"num_iid":5}', mtime=0), Hint("1", key=ListingKey("5", ""))),
        ("taobao_trade_TradeCreate", "{}", None),
        ("taobao_logistics_Sent", '{"tid":7}', None),
    ],
)
def test_what_a_message_hints_at(topic: str, content: str | bytes, hint: Hint | None) -> None:
    """An order, a listing, or nothing of ours; ids stay exact."""
    assert hint_of("1", topic, content) == hint


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{",
        '{"tid":1.5}',
        '{"tid":{}}',
        b"\x1f\x8b",
        gzip.compress(b"\xff", mtime=0),
        gzip.compress(b'{"tid":1}' + b" " * 9**7, mtime=0),
    ],
)
def test_a_content_that_is_none(content: str | bytes) -> None:
    """Garbage, a float for an id, a bomb."""
    with pytest.raises(Misunderstood):
        hint_of("1", "taobao_trade_TradeCreate", content)


@pytest.mark.parametrize("body", [b"", b"{}", b'{"tid":1}', b"\xff" * 100_000])
async def test_an_http_push_is_somebody_elses(stand: Stand, body: bytes) -> None:
    """Taobao sends none; whatever comes is refused, and the sender is told so."""
    with pytest.raises(Forged):
        stand.platform.open(Inbound({"content-type": "application/json"}, body))
    assert stand.platform.reply(taken=False).status >= 400
    assert stand.platform.reply(taken=True).status == 200
