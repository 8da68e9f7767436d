"""`stockgate stock ...`: goods come in, are counted, corrected and moved; levels and the journal are read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.cli import arguments, views
from gateway.cli.client import Caller, RequestId, gateway_command
from gateway.cli.output import document, local, local_time, number, print_document, say
from gateway.cli.pages import Limit, gathered
from gateway.v1 import channel_service_pb2, stock_pb2, stock_service_pb2

app = typer.Typer()

Sku = Annotated[str, typer.Argument(metavar="SKU", help="The SKU's code.", show_default=False)]
Quantity = Annotated[int, typer.Argument(metavar="QUANTITY", help="Units, above 0.", show_default=False)]
Location = Annotated[str, typer.Option("--location", metavar="CODE", help="Where; else the first location.")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the journal.")]
OccurTime = Annotated[
    str,
    typer.Option(
        "--occur-time", metavar="TIME", help="When it happened (ISO 8601, or 15m for 15 minutes ago); else now."
    ),
]
ExpectedOnHand = Annotated[
    int | None,
    typer.Option("--expected-on-hand", metavar="UNITS", help="Refuse unless on hand is this now."),
]


@gateway_command(app)
def receive(
    caller: Caller,
    sku: Sku,
    quantity: Quantity,
    request_id: RequestId,
    location: Location = "",
    reason: Reason = "",
    occur_time: OccurTime = "",
) -> None:
    """Book goods that came in."""
    request = stock_service_pb2.ReceiveStockRequest(
        request_id=request_id,
        sku=sku,
        quantity=quantity,
        location=location,
        reason=reason,
        occur_time=_moment(occur_time),
    )
    response = caller.ask(caller.stock.ReceiveStock, request)
    _say_booked(caller, request_id, response, f"Received {number(quantity)} of {sku} at {response.level.location}.")


@gateway_command(app, context_settings={"ignore_unknown_options": True})
def adjust(
    caller: Caller,
    sku: Sku,
    change: Annotated[
        int,
        typer.Argument(
            metavar="CHANGE",
            help="The difference in units, as in -3.",
            show_default=False,
        ),
    ],
    request_id: RequestId,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; needed.", show_default=False)],
    location: Location = "",
    expected_on_hand: ExpectedOnHand = None,
    record_reality: Annotated[
        bool, typer.Option("--record-reality", help="The goods are really gone: book it even below what is reserved.")
    ] = False,
    corrects: Annotated[
        int, typer.Option("--corrects", metavar="REVISION", min=0, help="The movement this corrects.")
    ] = 0,
    occur_time: OccurTime = "",
) -> None:
    """Correct on hand by a difference."""
    request = stock_service_pb2.AdjustStockRequest(
        request_id=request_id,
        sku=sku,
        change=change,
        location=location,
        reason=reason,
        expected_on_hand=expected_on_hand,
        record_reality=record_reality,
        corrects_revision=corrects,
        occur_time=_moment(occur_time),
    )
    response = caller.ask(caller.stock.AdjustStock, request)
    _say_booked(caller, request_id, response, f"Adjusted {sku} at {response.level.location} by {change:+,}.")


@gateway_command(app)
def count(
    caller: Caller,
    sku: Sku,
    counted: Annotated[
        int,
        typer.Argument(metavar="COUNTED", help="Units on the shelf.", show_default=False),
    ],
    request_id: RequestId,
    location: Location = "",
    count_time: Annotated[
        str, typer.Option("--count-time", metavar="TIME", help="When it was counted (ISO 8601, or 15m ago); else now.")
    ] = "",
    reason: Reason = "",
    expected_on_hand: ExpectedOnHand = None,
) -> None:
    """Book a count of the shelf."""
    request = stock_service_pb2.CountStockRequest(
        request_id=request_id,
        sku=sku,
        counted=counted,
        location=location,
        count_time=_moment(count_time),
        reason=reason,
        expected_on_hand=expected_on_hand,
    )
    response = caller.ask(caller.stock.CountStock, request)
    _say_booked(caller, request_id, response, f"Counted {number(counted)} of {sku} at {response.level.location}.")


@gateway_command(app)
def transfer(
    caller: Caller,
    sku: Sku,
    quantity: Quantity,
    request_id: RequestId,
    from_location: Annotated[str, typer.Option("--from", metavar="CODE", help="Where they leave.", show_default=False)],
    to_location: Annotated[str, typer.Option("--to", metavar="CODE", help="Where they arrive.", show_default=False)],
    reason: Reason = "",
) -> None:
    """Move goods from one location to another."""
    request = stock_service_pb2.TransferStockRequest(
        request_id=request_id,
        sku=sku,
        quantity=quantity,
        from_location=from_location,
        to_location=to_location,
        reason=reason,
    )
    response = caller.ask(caller.stock.TransferStock, request)
    if caller.as_json:
        print_document({"request_id": request_id, **document(response)})
        return
    say(f"Moved {number(quantity)} of {sku} from {from_location} to {to_location}.", style="bold")
    views.say_level(response.from_level)
    views.say_level(response.to_level)
    say_recorded(request_id, response.revision, response.record_time)


@gateway_command(app)
def level(
    caller: Caller,
    skus: Annotated[
        list[str] | None, typer.Argument(metavar="[SKU]...", help="SKUs; none: all.", show_default=False)
    ] = None,
    location: Annotated[str, typer.Option("--location", metavar="CODE", help="Only this location.")] = "",
    prefix: Annotated[str, typer.Option("--prefix", metavar="TEXT", help="Only SKUs whose code begins so.")] = "",
    limit: Limit = 100,
) -> None:
    """Show stock: of all SKUs, of some, or of one with its locations."""
    match skus or []:
        case []:
            listing = stock_service_pb2.ListStockLevelsRequest(location=location, sku_prefix=prefix)
            levels = gathered(caller, caller.stock.ListStockLevels, listing, "levels", limit)
            _show_levels(caller, levels, levels.levels)
        case [sku]:
            one = stock_service_pb2.GetStockLevelRequest(sku=sku, location=location)
            response = caller.ask(caller.stock.GetStockLevel, one)
            _show_levels(caller, response, [response.level])
        case several if location:
            raise typer.BadParameter(f"--location goes with one SKU or with all, not with {len(several)}")
        case several:
            batch = stock_service_pb2.BatchGetStockLevelsRequest(skus=several)
            answers = caller.ask(caller.stock.BatchGetStockLevels, batch)
            _show_levels(caller, answers, answers.levels)


@gateway_command(app, name="as-of")
def as_of(
    caller: Caller,
    sku: Sku,
    time: Annotated[
        str, typer.Argument(metavar="TIME", help="ISO 8601, or 15m for 15 minutes ago.", show_default=False)
    ],
    location: Annotated[str, typer.Option("--location", metavar="CODE", help="Only this location.")] = "",
) -> None:
    """Show the stock of a SKU as the ledger knew it at a past time."""
    moment = arguments.moment(time)
    request = stock_service_pb2.GetStockLevelRequest(sku=sku, location=location, as_of_time=_moment(moment.isoformat()))
    response = caller.ask(caller.stock.GetStockLevel, request)
    if caller.as_json:
        print_document(document(response))
        return
    say(f"As of {local(moment)}:")
    views.print_levels([response.level], per_location=True)


@gateway_command(app)
def movements(
    caller: Caller,
    sku: Annotated[str, typer.Argument(metavar="[SKU]", help="Only this SKU.", show_default=False)] = "",
    location: Annotated[str, typer.Option("--location", metavar="CODE", help="Only this location.")] = "",
    reservation: Annotated[str, typer.Option("--reservation", metavar="ID", help="Only of this reservation.")] = "",
    kind: Annotated[
        list[str] | None, typer.Option("--kind", metavar="KIND", help="Only this kind, as in receive; may be repeated.")
    ] = None,
    since: Annotated[
        str, typer.Option("--since", metavar="TIME", help="Recorded at or after (ISO 8601, or 15m ago).")
    ] = "",
    until: Annotated[str, typer.Option("--until", metavar="TIME", help="Recorded before.")] = "",
    limit: Limit = 20,
) -> None:
    """Show the journal, newest first."""
    request = stock_service_pb2.ListMovementsRequest(
        sku=sku,
        location=location,
        reservation_id=reservation,
        kinds=[arguments.movement_kind(each) for each in kind or []],
        start_time=_moment(since),
        end_time=_moment(until),
    )
    response = gathered(caller, caller.stock.ListMovements, request, "movements", limit)
    if caller.as_json:
        print_document(document(response))
        return
    views.print_movements(response.movements, sku)
    say_more(response.next_page_token, limit)


@gateway_command(app)
def shortfalls(
    caller: Caller,
    resolved: Annotated[bool, typer.Option("--resolved", help="Resolved ones too.")] = False,
    limit: Limit = 100,
) -> None:
    """Show units that were sold and cannot be served, newest first."""
    request = channel_service_pb2.ListShortfallsRequest(include_resolved=resolved)
    response = gathered(caller, caller.selling.ListShortfalls, request, "shortfalls", limit)
    if caller.as_json:
        print_document(document(response))
        return
    views.print_shortfalls(response.shortfalls)
    say_more(response.next_page_token, limit)


def say_recorded(request_id: str, revision: int, record_time: Timestamp) -> None:
    """The last line of a mutation: where it stands in the journal, and the id that repeats it."""
    say(f"revision {number(revision)} · {local_time(record_time)} · request id {request_id}", style="dim")


def say_more(next_page_token: str, limit: int) -> None:
    """Says that a list goes on."""
    if next_page_token:
        say(f"There are more than these {number(limit)}: --limit shows more.", style="dim")


Booked = (
    stock_service_pb2.ReceiveStockResponse
    | stock_service_pb2.AdjustStockResponse
    | stock_service_pb2.CountStockResponse
)
LevelAnswer = (
    stock_service_pb2.GetStockLevelResponse
    | stock_service_pb2.BatchGetStockLevelsResponse
    | stock_service_pb2.ListStockLevelsResponse
)


def _say_booked(caller: Caller, request_id: str, response: Booked, sentence: str) -> None:
    if caller.as_json:
        print_document({"request_id": request_id, **document(response)})
        return
    say(sentence, style="bold")
    views.say_level(response.level)
    if not isinstance(response, stock_service_pb2.ReceiveStockResponse) and response.HasField("shortfall"):
        shortfall = response.shortfall
        say(f"Shortfall {shortfall.shortfall_id}: {number(shortfall.quantity)} units are promised and gone.")
    say_recorded(request_id, response.revision, response.record_time)


def _show_levels(caller: Caller, answer: LevelAnswer, levels: Sequence[stock_pb2.StockLevel]) -> None:
    if caller.as_json:
        print_document(document(answer))
        return
    views.print_levels(levels, per_location=len(levels) == 1)
    if isinstance(answer, stock_service_pb2.ListStockLevelsResponse):
        say_more(answer.next_page_token, len(levels))


def _moment(text: str) -> Timestamp | None:
    return arguments.timestamp(text) if text else None
