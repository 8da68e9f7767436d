"""A peer before a sandbox: it gets its brief, says how its calls go, and is served what it waits for."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from connectors.sandbox.city import Good, Stall
from connectors.sandbox.douyin import DouyinSandbox
from connectors.sandbox.kuaishou import KuaishouSandbox
from connectors.sandbox.robots import Hall
from connectors.sandbox.taobao import TaobaoSandbox
from tests.peers.installing import command_of, environment
from tests.peers.peers import Peer

TALK_SECONDS_MAX = 90
WAIT_SECONDS_MAX = 20
# What a paid order brings.
TOPICS = {
    "taobao": ["taobao_trade_TradeCreate", "taobao_trade_TradeBuyerPay"],
    "douyin": ["100", "101"],
    "kuaishou": [],
}


class Result(Enum):
    """How a call went."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Row:
    """One call of one peer."""

    peer: Peer
    call: str
    result: Result
    said: str = ""


async def talk(peer: Peer, folder: Path, stall: Stall, good: Good) -> list[Row]:
    """Have the peer make its calls; a row for each."""
    rows: list[Row] = []
    order_id = sell(stall, good)
    try:
        async with asyncio.timeout(TALK_SECONDS_MAX), started(peer, folder) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps(_brief(stall, good, order_id)).encode() + b"\n")
            async for line in process.stdout:
                rows += await _heard(peer, stall, good, process.stdin, read(line))
            process.stdin.close()
            if await process.wait() or not rows:
                rows.append(Row(peer, "whole script", Result.REFUSED, await _last_words(process)))
    except TimeoutError:
        rows.append(Row(peer, "whole script", Result.REFUSED, f"not through after {TALK_SECONDS_MAX} s"))
    stall.push_url = ""
    return rows


def sell(stall: Stall, good: Good) -> str:
    """A buyer orders one and pays; returns the order's id."""
    key = good.keys[stall.name]
    stall.shop.show(key, max(10, stall.shop.displays[key].shown))
    return stall.shop.pay(stall.shop.place({key: 1}).order_id).order_id


async def talk_to_robots(peer: Peer, folder: Path, hall: Hall, address: str) -> list[Row]:
    """Have the peer post into the groups; a row for each, and one for each group that has got nothing."""
    rows: list[Row] = []
    brief = {"base_url": f"http://{address}", **{name: hall.credentials(name) for name in hall.desks}}
    for desk in hall.desks.values():
        desk.kept.clear()
    try:
        async with asyncio.timeout(TALK_SECONDS_MAX), started(peer, folder) as process:
            said, _ = await process.communicate(json.dumps(brief).encode() + b"\n")
            heard = [each for each in map(read, said.splitlines()) if "call" in each]
            if process.returncode or not heard:
                rows.append(Row(peer, "whole script", Result.REFUSED, f"exit code {process.returncode}"))
    except TimeoutError:
        return [Row(peer, "whole script", Result.REFUSED, f"not through after {TALK_SECONDS_MAX} s")]
    for each in heard:
        rows.append(_row(peer, each["call"], each["said"], is_good=each["ok"]))
        if robot := each["call"].partition(" shows")[0] if " shows" in each["call"] else "":
            rows.append(_row(peer, f"{robot} has it", "it has not", is_good="库存" in "".join(hall.desks[robot].texts)))
    return rows


@asynccontextmanager
async def started(peer: Peer, folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Its script, running where it is installed; it does not outlive this."""
    command, where = command_of(peer, folder)
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command, cwd=where, env=environment(), stdin=pipe, stdout=pipe, stderr=pipe
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _brief(stall: Stall, good: Good, order_id: str) -> dict[str, Any]:
    host, port = stall.address.split(":")
    key = good.keys[stall.name]
    return {
        **stall.credentials,
        "host": host,
        "port": int(port),
        "code": _code(stall),
        "second_code": _code(stall),
        "shop_id": stall.sandbox.settings.shop_id if isinstance(stall.sandbox, DouyinSandbox) else "",
        "item_id": key.item_id,
        "platform_sku_id": key.platform_sku_id,
        "order_id": order_id,
        "topics": TOPICS[stall.name],
        "seconds_max": WAIT_SECONDS_MAX,
    }


def _code(stall: Stall) -> str:
    """What the browser of a seller who agrees brings back."""
    match stall.sandbox:
        case TaobaoSandbox(grants=grants):
            return grants.issue_code()
        case DouyinSandbox(grants=grants):
            return grants.authorise()
        case KuaishouSandbox(grants=grants, settings=settings):
            scope = ",".join(settings.scopes)
            form = {"app_id": settings.app_key, "response_type": "code", "redirect_uri": "x", "scope": scope}
            return grants.authorize(form)
    raise AssertionError("a city has three platforms")


async def _heard(peer: Peer, stall: Stall, good: Good, stdin: asyncio.StreamWriter, said: dict[str, Any]) -> list[Row]:
    """The rows that come of what a script has said."""
    if "call" in said:
        return [Row(peer, said["call"], Result.ACCEPTED if said["ok"] else Result.REFUSED, said["said"])]
    if "serving" in said:
        stall.push_url = said["serving"]
        sell(stall, good)
    if "received" in said:
        rows = await _seen_from_here(peer, stall)
        stdin.close()
        return rows
    return []


async def _seen_from_here(peer: Peer, stall: Stall) -> list[Row]:
    """What the platform knows once all has been delivered."""
    match stall.sandbox:
        case TaobaoSandbox(mailbox=mailbox):
            is_done = await _soon(lambda: not mailbox.unconfirmed)
            return [_row(peer, "messages confirmed", f"{mailbox.unconfirmed} are not", is_good=is_done)]
        case DouyinSandbox(pushes=pushes):
            is_done = await _soon(lambda: pushes.taken_in == len(TOPICS["douyin"]))
            acknowledged = _row(peer, "pushes acknowledged", f"{pushes.taken_in} were", is_good=is_done)
            is_taken = await pushes.forge(next(iter(stall.shop.orders)))
            return [acknowledged, _row(peer, "forged push not acknowledged", "it was", is_good=not is_taken)]
    return []


def _row(peer: Peer, call: str, trouble: str, *, is_good: bool) -> Row:
    return Row(peer, call, Result.ACCEPTED) if is_good else Row(peer, call, Result.REFUSED, trouble)


async def _soon(is_so: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while not is_so() and time.monotonic() < deadline:  # noqa: ASYNC110 - sandboxes count, and wake nobody
        await asyncio.sleep(0.02)
    return is_so()


def read(line: bytes) -> dict[str, Any]:
    """A line of the script; what a peer itself has printed says nothing."""
    try:
        said = json.loads(line)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


async def _last_words(process: asyncio.subprocess.Process) -> str:
    """What went wrong, out of the traceback of either language."""
    assert process.stderr is not None
    lines = [line.strip() for line in (await process.stderr.read()).decode(errors="replace").splitlines()]
    told = [line for line in lines if "Error" in line] or [line for line in lines if line] or ["it said nothing"]
    return told[-1][:300]
