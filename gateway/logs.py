"""What a process logs: one line per record on standard error, as JSON for machines or as text for people.

A record is a constant message and fields (`extra`), with the words of the trade: channel, sku, listing_id, push_id ...
Each line also says in which span it was written. Whatever a field, a message or a traceback holds, a record is one line
(in text a traceback follows), and nothing that sounds like a secret is in it: what is written here outlives its reader.
The same records go to OpenTelemetry, which sends them on where OTEL_EXPORTER_OTLP_ENDPOINT says.
"""

import json
import logging
import os
import re
import sys
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from opentelemetry import trace
from opentelemetry._logs import SeverityNumber, get_logger

# How a process says it; by default text on a terminal, JSON elsewhere.
VARIABLE = "STOCKGATE_LOGS"
# An event in OpenTelemetry's sense has a name beside its message.
EVENT = "event"
TEXT_MAX = 4_000
TRACEBACK_MAX = 20_000
_PREFIX = "stockgate."
_HIDDEN = "[hidden]"
# What a record of the logging module has of its own; everything else is a field of ours.
_OWN = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}
_SECRET_NAME = re.compile(
    r"token|secret|password|passwd|authorization|credential|signature|cookie|session_?key", re.IGNORECASE
)
_ASSIGNED = (
    r"((?:token|secret|password|passwd|authorization|signature|cookie|session_?key|(?<![a-z])sign)"
    r"[\"']?\s{0,3}[=:]\s{0,3})"
)
_SECRETS = (
    (re.compile(r"\b(bearer|basic)\s+[\w.~+/=-]{6,}", re.IGNORECASE), r"\1 " + _HIDDEN),
    (re.compile(r"(\b[a-z][a-z0-9+.-]{0,20}://)[^\s/@'\"]+@", re.IGNORECASE), r"\1" + _HIDDEN + "@"),
    (
        re.compile(_ASSIGNED + r"(?!\[hidden\])(\"[^\"]*\"|'[^']*'|[^\s&,;\"'}}\])]+)", re.IGNORECASE),
        r"\1" + _HIDDEN,
    ),
)
_CONTROLS = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")
_SEVERITIES = (
    (logging.CRITICAL, SeverityNumber.FATAL),
    (logging.ERROR, SeverityNumber.ERROR),
    (logging.WARNING, SeverityNumber.WARN),
    (logging.INFO, SeverityNumber.INFO),
)


class Form(StrEnum):
    """How a line looks."""

    JSON = "json"
    TEXT = "text"


def form_of(raw: str) -> Form:
    """What STOCKGATE_LOGS means; raises `ValueError` that says what it may be."""
    try:
        return Form(raw.strip().lower())
    except ValueError:
        raise ValueError(f"{raw[:50]!r} should be json or text") from None


def log_to_stderr(*ours: str, form: Form | None = None, others: int = logging.WARNING) -> None:
    """From now on: loggers of these names from INFO on, everybody else's from `others` on, Python's warnings too.

    `form` None: what STOCKGATE_LOGS says, or else text on a terminal and JSON elsewhere. Raises `ValueError` if it says
    neither.
    """
    root = logging.getLogger()
    for handler in [one for one in root.handlers if isinstance(one, _Ours)]:
        root.removeHandler(handler)
    formatter = {Form.JSON: JsonFormatter, Form.TEXT: TextFormatter}[form or _form_here()]
    stderr = _ToStderr()
    stderr.setFormatter(formatter())
    root.addHandler(stderr)
    root.addHandler(_ToOpenTelemetry())
    root.setLevel(others)
    for name in ours:
        logging.getLogger(name).setLevel(logging.INFO)
    logging.captureWarnings(capture=True)


def _form_here() -> Form:
    raw = os.environ.get(VARIABLE, "").strip()
    if raw:
        return form_of(raw)
    return Form.TEXT if sys.stderr.isatty() else Form.JSON


