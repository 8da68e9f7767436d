"""`stockgate report` as a person uses it."""

from pathlib import Path

import asyncpg

from tests.cli.conftest import Stockgate
from tests.cli.test_live import open_room
from tests.live.rooms import oversell
from tests.merchants import schema_of_token


async def test_a_session_on_paper(quick_stockgate: Stockgate, tmp_path: Path) -> None:
    """In the terminal, as one HTML file in two languages, as JSON and as CSV; without a number sessions are listed."""
    number = await open_room(quick_stockgate)
    assert (await quick_stockgate("stock", "reserve", "TEA=3")).exit_code == 0
    assert (await quick_stockgate("live", "close", number)).exit_code == 0
    shown = await quick_stockgate("report", number)
    assert shown.exit_code == 0, shown.err
    assert f"Session {number}: 主直播间" in shown.out
    assert "0 warnings" in shown.out
    page, english, folder, packed = (tmp_path / name for name in ("r.html", "en.html", "tables", "r.zip"))
    wrote = await quick_stockgate("report", number, "-o", str(page), "--csv", str(folder))
    assert (wrote.exit_code, "r.html" in wrote.out) == (0, True)
    assert "龙井" in page.read_text(encoding="utf-8")
    assert (folder / "skus.csv").read_text(encoding="utf-8-sig").splitlines()[1].startswith("TEA,龙井,500,0,0,3,497,")
    both = await quick_stockgate("report", number, "-o", str(english), "--lang", "en", "--csv", str(packed), "--json")
    assert "Session review" in english.read_text(encoding="utf-8")
    assert packed.read_bytes()[:2] == b"PK"
    (tea, cup) = both.document["review"]["skus"]
    assert (tea["sold"], tea["unsold"], cup["begin_available"]) == (3, 497, 20)
    assert "主直播间" in (await quick_stockgate("report")).out


async def test_what_cannot_be_reported(quick_stockgate: Stockgate, tmp_path: Path) -> None:
    """An unknown session, a language nobody speaks, a place where nothing can be written, a file of no session."""
    unknown = await quick_stockgate("report", "999")
    assert (unknown.exit_code, "stockgate live list" in unknown.err) == (1, True)
    assert (await quick_stockgate("report", "1", "--lang", "xx")).exit_code == 2
    assert (await quick_stockgate("report", "-o", str(tmp_path / "r.html"))).exit_code == 2
    number = await open_room(quick_stockgate)
    nowhere = await quick_stockgate("report", number, "-o", str(tmp_path / "no" / "r.html"))
    assert (nowhere.exit_code, "cannot write" in nowhere.err) == (2, True)


async def test_advice_is_accepted_in_one_command(
    quick_stockgate: Stockgate, owner: asyncpg.Connection, token: str
) -> None:
    """The report names it, the command sets it and says what it was; what nobody advises is refused."""
    number = await open_room(quick_stockgate)
    await oversell(owner, schema_of_token(token), int(number), "TEA")
    shown = await quick_stockgate("report", number)
    assert "--accept SAFETY_STOCK:TEA sets it: safety stock 0 -> 3" in shown.out
    done = await quick_stockgate("report", number, "--accept", "safety_stock:TEA")
    assert (done.exit_code, done.out.strip()) == (0, "TEA: safety stock 0 -> 3.")
    sku = await quick_stockgate("sku", "show", "TEA", "--json")
    assert "3" in str(sku.document)
    refused = await quick_stockgate("report", number, "--accept", "LEAD_TIME:TEA", "--json")
    assert (refused.exit_code, refused.error["reason"]) == (1, "ADVICE_UNKNOWN")
    assert (await quick_stockgate("report", "--accept", "LEAD_TIME:TEA")).exit_code == 2
