"""CatalogService from channels on, and what ChannelService says of secrets."""

from enum import IntEnum
from typing import Any, TypeVar

import msgspec
from google.protobuf.duration_pb2 import Duration

from gateway.domain import policies
from gateway.domain.errors import InvalidArgument
from gateway.domain.listings import ChannelFacts, Component, Listing, Platform, TakesOn
from gateway.domain.policies import ChannelShare, Policy, PolicyKind
from gateway.rpc import parsing, rendering
from gateway.rpc.catalog import fields_to_change
from gateway.rpc.paging import CODE, page_size, page_token, token
from gateway.rpc.server import Call, Streaming, Unary
from gateway.shops import Tokens
from gateway.store.shops import Channel
from gateway.v1 import catalog_service_pb2 as pb
from gateway.v1 import channel_pb2
from gateway.v1 import channel_service_pb2 as channel_pb

E = TypeVar("E", bound=IntEnum)
WithChannel = TypeVar("WithChannel", bound=Any)

COMPONENTS_MAX = 20
UNITS_PER_SALE_MAX = 1_000_000
CREDENTIALS_BYTES_MAX = 16 * 1024
TOKEN_LENGTH_MAX = 4_096
SECOND_MS = 1_000
# Of each duration of a channel's facts: the least and the most, in ms.
_DURATIONS = {
    "payment_limit": (SECOND_MS, 30 * 24 * 3_600 * SECOND_MS),
    "apply_late_limit": (0, 3_600 * SECOND_MS),
    "clock_margin": (0, 600 * SECOND_MS),
}
_NANOS_PER_MS = 1_000_000
_NANOS_MAX = 999_999_999
_CHANNEL_FIELDS = frozenset(("title", "locations", "facts"))


# ---- channels


async def create_channel(call: Call, request: pb.CreateChannelRequest) -> pb.CreateChannelResponse:
    """Create a channel."""
    m = request.channel
    platform = _choice(Platform, m.platform, "channel.platform")
    return _with_channel(pb.CreateChannelResponse(), await call.merchant.shops.create_channel(_channel(m, platform)))


async def update_channel(call: Call, request: pb.UpdateChannelRequest) -> pb.UpdateChannelResponse:
    """Change the named fields of a channel."""
    fields = fields_to_change(request, request.channel, _CHANNEL_FIELDS)
    # Where a shop is cannot be changed, so what is said of it here says nothing.
    wanted = _channel(request.channel, Platform.TAOBAO)
    return _with_channel(pb.UpdateChannelResponse(), await call.merchant.shops.update_channel(wanted, fields))


async def get_channel(call: Call, request: pb.GetChannelRequest) -> pb.GetChannelResponse:
    """Read one channel."""
    found = await call.merchant.shops.channel(parsing.code(request.channel, "channel"))
    return _with_channel(pb.GetChannelResponse(), found)


async def list_channels(call: Call, request: pb.ListChannelsRequest) -> pb.ListChannelsResponse:
    """List channels by code."""
    size = page_size(request)
    found = await call.merchant.shops.list_channels(after=page_token(request, CODE, ""), count_max=size)
    response = pb.ListChannelsResponse()
    for channel in found:
        rendering.fill_channel(response.channels.add(), channel)
    if len(found) == size:
        response.next_page_token = token(found[-1].channel)
    return response


# ---- secrets


async def set_credentials(call: Call, request: pb.SetCredentialsRequest) -> pb.SetCredentialsResponse:
    """Store a channel's credentials, encrypted."""
    code = parsing.code(request.channel, "channel")
    _require_json_object(request.credentials_json)
    channel = await call.merchant.shops.set_credentials(code, request.credentials_json, _tokens(request))
    return _with_channel(pb.SetCredentialsResponse(), channel)


async def get_credentials(call: Call, request: channel_pb.GetCredentialsRequest) -> channel_pb.GetCredentialsResponse:
    """Hand a channel's credentials to its connector."""
    found = await call.merchant.shops.credentials(parsing.code(request.channel, "channel"))
    response = channel_pb.GetCredentialsResponse(
        credentials_json=found.credentials_json,
        access_token=found.tokens.access_token,
        refresh_token=found.tokens.refresh_token,
        version=found.version,
    )
    if found.tokens.expire_time is not None:
        response.expire_time.FromDatetime(found.tokens.expire_time)
    return response