class JsonFormatter(logging.Formatter):
    """A record as a JSON object: time, level, logger, message, trace_id, span_id, its fields, exception."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": scrubbed(_message(record)),
        }
        span = trace.get_current_span().get_span_context()
        if span.is_valid:
            line |= {"trace_id": f"{span.trace_id:032x}", "span_id": f"{span.span_id:016x}"}
        # A field may be called as one of ours is; then ours is what is read.
        line |= {name: value for name, value in fields_of(record).items() if name not in line}
        if told := _exception(record):
            line["exception"] = told
        return json.dumps(line, ensure_ascii=False, default=_said)


class TextFormatter(logging.Formatter):
    """A record as one line: time, level, logger, message, its fields as name=value; a traceback below it."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, and the traceback if there is one."""
        at = datetime.fromtimestamp(record.created).astimezone().isoformat(" ", timespec="milliseconds")
        said = [at, record.levelname, f"{record.name}:", _in_one_line(scrubbed(_message(record)))]
        said += [f"{name}={value!r}" for name, value in fields_of(record).items()]
        span = trace.get_current_span().get_span_context()
        if span.is_valid:
            said.append(f"trace_id={span.trace_id:032x}")
        told = _exception(record)
        return " ".join(said) + (f"\n{told}" if told else "")


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """A record's own fields, without what is secret; texts of a bounded length."""
    return {name: _field(name, value) for name, value in vars(record).items() if name not in _OWN}


def scrubbed(text: str) -> str:
    """The text without what looks like a secret, and not endless."""
    return _scrubbed(text, TEXT_MAX)


def _scrubbed(text: str, length_max: int) -> str:
    said = text[:length_max]
    for pattern, instead in _SECRETS:
        said = pattern.sub(instead, said)
    return said if len(text) <= length_max else f"{said}... ({len(text)} characters)"


def _field(name: str, value: Any) -> Any:
    if _SECRET_NAME.search(name):
        return _HIDDEN
    match value:
        case None | bool() | int() | float():
            return value
        case str():
            return scrubbed(value)
        case Mapping():
            return {str(key): _field(str(key), inner) for key, inner in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_field(name, inner) for inner in value]
    return scrubbed(_said(value))


def _said(value: Any) -> str:
    """What it says of itself; what cannot even say that must not end whoever logs."""
    try:
        return str(value)
    except Exception as error:  # noqa: BLE001 - anybody's __str__
        return f"<{type(value).__name__} that cannot be shown: {type(error).__name__}>"


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 - wrong arguments are a fault of who logs, and no reason to lose the record
        return f"{record.msg} {record.args!r}"


def _exception(record: logging.LogRecord) -> str:
    if not record.exc_info or record.exc_info[1] is None:
        return ""
    return _scrubbed("".join(traceback.format_exception(record.exc_info[1])).rstrip(), TRACEBACK_MAX)


def _in_one_line(text: str) -> str:
    """Control characters written out: nobody's message begins a line of its own."""
    return _CONTROLS.sub(lambda found: found.group().encode("unicode_escape").decode(), text)


class _Ours(logging.Handler):
    """A handler that a second call replaces."""


class _ToStderr(_Ours):
    def emit(self, record: logging.LogRecord) -> None:
        try:
            sys.stderr.write(self.format(record) + "\n")
            sys.stderr.flush()
        # Whoever reads us may be gone; that is no reason to end.
        except (OSError, ValueError):
            return


class _ToOpenTelemetry(_Ours):
    def emit(self, record: logging.LogRecord) -> None:
        # What sending logs has to say is not sent.
        if record.name.startswith("opentelemetry"):
            return
        fields = fields_of(record)
        event_name = fields.pop(EVENT, None)
        attributes = {_PREFIX + name: value if _is_plain(value) else _said(value) for name, value in fields.items()}
        if told := _exception(record):
            attributes["exception.stacktrace"] = told
        get_logger(record.name).emit(
            timestamp=int(record.created * 1e9),
            severity_text=record.levelname,
            severity_number=_severity(record.levelno),
            body=scrubbed(_message(record)),
            attributes=attributes,
            event_name=event_name,
        )


def _severity(level: int) -> SeverityNumber:
    return next((severity for least, severity in _SEVERITIES if level >= least), SeverityNumber.DEBUG)


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | bool | int | float)
