"""`stockgate stock ...`: the life of a reservation, from reserve to commit, release or return."""

from __future__ import annotations

from typing import Annotated

import typer

from gateway.cli import arguments, views
from gateway.cli.client import Caller, RequestId, gateway_command
from gateway.cli.output import document, print_document, say
from gateway.cli.pages import Limit, gathered
from gateway.cli.stock import Reason, say_more, say_recorded
from gateway.v1 import stock_pb2, stock_service_pb2

app = typer.Typer()

ReservationId = Annotated[str, typer.Argument(metavar="RESERVATION", help="The reservation's id.", show_default=False)]
LineQuantities = Annotated[
    list[str] | None,
    typer.Option(
        "--line",
        metavar="LINE=UNITS",
        help="Units of one line, as in 1=2; may be repeated. None: all.",
        show_default=False,
    ),
]
Changed = (
    stock_service_pb2.ReserveStockResponse
    | stock_service_pb2.CommitReservationResponse
    | stock_service_pb2.ReleaseReservationResponse
    | stock_service_pb2.ExtendReservationResponse
    | stock_service_pb2.ResizeReservationResponse
    | stock_service_pb2.ReturnStockResponse
)


@gateway_command(app)
def reserve(
    caller: Caller,
    lines: Annotated[
        list[str],
        typer.Argument(
            metavar="SKU[@LOCATION]=UNITS",
            help="What to hold, all of it or none. For one SKU also: SKU UNITS.",
            show_default=False,
        ),
    ],
    request_id: RequestId,
    ttl: Annotated[
        str, typer.Option("--ttl", metavar="DURATION", help="Time to live, as in 15m; else the gateway's default.")
    ] = "",
    order_id: Annotated[str, typer.Option("--order-id", metavar="TEXT", help="The order it serves.")] = "",
    allow_partial: Annotated[
        bool, typer.Option("--allow-partial", help="Take what there is instead of refusing.")
    ] = False,
    location: Annotated[
        list[str] | None,
        typer.Option("--location", metavar="CODE", help="Locations that may serve, in order; may be repeated."),
    ] = None,
) -> None:
    """Promise units to an order."""
    request = stock_service_pb2.ReserveStockRequest(
        request_id=request_id,
        lines=arguments.reserve_lines(lines),
        ttl_ms=arguments.milliseconds(ttl) if ttl else 0,
        order_id=order_id,
        allow_partial=allow_partial,
        locations=location or [],
    )
    _show_changed(caller, request_id, caller.ask(caller.stock.ReserveStock, request))


@gateway_command(app)
def commit(
    caller: Caller,
    reservation: ReservationId,
    request_id: RequestId,
    line: LineQuantities = None,
    retake_expired: Annotated[
        bool, typer.Option("--retake-expired", help="If it expired first, take the units again, or open a shortfall.")
    ] = False,
) -> None:
    """Sell a reservation, whole or in part."""
    request = stock_service_pb2.CommitReservationRequest(
        request_id=request_id, reservation_id=reservation, lines=_lines(line), retake_expired=retake_expired
    )
    response = caller.ask(caller.stock.CommitReservation, request)
    _show_changed(caller, request_id, response)
    if response.shortfalls and not caller.as_json:
        say("It had expired, and the units are gone. The order is a shortfall now:", style="bold yellow")
        views.print_shortfalls(response.shortfalls)


@gateway_command(app)
def release(caller: Caller, reservation: ReservationId, request_id: RequestId, reason: Reason = "") -> None:
    """Give a reservation up, whole."""
    request = stock_service_pb2.ReleaseReservationRequest(
        request_id=request_id, reservation_id=reservation, reason=reason
    )
    _show_changed(caller, request_id, caller.ask(caller.stock.ReleaseReservation, request))


@gateway_command(app)
def extend(
    caller: Caller,
    reservation: ReservationId,
    ttl: Annotated[
        str, typer.Argument(metavar="DURATION", help="Time to live from now, as in 15m.", show_default=False)
    ],
    request_id: RequestId,
) -> None:
    """Move a reservation's expiry later."""
    request = stock_service_pb2.ExtendReservationRequest(
        request_id=request_id, reservation_id=reservation, ttl_ms=arguments.milliseconds(ttl)
    )
    _show_changed(caller, request_id, caller.ask(caller.stock.ExtendReservation, request))


@gateway_command(app)
def resize(
    caller: Caller,
    reservation: ReservationId,
    lines: Annotated[
        list[str], typer.Argument(metavar="LINE=UNITS", help="New quantities, as in 1=3.", show_default=False)
    ],
    request_id: RequestId,
) -> None:
    """Change the quantities of an open reservation."""
    request = stock_service_pb2.ResizeReservationRequest(
        request_id=request_id, reservation_id=reservation, lines=_lines(lines)
    )
    _show_changed(caller, request_id, caller.ask(caller.stock.ResizeReservation, request))


@gateway_command(app, name="return")
def return_stock(
    caller: Caller,
    reservation: ReservationId,
    request_id: RequestId,
    line: LineQuantities = None,
    location: Annotated[
        str, typer.Option("--location", metavar="CODE", help="Where they arrived; else where they had left.")
    ] = "",
    reason: Reason = "",
) -> None:
    """Book sold goods that came back."""
    request = stock_service_pb2.ReturnStockRequest(
        request_id=request_id, reservation_id=reservation, lines=_lines(line), location=location, reason=reason
    )
    _show_changed(caller, request_id, caller.ask(caller.stock.ReturnStock, request))


@gateway_command(app)
def reservation(caller: Caller, reservation: ReservationId) -> None:
    """Show one reservation."""
    request = stock_service_pb2.GetReservationRequest(reservation_id=reservation)
    response = caller.ask(caller.stock.GetReservation, request)
    if caller.as_json:
        print_document(document(response))
        return
    views.say_reservation(response.reservation)


@gateway_command(app)
def reservations(
    caller: Caller,
    sku: Annotated[str, typer.Argument(metavar="[SKU]", help="Only of this SKU.", show_default=False)] = "",
    state: Annotated[
        str, typer.Option("--state", metavar="STATE", help="held, committed, released or expired; else any.")
    ] = "",
    order_id: Annotated[str, typer.Option("--order-id", metavar="TEXT", help="Only of this order.")] = "",
    limit: Limit = 20,
) -> None:
    """Show reservations, newest first."""
    wanted = arguments.reservation_state(state) if state else stock_pb2.RESERVATION_STATE_UNSPECIFIED
    request = stock_service_pb2.ListReservationsRequest(sku=sku, state=wanted, order_id=order_id)
    response = gathered(caller, caller.stock.ListReservations, request, "reservations", limit)
    if caller.as_json:
        print_document(document(response))
        return
    views.print_reservations(response.reservations)
    say_more(response.next_page_token, limit)


def _lines(texts: list[str] | None) -> list[stock_service_pb2.LineQuantity]:
    return [arguments.line_quantity(text) for text in texts or []]


def _show_changed(caller: Caller, request_id: str, response: Changed) -> None:
    if caller.as_json:
        print_document({"request_id": request_id, **document(response)})
        return
    views.say_reservation(response.reservation)
    say_recorded(request_id, response.revision, response.record_time)
