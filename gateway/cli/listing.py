"""`stockgate listing ...`: what the channels sell, and of what it is made."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated

import typer

from gateway.cli import arguments
from gateway.cli.channel import ChannelCode, TakesOn, require_channel
from gateway.cli.client import Caller, gateway_command
from gateway.cli.output import Column, ago, document, local_time, number, print_document, print_table, say, word
from gateway.cli.pages import Limit, gathered
from gateway.cli.stock import say_more
from gateway.v1 import catalog_service_pb2, channel_pb2, channel_service_pb2

app = typer.Typer(no_args_is_help=True, help="What the channels sell.")

LISTING_COLUMNS = (
    Column("number", is_number=True),
    Column("channel"),
    Column("item"),
    Column("platform SKU", worth=6),
    Column("made of"),
    Column("may sell", is_number=True, worth=9),
    Column("shown", is_number=True, worth=8),
    Column("under way", worth=7),
    Column("sales/min", is_number=True, worth=3),
    Column("held up by", worth=10),
)
# A connector says that it lives every few seconds; one that has not for so long is gone.
SILENCE_SECONDS_MAX = 60

ListingId = Annotated[int, typer.Argument(metavar="NUMBER", help="The listing's number.", min=1, show_default=False)]
PlatformSkuId = Annotated[
    str, typer.Option("--platform-sku-id", metavar="ID", help="The platform's id of the SKU, where an item has one.")
]


@gateway_command(app)
def link(
    caller: Caller,
    channel: ChannelCode,
    item_id: Annotated[str, typer.Argument(metavar="ITEM", help="The platform's id of the item.", show_default=False)],
    components: Annotated[
        list[str],
        typer.Argument(metavar="SKU[=UNITS]...", help="What one sale takes; several make a kit.", show_default=False),
    ],
    platform_sku_id: PlatformSkuId = "",
    takes_on: TakesOn = None,
) -> None:
    """Say what an item of a channel is made of. Linking the same again does no harm."""
    listing = channel_pb2.Listing(
        channel=channel,
        item_id=item_id,
        platform_sku_id=platform_sku_id,
        components=[arguments.component(each) for each in components],
    )
    if takes_on is not None:
        listing.takes_on = arguments.takes_on(takes_on)
    request = catalog_service_pb2.LinkListingRequest(listing=listing)
    _show_listing(caller, caller.ask(caller.catalog.LinkListing, request))


@gateway_command(app)
def unlink(caller: Caller, listing_id: ListingId) -> None:
    """End the gateway's care for a listing; only while it shows nothing."""
    request = catalog_service_pb2.UnlinkListingRequest(listing_id=listing_id)
    response = caller.ask(caller.catalog.UnlinkListing, request)
    if caller.as_json:
        print_document(document(response))
        return
    say(f"Listing {listing_id} is unlinked: from now on its number on the platform is nobody's care here.")


@gateway_command(app)
def resync(caller: Caller, listing_id: ListingId) -> None:
    """Have a listing read now, and unpark it."""
    request = channel_service_pb2.ResyncListingRequest(listing_id=listing_id)
    _show_listing(caller, caller.ask(caller.selling.ResyncListing, request))


@gateway_command(app, name="list")
def list_listings(
    caller: Caller,
    channel: Annotated[str, typer.Option("--channel", metavar="CODE", help="Only of this channel.")] = "",
    sku: Annotated[str, typer.Option("--sku", metavar="CODE", help="Only with this SKU.")] = "",
    limit: Limit = 100,
) -> None:
    """Show what each listing may still sell, what it showed when last read, and why its number does not move."""
    require_channel(caller, channel)
    request = channel_service_pb2.ListListingsRequest(channel=channel, sku=sku)
    response = gathered(caller, caller.selling.ListListings, request, "listings", limit)
    if caller.as_json:
        print_document(document(response))
        return
    empty = "No listings: `stockgate listing link CHANNEL ITEM SKU` or `stockgate import listings FILE` links some."
    channels = _channels_of(caller, response.listings)
    now = datetime.now(UTC)
    rows = [_row(each, _held_up_by(each, channels.get(each.channel), now), now) for each in response.listings]
    print_table(LISTING_COLUMNS, rows, empty)
    say_more(response.next_page_token, limit)


