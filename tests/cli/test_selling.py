"""Channels, listings, policies and tables as a person uses them, against a real gateway."""

import json
import os
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from gateway.cli.command import main
from tests.cli.conftest import Stockgate

SECRETS = {"app_key": "12", "app_secret": "hush", "access_token": "token-1", "expire_time": "2030-01-01T00:00:00Z"}


async def open_shop(stockgate: Stockgate) -> None:
    """Two SKUs, two channels."""
    for sku in ("TEA", "CUP"):
        await stockgate("sku", "add", sku)
    for channel, platform in (("tb", "taobao"), ("dy", "douyin")):
        assert (await stockgate("channel", "add", channel, "--platform", platform)).exit_code == 0


async def test_a_channel_is_made_and_changed(stockgate: Stockgate) -> None:
    """What is said is shown, what is not is usual, and only what is named changes."""
    made = await stockgate(
        *("channel", "add", "tb", "--platform", "taobao", "--title", "Tmall", "--location", "main"),
        *("--takes-on", "payment", "--payment-limit", "15m", "--close-keeps"),
    )
    assert made.out.startswith("tb  Tmall")
    assert "taobao · no credentials yet · served by main" in made.out
    assert "takes units on payment; a closed order keeps its units, a refund gives back its units" in made.out
    assert "900 s to pay · calls apply up to 30 s late · clock within 2 s" in made.out
    assert "stockgate channel credentials tb --file FILE" in made.out
    changed = await stockgate("channel", "set", "tb", "--location", "", "--clock-margin", "500ms", "--close-restores")
    assert "served by all locations" in changed.out
    assert "takes units on payment; a closed order gives back its units" in changed.out
    assert "900 s to pay · calls apply up to 30 s late · clock within 0.5 s" in changed.out
    shown = (await stockgate("channel", "show", "tb", "--json")).document["channel"]
    assert (shown["platform"], shown["title"], shown["locations"]) == ("PLATFORM_TAOBAO", "Tmall", [])
    table = (await stockgate("channel", "list")).out
    assert "Tmall" in table
    unknown = await stockgate("channel", "show", "nope")
    assert (unknown.exit_code, "stockgate channel list" in unknown.err) == (1, True)


async def test_a_paused_channel_says_why(stockgate: Stockgate) -> None:
    """Until it is resumed."""
    await open_shop(stockgate)
    assert "paused: stocktaking" in (await stockgate("channel", "pause", "tb", "--reason", "stocktaking")).out
    assert "paused: stocktaking" in (await stockgate("channel", "list")).out
    assert "paused" not in (await stockgate("channel", "resume", "tb")).out


async def test_secrets_come_from_a_file_and_are_never_shown(stockgate: Stockgate, tmp_path: Path) -> None:
    """Not in the answer, not in a complaint about the file."""
    await open_shop(stockgate)
    file = tmp_path / "tb.json"
    file.write_text("\ufeff" + json.dumps(SECRETS), encoding="utf-8")
    stored = await stockgate("channel", "credentials", "tb", "--file", str(file), "--json")
    assert stored.document["channel"]["has_credentials"] is True
    file.write_text(json.dumps(SECRETS)[:-1])
    broken = await stockgate("channel", "credentials", "tb", "--file", str(file))
    assert (broken.exit_code, "holds no JSON object" in broken.err) == (2, True)
    missing = await stockgate("channel", "credentials", "tb", "--file", str(tmp_path / "none"))
    assert (missing.exit_code, "cannot read" in missing.err) == (2, True)
    shown = await stockgate("channel", "show", "tb")
    assert not [each for each in (stored, broken, shown) if "hush" in each.out + each.err or "token-1" in each.out]


