"""`stockgate trace`: what happened, in what order, and how long it took; across processes, without a collector."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from gateway.cli.client import Caller, gateway_command
from gateway.cli.output import Column, console, document, local_time, print_document, print_table, say
from gateway.cli.waterfall import heading, milliseconds, picture
from gateway.v1 import operations_service_pb2 as pb

app = typer.Typer()

LIMIT = 50
LIMIT_MAX = 200
MINUTES_MAX = 60
TRACE_ID_DIGITS = 32
_COLUMNS = (
    Column("trace"),
    Column("begun"),
    Column("process", worth=1),
    Column("what"),
    Column("spans", is_number=True, worth=2),
    Column("took", is_number=True),
    Column("failed", worth=3),
)
_GONE = "No span of this trace is kept: spans are kept for an hour, and of most work one trace in ten."


@gateway_command(app)
def trace(
    caller: Caller,
    trace_id: Annotated[
        str, typer.Argument(metavar="[ID]", help="32 hex digits, or a traceparent; none: recent traces.")
    ] = "",
    sku: Annotated[str, typer.Option("--sku", metavar="CODE", help="Recent ones: only about it.")] = "",
    errors: Annotated[bool, typer.Option("--errors", help="Recent ones: only with something that failed.")] = False,
    recent: Annotated[bool, typer.Option("--recent", help="Show recent ones, which it does anyway.")] = False,
    limit: Annotated[int, typer.Option("--limit", metavar="N", help="So many.", min=1, max=LIMIT_MAX)] = LIMIT,
    everything: Annotated[
        bool, typer.Option("--all", help="Recent ones: those of a single span that was fine, too.")
    ] = False,
    alone: Annotated[bool, typer.Option("--alone", help="Without the traces linked with it.")] = False,
    minutes: Annotated[
        int | None,
        typer.Option(
            "--minutes",
            metavar="N",
            help="Trace all about --sku for so long, of a crowd 50 calls a second; 0: enough.",
            min=0,
            max=MINUTES_MAX,
        ),
    ] = None,
) -> None:
    """Show a trace as a waterfall, or recent traces; with --sku and --minutes have everything about a SKU traced."""
    if trace_id and (sku or errors or recent or minutes is not None):
        raise typer.BadParameter("an ID shows that trace; --sku, --errors, --recent and --minutes go without one")
    if minutes is not None:
        _trace_sku(caller, sku, minutes)
    elif trace_id:
        _show(caller, _id_of(trace_id), alone=alone)
    else:
        _show_recent(
            caller, pb.ListTracesRequest(page_size=limit, sku=sku, only_errors=errors, include_single=everything)
        )


def _trace_sku(caller: Caller, sku: str, minutes: int) -> None:
    if not sku:
        raise typer.BadParameter("--minutes goes with --sku: which one?")
    request = pb.TraceSkuRequest(sku=sku)
    request.duration.FromTimedelta(timedelta(minutes=minutes))
    response = caller.ask(caller.operations.TraceSku, request)
    if caller.as_json:
        print_document(document(response))
    elif minutes:
        say(f"Everything about {sku} is traced until {local_time(response.until)}: stockgate trace --sku {sku}")
    else:
        say(f"{sku} is traced as everything else is.")


def _show(caller: Caller, trace_id: str, *, alone: bool) -> None:
    response = caller.ask(caller.operations.GetTrace, pb.GetTraceRequest(trace_id=trace_id, without_linked=alone))
    if caller.as_json:
        print_document(document(response))
    elif response.spans:
        terminal = console()
        terminal.print(heading(response.spans, trace_id), soft_wrap=True)
        terminal.print(picture(response.spans))
    else:
        say(_GONE, style="dim")


def _show_recent(caller: Caller, request: pb.ListTracesRequest) -> None:
    response = caller.ask(caller.operations.ListTraces, request)
    if caller.as_json:
        print_document(document(response))
        return
    rows = [
        (
            one.trace_id,
            local_time(one.begin_time),
            one.service,
            one.name,
            one.spans,
            milliseconds(one.duration.ToNanoseconds()),
            one.error,
        )
        for one in response.traces
    ]
    print_table(_COLUMNS, rows, "No trace is kept.")


def _id_of(text: str) -> str:
    """The id itself, or the one in a traceparent, as logs and rows have it."""
    parts = text.split("-")
    return parts[1] if len(parts) > 1 and len(parts[1]) == TRACE_ID_DIGITS else text
