"""Live sessions as a person uses them: open, change, see what can be sold, say it, decide, close."""

import asyncio
import json
import os
import signal
import sys

from tests.cli.conftest import Stockgate

READ_SECONDS_MAX = 20.0


async def open_room(stockgate: Stockgate, *more: str) -> str:
    """A session that sells tea, and cups of its own; its number."""
    for sku, title in (("TEA", "龙井"), ("CUP", "马克杯")):
        await stockgate("sku", "add", sku, "--title", title)
        await stockgate("stock", "receive", sku, "500")
    await stockgate("channel", "add", "dy", "--platform", "douyin")
    for item, sku in (("900", "TEA"), ("901", "CUP")):
        await stockgate("listing", "link", "dy", item, sku)
    selling = ("--channel", "dy", "--sku", "TEA", "--sku", "CUP=20")
    opened = await stockgate("live", "open", "主直播间", *selling, "--until", "4h", "--host", "小李", "--json", *more)
    assert opened.exit_code == 0, opened.err
    return str(opened.document["session"]["session_id"])


async def test_a_session_from_beginning_to_end(quick_stockgate: Stockgate) -> None:
    """It is opened, shown, changed in part, listed and closed."""
    number = await open_room(quick_stockgate)
    shown = (await quick_stockgate("live", "show", number)).out
    assert shown.startswith(f"Session {number}  主直播间, 小李: open until ")
    changed = await quick_stockgate("live", "update", number, "--remove", "CUP", "--until", "5h", "--json")
    assert [sold["sku"] for sold in changed.document["session"]["skus"]] == ["TEA"]
    nothing = await quick_stockgate("live", "update", number)
    assert (nothing.exit_code, "nothing was named" in nothing.err) == (2, True)
    assert "主直播间" in (await quick_stockgate("live", "list", "--open")).out
    assert "closed " in (await quick_stockgate("live", "close", number)).out
    assert "No sessions" in (await quick_stockgate("live", "list", "--open")).out
    assert "主直播间" in (await quick_stockgate("live", "list")).out
    again = await quick_stockgate("live", "update", number, "--sku", "CUP", "--json")
    assert (again.exit_code, again.error["reason"]) == (1, "SESSION_OVER")
    unknown = await quick_stockgate("live", "show", "999")
    assert (unknown.exit_code, "stockgate live list" in unknown.err) == (1, True)
    wrong = await quick_stockgate("live", "open", "x", "--channel", "dy", "--until", "tomorrow")
    assert (wrong.exit_code, "is no time" in wrong.err) == (2, True)


async def test_hints_are_shown_once(quick_stockgate: Stockgate) -> None:
    """As a table and as a document; Chinese keeps the columns straight."""
    number = await open_room(quick_stockgate)
    table = (await quick_stockgate("live", "hints", number, "--once")).out
    assert "TEA 龙井" in table
    hints = (await quick_stockgate("live", "hints", number, "--once", "--sku", "TEA", "--json")).document["hints"]
    assert [(hint["sku"], hint["title"]) for hint in hints] == [("TEA", "龙井")]
    assert hints[0]["expire_time"]
    unknown = await quick_stockgate("live", "hints", "999")
    assert (unknown.exit_code, "SESSION_UNKNOWN" in unknown.err) == (1, True)


