"""What every platform promises when things go wrong: the right kind of error, never a crash, never a secret.

The kind is a decision of the agent's, so that a wrong one costs units: a write that may have been applied must not be
told as one that was not.
"""

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from starlette.requests import Request
from starlette.responses import Response

from connectors.base import Tokens
from connectors.errors import ConnectorError, Misunderstood, OutcomeUnknown, Rejected, Throttled, Transient
from connectors.sandbox.faults import Weather
from tests.connectors.contract.storefront import CUP, GONE, SHOWN, STILL, Storefront, change

BAN_SECONDS = 30.0
ORDER = "2000000000000000001"
# Whatever was done, it must not be told as not done.
MAY_BE_DONE = (OutcomeUnknown, Misunderstood)


def every_read(front: Storefront) -> list[Callable[[], Awaitable[object]]]:
    """Each call that changes nothing; an error that stands in place of a shelf is raised."""

    async def shelf() -> object:
        found = (await front.platform.read([CUP]))[CUP]
        if isinstance(found, ConnectorError):
            raise found
        return found

    now = front.clock()
    return [shelf, lambda: front.platform.order(ORDER), lambda: front.seen(now, now)]


def every_write(front: Storefront) -> list[Callable[[], Awaitable[object]]]:
    """Each call that moves the cup by one; none is the repeat of another."""

    async def many() -> object:
        [result] = await front.platform.change_many([change(-1, "many")])
        if isinstance(result, ConnectorError):
            raise result
        return result

    return [lambda: front.platform.change(change(1, "up")), lambda: front.platform.change(change(-1, "down")), many]


async def warmed_up(front: Storefront) -> Storefront:
    """The connector has asked what it asks once, so that the next call is the write itself."""
    await front.platform.change(change(1, "first"))
    await front.platform.change(change(-1, "second"))
    return front


# ---- weather

AFTER = [replace(STILL, error_after=1.0), replace(STILL, lose_answer=1.0)]
BEFORE = [replace(STILL, error_before=1.0), replace(STILL, lose_request=1.0), replace(STILL, bad_gateway=1.0)]


@pytest.mark.parametrize("weather", AFTER, ids=["busy", "silence"])
async def test_a_write_that_was_applied_and_not_answered_is_unknown(front: Storefront, weather: Weather) -> None:
    """It may have been applied, and was: once, however often the connector has tried."""
    await warmed_up(front)
    front.lose_patience()
    front.faults.weather = weather
    for write, moved in zip(every_write(front), (1, -1, -1), strict=True):
        before = front.shown()
        error = await front.failure(write())
        assert isinstance(error, OutcomeUnknown)
        assert front.shown() - before == moved


@pytest.mark.parametrize("weather", BEFORE, ids=["busy", "silence", "bad gateway"])
async def test_a_write_that_was_not_applied_and_not_answered_is_unknown_too(
    front: Storefront, weather: Weather
) -> None:
    """Nobody can tell it from one that was applied."""
    await warmed_up(front)
    front.lose_patience()
    front.faults.weather = weather
    for write in every_write(front):
        assert isinstance(await front.failure(write()), OutcomeUnknown)
    assert front.shown() == SHOWN


@pytest.mark.parametrize("weather", [*BEFORE, *AFTER])
async def test_a_read_without_an_answer_is_to_be_tried_again(front: Storefront, weather: Weather) -> None:
    """It changes nothing, so nothing about it is unknown."""
    front.sell()
    front.lose_patience()
    front.faults.weather = weather
    for read in every_read(front):
        assert isinstance(await front.failure(read()), Transient)


async def test_a_repeatable_write_survives_a_lost_answer(front: Storefront) -> None:
    """After an unknown outcome the same change again moves the shelf once where the capabilities say so."""
    await warmed_up(front)
    front.lose_patience()
    for units, moved in ((5, 5), (-3, 2)):
        front.faults.weather = replace(STILL, lose_answer=1.0)
        await front.failure(front.platform.change(change(units, f"{units}")))
        front.faults.weather = STILL
        if front.platform.capabilities.idempotent:
            applied = await front.platform.change(change(units, f"{units}"))
            assert applied.units in {None, units}
        assert front.shown() == SHOWN + moved


