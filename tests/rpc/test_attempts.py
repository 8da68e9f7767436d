"""Single calls to a platform, as connectors tell of them: kept once, bounded, and never in the way of reports."""

from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from grpc import StatusCode

from gateway.rpc.attempts import fill_attempt
from gateway.settings import Settings
from gateway.store.attempts import list_attempts
from gateway.store.database import Database
from gateway.v1 import channel_service_pb2 as pb
from gateway.v1.operations_pb2 import AttemptOutcome, PushAttempt
from tests.client import Client
from tests.refusals import refused
from tests.rpc.channel_requests import TRACEPARENT
from tests.rpc.played_shop import Shop

BEGIN = datetime(2026, 11, 11, 20, 0, 0, 123_456, tzinfo=UTC)


def call(**content: Any) -> dict[str, Any]:
    """A call that the platform has refused, with all that can be told of one."""
    told = {
        "push_id": 7,
        "listing_id": 1,
        "number": 1,
        "begin_time": BEGIN,
        "duration": timedelta(milliseconds=1_234),
        "outcome": AttemptOutcome.ATTEMPT_OUTCOME_REFUSED,
        "http_status": 200,
        "platform_code": "isv.item-not-exist",
        "platform_request_id": "sandbox000000001",
        "message": "<b>宝贝不存在</b>",
        "next_try_time": BEGIN + timedelta(seconds=5),
        "traceparent": TRACEPARENT,
    }
    return told | content


async def tell(shop: Shop, *attempts: dict[str, Any]) -> None:
    """Tell of calls, and of no push that is over."""
    request = {"channel": shop.channel, "attempts": attempts}
    await shop.client.ask(shop.client.selling.ReportPushes, pb.ReportPushesRequest, **request)


@pytest.fixture
async def shop(client: Client) -> Shop:
    """A shop with listing 1."""
    await client.add_sku("CUP", 10)
    played = Shop(client)
    await played.open()
    await played.link(("CUP", 1))
    return played


async def kept(settings: Settings, token: str) -> list[PushAttempt]:
    """What the gateway has kept, newest first."""
    assert settings.database_url
    database = Database(settings.database_url)
    async with database.of(token.partition(".")[0]).transaction() as connection:
        found = await list_attempts(connection, [1], count_max=100)
    await database.close()
    messages = []
    for attempt in found:
        assert attempt.record_time is not None
        messages.append(PushAttempt())
        fill_attempt(messages[-1], attempt)
    return messages


async def test_a_call_is_kept_as_it_was_told_and_once(shop: Shop, settings: Settings, token: str) -> None:
    """Told again, or together with others, a call changes nothing; another process's first call is another call."""
    await tell(shop, call())
    later = call(number=2, begin_time=BEGIN + timedelta(seconds=1), http_status=0, next_try_time=None, traceparent="")
    await tell(shop, call(message="other words"), later)
    await tell(shop, call(begin_time=BEGIN + timedelta(minutes=1)))
    found = await kept(settings, token)
    assert [(one.number, one.begin_time.ToDatetime(UTC)) for one in found] == [
        (1, BEGIN + timedelta(minutes=1)),
        (2, BEGIN + timedelta(seconds=1)),
        (1, BEGIN),
    ]
    assert found[2] == PushAttempt(**call())
    assert found[1] == PushAttempt(**later)


async def test_calls_of_listings_the_channel_does_not_have_are_not_kept(
    shop: Shop, settings: Settings, token: str
) -> None:
    """A listing that was unlinked meanwhile is no error; and nobody writes into another channel's record."""
    await Shop(shop.client, "dy").open()
    await tell(Shop(shop.client, "dy"), call())
    await tell(shop, call(listing_id=2))
    assert await kept(settings, token) == []


async def test_calls_of_a_channel_that_nobody_knows_are_refused(shop: Shop) -> None:
    """As reports are."""
    refusal = await refused(tell(Shop(shop.client, "nowhere"), call()))
    assert (refusal.code, refusal.reason) == (StatusCode.NOT_FOUND, "CHANNEL_UNKNOWN")


async def test_wrong_reports_take_no_calls_with_them(shop: Shop, settings: Settings, token: str) -> None:
    """A request is taken whole or not at all: the calls may be told again without the report that was refused."""
    request = {"channel": shop.channel, "attempts": [call()], "reports": [{"listing_id": 1, "push_id": 0}]}
    refusal = await refused(shop.client.ask(shop.client.selling.ReportPushes, pb.ReportPushesRequest, **request))
    assert (refusal.code, refusal.field) == (StatusCode.INVALID_ARGUMENT, "reports[0].result")
    assert await kept(settings, token) == []


async def test_what_is_kept_says_its_channel(shop: Shop, owner: asyncpg.Connection, token: str) -> None:
    """The channel is the request's."""
    await tell(shop, call())
    assert await owner.fetchval(f"SELECT channel FROM merchant_{token.partition('.')[0]}.attempts") == "tb"
