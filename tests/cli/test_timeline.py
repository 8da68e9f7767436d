"""`stockgate timeline` and `stockgate audit`."""

import asyncio
import getpass
import socket
from collections.abc import Iterator
from itertools import islice

import pytest

from gateway.cli import away, timeline
from gateway.cli.client import Caller, ClientSettings, connected
from gateway.cli.errors import Failure, Problem
from gateway.v1 import operations_service_pb2 as pb
from gateway.v1 import stock_service_pb2 as stock
from gateway.v1.operations_pb2 import TimelineEntry
from tests.cli.conftest import Stockgate
from tests.client import Client, new_id
from tests.store.history import adjust


async def test_the_timeline_reads_downward(quick_stockgate: Stockgate, client: Client) -> None:
    """The newest stands last; a kind alone gives its own; one sentence each, in English or Chinese."""
    await client.add_sku("TEA", 10)
    await client.commit((await client.reserve("TEA", 2)).reservation_id)
    english = (await quick_stockgate("timeline", "--sku", "TEA", "--kind", "movement", "--lang", "en")).out.splitlines()
    assert [line.partition("movement")[2].strip() for line in english] == [
        "10 received at main: 10 on hand, 0 reserved",
        "2 reserved at main: 10 on hand, 2 reserved",
        "2 sold at main: 8 on hand, 0 reserved",
    ]
    chinese = (await quick_stockgate("timeline", "--sku", "TEA", "--lang", "zh", "--limit", "1")).out
    assert "售出 2 件（main：在库 8，预占 0）" in chinese
    assert "--limit shows more" in chinese


async def test_the_timeline_for_programs(quick_stockgate: Stockgate, client: Client) -> None:
    """JSON has the rows themselves; a kind there is not is not typed right."""
    await client.add_sku("TEA", 10)
    entries = (await quick_stockgate("timeline", "--sku", "TEA", "--json")).document["entries"]
    assert [entry["row"]["kind"] for entry in entries] == ["movement", "audit", "audit"]
    assert entries[0]["movement"]["on_hand_after"] == 10
    wrong = await quick_stockgate("timeline", "--sku", "TEA", "--kind", "gossip", "--json")
    assert (wrong.exit_code, "'gossip' is none of movement, push" in wrong.err) == (2, True)


async def test_the_audit_knows_who_typed(
    quick_stockgate: Stockgate, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command line says who is logged in, or STOCKGATE_ACTOR; of a program that does not say, nobody is known."""
    monkeypatch.delenv("STOCKGATE_ACTOR", raising=False)
    await client.add_sku("TEA", 10)
    await adjust(client, "TEA", -1)
    await quick_stockgate("sku", "freeze", "TEA", "--reason", "recall")
    mine = (await quick_stockgate("audit", "--actor", getpass.getuser(), "--json")).document["entries"]
    assert [(entry["method"], entry["reason"]) for entry in mine] == [("CatalogService/FreezeSku", "recall")]
    monkeypatch.setenv("STOCKGATE_ACTOR", "李敏")
    await quick_stockgate("sku", "unfreeze", "TEA")
    hers = (await quick_stockgate("audit", "--actor", "李敏", "--json")).document["entries"]
    assert [entry["method"] for entry in hers] == ["CatalogService/UnfreezeSku"]
    table = (await quick_stockgate("audit", "--sku", "TEA")).out
    assert "CatalogService/FreezeSku" in table
    assert "StockService/AdjustStock" in table


async def test_what_is_followed_comes_once(
    client: Client, gateway_address: str, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each look goes back a while, for what became visible late, and yet nothing is told twice, nor what was cut."""
    monkeypatch.setattr(timeline, "FOLLOW_SECONDS", 0.0)
    monkeypatch.setattr(timeline, "FOLLOWED_MAX", 500)
    await client.add_sku("TEA", 10)

    def follow() -> list[str]:
        with connected(ClientSettings(gateway_address, token), as_json=False) as caller:
            request = pb.ListTimelineRequest(sku="TEA", page_size=1)
            first = caller.ask(caller.operations.ListTimeline, request)
            followed = timeline.Following(caller, request, first).entries()
            return [entry.text_en for entry in _while_receiving(caller, followed)]

    texts = await asyncio.to_thread(follow)
    received = [text for text in texts if "received" in text]
    assert received == [f"1 received at main: {units} on hand, 0 reserved" for units in range(11, 14)]


async def test_what_begins_with_nothing_is_followed(
    client: Client, gateway_address: str, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the first entry there is no time to go by; then all that there is comes, oldest first."""
    monkeypatch.setattr(timeline, "FOLLOW_SECONDS", 0.0)
    await client.add_sku("TEA", 10)

    def follow() -> list[int]:
        with connected(ClientSettings(gateway_address, token), as_json=False) as caller:
            nothing = pb.ListTimelineResponse()
            followed = timeline.Following(caller, pb.ListTimelineRequest(sku="TEA"), nothing).entries()
            return [entry.record_time.ToMicroseconds() for entry in islice(followed, 3)]

    times = await asyncio.to_thread(follow)
    assert times == sorted(times)


def test_a_gateway_that_stays_away_ends_it(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """It is said when it goes, once, and waited for; a refusal is no reason to wait."""
    monkeypatch.setattr(timeline, "FOLLOW_SECONDS", 0.0)
    monkeypatch.setattr(away, "AWAY_SECONDS_MAX", 0.0)
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        settings = ClientSettings(f"127.0.0.1:{deaf.getsockname()[1]}")
        with connected(settings, as_json=False) as caller, pytest.raises(Failure, match="no gateway answers"):
            next(timeline.Following(caller, pb.ListTimelineRequest(sku="TEA"), pb.ListTimelineResponse()).entries())
    assert capsys.readouterr().err.count("the gateway is away") == 1
    with pytest.raises(Failure, match="no"):
        away.Away().lost(Failure(Problem("NOT_FOUND", "no SKU")))


def test_a_gateway_that_comes_back_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """What is on the screen looks like the present: its end and its beginning are told, each once."""
    gateway = away.Away()
    gateway.heard()
    for _ in range(3):
        gateway.lost(Failure(Problem("UNAVAILABLE", "it stops")))
    gateway.heard()
    gateway.heard()
    told = capsys.readouterr().err.splitlines()
    assert told == ["the gateway is away, and is asked again: it stops", "the gateway is back"]


def _while_receiving(caller: Caller, followed: Iterator[TimelineEntry]) -> Iterator[TimelineEntry]:
    """Three units, one after the other, each when what is known so far was told: two entries each."""
    for _ in range(3):
        caller.ask(caller.stock.ReceiveStock, stock.ReceiveStockRequest(request_id=new_id(), sku="TEA", quantity=1))
        yield from islice(followed, 2)
