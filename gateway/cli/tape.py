"""The tape: an order report as merchants export it from Tmall, read whole and checked whole before anything is played.

What the exports look like, and what is tolerated: UTF-8 (with or without BOM) or GB18030; header names with stray
spaces; columns in any order, and more of them than we need; CSV quoting; order numbers that were kept from Excel by
`="123"`, a leading tab or a quote. Times are China time (UTC+8). One row is one order of one unit.

What is refused, with line and column, every fault of the file at once (up to a limit): see `_Sheet.order`.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from pathlib import Path

CHINA = timezone(timedelta(hours=8), "China")
FILE_BYTES_MAX = 512 * 1024 * 1024  # the file is read whole; a year of a large shop is a tenth of this
FAULTS_MAX = 10

NUMBER, CREATED, PAID, REFUNDED = "订单编号", "订单创建时间", "订单付款时间", "退款金额"
COLUMNS = (NUMBER, CREATED, PAID, REFUNDED)
NUMBER_LENGTH_MAX = 64
SHOWN_LENGTH_MAX = 40
HEADER_SHOWN_MAX = 200

_TIME = re.compile(r"(\d{4})([-/])(\d{1,2})\2(\d{1,2}) (\d{1,2}):(\d{2})(?::(\d{2}))?")
_KEPT_FROM_EXCEL = re.compile(r"""=?"(.*)"|'(.*)""")
_SHORTENED_BY_EXCEL = re.compile(r"\d(\.\d+)?E\+?\d+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Order:
    """One order of one unit: when it was made, when it was paid (None: never), whether any of it was refunded."""

    number: str
    create_time: datetime
    pay_time: datetime | None
    is_refunded: bool


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with the file, and where. `line` counts from 1, the header included."""

    line: int
    column: str
    text: str

    @property
    def place(self) -> str:
        """The line, and the column if it is in one."""
        return f"line {self.line}, column {self.column}" if self.column else f"line {self.line}"

    def __str__(self) -> str:
        return f"{self.place}: {self.text}"


class TapeError(Exception):
    """The file cannot be played; `faults` say why."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("; ".join(str(fault) for fault in faults))
        self.faults = faults


def read_tape(path: Path, now: datetime) -> list[Order]:
    """The file's orders, in its order. Raises TapeError, or OSError if it cannot be read; `now` bounds every time."""
    with path.open("rb") as file:
        content = file.read(FILE_BYTES_MAX + 1)
    if len(content) > FILE_BYTES_MAX:
        raise TapeError([Fault(1, "", f"the file is larger than {FILE_BYTES_MAX // 2**20} MiB")])
    return parse_tape(content, now)


def parse_tape(content: bytes, now: datetime) -> list[Order]:
    """The orders of a file's bytes. Raises TapeError with every fault, up to FAULTS_MAX."""
    rows = _rows(_decoded(content))
    header = next(rows, None)
    if header is None:
        raise TapeError([Fault(1, "", "the file is empty")])
    sheet = _Sheet(header[1], now)
    orders: list[Order] = []
    faults: list[Fault] = []
    try:
        for line, fields in rows:
            try:
                orders.append(sheet.order(line, fields))
            except TapeError as error:
                faults += error.faults
            if len(faults) >= FAULTS_MAX:
                break
    except TapeError as error:  # the CSV itself is broken there: nothing after it can be read
        faults += error.faults
    if faults:
        raise TapeError(faults[:FAULTS_MAX])
    if not orders:
        raise TapeError([Fault(2, "", "there are no orders, only a header")])
    return orders


def _decoded(content: bytes) -> str:
    """The text, in the first encoding in which the header makes sense; a byte that breaks it later is a fault there."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise TapeError([Fault(1, "", "the file is UTF-16; save it as CSV in UTF-8 or GB18030")])
    header = content.split(b"\n", 1)[0]
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            is_known = any(column in header.decode(encoding) for column in COLUMNS)
        except UnicodeDecodeError:
            continue
        if is_known:
            return _text(content, encoding)
    return _text(content, "utf-8-sig")


def _text(content: bytes, encoding: str) -> str:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        name = "GB18030" if encoding == "gb18030" else "UTF-8"
        what = f"byte 0x{error.object[error.start]:02x} is not {name}" + (
            "" if line > 1 else ", and the header is not GB18030"
        )
        raise TapeError([Fault(line, _column_at(content, error.start, encoding), what)]) from error


def _column_at(content: bytes, position: int, encoding: str) -> str:
    """The name of the column in which a byte lies, as far as commas tell; empty in the header."""
    line_start = content.rfind(b"\n", 0, position) + 1
    if line_start == 0:
        return ""
    names = [_clean(name) for name in content.split(b"\n", 1)[0].decode(encoding).split(",")]
    return names[min(content.count(b",", line_start, position), len(names) - 1)]


def _rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """Each row that is not blank, with the line it begins on."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    while True:
        line = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise TapeError([Fault(line, "", f"broken CSV ({error}); a quote may be missing")]) from error
        if any(field.strip() for field in fields):
            yield line, fields


def _places(names: list[str]) -> Mapping[str, int]:
    """Where the columns we need are. Raises TapeError if one is missing or there twice."""
    faults = [Fault(1, column, "the column is missing") for column in COLUMNS if column not in names]
    faults += [Fault(1, column, "the column is there twice") for column in COLUMNS if names.count(column) > 1]
    if faults:
        found = ", ".join(name for name in names if name)[:HEADER_SHOWN_MAX]
        raise TapeError([*faults, Fault(1, "", f"the header has: {found or 'nothing'}")])
    return {column: names.index(column) for column in COLUMNS}


class _Sheet:
    """The rows under one header, each of which becomes an order."""

    def __init__(self, header: list[str], now: datetime) -> None:
        self._header = [_clean(name) for name in header]
        self._places = _places(self._header)
        self._now = now
        self._lines_by_number: dict[str, int] = {}

    def order(self, line: int, fields: list[str]) -> Order:
        """One row as an order. Raises TapeError with its first fault."""
        width = len(self._header)
        if len(fields) < width:
            raise TapeError(
                [
                    Fault(
                        line, self._header[len(fields)], f"the line is cut before it ({len(fields)} of {width} columns)"
                    )
                ]
            )
        if any(field.strip() for field in fields[width:]):
            raise TapeError([Fault(line, "", f"the line has {len(fields)} columns, the header {width}")])
        number, created, paid, refunded = (_clean(fields[self._places[column]]) for column in COLUMNS)
        order = Order(
            number=_number(line, number),
            create_time=_time(line, CREATED, created, self._now),
            pay_time=_time(line, PAID, paid, self._now) if paid else None,
            is_refunded=_amount(line, refunded) > 0,
        )
        if order.pay_time is not None and order.pay_time < order.create_time:
            raise TapeError([Fault(line, PAID, f"paid {paid}, before it was created {created}")])
        if order.is_refunded and order.pay_time is None:
            raise TapeError([Fault(line, REFUNDED, f"{refunded} refunded, but the order was never paid")])
        earlier = self._lines_by_number.setdefault(order.number, line)
        if earlier != line:
            raise TapeError([Fault(line, NUMBER, f"order {order.number} is there already, on line {earlier}")])
        return order


def _number(line: int, text: str) -> str:
    kept = _KEPT_FROM_EXCEL.fullmatch(text)
    number = _clean(kept[1] or kept[2] or "") if kept else text
    if not number:
        raise TapeError([Fault(line, NUMBER, "it is empty")])
    if _SHORTENED_BY_EXCEL.fullmatch(number):
        raise TapeError([Fault(line, NUMBER, f"{number}: Excel has shortened it; export the report again as text")])
    if len(number) > NUMBER_LENGTH_MAX or not number.isprintable():
        raise TapeError([Fault(line, NUMBER, f"{_shown(number)} is no order number")])
    return number


def _time(line: int, column: str, text: str, now: datetime) -> datetime:
    match = _TIME.fullmatch(text)
    if match is None:
        raise TapeError(
            [Fault(line, column, f"{_shown(text)} is no time (YYYY-MM-DD HH:MM:SS)" if text else "it is empty")]
        )
    year, _, month, day, hour, minute, second = match.groups(default="0")
    try:
        time = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second), tzinfo=CHINA).astimezone(
            UTC
        )
    except (ValueError, OverflowError) as error:
        raise TapeError([Fault(line, column, f"{_shown(text)} is no time ({error})")]) from error
    if time > now:
        raise TapeError([Fault(line, column, f"{text} is in the future")])
    return time


def _amount(line: int, text: str) -> Decimal:
    try:
        amount = Decimal(text.replace(",", ""))
    except InvalidOperation as error:
        raise TapeError([Fault(line, REFUNDED, f"{_shown(text)} is no number" if text else "it is empty")]) from error
    if not amount.is_finite() or amount < 0:
        raise TapeError([Fault(line, REFUNDED, f"{_shown(text)} is no amount")])
    return amount


def _clean(text: str) -> str:
    """Without the spaces, tabs and marks that exports leave around a value, the full-width ones included."""
    return unicodedata.normalize("NFKC", text).replace("\ufeff", "").strip() if not text.isascii() else text.strip()


def _shown(text: str) -> str:
    return repr(text if len(text) <= SHOWN_LENGTH_MAX else text[:SHOWN_LENGTH_MAX] + "...")
