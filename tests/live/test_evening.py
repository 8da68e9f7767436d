"""One live session from end to end: a real gateway, platforms over real HTTP, agents, buyers, a host who listens."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc.aio

from gateway.v1 import live_service_pb2 as pb
from gateway.v1.alert_pb2 import Session, SessionSku, Tier
from gateway.v1.live_service_pb2_grpc import LiveServiceStub
from tests.selling.market import Market, agents_here, eventually, open_market, opened

UNITS, OWN = 90, 30
SELLING_SECONDS = 5.0
TIMEOUT_SECONDS = 40.0


class Host:
    """Listens to the hints of one room; `said` are all he could have spoken."""

    def __init__(self, live: Any, session_id: int) -> None:
        self._live, self._session_id = live, session_id
        self.said: list[pb.Hint] = []
        self.ended = ""

    async def listen(self) -> None:
        """Until the stream ends."""
        async for message in self._live.WatchHints(pb.WatchHintsRequest(session_id=self._session_id)):
            if message.WhichOneof("message") == "hint":
                self.said.append(message.hint)
            elif message.WhichOneof("message") == "go_away":
                self.ended = message.go_away.reason

    @property
    def last(self) -> pb.Hint:
        return self.said[-1]


async def test_an_evening(address: str, seed: int) -> None:
    """The room gets its units, the host hears what is left of them, nothing is oversold, and all is sold in the end."""
    async with open_market(address, seed, units=UNITS) as market, agents_here(market, address):
        await opened(market)
        async with grpc.aio.insecure_channel(address) as channel:
            live: Any = LiveServiceStub(channel)
            session = await _open(live, market)
            await eventually(lambda: _is_locked(market), TIMEOUT_SECONDS)
            host = Host(live, session.session_id)
            listening = asyncio.create_task(host.listen())
            await market.sell(SELLING_SECONDS)
            await market.settled()
            await eventually(lambda: _is_told(host, market), TIMEOUT_SECONDS)
            assert all(hint.sellable <= OWN for hint in host.said)
            assert all(hint.exclusive_left <= OWN for hint in host.said)
            versions = [hint.version for hint in host.said]
            assert versions == sorted(set(versions))
            _sell_out_the_room(market)
            await eventually(lambda: _is_gone(host), TIMEOUT_SECONDS)
            assert "单" not in host.last.host_line
            request = pb.CloseSessionRequest(request_id="close", session_id=session.session_id, actor="小王")
            await live.CloseSession(request, timeout=TIMEOUT_SECONDS)
            await asyncio.wait_for(listening, TIMEOUT_SECONDS)
            assert host.ended == "CLOSED"
        # What others have is the room's as well from now on.
        await eventually(lambda: _shows_again(market), TIMEOUT_SECONDS)
        await market.settled()
        await market.require_exact()


async def _open(live: Any, market: Market) -> Session:
    request = pb.OpenSessionRequest(
        request_id="open",
        room="一号直播间",
        channels=["douyin"],
        skus=[SessionSku(sku=market.good().sku, exclusive_units=OWN)],
        actor="小王",
    )
    request.planned_end_time.FromDatetime(datetime.now(UTC) + timedelta(hours=1))
    opened_session: Session = (await live.OpenSession(request, timeout=TIMEOUT_SECONDS)).session
    return opened_session


async def _is_locked(market: Market) -> bool:
    """The room shows its own, and the others no more than the rest."""
    others = sum(market.display(name) for name in market.city.stalls if name != "douyin")
    return market.display("douyin") == OWN and others <= UNITS - OWN


async def _is_told(host: Host, market: Market) -> bool:
    """The host hears what his platform shows, less what may be on its way while it sells like that."""
    shown = market.display("douyin")
    return bool(host.said) and shown - 10 <= host.last.sellable <= shown and not host.last.is_stale


def _sell_out_the_room(market: Market) -> None:
    while market.buy("douyin") is not None:
        pass


async def _is_gone(host: Host) -> bool:
    return host.last.sellable == 0 and host.last.exclusive_left == 0 and host.last.tier == Tier.TIER_SOLD_OUT


async def _shows_again(market: Market) -> bool:
    """Its own units are everybody's again: what is unallocated or can be spared elsewhere comes to the room."""
    left = market.shown
    return left == 0 or market.display("douyin") > 0
