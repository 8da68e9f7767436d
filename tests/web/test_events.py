"""What a tab is told, and how it resumes, over plain HTTP."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

import httpx
import pytest

from gateway import app
from gateway.alerts.hub import AlertHub
from gateway.settings import Settings
from gateway.v1 import alert_service_pb2 as alerts
from gateway.v1 import operations_service_pb2 as operations
from gateway.web import events
from tests.hubs import hub_of
from tests.web.people import Place
from tests.web.streaming import Tab, listening

pytestmark = pytest.mark.asyncio(loop_scope="session")


@asynccontextmanager
async def visitor(place: Place) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody of the test's merchant."""
    async with httpx.AsyncClient(base_url=place.url, timeout=20) as client:
        signed_in = await client.post("/session", json={"name": "李敏", "token": place.token})
        client.headers["x-csrf-token"] = signed_in.json()["csrf"]
        yield client


async def something_happens(place: Place, count: int = 1) -> int:
    """So many events are told in the alert log; the revision of the last."""
    end_time = datetime.now(UTC) + timedelta(hours=1)
    revision = 0
    for _ in range(count):
        silence = {"matcher": {"skus": ["CUP"]}, "end_time": end_time, "actor": "li", "comment": "we count"}
        answer = await place.client.tell(place.client.alerts.Silence, alerts.SilenceRequest, **silence)
        revision = answer.silence.silence_id
    return revision


def moments(content: Any) -> Any:
    """The same, with times as times: they may be written with more or fewer digits."""
    if isinstance(content, dict):
        return {name: moments(value) for name, value in content.items()}
    if isinstance(content, list):
        return [moments(value) for value in content]
    with suppress(ValueError, TypeError):
        return datetime.fromisoformat(content) if len(content) > len("2026-11-22") else content
    return content


async def test_a_tab_is_told_everything_and_then_what_changes(place: Place) -> None:
    """First every row there is; then only rows that moved, with their stock alone."""
    await place.client.add_sku("CUP", 10)
    await place.client.add_sku("MUG", 7)
    async with visitor(place) as client, listening(client) as tab:
        first = await tab.next("board")
        assert first.data["full"]
        known = {row["sku"] for row in first.data["rows"]}
        while known != {"CUP", "MUG"}:
            known |= {row["sku"] for row in (await tab.next("board")).data["rows"]}
        await place.client.reserve("CUP", 3)
        row = await tab.row("CUP", available=7)
        assert row["on_hand"] == 10


async def test_the_stream_and_the_api_tell_the_same(place: Place) -> None:
    """A row of the stream is the row of GetBoard, field by field, in the same form."""
    await place.client.add_sku("CUP", 10)
    async with visitor(place) as client, listening(client) as tab:
        told = await tab.row("CUP", available=10)
        answer = await client.post("/api/OperationsService/GetBoard", json={})
        (asked,) = answer.json()["rows"]
        whole = told if "tier" in told else await tab.row("CUP")
        assert whole.keys() == asked.keys()
        assert moments(whole) == moments(asked)
        assert answer.json()["skus"] == 1


async def test_a_browser_resumes_without_a_gap(place: Place) -> None:
    """Whatever happened while a tab was away is told when it comes again, once, in order."""
    await place.client.add_sku("CUP")
    async with visitor(place) as client:
        async with listening(client) as tab:
            await tab.next("tick")
            first = await something_happens(place)
            seen = await tab.events(first)
            position = tab.position
        last = await something_happens(place, count=5)
        async with listening(client, position) as tab:
            seen += await tab.events(last)
            after = await something_happens(place)
            seen += await tab.events(after)
    assert seen == list(range(seen[0], after + 1))


async def test_a_tab_that_has_seen_no_event_resumes_too(place: Place) -> None:
    """The place in the log is known from the first word on."""
    await place.client.add_sku("CUP")
    async with visitor(place) as client:
        async with listening(client) as tab:
            await tab.next("tick")
            position = tab.position
        last = await something_happens(place, count=2)
        async with listening(client, position) as tab:
            assert last - 1 in await tab.events(last)


async def test_who_cannot_resume_is_told(place: Place) -> None:
    """A place in another lineage or beyond the log: 'lost', and from there on as anybody. What is no place is none."""
    await place.client.add_sku("CUP")
    async with visitor(place) as client:
        async with listening(client) as tab:
            await tab.next("tick")
            epoch = tab.position.partition(".")[0]
        for last in (
            "another.3",
            f"{epoch}.999999",
            f"{epoch}.{'9' * 60}",
            f"{epoch}.-1",
            "x",
            f"{epoch}.",
            "." * 5_000,
        ):
            is_place = last.rpartition(".")[2].isdecimal()
            async with listening(client, last) as tab:
                told = await tab.next("lost", "tick")
                assert (told.kind == "lost") == is_place, last
                revision = await something_happens(place)
                assert (await tab.next("event")).data["revision"] <= revision


