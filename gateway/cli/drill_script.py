"""Drills as a TOML file, for people and for CI. Times are seconds after the start, of the drill's own time.

[drill]
name = "evening peak"
room = "main room"            # optional
seconds = 3600                # how long
speed = 60                    # how many times faster than the clock; else 1
seed = 7                      # optional
tape = "orders.csv"           # optional: at_seconds,sku[,quantity]; beside this file

[[sku]]
sku = "TEA"
units = 300
lead_seconds = 600            # how long more takes to come
rate = 2.0                    # orders per minute; 0: those of the tape only

[[order]]                     # single orders, instead of or beside a tape
at_seconds = 30
sku = "TEA"
quantity = 2                  # else 1

[[inject]]
at_seconds = 1200
kind = "SURGE"                # CHANNEL_DEAD, CHANNEL_BACK, SUPPLY_LATE, RECEIPT, SURGE
sku = "TEA"                   # else all
value = 4                     # factor of a SURGE, units of a RECEIPT, seconds of SUPPLY_LATE
seconds = 600                 # of a SURGE

[[expect]]
sku = "TEA"
tier = "THRESHOLD"
after_seconds = 0             # not before; else 0
before_seconds = 1500         # not after
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from pathlib import Path

from gateway.cli.errors import EXIT_USAGE, failure
from gateway.cli.toml_file import INT64_MAX, Section, read_toml
from gateway.v1 import alert_service_pb2 as pb

TAPE_COLUMNS = ("at_seconds", "sku", "quantity")
# The gateway's: more need not be read.
ORDERS_MAX = 50_000


def read_script(file: Path, speed: float | None = None) -> pb.DrillScript:
    """A drill's script; `speed`, if given, goes before the file's. Raises `Failure`."""
    whole = read_toml(file)
    drill = whole.section("drill")
    script = pb.DrillScript(
        name=drill.text("name"),
        room=drill.text("room", ""),
        speed=drill.real("speed", 1.0),
        seconds=drill.real("seconds"),
        seed=drill.whole("seed", 0),
        skus=[_sku(each) for each in whole.sections("sku")],
        tape=[_order(each) for each in whole.sections("order")],
        injects=[_inject(each) for each in whole.sections("inject")],
        expectations=[_expectation(each) for each in whole.sections("expect")],
    )
    tape = drill.text("tape", "")
    drill.done()
    whole.done()
    if tape:
        script.tape.extend(_read_tape(file.parent / tape))
    if speed is not None:
        script.speed = speed
    return script


def _sku(section: Section) -> pb.DrillSku:
    sku = pb.DrillSku(
        sku=section.text("sku"),
        units=section.whole("units"),
        lead_seconds=section.real("lead_seconds", 0.0),
        rate=section.real("rate", 0.0),
    )
    section.done()
    return sku


def _order(section: Section) -> pb.DrillOrder:
    order = pb.DrillOrder(
        at_seconds=section.real("at_seconds"), sku=section.text("sku"), quantity=section.whole("quantity", 1)
    )
    section.done()
    return order


def _inject(section: Section) -> pb.DrillInject:
    inject = pb.DrillInject(
        at_seconds=section.real("at_seconds"),
        kind=section.text("kind").strip().upper().replace("-", "_"),
        sku=section.text("sku", ""),
        value=section.real("value", 0.0),
        seconds=section.real("seconds", 0.0),
    )
    section.done()
    return inject


def _expectation(section: Section) -> pb.DrillExpectation:
    expectation = pb.DrillExpectation(
        sku=section.text("sku"),
        tier=section.tier("tier"),
        after_seconds=section.real("after_seconds", 0.0),
        before_seconds=section.real("before_seconds"),
    )
    section.done()
    return expectation


def _read_tape(file: Path) -> list[pb.DrillOrder]:
    """The orders of a CSV, in order of time."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            orders = list(_orders(file, csv.DictReader(lines)))
    except OSError as error:
        raise failure("FILE", f"cannot read {file}: {error.strerror}", "Name a CSV file.", EXIT_USAGE) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise failure("FILE", f"{file} is no CSV in UTF-8: {error}", _form(), EXIT_USAGE) from error
    return sorted(orders, key=lambda order: order.at_seconds)


def _orders(file: Path, reader: csv.DictReader[str]) -> Iterator[pb.DrillOrder]:
    columns = list(reader.fieldnames or ())
    if columns[:2] != list(TAPE_COLUMNS[:2]) or not set(columns) <= set(TAPE_COLUMNS):
        raise failure("FILE", f"{file.name} has other columns", _form(), EXIT_USAGE)
    for count, row in enumerate(reader, start=1):
        if count > ORDERS_MAX:
            raise failure("FILE", f"{file.name} has more than {ORDERS_MAX:,} orders", "Cut it.", EXIT_USAGE)
        try:
            at_seconds, quantity = float(row["at_seconds"]), int(row.get("quantity") or 1)
        except (TypeError, ValueError):
            at_seconds, quantity = math.nan, 0
        is_order = math.isfinite(at_seconds) and 0 < quantity <= INT64_MAX and row["sku"]
        if not is_order or None in row:
            message = f"{file.name}, line {reader.line_num}: no order"
            raise failure("FILE", message, _form(), EXIT_USAGE)
        yield pb.DrillOrder(at_seconds=at_seconds, sku=row["sku"], quantity=quantity)


def _form() -> str:
    return f"A tape has the columns {', '.join(TAPE_COLUMNS)}; quantity may be left out."
