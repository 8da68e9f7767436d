"""What a process logs: one line each, with the fields, the span, and no secret."""

import json
import logging
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry import trace

from gateway import logs
from gateway.logs import Form

SPAN = trace.NonRecordingSpan(
    trace.SpanContext(int("ab" * 16, 16), int("cd" * 8, 16), is_remote=False, trace_flags=trace.TraceFlags(1))
)
SECRETS = ("sk-live-9f31c2", "p4ssw0rd-of-db", "eyJhbGciOi.J9.x", "6100e5a2b")
# As it comes out of an HTTP client, a driver, a platform's answer, and a careless programmer.
CARELESS = (
    "GET https://eco.taobao.com/router?method=x&session=1&access_token=sk-live-9f31c2&sign=6100e5a2b HTTP/1.1",
    "cannot connect to postgresql://stock:p4ssw0rd-of-db@10.0.0.1/shop",
    "headers {'authorization': 'Bearer eyJhbGciOi.J9.x', 'accept': '*/*'}",
    '{"app_secret": "sk-live-9f31c2", "item": 1, "refresh_token":"eyJhbGciOi.J9.x"}',
    "Authorization: Bearer eyJhbGciOi.J9.x",
    "token=6100e5a2b; password : p4ssw0rd-of-db",
)


@pytest.fixture
def written(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[], str]]:
    """What was written to standard error since it was asked last."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    yield lambda: capsys.readouterr().err
    root.setLevel(level)
    root.handlers[:] = handlers
    logging.captureWarnings(capture=False)


def _record(message: str, *args: Any, **fields: Any) -> logging.LogRecord:
    return logging.getLogger("gateway.x").makeRecord("gateway.x", 30, __file__, 1, message, args, None, extra=fields)


def test_a_json_line_has_time_level_logger_message_span_and_fields(written: Callable[[], str]) -> None:
    """A record is one JSON object with its fields under their own names, and the ids of the span it was written in."""
    logs.log_to_stderr("gateway", form=Form.JSON)
    with trace.use_span(SPAN):
        logging.getLogger("gateway.x").info("a push is late", extra={"channel": "抖音", "push_id": 7})
    line = json.loads(written())
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "INFO",
        "logger": "gateway.x",
        "message": "a push is late",
        "trace_id": "ab" * 16,
        "span_id": "cd" * 8,
        "channel": "抖音",
        "push_id": 7,
    }


def test_an_exception_is_a_field_of_its_line(written: Callable[[], str]) -> None:
    """A traceback is one field of the same line, and what it quotes is without secrets."""
    logs.log_to_stderr(form=Form.JSON)
    error = RuntimeError(CARELESS[1])
    logging.getLogger("gateway.x").error("a call has failed", exc_info=error)
    (line,) = written().splitlines()
    assert "RuntimeError: cannot connect to postgresql://[hidden]@10.0.0.1/shop" in json.loads(line)["exception"]


def test_warnings_of_python_are_lines_too(written: Callable[[], str]) -> None:
    """What the warnings module says comes in the same form."""
    logs.log_to_stderr(form=Form.JSON)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn("this is going away", DeprecationWarning, stacklevel=1)
    (line,) = written().splitlines()
    assert "this is going away" in json.loads(line)["message"]


@pytest.mark.parametrize("form", Form)
@pytest.mark.parametrize("careless", CARELESS)
def test_no_secret_is_written(written: Callable[[], str], form: Form, careless: str) -> None:
    """Whether in the message, in a field, or under a telling name: what looks like a secret is not written."""
    logs.log_to_stderr(form=form)
    log = logging.getLogger("gateway.x")
    log.warning("it said %s", careless)
    log.warning("it said", extra={"answer": careless, "body": {"deep": [careless]}, "app_secret": "sk-live-9f31c2"})
    said = written()
    assert said.count("[hidden]") >= 4
    assert not [secret for secret in SECRETS if secret in said]


def test_what_is_no_secret_stays() -> None:
    """Words that only look alike, and what is needed to find a fault, are left as they are."""
    for text in ("the design of tokens", "token_version: 3 is older", "https://a.b/c?page=2", "listing 12 = 34"):
        assert logs.scrubbed(text).replace("[hidden]", "3") == text


@settings(deadline=None, max_examples=200)
@given(st.text(), st.dictionaries(st.sampled_from(["channel", "level", "time", "body", "name2"]), st.text()))
def test_a_record_is_one_line_whatever_it_says(message: str, fields: dict[str, str]) -> None:
    """Nobody's text begins a line of its own, in either form, or passes for another level, time or logger."""
    record = _record("%s", message, **fields)
    line = logs.JsonFormatter().format(record)
    assert "\n" not in line
    assert json.loads(line)["level"] == "WARNING"
    assert len(logs.TextFormatter().format(record).splitlines()) == 1


def test_a_record_that_cannot_be_shown_is_shown_as_far_as_it_can() -> None:
    """Wrong arguments, endless texts and values without a text lose neither the record nor the time of who logs."""

    class Mute:
        def __str__(self) -> str:
            raise ValueError

    assert "bad %d" in json.loads(logs.JsonFormatter().format(_record("bad %d", "x")))["message"]
    shown = json.loads(logs.JsonFormatter().format(_record("x", mute=Mute(), long="token" * 100_000)))
    assert shown["mute"].startswith("<Mute")
    assert len(shown["long"]) < 2 * logs.TEXT_MAX


def test_the_form_is_text_on_a_terminal_and_json_elsewhere(
    written: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """STOCKGATE_LOGS decides; else whether a person looks on."""
    monkeypatch.delenv(logs.VARIABLE, raising=False)
    logs.log_to_stderr()
    logging.getLogger("x").warning("elsewhere")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    logs.log_to_stderr()
    logging.getLogger("x").warning("here")
    monkeypatch.setenv(logs.VARIABLE, "JSON")
    logs.log_to_stderr()
    logging.getLogger("x").warning("asked for")
    first, second, third = written().splitlines()
    assert [first[0], second[0], third[0]] == ["{", "2", "{"]
    with pytest.raises(ValueError, match="should be json or text"):
        logs.form_of("xml")


def test_a_command_says_that_its_form_is_none() -> None:
    """A wrong STOCKGATE_LOGS ends a connector with the variable's name, not with a traceback."""
    command = [sys.executable, "-m", "connectors.sandbox"]
    found = subprocess.run(
        command, env={"STOCKGATE_LOGS": "xml"}, capture_output=True, text=True, timeout=30, check=False
    )
    assert found.returncode == 2
    assert "STOCKGATE_LOGS" in found.stderr
    assert "Traceback" not in found.stderr
