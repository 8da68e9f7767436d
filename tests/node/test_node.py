"""A client in another language, which knows the gateway by reflection alone: Node with the registry's @grpc/grpc-js.

Needs node, npm and, the first time, npm's registry; without them the test is skipped, and says so twice.
"""

import asyncio
import hashlib
import json
import os
import shutil
import warnings
from pathlib import Path
from typing import Any, NoReturn

import pytest

from gateway.v1.stock_pb2 import ReservationState
from tests.client import Client
from tests.rpc.played_shop import Shop
from tests.store.history import movements, units

HERE = Path(__file__).parent
INSTALLED = HERE.parents[1] / "build" / "node"
SECONDS_MAX = 90
# What npm says when it cannot reach its registry; any other failure of an installation is one of this test.
NO_NETWORK = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ENETUNREACH", "network")

NPM_OPTIONS = ("--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", "--fetch-retries=1")

pytestmark = pytest.mark.filterwarnings("default:the Node client was not tried")


async def test_a_client_in_another_language_learns_and_trades(gateway_address: str, client: Client, token: str) -> None:
    """Create, receive, reserve, commit and a stream, through types that came over the wire (R10 included)."""
    node, folder = await _installed()
    seen = json.loads(await _run(node, "shop.mjs", gateway_address, token, folder=folder))
    assert {"gateway.v1.StockService", "gateway.v1.CatalogService"} <= set(seen["services"])
    assert (len(seen["created"]["epoch"]), seen["created"]["revision"]) == (36, "0")
    levels = [(level["sku"], level["on_hand"], level["reserved"], level["revision"]) for level in seen["levels"]]
    assert levels == [("CUP", "10", "0", "1"), ("CUP", "10", "3", "2"), ("CUP", "7", "0", "3")]
    held, sold = seen["reservation"], seen["sold"]
    assert (held["reservation_id"], held["order_id"], held["lines"][0]["requested"]) == ("1", "订单-1", "3")
    assert seen["again"] == held
    assert (held["state"], sold["state"]) == ("RESERVATION_STATE_HELD", "RESERVATION_STATE_COMMITTED")
    assert seen["refusal"] == {"code": 9, "details": "8 units of CUP asked, 7 available", "rich": 1}
    assert await units(client, "CUP") == (7, 0, 7)
    assert [movement.request_id for movement in await movements(client)] == ["node-3", "node-2", "node-1"]
    assert ReservationState.Name(ReservationState.RESERVATION_STATE_COMMITTED) == sold["state"]


# What each method says to rubbish, in the order in which it is asked.
BAD, UNKNOWN, USED = "INVALID_ARGUMENT", "NOT_FOUND", "ALREADY_EXISTS"
REFUSALS = {
    "ExplainListing": [BAD, UNKNOWN, UNKNOWN, BAD, BAD],
    "ListTimeline": [BAD, UNKNOWN, BAD, BAD, BAD],
    "GetSeries": [BAD, BAD, BAD],
    "ListAudit": [BAD, BAD],
    "TraceSku": [UNKNOWN, BAD],
    "GetTrace": [BAD, BAD],
    "ListStreams": [],
    "ListChannelHealth": [],
    "GetBoard": [BAD, BAD],
    "GetReview": [BAD, UNKNOWN],
    "PreviewRehearsal": [BAD, BAD, UNKNOWN, BAD],
    "Rehearse": [BAD, BAD, USED],
}


async def test_a_client_in_another_language_looks_on(gateway_address: str, client: Client, token: str) -> None:
    """It asks why, what happened and how things stand, and rehearses; rubbish is refused in words, with details."""
    node, folder = await _installed()
    await client.add_sku("CUP", 10)
    shop = Shop(client)
    await shop.open()
    await shop.link(("CUP", 1))
    seen = json.loads(await _run(node, "onlooker.mjs", gateway_address, token, folder=folder))
    refusals = seen["refusals"]
    assert {method: [one["code"] for one in said] for method, said in refusals.items()} == REFUSALS
    assert all(one["details"] and one["rich"] == 1 for said in refusals.values() for one in said)
    answers = seen["answers"]
    [explanation] = answers["ExplainListing"]["explanations"]
    assert (explanation["listing"]["listing_id"], len(explanation["deciders"])) == ("1", 14)
    assert {entry["kind"] for entry in answers["ListTimeline"]["entries"]} >= {"TIMELINE_KIND_MOVEMENT"}
    assert "on_hand" in {one["name"] for one in answers["GetSeries"]["series"]}
    assert {entry["actor"] for entry in answers["ListAudit"]["entries"]} == {"小美"}
    assert [one["channel"]["channel"] for one in answers["ListChannelHealth"]["channels"]] == ["tb"]
    assert [row["sku"] for row in answers["GetBoard"]["rows"]] == ["CUP"]
    assert answers["GetReview"]["review"]["session"]["session_id"] == seen["session_id"]
    scripts = [answers["PreviewRehearsal"]["script"], answers["Rehearse"]["drill"]["script"]]
    assert scripts[0]["expectations"] == scripts[1]["expectations"]


async def _installed() -> tuple[str, Path]:
    """Node, and a folder outside the tree with the script and what it needs, installed once per lock file."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        _skip("install Node.js 18 or newer, with npm")
    folder = INSTALLED / hashlib.sha256((HERE / "package-lock.json").read_bytes()).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json", "shop.mjs", "onlooker.mjs"):
        shutil.copy(HERE / name, folder)
    if not (folder / "done").exists():
        try:
            await _run(npm, "ci", *NPM_OPTIONS, folder=folder)
        except CommandFailed as error:
            if any(word in str(error) for word in NO_NETWORK):
                _skip("npm cannot reach its registry; go online once, and what it installs stays in build/node")
            raise
        (folder / "done").touch()
    return node, folder


class CommandFailed(Exception):
    """A command did not end well; the text is what it wrote to stderr."""


async def _run(*command: str, folder: Path) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=_environment()
    )
    try:
        async with asyncio.timeout(SECONDS_MAX):
            out, err = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    if process.returncode:
        raise CommandFailed(f"{command[1]} ended with {process.returncode}\n{err.decode()}")
    return out.decode()


def _environment() -> dict[str, Any]:
    """Ours, without a proxy between the client and the gateway on this machine."""
    return {**os.environ, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", "no_grpc_proxy": "127.0.0.1"}


def _skip(advice: str) -> NoReturn:
    reason = f"the Node client was not tried: {advice}"
    warnings.warn(reason, stacklevel=2)
    pytest.skip(reason)
