"""Catalogs come and go as CSV: all lines or none, each with its result, and what goes out comes in again unchanged."""

import csv
import io
import json
import time
from typing import Any

import asyncpg
import pytest
from grpc import StatusCode

from gateway.v1 import catalog_service_pb2 as pb
from gateway.v1.catalog_pb2 import Sku
from gateway.v1.channel_pb2 import Platform
from gateway.v1.stock_pb2 import MovementKind
from tests.client import Client
from tests.merchants import schema_of_token
from tests.refusals import refused
from tests.store.history import movements, stop_allocating, units

SKUS, LISTINGS = pb.CATALOG_TABLE_SKUS, pb.CATALOG_TABLE_LISTINGS
SKU_HEADER = "sku,title,safety_stock,lead_time_mean_days,lead_time_deviation_days,substitutes\n"
LISTING_HEADER = "channel,item_id,platform_sku_id,components,takes_on\n"


@pytest.fixture(autouse=True)
def _nobody_allocates(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is seen here is what callers have done."""
    stop_allocating(monkeypatch)


# ---- SKUs


async def test_skus_are_created_and_changed(client: Client) -> None:
    """Each line says what became of it; substitutes may be lines of the same file."""
    await client.add_sku("CUP")
    text = f'{SKU_HEADER}CUP,Cup,2,7,1.5,MUG;JUG\nMUG,"Mug, blue",,,,\nJUG,Jug,0,0,,\n'
    assert await results(client, SKUS, text) == [(2, "CUP", "UPDATED"), (3, "MUG", "CREATED"), (4, "JUG", "CREATED")]
    cup, jug, mug = await skus(client)
    assert (cup.title, cup.safety_stock, list(cup.substitutes)) == ("Cup", 2, ["MUG", "JUG"])
    assert (cup.lead_time_mean_days, cup.lead_time_deviation_days) == (7, 1.5)
    assert (jug.HasField("lead_time_mean_days"), jug.HasField("lead_time_deviation_days")) == (True, False)
    assert (mug.title, mug.HasField("lead_time_mean_days")) == ("Mug, blue", False)
    assert {result for _, _, result in await results(client, SKUS, text)} == {"UNCHANGED"}
    assert await skus(client) == [cup, jug, mug]


async def test_a_column_that_is_left_out_leaves_what_is_there(client: Client) -> None:
    """Columns may stand in any order; an empty cell says none."""
    await results(client, SKUS, f"{SKU_HEADER}CUP,Cup,2,7,1,\n")
    assert await results(client, SKUS, "lead_time_mean_days, sku\n,CUP\n") == [(2, "CUP", "UPDATED")]
    (cup,) = await skus(client)
    assert (cup.title, cup.safety_stock, cup.HasField("lead_time_mean_days")) == ("Cup", 2, False)
    assert cup.lead_time_deviation_days == 1


async def test_one_wrong_line_stops_all(client: Client) -> None:
    """Every line is judged, the wrong ones with column and reason; nothing is changed, no number taken (R11)."""
    await client.add_sku("CUP")
    text = (
        f"{SKU_HEADER}CUP,Bowl,1,,,\nNEW,New,0,,,\n,No code,,,,\n MUG ,Mug,-1,,,\nJUG,Jug,1.5,,,\nPOT,Pot,1,soon,,\n"
        "LID,Lid,1,,9999,\nPAN,Pan,1,,,NOPE\nWOK,Wok,1,,,WOK\nCUP,Again,1,,,\nTIN,Tin\nCAN,Can,1,,,,\n1.2E+12,Can,,,,\n"
        f"BIG,Big,{10**15 + 1},,,\n{'x' * 65},Long,,,,\nBOX,a\0b,,,,\n"
    )
    before = await skus(client)
    response = await load(client, SKUS, text)
    assert not response.applied
    found = [(line.line, line.key, line.result, line.column) for line in response.lines]
    assert found == [
        (2, "CUP", "UPDATED", ""),
        (3, "NEW", "CREATED", ""),
        (4, "", "REFUSED", "sku"),
        (5, " MUG ", "REFUSED", "safety_stock"),
        (6, "JUG", "REFUSED", "safety_stock"),
        (7, "POT", "REFUSED", "lead_time_mean_days"),
        (8, "LID", "REFUSED", "lead_time_deviation_days"),
        (9, "PAN", "REFUSED", "substitutes"),
        (10, "WOK", "REFUSED", "substitutes"),
        (11, "CUP", "REFUSED", "sku"),
        (12, "TIN", "REFUSED", ""),
        (13, "CAN", "REFUSED", ""),
        (14, "1.2E+12", "REFUSED", "sku"),
        (15, "BIG", "REFUSED", "safety_stock"),
        (16, "x" * 65, "REFUSED", "sku"),
        (17, "BOX", "REFUSED", "title"),
    ]
    reasons = {line.line: line.reason for line in response.lines if line.reason}
    assert (len(reasons), reasons[11]) == (14, "line 2 says it already")
    assert all(len(reason) < 200 for reason in reasons.values())
    assert await skus(client) == before


async def test_a_dry_run_changes_nothing(client: Client) -> None:
    """It says what would happen."""
    response = await load(client, SKUS, f"{SKU_HEADER}CUP,Cup,1,,,\n", dry_run=True)
    assert ([line.result for line in response.lines], response.applied) == (["CREATED"], False)
    assert await skus(client) == []


async def test_an_imported_safety_stock_is_in_the_journal(client: Client) -> None:
    """What the ledger decides by goes through its writer, and takes effect at once (R19)."""
    await client.add_sku("CUP", 10)
    await client.add_sku("MUG", 10, safety_stock=1)
    await results(client, SKUS, "sku,safety_stock\nCUP,3\nMUG,1\n")
    assert await units(client, "CUP") == (10, 0, 7)
    rows = await movements(client, kinds=[MovementKind.MOVEMENT_KIND_SAFETY_STOCK])
    assert [(row.sku, row.safety_stock_after) for row in rows] == [("CUP", 3)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the column sku is missing"),
        ("title\nCup\n", "the column sku is missing"),
        ("sku;title\nCUP;Cup\n", "commas"),
        ("sku,titel\nCUP,Cup\n", "no column 'titel'"),
        ("sku,title,title\nCUP,a,b\n", "twice"),
        ('sku,title\nCUP,"Cup\n', "line 2 cannot be read"),
        ('sku,title\nCUP,Cup\nMUG,"a"b\n', "line 3 cannot be read"),
        (f"sku,title\nCUP,{'x' * 200_000}\n", "line 2 cannot be read"),
        ("sku\n" + "CUP\n" * 10_001, "more than 10000 lines"),
        (f"sku,title\nCUP,{'x' * 3 * 2**20}\n", "larger than"),
    ],
    ids=range(10),
)
async def test_what_is_no_table_is_refused_whole(client: Client, text: str, words: str) -> None:
    """A wrong column, a broken quote, too much of it: one error that says where."""
    refusal = await refused(load(client, SKUS, text))
    assert (refusal.code, refusal.field) == (StatusCode.INVALID_ARGUMENT, "csv")
    assert words in refusal.message


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
async def test_spreadsheets_write_csv_in_their_own_ways(client: Client, end: str) -> None:
    """A byte order mark, quoted cells, any line end, none at the last line, empty lines and rows."""
    lines = ['\ufeff"sku",title', '"CUP","Cup ""blue"""', "", " , ", "\u4e00,\u6d77\u82d4"]
    found = await results(client, SKUS, end.join(lines))
    assert found == [(2, "CUP", "CREATED"), (5, "\u4e00", "CREATED")]
    assert [sku.title for sku in await skus(client)] == ['Cup "blue"', "\u6d77\u82d4"]


async def test_ten_thousand_skus_come_in_within_seconds(client: Client) -> None:
    """Created, found unchanged, and changed with their safety stock."""
    rows = [f"SKU-{number:05},Title {number},{number % 7},3.5,1,\n" for number in range(10_000)]
    began = time.monotonic()
    response = await load(client, SKUS, SKU_HEADER + "".join(rows))
    assert (response.applied, len(response.lines)) == (True, 10_000)
    changed = [row.replace("Title", "Name").replace(",3.5", "0,3.5") for row in rows]
    assert (await load(client, SKUS, SKU_HEADER + "".join(changed))).applied
    assert time.monotonic() - began < 30
    text = await export(client, SKUS)
    assert list(csv.reader(io.StringIO(text)))[8] == ["SKU-00007", "Name 7", "0", "3.5", "1.0", ""]
    assert {line.result for line in (await load(client, SKUS, text)).lines} == {"UNCHANGED"}


# ---- listings


async def test_listings_are_linked_and_linked_anew(client: Client) -> None:
    """Kits too; numbers are given in the order of the lines; takes_on is left alone if its column is missing."""
    await shop(client)
    text = f"{LISTING_HEADER}tb,1,11,CUP:1,PAYMENT\ntb,2,,CUP:2;MUG:1,\ndy,1,11,MUG:1,order\n"
    keys = ["tb/1/11", "tb/2/", "dy/1/11"]
    assert await results(client, LISTINGS, text) == [(2 + n, key, "CREATED") for n, key in enumerate(keys)]
    assert {result for _, _, result in await results(client, LISTINGS, text)} == {"UNCHANGED"}
    again = "channel,item_id,platform_sku_id,components\ntb,1,11,MUG:3\ntb,2,,MUG:1;CUP:2\n"
    assert [result for _, _, result in await results(client, LISTINGS, again)] == ["UPDATED", "UNCHANGED"]
    expected = f"{LISTING_HEADER}tb,1,11,MUG:3,PAYMENT\ntb,2,,CUP:2;MUG:1,\ndy,1,11,MUG:1,ORDER\n"
    assert await export(client, LISTINGS) == expected


async def test_one_wrong_listing_stops_all(client: Client, owner: asyncpg.Connection, token: str) -> None:
    """Unknown names, parts that cannot be, listings that may still sell: each with its column, and none is linked."""
    await shop(client)
    await results(client, LISTINGS, f"{LISTING_HEADER}tb,1,1,CUP:1,\n")
    state = json.dumps([[["main", 2]]])
    await owner.execute(f"UPDATE {schema_of_token(token)}.listings SET state = $1", state)
    before = await export(client, LISTINGS)
    lines = {
        "tb,1,1,CUP:2,": "components",
        "nope,2,1,CUP:1,": "channel",
        "tb,3,1,NOPE:1,": "components",
        "tb,4,1,CUP,": "components",
        "tb,5,1,CUP:x,": "components",
        "tb,6,1,CUP:0,": "components",
        "tb,7,1,CUP:1000001,": "components",
        "tb,8,1,CUP:1;CUP:1,": "components",
        "tb,9,1,,": "components",
        "tb,6.12E+11,1,CUP:1,": "item_id",
        "tb,11,4.3e12,CUP:1,": "platform_sku_id",
        "tb,,1,CUP:1,": "item_id",
        "tb,12,1,CUP:1,later": "takes_on",
        "tb,13,1,CUP:1": "",
    }
    good = "tb,99,1,CUP:1,\n"
    response = await load(client, LISTINGS, LISTING_HEADER + good + "\n".join(lines) + "\n" + good)
    assert not response.applied
    assert [line.column for line in response.lines] == ["", *lines.values(), "item_id"]
    assert [line.result for line in response.lines] == ["CREATED", *["REFUSED"] * (len(lines) + 1)]
    assert await export(client, LISTINGS) == before


async def test_any_code_comes_in_as_it_went_out(client: Client) -> None:
    """Codes with commas, quotes, semicolons, colons and backslashes; titles that look like something else."""
    codes = ["a;b", "a:1", "a\\", "a\\;b", 'a"b', "a,b", "=1+1", "-", "\u4e00"]
    for code in codes:
        content = {"sku": code, "title": f" {code} "}
        await client.ask(client.catalog.CreateSku, pb.CreateSkuRequest, sku=content)
    everybody = {"sku": "all", "substitutes": codes}
    await client.ask(client.catalog.CreateSku, pb.CreateSkuRequest, sku=everybody)
    await shop(client)
    parts = [{"sku": code, "units": 2} for code in codes]
    listing = {"channel": "tb", "item_id": "1,2", "components": parts}
    await client.ask(client.catalog.LinkListing, pb.LinkListingRequest, listing=listing)
    for table in (SKUS, LISTINGS):
        response = await load(client, table, await export(client, table))
        assert {(line.result, line.reason) for line in response.lines} == {("UNCHANGED", "")}


async def test_ten_thousand_listings_come_in_within_seconds(client: Client) -> None:
    """Linked, and linked anew, in one transaction each."""
    await shop(client)
    rows = [f"tb,{number},{number},CUP:1;MUG:2,\n" for number in range(10_000)]
    began = time.monotonic()
    assert (await load(client, LISTINGS, LISTING_HEADER + "".join(rows))).applied
    changed = [row.replace("MUG:2", "MUG:3") for row in rows]
    assert {line.result for line in (await load(client, LISTINGS, LISTING_HEADER + "".join(changed))).lines} == {
        "UPDATED"
    }
    assert time.monotonic() - began < 30
    assert (await export(client, LISTINGS)).splitlines()[10_000] == "tb,9999,9999,CUP:1;MUG:3,"


async def test_a_table_must_be_named(client: Client) -> None:
    """Neither import nor export guesses."""
    assert (await refused(load(client, 0, "sku\n"))).field == "table"
    assert (await refused(export(client, 3))).field == "table"


# ---- calls


async def load(client: Client, table: int, text: str, *, dry_run: bool = False) -> pb.ImportCatalogResponse:
    """Import a CSV."""
    content: dict[str, Any] = {"table": table, "csv": text, "dry_run": dry_run}
    return await client.ask(client.catalog.ImportCatalog, pb.ImportCatalogRequest, **content)


async def results(client: Client, table: int, text: str) -> list[tuple[int, str, str]]:
    """Import a CSV that must be applied; what became of each line."""
    response = await load(client, table, text)
    assert response.applied, response
    return [(line.line, line.key, line.result) for line in response.lines]


async def export(client: Client, table: int) -> str:
    """Everything, as CSV."""
    content: Any = {"table": table}
    stream = client.catalog.ExportCatalog(pb.ExportCatalogRequest(**content), **client.options)
    return "".join([part.csv async for part in stream])


async def skus(client: Client) -> list[Sku]:
    """All SKUs, by code."""
    return list((await client.ask(client.catalog.ListSkus, pb.ListSkusRequest)).skus)


async def shop(client: Client) -> None:
    """Two SKUs and two channels."""
    for sku in ("CUP", "MUG"):
        await client.add_sku(sku)
    for code in ("tb", "dy"):
        content = {"channel": code, "platform": Platform.PLATFORM_TAOBAO}
        await client.ask(client.catalog.CreateChannel, pb.CreateChannelRequest, channel=content)