async def store_tokens(call: Call, request: channel_pb.StoreTokensRequest) -> channel_pb.StoreTokensResponse:
    """Store rotated tokens."""
    code = parsing.code(request.channel, "channel")
    if request.version < 1:
        raise InvalidArgument("version is missing: say what GetCredentials answered", field="version")
    if not request.access_token:
        raise InvalidArgument("access_token is missing", field="access_token")
    version = await call.merchant.shops.store_tokens(code, request.version, _tokens(request))
    return channel_pb.StoreTokensResponse(version=version)


# ---- listings and policies


async def link_listing(call: Call, request: pb.LinkListingRequest) -> pb.LinkListingResponse:
    """Say what a channel's item is made of."""
    listing, now = await call.merchant.shops.link_listing(_listing(request.listing))
    response = pb.LinkListingResponse()
    rendering.fill_listing(response.listing, listing, now)
    return response


async def unlink_listing(call: Call, request: pb.UnlinkListingRequest) -> pb.UnlinkListingResponse:
    """End the care for a listing."""
    if request.listing_id < 1:
        raise InvalidArgument("listing_id is a number from 1, as LinkListing answered", field="listing_id")
    await call.merchant.shops.unlink_listing(request.listing_id)
    return pb.UnlinkListingResponse()


async def set_policy(call: Call, request: pb.SetPolicyRequest) -> pb.SetPolicyResponse:
    """Say how a SKU is divided."""
    response = pb.SetPolicyResponse()
    rendering.fill_policy(response.policy, await call.merchant.shops.set_policy(_policy(request.policy)))
    return response


async def get_policy(call: Call, request: pb.GetPolicyRequest) -> pb.GetPolicyResponse:
    """Read how a SKU is divided."""
    response = pb.GetPolicyResponse()
    rendering.fill_policy(response.policy, await call.merchant.shops.policy(parsing.code(request.sku, "sku")))
    return response


async def list_policies(call: Call, request: pb.ListPoliciesRequest) -> pb.ListPoliciesResponse:
    """List the policies that were set, by SKU."""
    size = page_size(request)
    found = await call.merchant.shops.list_policies(after=page_token(request, CODE, ""), count_max=size)
    response = pb.ListPoliciesResponse()
    for policy in found:
        rendering.fill_policy(response.policies.add(), policy)
    if len(found) == size:
        response.next_page_token = token(found[-1].sku)
    return response


# ---- parts of requests


def _channel(m: channel_pb2.Channel, platform: Platform) -> Channel:
    if len(m.locations) > parsing.LOCATIONS_MAX:
        raise InvalidArgument(f"at most {parsing.LOCATIONS_MAX} locations may be named", field="channel.locations")
    code = parsing.code(m.channel, "channel.channel")
    locations = tuple(parsing.code(one, f"channel.locations[{place}]") for place, one in enumerate(m.locations))
    if len(set(locations)) < len(locations):
        raise InvalidArgument("each location that serves a channel is named once", field="channel.locations")
    return Channel(code, platform, parsing.text(m.title, "channel.title"), locations, _facts(m.facts))


def _facts(m: channel_pb2.ChannelFacts) -> ChannelFacts:
    path, usual = "channel.facts", ChannelFacts()
    return ChannelFacts(
        takes_on=_choice(TakesOn, m.takes_on or usual.takes_on, f"{path}.takes_on"),
        close_restores=not m.close_keeps,
        refund_restores=not m.refund_keeps,
        payment_limit_ms=_milliseconds(m, "payment_limit", usual.payment_limit_ms),
        apply_late_ms=_milliseconds(m, "apply_late_limit", usual.apply_late_ms),
        clock_margin_ms=_milliseconds(m, "clock_margin", usual.clock_margin_ms),
    )


