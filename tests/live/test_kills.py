"""A gateway that is killed between approval and carrying out: units are moved once, and it is said (R45)."""

import asyncio
import random
from functools import partial
from pathlib import Path

import pytest

from gateway.settings import Settings
from tests.client import Client
from tests.faults.calls import until
from tests.faults.processes import GatewayProcess, running
from tests.live.rooms import open_session
from tests.rpc.played_shop import Shop
from tests.rpc.test_live_proposals import DONE, MOVE, WAIT_SECONDS, decide, lying, proposals, proposed, sell, warned
from tests.store.history import add_location, movements

# Carrying out begins within a second of the approval.
KILL_WITHIN_SECONDS = 1.5
ROUNDS = 3
UNITS = 20


@pytest.mark.timeout(240)
async def test_killed_amid_it_moves_once(settings: Settings, token: str, tmp_path: Path, seed: int) -> None:
    """Kill -9 at any moment after the approval: the next gateway finds it, and not one unit is moved twice."""
    chance = random.Random(seed)
    process = GatewayProcess({"STOCKGATE_DATABASE_URL": str(settings.database_url)}, tmp_path / "log")
    async with running(process), process.channel() as channel:
        client = Client(channel, token)
        await client.add_sku("CUP", 30)
        await add_location(client, "north")
        await warned(client)
        shop = Shop(client)
        await shop.open(locations=["main"])
        await shop.link(("CUP", 1))
        await open_session(client, ["tb"], {"CUP": 0})
        moved = 0
        for _ in range(ROUNDS):
            await client.receive("CUP", UNITS, location="north")
            await sell(client, 8)
            found = await proposed(client, MOVE)
            await decide(client, found.proposal_id)
            await asyncio.sleep(chance.uniform(0, KILL_WITHIN_SECONDS))
            await process.kill()
            await process.start()
            await until(partial(_is_done, client, found.proposal_id), WAIT_SECONDS)
            moved += found.quantity
            of_it = [one for one in await movements(client) if one.request_id == f"proposal-{found.proposal_id}"]
            assert len(of_it) == 2
            assert await lying(client, "north") == UNITS - found.quantity
            await client.receive("CUP", 1, location="main")
        assert moved == ROUNDS * UNITS


async def _is_done(client: Client, proposal_id: int) -> bool:
    return any(one.proposal_id == proposal_id for one in await proposals(client, state=DONE))
