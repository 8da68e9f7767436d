"""The `stockgate` command: its groups, and its end."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn

import typer

from gateway.cli import (
    alert,
    backtest,
    channel,
    connect,
    drill,
    explain,
    findings,
    health,
    listing,
    live,
    notify,
    playback,
    policy,
    report,
    reservation,
    sandbox,
    server,
    shortfall,
    sku,
    stock,
    tables,
    timeline,
    trace,
    up,
    version,
    watch,
)
from gateway.cli.client import AddressOption
from gateway.cli.errors import EXIT_USAGE, Failure, Problem, failure
from gateway.cli.errors import report as say_problem

app = typer.Typer(
    name="stockgate",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="One true stock ledger for goods that sell on several live platforms at once.",
    epilog="STOCKGATE_ADDRESS, STOCKGATE_TOKEN and STOCKGATE_TLS_CA_FILE say which gateway is asked, and who asks. "
    "Exit codes: 0 done, 1 failed or refused, 2 not typed right.",
)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs a command and exits: 0 done, 1 it failed or was refused, 2 it was not typed right, 130 Ctrl-C."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    as_json = "--json" in words
    try:
        _refuse_broken_text(words)
        sys.exit(app(words, prog_name="stockgate", standalone_mode=not as_json) or 0)
    except Failure as failed:
        say_problem(failed.problem, as_json=as_json)
        sys.exit(failed.exit_code)
    except typer.TyperException as wrong:  # only with --json: else typer has printed it
        say_problem(Problem(code="USAGE", message=wrong.format_message(), advice="--help shows how."), as_json=True)
        sys.exit(EXIT_USAGE)


def _refuse_broken_text(words: Sequence[str]) -> None:
    """What is not UTF-8 reaches Python as lone surrogates, and can go over no wire. Raises Failure."""
    for place, word in enumerate(words, start=1):
        if any("\ud800" <= letter <= "\udfff" for letter in word):
            raise failure("USAGE", f"argument {place} is not UTF-8", "Type it in a UTF-8 terminal.", EXIT_USAGE)


@app.callback()
def choose_gateway(context: typer.Context, address: AddressOption = None) -> None:
    """Remember the address for the command that follows."""
    context.obj = {"address": address}


_stock_app = typer.Typer(no_args_is_help=True, help="The ledger: goods in, reservations, levels, the journal.")
for _part in (stock.app, reservation.app, watch.app):
    _stock_app.add_typer(_part)
for _part in (
    server.app,
    playback.app,
    sandbox.app,
    connect.app,
    notify.app,
    up.app,
    backtest.app,
    explain.app,
    trace.app,
):
    app.add_typer(_part)
app.add_typer(_stock_app, name="stock")
app.add_typer(sku.sku_app, name="sku")
app.add_typer(sku.location_app, name="location")
app.add_typer(channel.app, name="channel")
app.add_typer(listing.app, name="listing")
app.add_typer(policy.app, name="policy")
app.add_typer(shortfall.app, name="shortfall")
app.add_typer(alert.app, name="alert")
app.add_typer(live.app, name="live")
app.add_typer(drill.app, name="drill")
app.add_typer(findings.app)
app.add_typer(health.app)
app.add_typer(timeline.app)
app.add_typer(report.app)
app.add_typer(findings.orders_app, name="orders")
app.add_typer(tables.app)
app.add_typer(server.merchant_app, name="merchant")
app.add_typer(version.app)
