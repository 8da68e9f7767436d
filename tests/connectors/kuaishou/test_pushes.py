"""Pushes: how the sandbox sends them, and what the connector makes of them."""

import asyncio
import base64
import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from connectors.base import Hint, Inbound
from connectors.errors import Forged
from connectors.kuaishou.pushes import BODY_BYTES_MAX, decrypted
from connectors.sandbox.faults import Weather
from connectors.sandbox.kuaishou import KuaishouSandbox, KuaishouSettings
from connectors.sandbox.kuaishou.pushes import seal
from tests.connectors.kuaishou.conftest import CUP, LID, STILL, Bench, OpenBench, Stage

pytestmark = pytest.mark.asyncio(loop_scope="session")

SECRET = "AAECAwQFBgcICQoLDA0ODw=="
# Decrypted by two independent clients.
VECTOR_PLAIN = b'{"eventId":"e-2","event":"kwaishop_order_addOrder","info":"{\\"oid\\":1}","test":true}'
VECTOR_BODY = (
    b"rondxU9nqP/9LVez2tSlaK8hcLq9xQN+nvFREppDS87trGQeB5unxNl/KXMYNJToxHoFPxwKM8eK9LPY+AfPU0afoT3LEdQAvUhTZyeDQZek"
    b"X+OR1h4Y5sgovI8P2n3j"
)
SOON = KuaishouSettings(redelivery_seconds=0)


class Seller:
    """The seller's server: the connector opens what comes, and `takes` decides the answer."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.takes: Callable[[Hint], bool] = lambda _: True
        self.bodies: list[bytes] = []
        self.hints: list[Hint] = []
        self.forged = 0
        self._news = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await Request(scope, receive).body()
        self.bodies.append(body)
        answer = self.bench.kuaishou.reply(taken=self._take(body))
        self._news.set()
        await Response(answer.body, answer.status, media_type="application/json")(scope, receive, send)

    async def until(self, reached: Callable[[], bool]) -> None:
        """Wait for pushes until enough have come."""
        async with asyncio.timeout(5):
            while not reached():
                self._news.clear()
                await self._news.wait()

    def _take(self, body: bytes) -> bool:
        try:
            hints = self.bench.kuaishou.open(Inbound({}, body))
        except Forged:
            self.forged += 1
            return True
        taken = all(self.takes(hint) for hint in hints)
        if taken:
            self.hints += hints
        return taken


@asynccontextmanager
async def pushing(bench: Bench, stage: Stage) -> AsyncIterator[Seller]:
    """A sandbox that sends, and a seller who listens."""
    stage.seller = seller = Seller(bench)
    bench.sandbox.push_url = f"{stage.url}/seller/kuaishou"
    running = asyncio.create_task(bench.sandbox.run())
    try:
        yield seller
    finally:
        running.cancel()
        await asyncio.wait([running])


def pushed(bench: Bench, plain: dict[str, Any] | bytes, secret: str = SECRET) -> list[Hint]:
    """What the connector makes of a message."""
    text = plain if isinstance(plain, bytes) else json.dumps(plain).encode()
    return bench.kuaishou.open(Inbound({}, seal(text, secret)))


def message(**changes: Any) -> dict[str, Any]:
    """A message of Kuaishou's."""
    return {"eventId": "e-1", "event": "kwaishop_order_paySuccess", "info": '{"oid":77,"status":30}', **changes}


async def test_vector(bench: Bench) -> None:
    """A body that independent clients decrypt: the same plain text, the same body, and as a heartbeat no hint."""
    assert decrypted(VECTOR_BODY, SECRET) == VECTOR_PLAIN
    assert seal(VECTOR_PLAIN, SECRET) == VECTOR_BODY
    assert bench.kuaishou.open(Inbound({}, VECTOR_BODY)) == []


