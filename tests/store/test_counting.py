"""What a count must know of the journal: how on hand has changed since it was taken (R15)."""

import random
from datetime import timedelta

import asyncpg

from gateway.store.database import Clock
from gateway.store.group_statements import read_statements
from gateway.v1 import stock_service_pb2 as pb
from tests.client import Client
from tests.merchants import schema_of_token
from tests.store.history import add_location, moment, movements

STEPS = 20
SEED = 7


async def play(client: Client, clock: Clock, chance: random.Random) -> None:
    """Goods come and go, some are told of late, some are counted, some twice."""
    now = moment((await client.receive("CUP", 100)).record_time)
    for step in range(STEPS):
        clock.offset += timedelta(seconds=chance.randint(1, 9))
        now = moment((await client.receive("CUP", 1, location="west")).record_time)
        then = now - timedelta(seconds=chance.randint(0, 40))
        match step % 5:
            case 0:
                late = {"sku": "CUP", "quantity": chance.randint(1, 9), "occur_time": then}
                await client.tell(client.stock.ReceiveStock, pb.ReceiveStockRequest, **late)
            case 1:
                count = {"sku": "CUP", "counted": chance.randint(50, 150), "count_time": then}
                await client.tell(client.stock.CountStock, pb.CountStockRequest, **count)
            case 2:
                change = {"sku": "CUP", "change": -1, "reason": "broken", "occur_time": then}
                await client.tell(client.stock.AdjustStock, pb.AdjustStockRequest, **change)
            case 3:
                await client.commit((await client.reserve("CUP", 2)).reservation_id)
            case _:
                await client.reserve("CUP", 1, ttl_ms=3_000)


async def test_what_has_changed_since_any_moment(
    client: Client, clock: Clock, owner: asyncpg.Connection, token: str
) -> None:
    """It is the sum of what was recorded after it and had not happened by then, at each place by itself."""
    await client.add_sku("CUP")
    await add_location(client, "west")
    await play(client, clock, random.Random(SEED))
    journal = await movements(client, sku="CUP", page_size=1_000)
    asked = read_statements(schema_of_token(token)).changed_since
    times = sorted({moment(one.record_time) for one in journal} | {moment(one.occur_time) for one in journal})
    for place in ("main", "west"):
        for then in [times[0] - timedelta(days=400), *times, times[-1] + timedelta(seconds=1)]:
            later = [one for one in journal if min(moment(one.record_time), moment(one.occur_time)) > then]
            wanted = sum(one.on_hand_change for one in later if one.location == place)
            assert await owner.fetchval(asked, "CUP", place, then) == wanted, (place, then)