async def test_a_platform_that_is_away_is_told_apart_from_one_that_cannot_be_reached(front: Storefront) -> None:
    """Its front answers 503: a write may have been applied. Nobody answers the door: certainly not."""
    await warmed_up(front)
    front.faults.away = True
    for write in every_write(front):
        assert isinstance(await front.failure(write()), OutcomeUnknown)
    for read in every_read(front):
        assert isinstance(await front.failure(read()), Transient)
    front.faults.away = False
    front.stall.address = "127.0.0.1:1"
    front.platform = front.another()
    for call in (*every_write(front), *every_read(front)):
        assert isinstance(await front.failure(call()), Transient)
    assert front.shown() == SHOWN


# ---- bans


async def test_a_ban_is_told_with_its_length_and_kept(front: Storefront) -> None:
    """`Throttled`, nothing applied; where the platform says how long, so long no call leaves."""
    await warmed_up(front)
    front.faults.weather = replace(STILL, calls_per_second_max=0.001, ban_seconds=BAN_SECONDS)
    front.faults._tokens = 0.0
    error = await front.failure(front.platform.change(change(-1, "third")))
    assert isinstance(error, Throttled)
    says = error.retry_after_seconds
    assert says is None or BAN_SECONDS - 1 <= says <= BAN_SECONDS + 1
    assert (front.name == "taobao") == (says is not None)
    banned = front.transport.limiter.banned_seconds
    assert 0 < banned <= BAN_SECONDS + 1
    assert says is None or banned > says - 2
    assert front.shown() == SHOWN
    assert front.transport.limiter.rate < front.transport.limits.calls_per_second


async def test_a_ban_is_told_for_reads_too(front: Storefront) -> None:
    """Whatever is called meets the same ban."""
    front.faults.weather = replace(STILL, calls_per_second_max=0.001, ban_seconds=BAN_SECONDS)
    front.faults._tokens = 0.0
    for place in range(3):
        front.platform = front.another()
        assert isinstance(await front.failure(every_read(front)[place]()), Throttled)


# ---- answers that make no sense

NOT_JSON = {
    "nothing": b"",
    "html": b"<html><h1>hello</h1></html>",
    "cut off": b'{"code":10000,"result":1,"data":{"ite',
    "not utf-8": b'{"code":"\xff\xfe","result":"\xff"}',
    "deep": b"[" * 100_000,
    "a megabyte": b"a" * 2**20,
    "zeros": bytes(1000),
    "two documents": b"{}{}",
}
NOT_AN_ANSWER = {
    "null": b"null",
    "a list": b"[]",
    "a word": b'"success"',
    "an empty object": b"{}",
    "another protocol": b'{"status":"ok","payload":{}}',
    "a deep object": b'{"data":' * 2000 + b"{}" + b"}" * 2000,
    "numbers of another kind": b'{"code":"ten thousand","result":1.5,"error_response":{"code":{}}}',
    "infinite": b'{"code":1e999,"result":1e999,"error_response":{"code":1e999}}',
    "huge": b'{"code":' + b"9" * 5000 + b',"result":' + b"9" * 5000 + b"}",
    "strange error": b'{"error_response":[1,2],"code":null,"result":null}',
}


