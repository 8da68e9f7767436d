"""Who may see the page and act on it, and what every answer tells the browser, over plain HTTP."""

import asyncio
import re
import ssl
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from google.protobuf.message import Message

from gateway import app
from gateway.settings import Settings
from gateway.web import bridge
from gateway.web.messages import as_json
from gateway.web.visitors import LIFETIME, TRIES_MAX, Visitors
from tests.client import new_id
from tests.merchants import Blueprint, drop_merchant, new_merchant_name
from tests.web.people import Place

pytestmark = pytest.mark.asyncio(loop_scope="session")

TLS = Path(__file__).resolve().parents[1] / "rpc" / "tls"
JSON = {"content-type": "application/json"}
CREATE, LIST = "/api/CatalogService/CreateSku", "/api/CatalogService/ListSkus"
ANSWERS = ("/", "/audit", "/static/js/first.js", "/session", "/healthz", "/nothing", "/static/nothing.js")


@asynccontextmanager
async def visiting(place: Place, **options: Any) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody who keeps cookies as a browser does."""
    async with httpx.AsyncClient(base_url=place.url, timeout=20, **options) as client:
        yield client


async def sign_in(client: httpx.AsyncClient, place: Place, name: str = "李敏", **headers: str) -> httpx.Response:
    """Sign in with the merchant's token."""
    return await client.post("/session", json={"name": name, "token": place.token}, headers=headers)


def sku(code: str = "") -> dict[str, Any]:
    """A request that changes something."""
    return {"sku": {"sku": code or f"CUP-{new_id()}"}}


async def test_every_answer_forbids_what_is_not_ours(open_place: Place) -> None:
    """Pages, files, errors and the API say: nothing inline, no other host, in no frame, told to nobody, not kept."""
    async with visiting(open_place) as client:
        answers = [await client.get(path) for path in ANSWERS] + [await client.post(LIST, json={})]
    for answer in answers:
        policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
        assert policy["default-src"] == "'self'"
        assert policy["frame-ancestors"] == policy["object-src"] == policy["base-uri"] == "'none'"
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["cache-control"] in {"no-store", "no-cache"}
        assert "server" not in answer.headers
    assert [answer.status_code for answer in answers] == [200, 200, 200, 200, 200, 404, 404, 200]


async def test_the_cookie_is_the_browsers_alone(open_place: Place) -> None:
    """No script can read it, no other site can use it, it ends; and what is kept here cannot be used as one."""
    async with visiting(open_place) as client:
        signed_in = await sign_in(client, open_place)
        said = signed_in.headers["set-cookie"]
        assert re.search(r"; HttpOnly(;|$)", said)
        assert re.search(r"; SameSite=lax(;|$)", said)
        assert f"Max-Age={round(LIFETIME.total_seconds())}" in said
        [cookie] = client.cookies.values()
        assert cookie not in signed_in.text
        assert open_place.token not in signed_in.text


async def test_under_tls_the_cookie_never_travels_in_the_clear(settings: Settings) -> None:
    """A page that is served under TLS says Secure, and that browsers are to come back under TLS only."""
    anywhere, key, chain = "127.0.0.1:0", TLS / "key.pem", TLS / "cert.pem"
    secure = replace(settings, listen=anywhere, page_listen=anywhere, tls_key_file=key, tls_cert_file=chain)
    known = ssl.create_default_context(cafile=chain)
    async with (
        app.running(secure) as addresses,
        httpx.AsyncClient(base_url=(addresses.page or "").replace("127.0.0.1", "localhost"), verify=known) as client,
    ):
        assert client.base_url.scheme == "https"
        answer = await client.post("/session", json={"name": "li"})
        assert "; Secure" in answer.headers["set-cookie"]
        assert "max-age" in answer.headers["strict-transport-security"]


async def test_who_has_not_signed_in_changes_nothing(open_place: Place) -> None:
    """From this machine everybody may look; who acts says first who he is."""
    async with visiting(open_place) as client:
        assert (await client.post(LIST, json={})).status_code == 200
        refused = await client.post(CREATE, json=sku())
        assert (refused.status_code, refused.json()["reason"]) == (401, "SIGN_IN")


