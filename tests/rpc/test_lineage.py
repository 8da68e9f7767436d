"""After a backup was restored: platforms know old numbers, and shelves are ahead of what the database believes."""

import time

import asyncpg
import pytest

from gateway import app
from gateway.settings import Settings
from gateway.store.lineage import PAUSE_REASON
from gateway.v1 import channel_service_pb2 as pb
from tests.client import Client
from tests.merchants import schema_of_token
from tests.rpc.played_shop import RAISE, Shop
from tests.rpc.shop_calls import get


@pytest.fixture
async def shop(client: Client) -> Shop:
    """A shop that has CUP, 10 on hand, on sale as listing 1."""
    await client.add_sku("CUP", 10)
    played = Shop(client)
    await played.open()
    await played.link(("CUP", 1))
    return played


async def test_a_new_database_uses_no_number_again(shop: Shop) -> None:
    """A platform may know 1, 2, 3 ... from another database that served the shop before: numbers begin at the time."""
    async with shop.watching() as watch:
        push = await watch.push()
    day_ms = 24 * 3600 * 1000
    assert abs(push.push.push_id - time.time() * 1000) < day_ms


async def test_after_a_restore_pushes_have_new_numbers_and_channels_wait(
    shop: Shop, settings: Settings, token: str
) -> None:
    """`stockgate new-epoch`: no push has a number that the lost ones had, and none is made until somebody resumes."""
    async with shop.watching() as watch:
        push = await watch.push()
        await shop.apply(push)
        await _set_push_number(settings, token, push.push.push_id - 100)
        await app.new_epoch(settings, token.partition(".")[0])
        channel = (await watch.until("channel")).channel
        assert (channel.paused, channel.pause_reason) == (True, PAUSE_REASON)
        assert (await get(shop.client, "tb")).paused
        await shop.client.receive("CUP", 5)
        await shop.client.ask(shop.client.selling.ResumeChannel, pb.ResumeChannelRequest, channel="tb")
        again = await watch.push()
        assert (again.push.kind, again.push.push_id > push.push.push_id) == (RAISE, True)


async def _set_push_number(settings: Settings, token: str, number: int) -> None:
    """What the backup says."""
    connection = await asyncpg.connect(settings.database_url)
    statement = f'UPDATE "{schema_of_token(token)}".head SET push_number = $1, version = version + 1'
    await connection.execute(statement, number)
    await connection.close()