async def test_what_is_hinted_at(bench: Bench) -> None:
    """Orders name themselves `oid`, refunds name theirs `orderId`; other events are taken in and mean nothing."""
    big = "9007199254740993"
    assert pushed(bench, message(info='{"oid":9007199254740993}')) == [Hint("e-1", order_id=big)]
    assert pushed(bench, message(info='{"oid":"9007199254740993"}')) == [Hint("e-1", order_id=big)]
    refund = message(event="kwaishop_aftersales_updateRefund", info='{"orderId":88,"refundId":7,"oid":1}')
    assert pushed(bench, refund) == [Hint("e-1", order_id="88")]
    assert pushed(bench, message(event="kwaishop_item_addItem", info="{}")) == []
    assert pushed(bench, message(event="kwaishop_order_addOrder", test=True)) == []
    assert pushed(bench, message(appKey=bench.credentials.app_key, bizId=1, operator=None)) != []


@pytest.mark.parametrize(
    "changes",
    [
        {"appKey": "another"},
        {"info": "{}"},
        {"info": "[]"},
        {"info": "not JSON"},
        {"info": {"oid": 1}},
        {"info": '{"oid":-5}'},
        {"info": '{"oid":"1 or 1=1"}'},
        {"info": '{"oid":0}'},
        {"info": '{"orderId":5}'},
        {"event": None},
        {"event": "kwaishop_aftersales_addRefund"},
        {"eventId": None},
        {"eventId": ""},
        {"test": "yes"},
    ],
)
async def test_messages_that_are_none_of_kuaishous(bench: Bench, changes: dict[str, Any]) -> None:
    """A message that decrypts but is not what the documentation says is `Forged`."""
    with pytest.raises(Forged):
        pushed(bench, message(**changes))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"not base64 \xff",
        b"AAAA",
        base64.b64encode(bytes(16)),
        base64.b64encode(bytes(17)),
        VECTOR_BODY[:-4],
        VECTOR_BODY[4:],
        VECTOR_BODY.decode().encode("utf-16"),
        json.dumps(message()).encode(),
        seal(json.dumps(message()).encode(), base64.b64encode(b"another key....!").decode()),
        seal(b"", SECRET),
        seal(b"null", SECRET),
        seal(b"[" * 100_000, SECRET),
        seal(b"\xff\xfe{}", SECRET),
        b"A" * (BODY_BYTES_MAX + 4),
    ],
)
async def test_garbage_is_forged(bench: Bench, body: bytes) -> None:
    """Nothing that is not encrypted with the message secret gets in, and nothing of it breaks the reader."""
    with pytest.raises(Forged):
        bench.kuaishou.open(Inbound({}, body))


