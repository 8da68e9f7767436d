r"""SKUs and listings as CSV: read line by line, each with what is wrong with it, and written in the form that is read.

The columns may stand in any order. Those that are left out leave what is there as it is; an empty cell says "none". In
a list of codes a `;` that belongs to a code is written `\;`, and a `\` as `\\`.
"""

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from gateway.domain.errors import GatewayError, InvalidArgument
from gateway.domain.listings import Component, Listing, TakesOn
from gateway.imports import Line
from gateway.rpc import parsing
from gateway.rpc.catalog import days, require_substitutes
from gateway.rpc.shops import COMPONENTS_MAX, component, require_once
from gateway.store.catalog import Sku

LINES_MAX = 10_000
BYTES_MAX = 3 * 1024 * 1024
KEY_LENGTH_MAX = 200
SKU_COLUMNS = ("sku", "title", "safety_stock", "lead_time_mean_days", "lead_time_deviation_days", "substitutes")
LISTING_COLUMNS = ("channel", "item_id", "platform_sku_id", "components", "takes_on")
_SKU_NEEDED = ("sku",)
_LISTING_NEEDED = ("channel", "item_id", "components")
# What a report calls a line by.
_KEY = ("sku", "channel", "item_id", "platform_sku_id")
# Spreadsheets put it before UTF-8.
_BYTE_ORDER_MARK = "\ufeff"
_WHOLE = re.compile(r"-?[0-9]{1,19}")
_DECIMAL = re.compile(r"-?[0-9]{1,19}(\.[0-9]{1,19})?")
# What a spreadsheet makes of a long number: the last digits are gone for good.
_ROUNDED = re.compile(r"[0-9]([.,][0-9]+)?[eE]\+?[0-9]+")
_CODES = re.compile(r"(?:[^\\;]|\\.?)+")

Cells = dict[str, str]


class CsvTable(NamedTuple):
    """What was read: the columns there are, and the lines."""

    columns: tuple[str, ...]
    lines: list[Line]


def read_skus(text: str) -> CsvTable:
    """SKUs; raises `InvalidArgument` if the text as a whole cannot be read."""
    return _read(text, SKU_COLUMNS, _SKU_NEEDED, _sku)


def read_listings(text: str) -> CsvTable:
    """Listings; raises `InvalidArgument` if the text as a whole cannot be read."""
    return _read(text, LISTING_COLUMNS, _LISTING_NEEDED, _listing)


def header(columns: Sequence[str]) -> str:
    """The header line."""
    return _written([columns])


def written_skus(skus: Iterable[Sku]) -> str:
    """SKUs as lines."""
    return _written(
        (
            sku.sku,
            sku.title,
            sku.safety_stock,
            *("" if number is None else number for number in (sku.lead_time_mean_days, sku.lead_time_deviation_days)),
            _joined(sku.substitutes),
        )
        for sku in skus
    )


def written_listings(listings: Iterable[Listing]) -> str:
    """Listings as lines."""
    return _written(
        (
            *listing.key,
            _joined(f"{one.sku}:{one.units}" for one in listing.components),
            listing.takes_on.name if listing.takes_on else "",
        )
        for listing in listings
    )


# ---- reading


def _read(text: str, known: Sequence[str], needed: Sequence[str], parse: Callable[[Cells], Sku | Listing]) -> CsvTable:
    if len(text.encode()) > BYTES_MAX:
        raise InvalidArgument(f"the CSV is larger than {BYTES_MAX} bytes; import it in parts", field="csv")
    records = _records(text.removeprefix(_BYTE_ORDER_MARK))
    _, names = next(records, (1, []))
    columns = tuple(name.strip() for name in names)
    _require_columns(columns, known, needed)
    keys = [name for name in _KEY if name in columns]
    lines: list[Line] = []
    for number, cells in records:
        if len(lines) == LINES_MAX:
            raise InvalidArgument(f"the CSV has more than {LINES_MAX} lines; import it in parts", field="csv")
        lines.append(_line(number, cells, columns, keys, parse))
    return CsvTable(columns, lines)