async def test_hints_are_followed(quick_stockgate: Stockgate, gateway_address: str, token: str) -> None:
    """A document a line, ended well with Ctrl-C; a table on a terminal, which ends when the session is closed."""
    number = await open_room(quick_stockgate)
    told = {"STOCKGATE_ADDRESS": gateway_address, "STOCKGATE_TOKEN": token, "COLUMNS": "120", "TERM": "xterm"}
    lines = await started(told, asyncio.subprocess.PIPE, "live", "hints", number, "--json")
    assert lines.stdout is not None
    first = json.loads(await asyncio.wait_for(lines.stdout.readline(), READ_SECONDS_MAX))
    assert first["sku"] in {"TEA", "CUP"}
    lines.send_signal(signal.SIGINT)
    await asyncio.wait_for(lines.communicate(), READ_SECONDS_MAX)
    assert lines.returncode == 0
    ours, theirs = os.openpty()
    table = await started(told, theirs, "live", "hints", number)
    os.close(theirs)
    reading = asyncio.ensure_future(asyncio.to_thread(drawn_on, ours, "马克杯"))
    await asyncio.wait_for(reading, READ_SECONDS_MAX)
    await quick_stockgate("live", "close", number)
    closing = asyncio.to_thread(drawn_on, ours, "The session is closed.")
    await asyncio.wait_for(closing, READ_SECONDS_MAX)
    assert await asyncio.wait_for(table.wait(), READ_SECONDS_MAX) == 0
    os.close(ours)


async def test_lines_are_taken(quick_stockgate: Stockgate) -> None:
    """One, and then for a while none: exit code 1, and when to ask again."""
    number = await open_room(quick_stockgate)
    first = await quick_stockgate("live", "line", number, "TEA", "stock", "--viewer", "a")
    assert (first.exit_code, "龙井" in first.out) == (0, True)
    second = await quick_stockgate("live", "line", number, "TEA", "stock", "--viewer", "a")
    assert second.exit_code == 1
    assert "ask again in" in second.out
    unknown = await quick_stockgate("live", "line", number, "TEA", "gossip")
    assert (unknown.exit_code, "in intent" in unknown.err) == (1, True)


async def test_templates_are_tried_and_kept(quick_stockgate: Stockgate) -> None:
    """Previewed, stored, shown as one's own, and given back; a wrong variable is named."""
    words = "{title}还能卖{sellable}单"
    shown = await quick_stockgate("live", "template", "preview", "host", "threshold", words)
    assert shown.exit_code == 0, shown.err
    assert "还能卖" in shown.out
    wrong = await quick_stockgate("live", "template", "set", "host", "threshold", "{price}")
    assert (wrong.exit_code, "variants[0]" in wrong.err) == (1, True)
    stored = await quick_stockgate("live", "template", "set", "host", "threshold", words)
    assert stored.out.splitlines()[0] == "HOST/THRESHOLD/zh-CN (your own)"
    table = (await quick_stockgate("live", "template", "list", "--language", "zh-CN")).out
    assert "your own" in table
    reset = await quick_stockgate("live", "template", "reset", "HOST/THRESHOLD/zh-CN")
    assert "(built-in)" in reset.out
    stale = await quick_stockgate("live", "template", "set", "host", "stale", "{title}的库存在更新", "--json")
    assert stale.document["template"]["is_stale"] is True


async def test_proposals_are_listed_and_decided(quick_stockgate: Stockgate) -> None:
    """Nothing was proposed; a number that nobody knows is said."""
    assert "Nothing was proposed." in (await quick_stockgate("live", "proposals", "--state", "open")).out
    for verb in ("approve", "decline"):
        unknown = await quick_stockgate("live", verb, "999", "--note", "why not")
        assert (unknown.exit_code, "stockgate live proposals" in unknown.err) == (1, True)
    wrong = await quick_stockgate("live", "proposals", "--state", "lost")
    assert (wrong.exit_code, "lapsed" in wrong.err) == (2, True)


async def started(told: dict[str, str], out: int, *words: str) -> asyncio.subprocess.Process:
    """`stockgate` in a process of its own."""
    command = (sys.executable, "-m", "gateway", *words)
    return await asyncio.create_subprocess_exec(*command, stdout=out, env=os.environ | told)


def drawn_on(terminal: int, text: str) -> None:
    """Read a terminal until this text has come; raises `OSError` when its process has ended without."""
    drawn = b""
    while text.encode() not in drawn:
        drawn += os.read(terminal, 65_536)