def answers(front: Storefront, body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> None:
    """From now on the platform answers everything so."""

    async def answer(scope: dict[str, object], receive: object, send: object) -> None:
        await Response(body, status, headers)(scope, receive, send)  # type: ignore[arg-type]  # ASGI, by hand

    front.stage.app = answer  # type: ignore[assignment]  # the same


@pytest.mark.parametrize("name", [*NOT_JSON, *NOT_AN_ANSWER])
async def test_a_write_with_an_answer_that_makes_no_sense_may_have_been_applied(front: Storefront, name: str) -> None:
    """It is never told as done, nor as not done, and nothing crashes."""
    await warmed_up(front)
    answers(front, {**NOT_JSON, **NOT_AN_ANSWER}[name])
    for write in every_write(front):
        assert isinstance(await front.failure(write()), MAY_BE_DONE)


@pytest.mark.parametrize("name", [*NOT_JSON, *NOT_AN_ANSWER])
async def test_a_read_with_an_answer_that_makes_no_sense_is_misunderstood(front: Storefront, name: str) -> None:
    """Not `Transient`, for it would not mend itself; not a shelf of zero, nor "no orders"."""
    answers(front, {**NOT_JSON, **NOT_AN_ANSWER}[name])
    for read in every_read(front):
        assert isinstance(await front.failure(read()), Misunderstood)
    assert isinstance(await front.failure(front.platform.refresh(front.stall.tokens)), MAY_BE_DONE)


@pytest.mark.parametrize("status", [301, 403, 404, 418, 500, 502, 504])
async def test_a_front_that_answers_in_place_of_the_platform(front: Storefront, status: int) -> None:
    """A page of HTML with a status of its own: writes may have been applied; nothing follows a redirect."""
    await warmed_up(front)
    answers(front, b"<html>sorry</html>", status, {"location": "http://127.0.0.1:1/"})
    for write in every_write(front):
        assert isinstance(await front.failure(write()), MAY_BE_DONE)
    for read in every_read(front):
        assert isinstance(await front.failure(read()), (Transient, Misunderstood))


@pytest.mark.parametrize(
    "date",
    [
        "yesterday",
        "",
        "Sun, 22 Nov 2026 12:00:00 -0000",
        "Sun, 22 Nov 0001 12:00:00 GMT",
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "Fri, 31 Dec 9999 23:59:59 -1200",
        "Sun, 22 Nov 99999 12:00:00 GMT",
        "Thu, 01 Jan 1970 00:00:00 +9999",
    ],
)
async def test_a_date_that_makes_no_sense_breaks_no_call(front: Storefront, date: str) -> None:
    """The platform's front states a time that is none, or one that cannot be: the answer is read all the same."""
    sandbox = front.stage.app
    assert sandbox is not None
    answers(front, b"{}", headers={"date": date})
    for call in (*every_read(front), *every_write(front)):
        await front.failure(call())
    front.stage.app = sandbox
    await front.another().read([CUP])


# ---- secrets


def _quoted(words: str) -> list[bytes]:
    """The platform's own refusals, quoting what was sent; and fronts that do."""
    return [
        json.dumps(
            {
                "error_response": {"code": 15, "msg": words, "sub_code": "isv.odd", "sub_msg": words},
                "code": 40004,
                "msg": words,
                "sub_code": "isv.business-failed:1",
                "sub_msg": words,
                "log_id": words,
                "result": 120999,
                "error_msg": words,
                "data": words,
            }
        ).encode(),
        f"<html>{words}</html>".encode(),
        words.encode(),
        json.dumps({"code": words, "result": words, "error_response": words}).encode(),
        json.dumps({"code": 10000, "result": 1, "data": words, "item_quantity_update_response": words}).encode(),
    ]


@pytest.mark.parametrize("kind", range(5))
@pytest.mark.parametrize("status", [200, 403])
async def test_a_platform_that_quotes_what_it_was_sent_makes_no_error_tell_it(
    front: Storefront, kind: int, status: int
) -> None:
    """Neither tokens nor secrets stand in an error, its code, its body, or what it came of."""
    await warmed_up(front)

    async def echo(request: Request) -> Response:
        body = (await request.body()).decode(errors="replace")
        words = f"{request.url} {body} {' '.join(sorted(front.secrets))}"
        return Response(_quoted(words)[kind], status)

    async def app(scope: dict[str, object], receive: object, send: object) -> None:
        answer = await echo(Request(scope, receive))  # type: ignore[arg-type]  # ASGI, by hand
        await answer(scope, receive, send)  # type: ignore[arg-type]  # the same

    front.stage.app = app  # type: ignore[assignment]  # the same
    calls = [*every_write(front), *every_read(front), lambda: front.platform.refresh(front.stall.tokens)]
    for call in calls:
        await _told(front, call)


async def test_credentials_and_tokens_do_not_print_their_secrets(front: Storefront) -> None:
    """What is logged by mistake as a whole: the platform, its transport, its errors."""
    for thing in (front.platform, front.transport):
        assert not [secret for secret in front.secrets if secret in f"{thing!r} {thing}"]
    error = await front.failure(front.platform.change(change(1, "1", GONE)))
    assert isinstance(error, (Rejected, Transient))


async def _told(front: Storefront, call: Callable[[], Awaitable[object]]) -> None:
    try:
        await call()
    except ConnectorError as error:
        front.require_discreet(error)


def test_tokens_hide_nothing_by_themselves() -> None:
    """So nobody may log them: this is why errors are searched for what they hold."""
    assert "secret-token" in repr(Tokens("secret-token"))