def _records(text: str) -> Iterator[tuple[int, list[str]]]:
    """Each line that is not empty, with its number; a quoted cell may go over several."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    number = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield number, cells
            number = reader.line_num + 1
    except csv.Error as error:
        raise InvalidArgument(f"line {number} cannot be read as CSV: {error}", field="csv") from None


def _require_columns(columns: Sequence[str], known: Sequence[str], needed: Sequence[str]) -> None:
    for name in columns:
        if name not in known:
            raise InvalidArgument(
                f"line 1: there is no column {name[:40]!r}; the columns are {','.join(known)}, with commas between",
                field="csv",
            )
    if len(set(columns)) < len(columns):
        raise InvalidArgument("line 1: a column is there twice", field="csv")
    for name in needed:
        if name not in columns:
            raise InvalidArgument(f"line 1: the column {name} is missing", field="csv")


def _line(
    number: int,
    cells: Sequence[str],
    columns: Sequence[str],
    keys: Sequence[str],
    parse: Callable[[Cells], Sku | Listing],
) -> Line:
    named = dict(zip(columns, cells, strict=False))
    key = "/".join(named.get(name, "") for name in keys)[:KEY_LENGTH_MAX]
    if len(cells) != len(columns):
        problem = f"the line has {len(cells)} cells, and the header {len(columns)}"
        return Line(number, key, None, InvalidArgument(problem))
    try:
        return Line(number, key, parse(named))
    except GatewayError as error:
        return Line(number, key, None, error)


def _sku(cells: Cells) -> Sku:
    code = _code(cells, "sku")
    substitutes = _split(cells.get("substitutes", ""))
    require_substitutes(code, substitutes, "substitutes")
    return Sku(
        code,
        parsing.text(cells.get("title", ""), "title"),
        parsing.units(_whole(cells.get("safety_stock", ""), "safety_stock"), "safety_stock", least=0),
        _days(cells, "lead_time_mean_days"),
        _days(cells, "lead_time_deviation_days"),
        tuple(parsing.code(one, "substitutes") for one in substitutes),
    )


def _listing(cells: Cells) -> Listing:
    parts = _split(cells["components"])
    if not 1 <= len(parts) <= COMPONENTS_MAX:
        raise InvalidArgument(f"a listing has 1 to {COMPONENTS_MAX} components, not {len(parts)}", field="components")
    return require_once(
        Listing(
            0,
            _code(cells, "channel"),
            _identifier(cells, "item_id"),
            _identifier(cells, "platform_sku_id") if cells.get("platform_sku_id", "").strip() else "",
            tuple(_component(part) for part in parts),
            _takes_on(cells.get("takes_on", "").strip().upper()),
        ),
        "components",
    )


def _component(part: str) -> Component:
    sku, colon, units = part.rpartition(":")
    if not colon:
        raise InvalidArgument(f"{part[:40]!r} is not sku:units, as in CUP:1", field="components")
    try:
        return component(sku.strip(), _whole(units.strip(), "units"), "")
    except GatewayError as error:
        raise InvalidArgument(error.message, field="components") from None


def _takes_on(word: str) -> TakesOn | None:
    if not word:
        return None
    if word not in TakesOn.__members__:
        raise InvalidArgument(f"takes_on is {word[:40]!r}; it must be ORDER, PAYMENT or empty", field="takes_on")
    return TakesOn[word]


def _code(cells: Cells, name: str) -> str:
    return parsing.code(_exact(cells, name), name)


def _identifier(cells: Cells, name: str) -> str:
    return parsing.identifier(_exact(cells, name), name)


def _exact(cells: Cells, name: str) -> str:
    cell = cells[name].strip()
    if _ROUNDED.fullmatch(cell):
        raise InvalidArgument(
            f"{name} is {cell[:40]}, which is what a spreadsheet makes of a long number; make the column text",
            field=name,
        )
    return cell


def _whole(cell: str, name: str) -> int:
    if not cell.strip():
        return 0
    if not _WHOLE.fullmatch(cell.strip()):
        raise InvalidArgument(f"{name} is {cell[:40]!r}, which is no whole number", field=name)
    return int(cell)


def _days(cells: Cells, name: str) -> float | None:
    cell = cells.get(name, "").strip()
    if not cell:
        return None
    if not _DECIMAL.fullmatch(cell):
        raise InvalidArgument(f"{name} is {cell[:40]!r}, which is no number of days", field=name)
    return days(float(cell), name)


def _split(cell: str) -> list[str]:
    return [re.sub(r"\\(.)", r"\1", part).strip() for part in _CODES.findall(cell) if part.strip()]


# ---- writing


def _written(rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _joined(codes: Iterable[str]) -> str:
    return ";".join(re.sub(r"([\\;])", r"\\\1", code) for code in codes)
