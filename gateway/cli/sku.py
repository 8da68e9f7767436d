"""`stockgate sku ...` and `stockgate location ...`: the catalog."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import typer
from google.protobuf.field_mask_pb2 import FieldMask

from gateway.cli.client import INT32_MAX, Caller, gateway_command
from gateway.cli.errors import EXIT_USAGE, failure
from gateway.cli.output import Column, document, local_time, number, print_document, print_table, say
from gateway.cli.pages import Limit, gathered
from gateway.cli.stock import say_more
from gateway.v1 import catalog_pb2, catalog_service_pb2

sku_app = typer.Typer(no_args_is_help=True, help="The catalog of SKUs.")
location_app = typer.Typer(no_args_is_help=True, help="Where units lie.")

SKU_COLUMNS = (
    Column("SKU"),
    Column("title", worth=5),
    Column("safety stock", is_number=True, worth=6),
    Column("lead time (days)", is_number=True, worth=4),
    Column("substitutes", worth=2),
    Column("frozen", worth=3),
    Column("changed", worth=1),
)
LOCATION_COLUMNS = (
    Column("location"),
    Column("title", worth=2),
    Column("position", is_number=True),
    Column("created", worth=1),
)

SkuCode = Annotated[str, typer.Argument(metavar="SKU", help="The SKU's code.", show_default=False)]
Title = Annotated[str | None, typer.Option("--title", metavar="TEXT", help="What people call it.")]
SafetyStock = Annotated[
    int | None,
    typer.Option("--safety-stock", metavar="UNITS", help="Units never offered, per location."),
]
LeadTimeMean = Annotated[
    float | None, typer.Option("--lead-time-mean-days", metavar="DAYS", help="Replenishment, on average.")
]
LeadTimeDeviation = Annotated[
    float | None, typer.Option("--lead-time-deviation-days", metavar="DAYS", help="Its standard deviation.")
]
Substitutes = Annotated[
    list[str] | None,
    typer.Option("--substitute", metavar="SKU", help="What to offer instead, best first; may be repeated."),
]


@gateway_command(sku_app)
def add(
    caller: Caller,
    sku: SkuCode,
    title: Title = None,
    safety_stock: SafetyStock = None,
    lead_time_mean_days: LeadTimeMean = None,
    lead_time_deviation_days: LeadTimeDeviation = None,
    substitute: Substitutes = None,
) -> None:
    """Make a SKU. Making the same one again does no harm."""
    wanted = catalog_pb2.Sku(
        sku=sku,
        title=title or "",
        safety_stock=safety_stock or 0,
        lead_time_mean_days=lead_time_mean_days,
        lead_time_deviation_days=lead_time_deviation_days,
        substitutes=substitute or [],
    )
    response = caller.ask(caller.catalog.CreateSku, catalog_service_pb2.CreateSkuRequest(sku=wanted))
    _show_sku(caller, response)


@gateway_command(sku_app, name="set")
def set_sku(
    caller: Caller,
    sku: SkuCode,
    title: Title = None,
    safety_stock: SafetyStock = None,
    lead_time_mean_days: LeadTimeMean = None,
    lead_time_deviation_days: LeadTimeDeviation = None,
    substitute: Substitutes = None,
) -> None:
    """Change a SKU: only what is named. `--substitute ""` clears the substitutes."""
    given = {
        "title": title,
        "safety_stock": safety_stock,
        "lead_time_mean_days": lead_time_mean_days,
        "lead_time_deviation_days": lead_time_deviation_days,
    }
    named = {name: value for name, value in given.items() if value is not None}
    wanted = catalog_pb2.Sku(sku=sku, substitutes=[each for each in substitute or [] if each])
    for name, value in named.items():
        setattr(wanted, name, value)
    mask = FieldMask(paths=[*named, *(["substitutes"] if substitute is not None else [])])
    if not mask.paths:
        raise failure("NOTHING_TO_SET", "no field was named", "`stockgate sku set --help` shows them.", EXIT_USAGE)
    request = catalog_service_pb2.UpdateSkuRequest(sku=wanted, update_mask=mask)
    _show_sku(caller, caller.ask(caller.catalog.UpdateSku, request))


@gateway_command(sku_app)
def show(caller: Caller, sku: SkuCode) -> None:
    """Show one SKU."""
    _show_sku(caller, caller.ask(caller.catalog.GetSku, catalog_service_pb2.GetSkuRequest(sku=sku)))


@gateway_command(sku_app, name="list")
def list_skus(
    caller: Caller,
    prefix: Annotated[str, typer.Option("--prefix", metavar="TEXT", help="Only SKUs whose code begins so.")] = "",
    limit: Limit = 100,
) -> None:
    """Show SKUs, by code."""
    request = catalog_service_pb2.ListSkusRequest(sku_prefix=prefix)
    response = gathered(caller, caller.catalog.ListSkus, request, "skus", limit)
    if caller.as_json:
        print_document(document(response))
        return
    print_table(SKU_COLUMNS, [_sku_row(each) for each in response.skus], "No SKUs: `stockgate sku add CODE` makes one.")
    say_more(response.next_page_token, limit)


@gateway_command(sku_app)
def freeze(
    caller: Caller,
    sku: SkuCode,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; needed.", show_default=False)],
) -> None:
    """Stop new reservations of a SKU. Open ones may still be resolved."""
    request = catalog_service_pb2.FreezeSkuRequest(sku=sku, reason=reason)
    _show_sku(caller, caller.ask(caller.catalog.FreezeSku, request))


@gateway_command(sku_app)
def unfreeze(caller: Caller, sku: SkuCode) -> None:
    """Let a SKU be reserved again."""
    request = catalog_service_pb2.UnfreezeSkuRequest(sku=sku)
    _show_sku(caller, caller.ask(caller.catalog.UnfreezeSku, request))


@gateway_command(location_app, name="add")
def add_location(
    caller: Caller,
    location: Annotated[str, typer.Argument(metavar="CODE", help="The location's code.", show_default=False)],
    title: Title = None,
    position: Annotated[
        int,
        typer.Option(
            "--position", metavar="N", min=0, max=INT32_MAX, help="Its place in the order in which they serve."
        ),
    ] = 0,
) -> None:
    """Make a location. Making the same one again does no harm."""
    wanted = catalog_pb2.Location(location=location, title=title or "", position=position)
    response = caller.ask(caller.catalog.CreateLocation, catalog_service_pb2.CreateLocationRequest(location=wanted))
    if caller.as_json:
        print_document(document(response))
        return
    _print_locations([response.location])


@gateway_command(location_app, name="set")
def set_location(
    caller: Caller,
    location: Annotated[str, typer.Argument(metavar="CODE", help="The location's code.", show_default=False)],
    title: Title = None,
    position: Annotated[
        int | None,
        typer.Option(
            "--position", metavar="N", min=0, max=INT32_MAX, help="Its place in the order in which they serve."
        ),
    ] = None,
) -> None:
    """Change a location: only what is named."""
    given = {"title": title, "position": position}
    paths = [name for name, value in given.items() if value is not None]
    if not paths:
        advice = "`stockgate location set --help` shows them."
        raise failure("NOTHING_TO_SET", "no field was named", advice, EXIT_USAGE)
    wanted = catalog_pb2.Location(location=location, title=title or "", position=position or 0)
    request = catalog_service_pb2.UpdateLocationRequest(location=wanted, update_mask=FieldMask(paths=paths))
    response = caller.ask(caller.catalog.UpdateLocation, request)
    if caller.as_json:
        print_document(document(response))
        return
    _print_locations([response.location])


@gateway_command(location_app, name="list")
def list_locations(caller: Caller, limit: Limit = 100) -> None:
    """Show locations, in the order in which they serve."""
    request = catalog_service_pb2.ListLocationsRequest()
    response = gathered(caller, caller.catalog.ListLocations, request, "locations", limit)
    if caller.as_json:
        print_document(document(response))
        return
    _print_locations(response.locations)
    say_more(response.next_page_token, limit)


SkuResponse = (
    catalog_service_pb2.CreateSkuResponse
    | catalog_service_pb2.UpdateSkuResponse
    | catalog_service_pb2.GetSkuResponse
    | catalog_service_pb2.FreezeSkuResponse
    | catalog_service_pb2.UnfreezeSkuResponse
)


def _show_sku(caller: Caller, response: SkuResponse) -> None:
    if caller.as_json:
        print_document(document(response))
        return
    sku = response.sku
    say(f"{sku.sku}  {sku.title}".rstrip(), style="bold")
    say(f"safety stock {number(sku.safety_stock)} · lead time {_lead_time(sku) or 'unknown'}")
    if sku.substitutes:
        say(f"substitutes {', '.join(sku.substitutes)}")
    if sku.frozen:
        say(f"frozen: {sku.freeze_reason}", style="bold yellow")
    say(f"created {local_time(sku.create_time)} · changed {local_time(sku.update_time)}", style="dim")


def _sku_row(sku: catalog_pb2.Sku) -> tuple[str | int, ...]:
    return (
        sku.sku,
        sku.title,
        sku.safety_stock,
        _lead_time(sku).removesuffix(" days"),
        ", ".join(sku.substitutes),
        sku.freeze_reason if sku.frozen else "",
        local_time(sku.update_time),
    )


def _lead_time(sku: catalog_pb2.Sku) -> str:
    if not sku.HasField("lead_time_mean_days"):
        return ""
    spread = f" ± {sku.lead_time_deviation_days:g}" if sku.HasField("lead_time_deviation_days") else ""
    return f"{sku.lead_time_mean_days:g}{spread} days"


def _print_locations(locations: Iterable[catalog_pb2.Location]) -> None:
    rows = [(each.location, each.title, each.position, local_time(each.create_time)) for each in locations]
    print_table(LOCATION_COLUMNS, rows, "No locations.")
