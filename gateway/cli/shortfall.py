"""`stockgate shortfall ...`: who looks after what was sold and cannot be served, and how it ended."""

from __future__ import annotations

from typing import Annotated

import typer

from gateway.cli import stock, views
from gateway.cli.client import Caller, gateway_command
from gateway.cli.errors import EXIT_USAGE, failure
from gateway.cli.output import document, print_document
from gateway.v1 import channel_service_pb2

app = typer.Typer(no_args_is_help=True, help="What was sold and cannot be served.")
app.command("list")(stock.shortfalls)


@gateway_command(app)
def resolve(
    caller: Caller,
    shortfall_id: Annotated[str, typer.Argument(metavar="ID", help="The shortfall's id.", show_default=False)],
    owner: Annotated[str, typer.Option("--owner", metavar="NAME", help="Who looks after it; else as before.")] = "",
    resolution: Annotated[
        str, typer.Option("--resolution", metavar="TEXT", help="How it was resolved; else it stays open.")
    ] = "",
) -> None:
    """Say who looks after a shortfall, or how it was resolved: one of them, or both."""
    if not owner and not resolution:
        advice = "Name --owner, --resolution or both."
        raise failure("NOTHING_TO_SET", "neither an owner nor a resolution was named", advice, EXIT_USAGE)
    request = channel_service_pb2.ResolveShortfallRequest(shortfall_id=shortfall_id, owner=owner, resolution=resolution)
    response = caller.ask(caller.selling.ResolveShortfall, request)
    if caller.as_json:
        print_document(document(response))
        return
    views.print_shortfalls([response.shortfall])