@pytest.mark.parametrize("token", [None, "", "0" * 64, "é", "of another"])
async def test_what_does_not_come_from_the_page_changes_nothing(open_place: Place, token: str | None) -> None:
    """The cookie alone is not enough: a request needs what only the page's own scripts know, of the same session."""
    async with visiting(open_place) as client, visiting(open_place) as other:
        session = (await sign_in(client, open_place)).json()
        if token == "of another":
            token = (await sign_in(other, open_place, "王芳")).json()["csrf"]
        headers = {} if token is None else {b"x-csrf-token": token.encode()}
        asked = sku()
        refused = await client.post(CREATE, json=asked, headers=headers)
        assert (refused.status_code, refused.json()["reason"]) == (403, "CSRF")
        assert asked["sku"]["sku"] not in {one["sku"] for one in (await client.post(LIST, json={})).json()["skus"]}
        assert (await client.post(CREATE, json=asked, headers={"x-csrf-token": session["csrf"]})).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:1"},
        {"origin": "http://localhost.evil.example"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
async def test_another_site_changes_nothing(open_place: Place, headers: dict[str, str]) -> None:
    """What a browser says comes from another site is refused, with everything else right; signing in too."""
    async with visiting(open_place) as client:
        csrf = {"x-csrf-token": (await sign_in(client, open_place)).json()["csrf"]}
        refused = await client.post(CREATE, json=sku(), headers=csrf | headers)
        assert (refused.status_code, refused.json()["reason"]) == (403, "ORIGIN")
        assert (await sign_in(client, open_place, **headers)).status_code == 403
        assert (await client.delete("/session", headers=csrf | headers)).status_code == 403


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
async def test_a_form_is_no_request(open_place: Place, kind: str) -> None:
    """What another site's form could send without asking is not read at all."""
    async with visiting(open_place) as client:
        csrf = {"x-csrf-token": (await sign_in(client, open_place)).json()["csrf"]}
        headers = csrf | {"content-type": kind}
        refused = await client.post(CREATE, content=b'{"sku": {"sku": "CUP"}}', headers=headers)
        assert refused.status_code == 415


@pytest.mark.parametrize(
    ("headers", "is_told"),
    [
        ({"host": "evil.example"}, False),  # a name that points here: DNS rebinding
        ({"host": "localhost.evil.example"}, False),
        ({"x-forwarded-for": "203.0.113.9"}, False),
        ({"forwarded": "for=203.0.113.9"}, False),
        ({"via": "1.1 proxy"}, False),
        ({"x-forwarded-proto": "https"}, False),
        ({"origin": "https://shop.example"}, False),
        ({"sec-fetch-site": "same-origin"}, True),
        ({"host": "localhost"}, True),
        ({"host": "[::1]"}, True),
    ],
)
async def test_nothing_is_shown_under_a_foreign_name(
    open_place: Place, headers: dict[str, str], *, is_told: bool
) -> None:
    """Who comes through a proxy, or by a name that is not this machine's, sees nothing before he has signed in."""
    async with visiting(open_place) as client:
        answer = await client.post(LIST, json={}, headers=headers)
        assert answer.status_code == (200 if is_told else 401)
        shell = await client.get("/?sku=CUP&tier=URGENT", headers=headers)
        assert shell.status_code == (200 if is_told else 303)
        # Who has signed in goes on to where he wanted to go.
        to = shell.headers.get("location", "/login?next=%2F%3Fsku%3DCUP%26tier%3DURGENT")
        assert to == "/login?next=%2F%3Fsku%3DCUP%26tier%3DURGENT"


async def test_a_proxy_that_says_nothing_is_seen_by_how_it_speaks(open_place: Place) -> None:
    """nginx as it comes passes requests on as HTTP/1.0, under our own name: nothing is shown to who is behind it."""
    host, _, port = open_place.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /session HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
    async with asyncio.timeout(20):
        assert (await reader.readline()).split()[1] == b"401"
    writer.close()


async def test_another_site_opens_no_stream(open_place: Place) -> None:
    """A page elsewhere cannot fill this gateway with streams through somebody's browser; a link may lead here."""
    async with visiting(open_place) as client:
        for path in ("/events", "/session", "/review/1/report.html"):
            refused = await client.get(path, headers={"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"})
            assert (refused.status_code, refused.json()["reason"]) == (403, "ORIGIN")
        followed = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
        assert (await client.get("/review/1/report.html", headers=followed)).status_code == 404


async def test_a_fault_of_ours_is_guarded_too(open_place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer to a request that has failed forbids what every other does."""

    def fail(*_arguments: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Visitors, "is_local", fail)
    async with visiting(open_place) as client:
        answer = await client.get("/")
        assert answer.status_code == 500
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("name", "token", "field"),
    [
        ("", None, "name"),
        (" ", None, "name"),
        ("a\x00b", None, "name"),
        ("x" * 10_000, None, "name"),
        ("li", "wrong", "token"),
        ("li", "main.wrong", "token"),
        ("li", "../main.x", "token"),
        ("li", "é" * 100, "token"),
        ("li", "a\r\nb", "token"),
    ],
)
async def test_a_bad_name_or_token_is_refused(place: Place, name: str, token: str | None, field: str) -> None:
    """Who cannot be named, or has no token, is not signed in; the answer repeats no secret."""
    async with visiting(place) as client:
        refused = await client.post("/session", json={"name": name, "token": token or place.token})
        assert refused.status_code in {400, 401}
        assert not client.cookies
        assert refused.json()["field"] in {field, ""}
        assert token is None or token not in refused.text


async def test_a_session_ends(open_place: Place) -> None:
    """Who signs out is out, with the cookie he had too."""
    async with visiting(open_place) as client:
        session = (await sign_in(client, open_place)).json()
        [(name, cookie)] = client.cookies.items()
        assert (await client.get("/session")).json()["actor"] == "李敏"
        csrf = {"x-csrf-token": session["csrf"]}
        assert (await client.delete("/session", headers=csrf)).status_code == 200
        assert not client.cookies
        again = await client.post(CREATE, json=sku(), headers=csrf | {"cookie": f"{name}={cookie}"})
        assert again.status_code == 401


@pytest.mark.parametrize("forged", ["", "x", "main.x", "{merchant}.x", "{merchant}", "..", "é", "{cookie}x", "{token}"])
async def test_a_forged_cookie_is_none(open_place: Place, forged: str) -> None:
    """Nobody makes a cookie but the gateway; an access token is none."""
    async with visiting(open_place) as client:
        session = (await sign_in(client, open_place)).json()
        [(name, cookie)] = client.cookies.items()
        value = forged.format(merchant=open_place.merchant, cookie=cookie, token=open_place.token)
        client.cookies.clear()
        headers = {"cookie": f"{name}={value}".encode(), "x-csrf-token": session["csrf"]}
        assert (await client.post(CREATE, json=sku(), headers=headers)).status_code == 401


async def test_what_is_shown_is_the_merchants_own(open_place: Place, settings: Settings, blueprint: Blueprint) -> None:
    """Who has signed in for one merchant sees and changes nothing of another."""
    name = new_merchant_name()
    theirs = replace(open_place, token=await blueprint.add_merchant(name))
    async with visiting(open_place) as ours, visiting(theirs) as other:
        csrf = (await sign_in(ours, open_place)).json()["csrf"]
        await sign_in(other, theirs)
        assert (await ours.post(CREATE, json=sku("OURS"), headers={"x-csrf-token": csrf})).status_code == 200
        seen = [{one["sku"] for one in (await each.post(LIST, json={})).json()["skus"]} for each in (ours, other)]
        assert ["OURS" in skus for skus in seen] == [True, False]
    await drop_merchant(settings, name)


async def test_tries_to_sign_in_are_bounded(settings: Settings, token: str) -> None:
    """Ten tries a minute; then even the right token has to wait. Who gets it right is not counted."""
    with_page = replace(settings, listen="127.0.0.1:0", page_listen="127.0.0.1:0")
    async with app.running(with_page) as addresses, httpx.AsyncClient(base_url=addresses.page or "") as client:
        for _ in range(TRIES_MAX + 5):
            assert (await client.post("/session", json={"name": "li", "token": token})).status_code == 200
        wrong = [client.post("/session", json={"name": "li", "token": "main.x"}) for _ in range(TRIES_MAX + 5)]
        codes = [answer.status_code for answer in await asyncio.gather(*wrong)]
        assert (codes.count(401), codes.count(429)) == (TRIES_MAX, 5)
        assert (await client.post("/session", json={"name": "li", "token": token})).status_code == 429


# ---- the API


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", "sku.sku"),
        (b"{", ""),
        (b"[]", ""),
        (b"null", ""),
        (b"\xff\xfe", ""),
        (b"[" * 100_000, ""),
        (b'{"sku": ' * 10_000, ""),
        (b'{"nothing": 1}', ""),
        (b'{"sku": 7}', ""),
        (b'{"sku": {"sku": "a\\u0000b"}}', "sku.sku"),
        (b'{"sku": {"sku": "\\ud800"}}', ""),
        (b'{"sku": {"sku": "CUP", "safety_stock": 1e400}}', ""),
        (b'{"sku": {"sku": "CUP", "safety_stock": 9223372036854775808}}', ""),
    ],
)
async def test_a_bad_body_is_refused(open_place: Place, body: bytes, field: str) -> None:
    """What is no request is an INVALID_ARGUMENT that names the field where there is one, and no fault of ours."""
    async with visiting(open_place) as client:
        csrf = {"x-csrf-token": (await sign_in(client, open_place)).json()["csrf"]}
        refused = await client.post(CREATE, content=body, headers=JSON | csrf)
        assert refused.status_code == 400, refused.text
        assert refused.json()["reason"] == "INVALID_ARGUMENT"
        assert refused.json()["field"] == field
        assert len(refused.text) < 1_000


async def test_a_body_above_1_mb_is_refused(open_place: Place) -> None:
    """However it is said: with its length, or in parts that do not end."""

    async def parts() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b" " * 2**16

    async with visiting(open_place) as client:
        assert (await client.post(LIST, content=b" " * (2**20 + 1), headers=JSON)).status_code == 413
        assert (await client.post(LIST, content=parts(), headers=JSON)).status_code == 413


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/api/CatalogService/Nothing", 404),
        ("POST", "/api/Nothing/CreateSku", 404),
        ("POST", "/api/CatalogService/../StockService/x", 404),
        ("GET", LIST, 405),
        ("POST", "/api/StockService/WatchStockLevels", 404),  # streams are not served here
        ("POST", "/api/ChannelService/GetCredentials", 404),
        ("POST", "/api/ChannelService/ReportPushes", 404),
        ("POST", "/api/ChannelService/ReportOrders", 404),
        ("POST", "/api/AlertService/ClaimNotice", 404),
        ("GET", "/static/%2e%2e/site.py", 404),
        ("GET", "/static/..%2fsite.py", 404),
        ("GET", "/static//etc/passwd", 404),
        ("GET", "/static/js", 404),
        ("GET", "/" + "x" * 20_000, 404),
    ],
)
async def test_what_is_not_served_is_not_there(open_place: Place, method: str, path: str, status: int) -> None:
    """Nothing but the page's own files, and the methods that are for people."""
    async with visiting(open_place) as client:
        csrf = {"x-csrf-token": (await sign_in(client, open_place)).json()["csrf"]}
        answer = await client.request(method, path, content=b"{}" if method == "POST" else None, headers=JSON | csrf)
        assert answer.status_code == status
        assert "credential" not in answer.text.lower()


async def test_who_acts_is_who_has_signed_in(open_place: Place) -> None:
    """The name in a request's body is not taken: the log names the person of the session."""
    async with visiting(open_place) as client:
        csrf = {"x-csrf-token": (await sign_in(client, open_place)).json()["csrf"]}
        assert (await client.post(CREATE, json=sku("SILENT"), headers=csrf)).status_code == 200
        silence = {
            "request_id": "one",
            "matcher": {"skus": ["SILENT"]},
            "end_time": (datetime.now(UTC) + timedelta(hours=1)).isoformat(),
            "actor": "somebody else",
            "comment": "we count",
        }
        told = await client.post("/api/AlertService/Silence", json=silence, headers=csrf)
        assert told.status_code == 200, told.text
        assert told.json()["silence"]["actor"] == "李敏"


async def test_a_large_answer_keeps_no_call_waiting(open_place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes long to be made into JSON is made beside the loop that calls are answered in."""
    made_in: list[bool] = []

    def noted(message: Message) -> dict[str, Any]:
        made_in.append(threading.current_thread() is threading.main_thread())
        return as_json(message)

    monkeypatch.setattr(bridge, "as_json", noted)
    async with visiting(open_place) as client:
        csrf = {"x-csrf-token": (await sign_in(client, open_place)).json()["csrf"]}
        for wanted in ("SMALL", "LARGE"):
            if wanted == "LARGE":
                monkeypatch.setattr(bridge, "LARGE_BYTES", 1)
            assert (await client.post(CREATE, json=sku(wanted), headers=csrf)).status_code == 200
            assert (await client.post("/api/CatalogService/GetSku", json={"sku": wanted})).status_code == 200
    assert made_in == [True, True, False, False]