def _milliseconds(m: channel_pb2.ChannelFacts, name: str, usual: int) -> int:
    """A duration in ms, rounded up; `usual` if it is not set."""
    if not m.HasField(name):  # type: ignore[arg-type]  # the stubs want a literal
        return usual
    least, most = _DURATIONS[name]
    duration: Duration = getattr(m, name)
    value = duration.seconds * SECOND_MS - (-duration.nanos // _NANOS_PER_MS)
    if not least <= value <= most or not 0 <= duration.nanos <= _NANOS_MAX:
        raise InvalidArgument(
            f"{name} must be {least / SECOND_MS:g} to {most // SECOND_MS} seconds", field=f"channel.facts.{name}"
        )
    return value


def _listing(m: channel_pb2.Listing) -> Listing:
    if not 1 <= len(m.components) <= COMPONENTS_MAX:
        raise InvalidArgument(
            f"a listing has 1 to {COMPONENTS_MAX} components, not {len(m.components)}", field="listing.components"
        )
    return require_once(
        Listing(
            0,
            parsing.code(m.channel, "listing.channel"),
            parsing.identifier(m.item_id, "listing.item_id"),
            parsing.identifier(m.platform_sku_id, "listing.platform_sku_id") if m.platform_sku_id else "",
            tuple(component(one.sku, one.units, f"listing.components[{p}].") for p, one in enumerate(m.components)),
            _choice(TakesOn, m.takes_on, "listing.takes_on") if m.takes_on else None,
        ),
        "listing.components",
    )


def component(sku: str, units: int, path: str) -> Component:
    """So many units of a SKU in one sale; `path` ends where the name of a field begins."""
    code = parsing.code(sku, f"{path}sku")
    if not 1 <= units <= UNITS_PER_SALE_MAX:
        raise InvalidArgument(f"units is {units}; one sale takes 1 to {UNITS_PER_SALE_MAX}", field=f"{path}units")
    return Component(code, units)


def require_once(listing: Listing, field: str) -> Listing:
    """The listing, if it names each SKU once; raises `InvalidArgument`."""
    if len({component.sku for component in listing.components}) < len(listing.components):
        raise InvalidArgument("each SKU is named once among the components", field=field)
    return listing


def _policy(m: channel_pb2.StockPolicy) -> Policy:
    if len(m.shares) > policies.SHARES_MAX:
        raise InvalidArgument(f"at most {policies.SHARES_MAX} channels may be named", field="policy.shares")
    policy = Policy(
        parsing.code(m.sku, "policy.sku"),
        _choice(PolicyKind, m.kind or PolicyKind.BY_DEMAND, "policy.kind"),
        tuple(_share(share, f"policy.shares[{place}]") for place, share in enumerate(m.shares)),
        m.stop_at,
        m.shown_min,
        m.buffer,
        m.escrow_below,
    )
    policies.require_sound(policy)
    return policy


def _share(m: channel_pb2.ChannelShare, path: str) -> ChannelShare:
    return ChannelShare(parsing.code(m.channel, f"{path}.channel"), m.share, m.cap if m.HasField("cap") else None)


def _require_json_object(text: str) -> None:
    # What it says is secret: no error repeats a part of it.
    if len(text.encode()) > CREDENTIALS_BYTES_MAX:
        raise InvalidArgument(
            f"credentials_json is longer than {CREDENTIALS_BYTES_MAX} bytes", field="credentials_json"
        )
    try:
        msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError, ValueError):
        raise InvalidArgument("credentials_json is not a JSON object", field="credentials_json") from None


def _tokens(request: pb.SetCredentialsRequest | channel_pb.StoreTokensRequest) -> Tokens:
    for name in ("access_token", "refresh_token"):
        value = getattr(request, name)
        if len(value) > TOKEN_LENGTH_MAX:
            raise InvalidArgument(f"{name} is longer than {TOKEN_LENGTH_MAX} characters", field=name)
        if not value.isprintable():
            raise InvalidArgument(f"{name} holds a character that cannot be printed", field=name)
    return Tokens(request.access_token, request.refresh_token, parsing.time_of(request, "expire_time"))


def _choice(kind: type[E], number: int, field: str) -> E:
    try:
        return kind(number)
    except ValueError:
        name = field.rpartition(".")[2]
        words = ", ".join(one.name for one in kind)
        problem = f"{number} is none of {words}" if number else f"is missing; it is one of {words}"
        raise InvalidArgument(f"{name} {problem}", field=field) from None


def _with_channel(response: WithChannel, channel: Channel) -> WithChannel:
    rendering.fill_channel(response.channel, channel)
    return response


CATALOG_METHODS: dict[str, Unary | Streaming] = {
    "CreateChannel": create_channel,
    "UpdateChannel": update_channel,
    "GetChannel": get_channel,
    "ListChannels": list_channels,
    "SetCredentials": set_credentials,
    "LinkListing": link_listing,
    "UnlinkListing": unlink_listing,
    "SetPolicy": set_policy,
    "GetPolicy": get_policy,
    "ListPolicies": list_policies,
}
CHANNEL_METHODS: dict[str, Unary | Streaming] = {
    "GetCredentials": get_credentials,
    "StoreTokens": store_tokens,
}