async def test_a_tick_says_how_old_it_is(place: Place) -> None:
    """Every second, with the journal's revision and what waits for somebody."""
    await place.client.add_sku("CUP", 10)
    async with visitor(place) as client, listening(client) as tab:
        while (tick := (await tab.next("tick")).data)["revision"] < 1:
            pass
        assert tick["age_ms"] < 2_000
        assert (tick["shortfalls"], tick["channels"], tick["drill"]) == (0, [], None)
        assert tick["skus"] == 1


async def test_a_gateway_that_stops_lets_go_of_its_tabs(settings: Settings, token: str) -> None:
    """It is down within two seconds though tabs listen, one of which does not read."""
    with_page = replace(settings, listen="127.0.0.1:0", page_listen="127.0.0.1:0")
    async with AsyncExitStack() as tabs:
        async with app.running(with_page) as addresses:
            client = await tabs.enter_async_context(httpx.AsyncClient(base_url=addresses.page or "", timeout=20))
            await client.post("/session", json={"name": "li", "token": token})
            tab: Tab = await tabs.enter_async_context(listening(client))
            await tab.next("tick")
            deaf = await asyncio.open_connection("127.0.0.1", int((addresses.page or "").rpartition(":")[2]))
            deaf[1].write(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await asyncio.sleep(0)
            began = time.monotonic()
        assert time.monotonic() - began < 4.0
        with pytest.raises(StopAsyncIteration):
            await tab.next("never")
        deaf[1].close()


async def test_nobody_listens_before_he_may_look(place: Place) -> None:
    """From elsewhere a stream needs a session, as everything does."""
    async with httpx.AsyncClient(base_url=place.url) as client:
        refused = await client.get("/events", headers={"host": "evil.example"})
        assert (refused.status_code, refused.json()["reason"]) == (401, "SIGN_IN")


async def test_tabs_are_bounded(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever opens more than there is room for is refused, and told so; who closes one may open another."""
    monkeypatch.setattr(events, "STREAMS_MAX", 2)
    async with visitor(place) as client, listening(client) as first:
        await first.next("tick")
        async with listening(client) as second:
            await second.next("tick")
            refused = await client.get("/events")
            assert (refused.status_code, refused.json()["reason"]) == (429, "TOO_MANY_STREAMS")
        async with asyncio.timeout(10):
            while True:
                async with client.stream("GET", "/events") as again:
                    if again.status_code == HTTPStatus.OK:
                        break


async def test_the_board_finds_what_it_does_not_show(place: Place) -> None:
    """By code or title, whatever the letters' case and whatever signs; most pressing first, and how many there are."""
    for sku in ("CUP-1", "CUP-2", "MUG-%_", "TEA"):
        await place.client.add_sku(sku, 5)

    async def found(**asked: Any) -> tuple[list[str], int]:
        answer = await place.client.ask(place.client.operations.GetBoard, operations.GetBoardRequest, **asked)
        return [row.sku for row in answer.rows], answer.skus

    assert await found(query="cup") == (["CUP-1", "CUP-2"], 2)
    assert await found(query="cup", rows_max=1) == (["CUP-1"], 2)
    assert await found(query="%_") == (["MUG-%_"], 1)
    assert await found(query="nothing") == ([], 0)
    assert await found(skus=["TEA", "CUP-1", "NONE"]) == (["CUP-1", "TEA"], 2)


async def test_a_tab_that_sleeps_gives_up_its_place(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who takes nothing of a stream for long is let go, though nothing else ends it."""
    monkeypatch.setattr(events, "WRITE_SECONDS_MAX", 0.5)
    monkeypatch.setattr(events, "_tick", lambda *_, **__: b'"%s"' % (b"x" * 4_000_000))
    host, _, port = place.url.removeprefix("http://").partition(":")
    hub = hub_of(AlertHub, place.token)
    async with visitor(place) as client:
        cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
        reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
        writer.write(f"GET /events HTTP/1.1\r\nHost: {host}:{port}\r\nCookie: {cookie}\r\n\r\n".encode())
        await reader.readline()
        async with asyncio.timeout(30):
            for wanted in (1, 0):
                while hub.streams() != wanted:  # noqa: ASYNC110 - it says so by a number
                    await asyncio.sleep(0.02)
        writer.close()


async def test_a_stream_ends_with_its_session(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has signed out in one tab hears nothing in the others."""
    monkeypatch.setattr(events, "ASK_SECONDS", 0.1)
    async with visitor(place) as client, listening(client) as tab:
        await tab.next("tick")
        assert (await client.delete("/session")).status_code == HTTPStatus.OK
        with pytest.raises(StopAsyncIteration):
            await tab.next("never")
