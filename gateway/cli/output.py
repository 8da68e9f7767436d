"""How answers look: JSON documents for programs, sentences and tables for people.

JSON keeps the field names of the proto, always prints every field that has a value, and writes 64-bit integers as
numbers (the standard proto mapping writes them as strings, which compare wrongly in every shell tool).
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

PIPE_WIDTH_COLUMNS = 160  # nobody looks at a pipe: leave nothing out of a table

# Units of an age with their seconds, largest first.
_AGES = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
_INTEGERS_64 = (FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64)


def document(message: Message) -> dict[str, Any]:
    """A message as a JSON document."""
    written: dict[str, Any] = json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    return _with_numbers(message, written)


def print_document(written: dict[str, Any], *, as_line: bool = False) -> None:
    """Prints a JSON document on stdout: indented, or on one line of its own."""
    print(json.dumps(written, ensure_ascii=False, indent=None if as_line else 2), flush=True)


def console() -> Console:
    """Where people read: the terminal's width, or all the width it takes when it is not one."""
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else PIPE_WIDTH_COLUMNS
    return Console(highlight=False, width=width)


def say(line: str, style: str = "") -> None:
    """Prints a sentence. What a caller typed is never taken for markup, and a pipe gets it in one line."""
    terminal = console()
    terminal.print(Text(line, style=style), soft_wrap=not terminal.is_terminal)


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Left out where it is empty; where the terminal is too narrow, the least `worth` goes first. Worth 0 always stays.
    """

    title: str
    is_number: bool = False
    worth: int = 0


def print_table(columns: Sequence[Column], rows: Iterable[Sequence[str | int]], empty: str) -> None:
    """Prints a table that fits, or the sentence `empty` if there are no rows."""
    cells = [tuple(row) for row in rows]
    if not cells:
        say(empty, style="dim")
        return
    terminal = console()
    filled = [i for i in range(len(columns)) if not columns[i].worth or any(row[i] not in {"", False} for row in cells)]
    shown = list(filled)
    while not _fits(terminal, columns, cells, shown) and (droppable := [i for i in shown if columns[i].worth]):
        shown.remove(min(droppable, key=lambda i: columns[i].worth))
    terminal.print(_table(columns, cells, shown))
    left_out = [columns[i].title for i in filled if i not in shown]
    if left_out:
        say(f"left out for want of width: {', '.join(left_out)} (a wider window, or --json)", style="dim")


def number(value: int) -> str:
    """A quantity as people write it."""
    return f"{value:,}"


def change(value: int, after: int) -> str:
    """A difference with its sign, and what it led to; nothing for 0."""
    return f"{value:+,} → {after:,}" if value else ""


def local_time(timestamp: Timestamp) -> str:
    """A time on this machine's clock, with its zone."""
    if not timestamp.seconds and not timestamp.nanos:
        return ""
    return local(timestamp.ToDatetime(UTC))


def local(moment: datetime) -> str:
    """An aware time on this machine's clock, with its zone."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")


def ago(timestamp: Timestamp, now: datetime) -> str:
    """How long ago a time was, in the largest unit of which there is at least one; nothing for no time."""
    if not timestamp.seconds and not timestamp.nanos:
        return ""
    seconds = max(0, int((now - timestamp.ToDatetime(UTC)).total_seconds()))
    unit, length = next((each for each in _AGES if seconds >= each[1]), _AGES[-1])
    return f"{seconds // length} {unit} ago"


def word(enum_name: str, prefix: str) -> str:
    """The bare name of an enum's value: `MOVEMENT_KIND_TRANSFER_IN` reads `transfer in`."""
    return enum_name.removeprefix(prefix).lower().replace("_", " ")


def _with_numbers(message: Message, written: dict[str, Any]) -> dict[str, Any]:
    """The same document, its fields in the proto's order and its 64-bit integers as numbers."""
    fields = cast("Sequence[FieldDescriptor]", message.DESCRIPTOR.fields)  # or upb's own, which is the same
    return {
        field.name: _with_number(field, getattr(message, field.name), written[field.name])
        for field in fields
        if field.name in written
    }


def _with_number(field: FieldDescriptor, value: Any, text: Any) -> Any:
    if field.cpp_type in _INTEGERS_64:
        return list(value) if field.is_repeated else value
    if field.message_type is None or field.message_type.full_name.startswith("google."):
        return text
    if field.message_type.GetOptions().map_entry:
        return text
    if field.is_repeated:
        return [_with_numbers(part, inner) for part, inner in zip(value, text, strict=True)]
    return _with_numbers(value, text)


def _fits(
    terminal: Console, columns: Sequence[Column], cells: Sequence[Sequence[str | int]], shown: Sequence[int]
) -> bool:
    return terminal.measure(
        _table(columns, cells, shown), options=terminal.options.update(max_width=10_000)
    ).maximum <= (terminal.width)


def _table(columns: Sequence[Column], cells: Sequence[Sequence[str | int]], shown: Sequence[int]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for i in shown:
        table.add_column(columns[i].title, justify="right" if columns[i].is_number else "left", overflow="fold")
    for row in cells:
        table.add_row(*(_cell(row[i]) for i in shown))
    return table


def _cell(value: str | int) -> Text:
    match value:
        case bool():
            return Text("yes" if value else "")
        case int():
            return Text(number(value))
        case _:
            return Text(value)
