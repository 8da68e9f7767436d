"""An order log, read whole and checked whole: the report that Tmall exports, or a plain CSV of time, SKU and quantity.

The plain form has the columns `time`, `sku` and `quantity` in any order, UTF-8, with a header; others are left alone.
A time is ISO 8601, in China time if it names no zone. Without `sku` all orders are of one SKU; without `quantity`
each is of one unit. Returns (a quantity below 1) are not demand and are left out. A file that ends in `.gz` is
unpacked.

Invoice lines as the Online Retail data set has them are a plain log as well, with the columns `InvoiceDate`,
`StockCode` and `Quantity`; codes that begin with no digit are postage, fees and vouchers there, and are left out.

The journal of a running gateway is the third form: each RESERVE is an order, and one whose units were given back was
never paid.
"""

from __future__ import annotations

import csv
import gzip
import io
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from gateway.cli.errors import EXIT_USAGE, Failure, Problem, Violation, failure
from gateway.cli.tape import CHINA, FAULTS_MAX, FILE_BYTES_MAX, Fault, TapeError, parse_tape

TIME, SKU, QUANTITY = "time", "sku", "quantity"
INVOICE_TIME, INVOICE_SKU = "invoicedate", "stockcode"
QUANTITY_MAX = 10**9
ADVICE = (
    "An order log is the order report (CSV) as Tmall exports it, or a CSV in UTF-8 with columns time, sku, quantity."
)


@dataclass(frozen=True, slots=True)
class LoggedOrder:
    """One order: when, of what, how many units; never paid ones give their units back."""

    time: float
    sku: str
    quantity: int
    is_paid: bool = True


def read_log(path: Path, now: datetime) -> list[LoggedOrder]:
    """The log's orders in the order of their times. Raises Failure; `now` bounds every time."""
    try:
        return sorted(_parse(_content(path), now), key=lambda order: order.time)
    except OSError as error:
        raise failure("FILE", f"cannot read {path}: {error.strerror or error}", exit_code=EXIT_USAGE) from error
    except EOFError as error:
        raise failure("FILE", f"cannot unpack {path}: it is cut", exit_code=EXIT_USAGE) from error
    except TapeError as error:
        faults = tuple(Violation(fault.place, fault.text) for fault in error.faults)
        raise Failure(
            Problem("LOG", f"{path} cannot be read as an order log", violations=faults, advice=ADVICE)
        ) from error


def _content(path: Path) -> bytes:
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        content = file.read(FILE_BYTES_MAX + 1)
    if len(content) > FILE_BYTES_MAX:
        raise TapeError([Fault(1, "", f"the file is larger than {FILE_BYTES_MAX // 2**20} MiB")])
    return content


def _parse(content: bytes, now: datetime) -> list[LoggedOrder]:
    header = content.split(b"\n", 1)[0].decode("utf-8-sig", "replace")
    names = [name.strip().strip('"').lower() for name in header.split(",")]
    if INVOICE_TIME in names and INVOICE_SKU in names:
        renamed = [{INVOICE_TIME: TIME, INVOICE_SKU: SKU}.get(name, name) for name in names]
        return [order for order in _plain(content, renamed, now) if order.sku[:1].isdigit()]
    if TIME in names:
        return _plain(content, names, now)
    return [
        LoggedOrder(order.create_time.timestamp(), "", 1, order.pay_time is not None)
        for order in parse_tape(content, now)
    ]


def _plain(content: bytes, names: list[str], now: datetime) -> list[LoggedOrder]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise TapeError([Fault(line, "", f"byte 0x{error.object[error.start]:02x} is not UTF-8")]) from error
    faults = [Fault(1, name, "the column is there twice") for name in (TIME, SKU, QUANTITY) if names.count(name) > 1]
    orders: list[LoggedOrder] = []
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        next(reader)
        for fields in reader:
            if not any(field.strip() for field in fields):
                continue
            try:
                orders += _order(reader.line_num, dict(zip(names, fields, strict=False)), now)
            except TapeError as error:
                faults += error.faults
            if len(faults) >= FAULTS_MAX:
                break
    except csv.Error as error:
        faults.append(Fault(reader.line_num, "", f"broken CSV ({error}); a quote may be missing"))
    if not faults and not orders:
        faults = [Fault(2, "", "there are no orders, only a header")]
    if faults:
        raise TapeError(faults[:FAULTS_MAX])
    return orders


def _order(line: int, fields: dict[str, str], now: datetime) -> list[LoggedOrder]:
    """The row's order; none if goods came back."""
    text = fields.get(TIME, "").strip()
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise TapeError([Fault(line, TIME, f"{text[:40]!r} is no time (ISO 8601)")]) from error
    time = (time if time.tzinfo else time.replace(tzinfo=CHINA)).astimezone(UTC)
    if time > now:
        raise TapeError([Fault(line, TIME, f"{text} is in the future")])
    written = fields.get(QUANTITY, "1").strip()
    try:
        quantity = int(written)
    except ValueError as error:
        raise TapeError([Fault(line, QUANTITY, f"{written[:40]!r} is no whole number")]) from error
    if quantity > QUANTITY_MAX:
        raise TapeError([Fault(line, QUANTITY, f"{written} is more than {QUANTITY_MAX}")])
    return [LoggedOrder(time.timestamp(), fields.get(SKU, "").strip(), quantity)] if quantity > 0 else []
