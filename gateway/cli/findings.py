"""`stockgate drift` and `stockgate orders ...`: what the platforms say that fits nothing we know."""

from __future__ import annotations

from typing import Annotated

import typer

from gateway.cli import views
from gateway.cli.channel import require_channel
from gateway.cli.client import Caller, gateway_command
from gateway.cli.output import document, print_document
from gateway.cli.pages import Limit, gathered
from gateway.cli.stock import say_more
from gateway.v1 import channel_service_pb2

app = typer.Typer()
orders_app = typer.Typer(no_args_is_help=True, help="Orders that wait for somebody.")


@gateway_command(app)
def drift(
    caller: Caller,
    channel: Annotated[str, typer.Option("--channel", metavar="CODE", help="Only of this channel.")] = "",
    limit: Limit = 100,
) -> None:
    """Show readings that fit neither what we believed nor what may have happened meanwhile, newest first."""
    require_channel(caller, channel)
    request = channel_service_pb2.ListDriftRequest(channel=channel)
    response = gathered(caller, caller.selling.ListDrift, request, "drifts", limit)
    if caller.as_json:
        print_document(document(response))
        return
    views.print_drifts(response.drifts)
    say_more(response.next_page_token, limit)


@gateway_command(orders_app)
def unlinked(
    caller: Caller,
    channel: Annotated[str, typer.Option("--channel", metavar="CODE", help="The channel's code.", show_default=False)],
    limit: Limit = 100,
) -> None:
    """Show a channel's orders for listings nobody has linked. `stockgate listing link` takes them in."""
    require_channel(caller, channel)
    request = channel_service_pb2.ListUnlinkedOrdersRequest(channel=channel)
    response = gathered(caller, caller.selling.ListUnlinkedOrders, request, "orders", limit)
    if caller.as_json:
        print_document(document(response))
        return
    views.print_order_lines(response.orders)
    say_more(response.next_page_token, limit)
