"""`stockgate import ...` and `stockgate export ...`: SKUs and listings as CSV."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli import arguments
from gateway.cli.client import Caller, gateway_command
from gateway.cli.errors import EXIT_FAILED, EXIT_USAGE, failure
from gateway.cli.output import Column, document, number, print_document, print_table, say
from gateway.v1 import catalog_service_pb2 as pb

app = typer.Typer()

# Ten thousand lines take seconds; a gateway in the middle of a rush may need longer.
TIMEOUT_SECONDS = 120.0
REFUSALS_SHOWN_MAX = 50
# Spreadsheets take a file for UTF-8 only if it begins so.
BYTE_ORDER_MARK = "\ufeff"
LINE_COLUMNS = (Column("line", is_number=True), Column("key", worth=2), Column("column", worth=1), Column("reason"))

TableName = Annotated[str, typer.Argument(metavar="skus|listings", help="What it holds.", show_default=False)]


@gateway_command(app, name="import")
def import_table(
    caller: Caller,
    table: TableName,
    file: Annotated[str, typer.Argument(metavar="FILE", help="A CSV; - reads standard input.", show_default=False)],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would happen.")] = False,
    encoding: Annotated[str, typer.Option("--encoding", metavar="NAME", help="As in gb18030.")] = "utf-8",
) -> None:
    """Make and change SKUs, or link listings, from CSV: all lines, or none if one is wrong.

    `stockgate export` shows the columns. Columns that are left out stay as they are.
    """
    wanted = arguments.catalog_table(table)
    request = pb.ImportCatalogRequest(table=wanted, csv=_read(file, encoding), dry_run=dry_run)
    response = caller.ask(caller.catalog.ImportCatalog, request, TIMEOUT_SECONDS)
    is_refused = any(line.result == "REFUSED" for line in response.lines)
    if caller.as_json:
        print_document(document(response))
    else:
        _say(response, is_refused=is_refused, dry_run=dry_run)
    if is_refused:
        raise typer.Exit(EXIT_FAILED)


@gateway_command(app, name="export")
def export_table(
    caller: Caller,
    table: TableName,
    file: Annotated[
        str, typer.Argument(metavar="[FILE]", help="Where to write; else on standard output.", show_default=False)
    ] = "-",
    excel: Annotated[bool, typer.Option("--excel", help="Begin with the mark by which Excel knows UTF-8.")] = False,
) -> None:
    """Write all SKUs or listings as CSV, in the form `stockgate import` reads. With --json, in a document."""
    request = pb.ExportCatalogRequest(table=arguments.catalog_table(table))
    with caller.fence():
        stream = caller.catalog.ExportCatalog(request, timeout=TIMEOUT_SECONDS, metadata=caller.settings.metadata)
        text = "".join(part.csv for part in stream)
    if caller.as_json:
        print_document({"csv": text})
        return
    text = BYTE_ORDER_MARK + text if excel else text
    if file == "-":
        sys.stdout.write(text)
        return
    try:
        Path(file).write_text(text, encoding="utf-8")
    except OSError as error:
        raise failure("FILE", f"cannot write {file}: {error.strerror}", "Name another file.", EXIT_USAGE) from error
    say(f"Wrote {file}.")


def _read(file: str, encoding: str) -> str:
    try:
        raw = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        return raw.decode(encoding)
    except OSError as error:
        raise failure("FILE", f"cannot read {file}: {error.strerror}", "Name a file, or -.", EXIT_USAGE) from error
    except LookupError as error:
        raise failure("ENCODING", f"{encoding!r} is no encoding", "utf-8 and gb18030 are.", EXIT_USAGE) from error
    except UnicodeDecodeError as error:
        advice = "Save it as `CSV UTF-8`, or say how it is written: --encoding gb18030."
        raise failure("FILE", f"{file} is not {encoding}", advice, EXIT_USAGE) from error


def _say(response: pb.ImportCatalogResponse, *, is_refused: bool, dry_run: bool) -> None:
    counts = Counter(line.result for line in response.lines)
    said = ", ".join(f"{number(count)} {result.lower()}" for result, count in counts.items())
    if is_refused:
        refused = [line for line in response.lines if line.result == "REFUSED"]
        rows = [(line.line, line.key, line.column, line.reason) for line in refused[:REFUSALS_SHOWN_MAX]]
        print_table(LINE_COLUMNS, rows, "")
        if len(refused) > REFUSALS_SHOWN_MAX:
            say(f"... and {number(len(refused) - REFUSALS_SHOWN_MAX)} more (--json has all).", style="dim")
        say(
            f"Nothing was changed: {number(counts['REFUSED'])} of {number(len(response.lines))} lines are wrong.",
            "bold red",
        )
        say("Correct these lines, and import the whole file again.")
    elif dry_run:
        say(f"Nothing was changed; it would be: {said or 'nothing to do'}.")
    else:
        say(f"Imported: {said or 'nothing to do'}.")