def test_a_key_is_made_without_a_gateway(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """One that the gateway takes."""
    monkeypatch.setitem(os.environ, "STOCKGATE_ADDRESS", "127.0.0.1:1")
    for arguments in (["channel", "key"], ["channel", "key", "--json"]):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert not ended.value.code
    plain, document = capsys.readouterr().out.split("\n", 1)
    for key in (plain, json.loads(document)["key"]):
        assert Fernet(key).decrypt(Fernet(key).encrypt(b"x")) == b"x"


async def test_listings_are_linked_and_listed(stockgate: Stockgate) -> None:
    """With what they are made of; a wrong part says which."""
    await open_shop(stockgate)
    linked = await stockgate("listing", "link", "tb", "600", "TEA", "CUP=2", "--platform-sku-id", "7")
    assert linked.out.startswith("Listing 1  tb/600/7")
    assert "one sale takes 1 x TEA, 2 x CUP" in linked.out
    paid = await stockgate("listing", "link", "dy", "601", "TEA", "--takes-on", "payment", "--json")
    assert paid.document["listing"]["takes_on"] == "TAKES_ON_PAYMENT"
    listed = await stockgate("listing", "list", "--channel", "tb", "--json")
    assert [each["listing_id"] for each in listed.document["listings"]] == [1]
    assert [line.split()[:3] for line in (await stockgate("listing", "list", "--sku", "TEA")).out.splitlines()[2:]] == [
        ["1", "tb", "600"],
        ["2", "dy", "601"],
    ]
    refused = await stockgate("listing", "link", "tb", "602", "TEA", "NOPE")
    assert "in listing.components[1].sku" in refused.err
    assert "unlinked" in (await stockgate("listing", "unlink", "1")).out
    gone = await stockgate("listing", "unlink", "1")
    assert (gone.exit_code, "stockgate listing list" in gone.err) == (1, True)


async def test_a_policy_is_changed_in_part(stockgate: Stockgate) -> None:
    """Only what is named; channels named anew keep their caps; caps come and go."""
    await open_shop(stockgate)
    assert (await stockgate("policy", "show", "TEA")).out.startswith("TEA  by demand")
    assert "divided by demand" in (await stockgate("policy", "list")).out
    await stockgate("policy", "set", "TEA", "--kind", "weighted", "--channel", "tb=3", "--channel", "dy=1")
    capped = await stockgate("policy", "set", "TEA", "--cap", "dy=5", "--stop-at", "2")
    assert capped.out.splitlines() == ["TEA  weighted", "  tb 3", "  dy 1 (at most 5)", "2 kept from all channels"]
    turned = await stockgate("policy", "set", "TEA", "--channel", "dy=2", "--channel", "tb=2")
    assert turned.out.splitlines()[1:3] == ["  dy 2 (at most 5)", "  tb 2"]
    await stockgate("policy", "set", "TEA", "--cap", "dy=none", "--kind", "shared", "--buffer", "4")
    back = (await stockgate("policy", "set", "TEA", "--kind", "priority", "--json")).document["policy"]
    assert (back["kind"], back["buffer"], back["stop_at"]) == ("POLICY_KIND_PRIORITY", 0, 2)
    assert [share.get("cap") for share in back["shares"]] == [None, None]
    assert "priority" in (await stockgate("policy", "list")).out
    nothing = await stockgate("policy", "set", "TEA")
    assert (nothing.exit_code, "nothing was named" in nothing.err) == (2, True)
    wrong = await stockgate("policy", "set", "TEA", "--cap", "tb=lots")
    assert (wrong.exit_code, "CHANNEL=none" in wrong.err) == (2, True)


async def test_tables_come_and_go(stockgate: Stockgate, tmp_path: Path) -> None:
    """What was exported is imported unchanged; a dry run says what would happen; wrong lines are shown."""
    await open_shop(stockgate)
    file = tmp_path / "skus.csv"
    file.write_text("sku,title\nTEA,Green tea\nPOT,Pot\n")
    dry = await stockgate("import", "skus", str(file), "--dry-run")
    assert dry.out.startswith("Nothing was changed; it would be: 1 updated, 1 created.")
    assert (await stockgate("import", "skus", str(file))).out.startswith("Imported: 1 updated, 1 created.")
    assert (await stockgate("export", "skus", str(file), "--excel")).out.startswith(f"Wrote {file}.")
    assert file.read_text(encoding="utf-8").startswith("\ufeffsku,title")
    assert "3 unchanged" in (await stockgate("import", "skus", str(file))).out
    exported = await stockgate("export", "listings")
    assert exported.out == "channel,item_id,platform_sku_id,components,takes_on\n"
    file.write_text(f"{exported.out}tb,1,,TEA:1,\ntb,2,,NOPE:1,\n")
    refused = await stockgate("import", "listings", str(file))
    assert refused.exit_code == 1
    assert "no SKU has the code 'NOPE'" in refused.out
    assert "Nothing was changed: 1 of 2 lines are wrong." in refused.out
    report = await stockgate("import", "listings", str(file), "--json")
    assert (report.exit_code, report.document["applied"]) == (1, False)
    assert [line["result"] for line in report.document["lines"]] == ["CREATED", "REFUSED"]


async def test_a_table_may_be_written_in_another_way(stockgate: Stockgate, tmp_path: Path) -> None:
    """A file that is not UTF-8 is refused with what to do, and read if its encoding is named."""
    file = tmp_path / "skus.csv"
    file.write_text("sku,title\nTEA,\u7eff\u8336\n", encoding="gb18030")
    refused = await stockgate("import", "skus", str(file))
    assert (refused.exit_code, "--encoding gb18030" in refused.err) == (2, True)
    assert (await stockgate("import", "skus", str(file), "--encoding", "gb18030")).exit_code == 0
    assert (await stockgate("sku", "show", "TEA", "--json")).document["sku"]["title"] == "\u7eff\u8336"
    wrong = await stockgate("import", "skus", str(file), "--encoding", "klingon")
    assert (wrong.exit_code, "no encoding" in wrong.err) == (2, True)
    nothing = await stockgate("export", "stuff")
    assert (nothing.exit_code, "listings" in nothing.err) == (2, True)