async def test_bitten_pushes_are_forged_or_mean_an_order(bench: Bench) -> None:
    """Flipped bits never break the reader (encryption without a signature cannot tell all of them)."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    sealed = bytearray(base64.b64decode(seal(json.dumps(message()).encode(), SECRET)))
    for _ in range(500):
        bitten = bytearray(sealed)
        for _ in range(chance.randrange(1, 4)):
            bitten[chance.randrange(len(bitten))] ^= 1 << chance.randrange(8)
        try:
            hints = bench.kuaishou.open(Inbound({}, base64.b64encode(bitten)))
        except Forged:
            continue
        assert all(hint.order_id.isdecimal() for hint in hints)


async def test_a_repetition_has_the_same_message_id(bench: Bench) -> None:
    """A replayed push is the same hint again; its message id tells."""
    first, second = pushed(bench, message()), pushed(bench, message())
    assert first == second
    assert first[0].message_id == "e-1"


async def test_kuaishou_keeps_no_connection(bench: Bench) -> None:
    """`listen` returns at once."""

    async def heard(hint: Hint) -> None:
        pytest.fail(f"heard {hint}")

    async with asyncio.timeout(1):
        await bench.kuaishou.listen(heard)


async def test_every_event_arrives(open_bench: OpenBench, stage: Stage) -> None:
    """Placing, paying, shipping, refunding and closing are told, one push per order, by their names."""
    bench = await open_bench(SOON)
    async with pushing(bench, stage) as seller:
        cart = bench.shop.place({CUP: 1, LID: 2})
        other = bench.shop.place({LID: 1})
        bench.shop.pay(cart.order_id)
        bench.shop.ship(cart.order_id)
        bench.shop.refund(cart.order_id, cart.lines[1].line_id, 2)
        bench.shop.close(other.order_id)
        await seller.until(lambda: len(seller.hints) == 11)
    events = [json.loads(decrypted(body, SECRET)) for body in seller.bodies]
    names = sorted(event["event"] for event in events)
    assert names == [
        "kwaishop_aftersales_addRefund",
        "kwaishop_aftersales_updateRefund",
        *["kwaishop_order_addOrder"] * 3,
        *["kwaishop_order_delivering"] * 2,
        *["kwaishop_order_orderFail"] * 2,
        *["kwaishop_order_paySuccess"] * 2,
    ]
    assert {hint.order_id for hint in seller.hints} == {line.line_id for line in cart.lines} | {other.order_id}
    assert len({hint.message_id for hint in seller.hints}) == 11
    for event in events:
        assert {"eventId", "bizId", "userId", "openId", "appKey", "info", "createTime", "test"} <= event.keys()


async def test_what_is_not_taken_comes_again(open_bench: OpenBench, stage: Stage) -> None:
    """A push that is answered with anything else is sent again with the same id, up to three times."""
    bench = await open_bench(SOON)
    async with pushing(bench, stage) as seller:
        seller.takes = lambda _: len(seller.bodies) == 3
        bench.shop.place({CUP: 1})
        await seller.until(lambda: len(seller.hints) == 1)
    assert len(seller.bodies) == 3
    assert len(set(seller.bodies)) == 1


async def test_what_is_never_taken_is_lost(open_bench: OpenBench, stage: Stage) -> None:
    """After the third repetition a push is gone; only the order list still knows."""
    bench = await open_bench(SOON)
    async with pushing(bench, stage) as seller:
        seller.takes = lambda _: False
        order = bench.shop.place({CUP: 1})
        await seller.until(lambda: len(seller.bodies) == 4)
        seller.takes = lambda _: True
        marker = bench.shop.place({CUP: 1})
        await seller.until(lambda: bool(seller.hints))
    assert [hint.order_id for hint in seller.hints] == [marker.order_id]
    assert bench.sandbox.pushes.counts["lost"] == 1
    assert order.order_id in await bench.orders()


async def test_heartbeats_forgeries_and_garbage(open_bench: OpenBench, stage: Stage) -> None:
    """The sandbox can send a probe, a stranger's push and noise: the connector hints at none of them."""
    bench = await open_bench(SOON)
    async with pushing(bench, stage) as seller:
        bench.sandbox.pushes.heartbeat()
        bench.sandbox.pushes.forge(123)
        bench.sandbox.pushes.send(b"noise")
        await seller.until(lambda: len(seller.bodies) == 3)
    assert (seller.hints, seller.forged) == ([], 2)


async def test_pushes_in_bad_weather(open_bench: OpenBench, stage: Stage) -> None:
    """Lost, repeated and out of order: repeats have their first one's id, and what is lost the order list has."""
    rough = Weather(0, 0, push_lose=0.3, push_repeat=0.4, push_delay_seconds=0.01)
    bench = await open_bench(SOON, weather=rough, seed=5)
    async with pushing(bench, stage) as seller:
        placed = [bench.shop.place({LID: 1}).order_id for _ in range(5)]
        for order_id in placed:
            bench.shop.pay(order_id)
        counts = bench.sandbox.pushes.counts
        expected = bench.sandbox.pushes._queue.qsize()
        await seller.until(lambda: len(seller.hints) == expected)
    assert 0 < counts["lost"] < 10
    ids = [hint.message_id for hint in seller.hints]
    assert len(ids) > len(set(ids))
    assert ids != sorted(ids, key=lambda name: int(name.rpartition("-")[2]))
    bench.faults.weather = STILL
    assert set(await bench.orders()) == set(placed)


async def test_nobody_listens(open_bench: OpenBench) -> None:
    """Without an address, or with one where nobody is, events are lost and the sandbox goes on."""
    bench = await open_bench(SOON)
    bench.shop.place({CUP: 1})
    sandbox: KuaishouSandbox = bench.sandbox
    sandbox.push_url = "http://127.0.0.1:1/nobody"
    running = asyncio.create_task(sandbox.run())
    bench.shop.place({CUP: 1})
    async with asyncio.timeout(5):
        while sandbox.pushes.counts["lost"] < 1:  # noqa: ASYNC110 - the sandbox has no bell for it
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.wait([running])
    assert sandbox.pushes.counts["sent"] == 4