def _show_listing(
    caller: Caller, response: catalog_service_pb2.LinkListingResponse | channel_service_pb2.ResyncListingResponse
) -> None:
    if caller.as_json:
        print_document(document(response))
        return
    listing = response.listing
    place = "/".join(part for part in (listing.channel, listing.item_id, listing.platform_sku_id) if part)
    say(f"Listing {listing.listing_id}  {place}", style="bold")
    say(f"one sale takes {_made_of(listing)}{_when(listing)}")
    if listing.HasField("exposure"):
        shown = f"showed {number(listing.shown)}, {local_time(listing.read_time)}"
        say(f"may still sell {number(listing.exposure)} · {shown}")
    else:
        say("Not read yet: once its channel's connector runs, it is read, and then gets its share.", style="dim")
    if listing.parked_reason:
        say(f"parked: {listing.parked_reason}", style="bold yellow")


def _channels_of(caller: Caller, listings: Iterable[channel_pb2.Listing]) -> dict[str, channel_pb2.Channel]:
    """The channels of these listings, by code."""
    codes = sorted({listing.channel for listing in listings})
    requests = [catalog_service_pb2.GetChannelRequest(channel=code) for code in codes]
    return {each.channel: caller.ask(caller.catalog.GetChannel, each).channel for each in requests}


def _held_up_by(listing: channel_pb2.Listing, channel: channel_pb2.Channel | None, now: datetime) -> str:
    """Why its number would not move now if it had to; nothing if it would."""
    if listing.parked_reason:
        return f"parked: {listing.parked_reason}"
    if channel is None:
        return ""
    if channel.paused:
        return f"channel paused: {channel.pause_reason}"
    if not channel.HasField("connector"):
        return "no connector was ever heard"
    return _held_up_by_connector(channel.connector, now)


def _held_up_by_connector(state: channel_pb2.ConnectorState, now: datetime) -> str:
    if state.needs:
        return f"connector needs: {state.needs}"
    if (now - state.heartbeat_time.ToDatetime(UTC)).total_seconds() > SILENCE_SECONDS_MAX:
        return f"connector last heard {ago(state.heartbeat_time, now)}"
    if state.breaker_open:
        return "the platform is away"
    return f"the platform bans calls for {state.ban.ToMilliseconds() / 1_000:g} s" if state.ban.ToMilliseconds() else ""


def _row(listing: channel_pb2.Listing, held_up_by: str, now: datetime) -> tuple[str | int, ...]:
    return (
        str(listing.listing_id),
        listing.channel,
        listing.item_id,
        listing.platform_sku_id,
        _made_of(listing),
        number(listing.exposure) if listing.HasField("exposure") else "",
        f"{number(listing.shown)}, {ago(listing.read_time, now)}" if listing.HasField("shown") else "never read",
        _push(listing.push) if listing.HasField("push") else "",
        f"{listing.sales_per_minute:.1f}" if listing.sales_per_minute else "",
        held_up_by,
    )


def _made_of(listing: channel_pb2.Listing) -> str:
    return ", ".join(f"{number(each.units)} x {each.sku}" for each in listing.components)


def _when(listing: channel_pb2.Listing) -> str:
    if not listing.takes_on:
        return ""
    return f", on {word(channel_pb2.TakesOn.Name(listing.takes_on), 'TAKES_ON_')}"


def _push(push: channel_pb2.Push) -> str:
    kind = word(channel_pb2.PushKind.Name(push.kind), "PUSH_KIND_")
    marks = {"outcome unknown": push.unknown, "withdrawn": push.withdrawn}
    return ", ".join([f"{kind} {number(push.sales)}", *(mark for mark, is_so in marks.items() if is_so)])
