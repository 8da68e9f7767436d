"""Of every RPC of CatalogService from channels on a good request, and what can be wrong with each of its fields."""

from google.protobuf.message import Message
from grpc import StatusCode

from gateway.v1 import catalog_service_pb2 as catalog
from gateway.v1.channel_pb2 import Platform, PolicyKind, TakesOn
from tests.client import made
from tests.rpc import spoils as wrong
from tests.rpc.spoils import FREE, MISSING, Fields, Spoil, times
from tests.rpc.stalls import Stall

SKU_CSV = "sku,title,safety_stock,lead_time_mean_days,lead_time_deviation_days,substitutes\n{sku},Cup,1,,,\n"


def selling_of(stall: Stall) -> dict[str, Message]:
    """A good request of each, by the RPC's name."""
    past, page, soon = {"seconds": 1_700_000_000}, {"page_size": 1, "page_token": ""}, {"seconds": 60}
    facts = {"takes_on": 2, "payment_limit": soon, "apply_late_limit": soon, "clock_margin": soon}
    connector = {"connector_id": "a", "needs": "sleep", "ban": soon, "heartbeat_time": past}
    known = {"pause_reason": "lunch", "watermark": past, "connector": connector, "create_time": past}
    content = {"title": "Shop", "locations": [stall.location], "facts": facts, **known}
    shop = {"channel": stall.channel, "platform": Platform.PLATFORM_DOUYIN, **content}
    component = {"sku": stall.sku, "units": 2}
    push = {"push_id": 1, "create_time": past}
    listing = {"channel": stall.channel, "item_id": "7", "platform_sku_id": "8", "components": [component]}
    stated = {"takes_on": TakesOn.TAKES_ON_ORDER, "read_time": past, "push": push, "parked_reason": "lost"}
    share = {"channel": stall.channel, "share": 1, "cap": 5}
    policy = {"sku": stall.sku, "kind": PolicyKind.POLICY_KIND_SHARED, "shares": [share], "stop_at": 1}
    secrets = {"credentials_json": "{}", "access_token": "a", "refresh_token": "b", "expire_time": past}
    return {
        "CreateChannel": made(catalog.CreateChannelRequest, channel={**shop, "channel": f"{stall.channel}-2"}),
        "UpdateChannel": made(
            catalog.UpdateChannelRequest, channel=shop, update_mask={"paths": ["title", "locations"]}
        ),
        "GetChannel": made(catalog.GetChannelRequest, channel=stall.channel),
        "ListChannels": made(catalog.ListChannelsRequest, **page),
        "SetCredentials": made(catalog.SetCredentialsRequest, channel=stall.channel, **secrets),
        "LinkListing": made(catalog.LinkListingRequest, listing={**listing, **stated}),
        "UnlinkListing": made(catalog.UnlinkListingRequest, listing_id=stall.listing_id),
        "SetPolicy": made(catalog.SetPolicyRequest, policy={**policy, "shown_min": 1, "buffer": 1, "escrow_below": 1}),
        "GetPolicy": made(catalog.GetPolicyRequest, sku=stall.sku),
        "ListPolicies": made(catalog.ListPoliciesRequest, **page),
        "ImportCatalog": made(catalog.ImportCatalogRequest, table=1, csv=SKU_CSV.format(sku=stall.sku)),
        "ExportCatalog": made(catalog.ExportCatalogRequest, table=2),
    }


def _duration(label: str, seconds: int, nanos: int = 0) -> Spoil:
    return Spoil(label, wrong.time(seconds, nanos))


def _durations(most_seconds: int) -> tuple[Spoil, ...]:
    return (
        _duration("too long", most_seconds + 1),
        _duration("a hair too long", most_seconds, 1),
        _duration("negative", -1),
        _duration("a hair below zero", 0, -1),
        _duration("the largest number", wrong.INT64_MAX),
        _duration("the smallest number", wrong.INT64_MIN, wrong.INT32_MIN),
        _duration("a second of nanoseconds", 1, 10**9),
    )


def _numbers(*numbers: int) -> tuple[Spoil, ...]:
    return tuple(Spoil(str(number), number) for number in (*numbers, -1, wrong.INT32_MAX))


_UNKNOWN_CHANNEL = wrong.unknown("CHANNEL_UNKNOWN")
_CHANNEL = (*wrong.CODE, _UNKNOWN_CHANNEL)
_NO_LISTING = Spoil("unknown", 10**9, StatusCode.NOT_FOUND, "LISTING_UNKNOWN")
_CHANNEL_CONTENT: Fields = {
    "channel.title": wrong.TEXT,
    "channel.locations": times(100),
    "channel.locations[0]": (wrong.EMPTY, *wrong.OPTIONAL_LOCATION),
    "channel.facts.takes_on": _numbers(3),
    "channel.facts.close_keeps": FREE,
    "channel.facts.refund_keeps": FREE,
    "channel.facts.payment_limit": (*_durations(30 * 24 * 3_600), _duration("too short", 0, 999_000_000)),
    "channel.facts.apply_late_limit": _durations(3_600),
    "channel.facts.clock_margin": _durations(600),
    "channel.paused": FREE,
    "channel.pause_reason": wrong.BYTES,
    "channel.watermark": FREE,
    "channel.connector.connector_id": wrong.BYTES,
    "channel.connector.heartbeat_time": FREE,
    "channel.connector.breaker_open": FREE,
    "channel.connector.calls_per_second": FREE,
    "channel.connector.ban": FREE,
    "channel.connector.waiting": FREE,
    "channel.connector.needs": wrong.BYTES,
    "channel.connector.calls": FREE,
    "channel.connector.retries": FREE,
    "channel.connector.forged": FREE,
    "channel.has_credentials": FREE,
    "channel.create_time": FREE,
}
_LISTING_STATE: Fields = {
    "listing.listing_id": FREE,
    "listing.exposure": FREE,
    "listing.shown": FREE,
    "listing.read_time": FREE,
    "listing.push.push_id": FREE,
    "listing.push.kind": FREE,
    "listing.push.sales": FREE,
    "listing.push.withdrawn": FREE,
    "listing.push.create_time": FREE,
    "listing.push.urgency": FREE,
    "listing.push.unknown": FREE,
    "listing.push.traceparent": wrong.BYTES,
    "listing.sales_per_minute": FREE,
    "listing.parked_reason": wrong.BYTES,
    "listing.last_push_id": FREE,
}
_TOKEN = (*wrong.BYTES, *wrong.UNPRINTABLE, wrong.LONG, Spoil("4,097 characters", "x" * 4_097))
_JSON = tuple(
    Spoil(repr(text[:10]), text)
    for text in ("x", "[]", "null", "1", '"x"', "{", "{}x", '{"a": 1,}', "[" * 10_000, '{"a": "%s"}' % ("x" * 16_384))
)
_TABLE = (MISSING, *_numbers(0, 3))
# By the name of the RPC.
SELLING: dict[str, Fields] = {
    "CreateChannel": {
        "channel": (Spoil("missing", None, field="channel.platform"),),
        "channel.channel": wrong.CODE,
        "channel.platform": (MISSING, *_numbers(0, 4)),
        **_CHANNEL_CONTENT,
    },
    "UpdateChannel": {
        "channel": (Spoil("missing", None, field="channel.channel"),),
        "channel.channel": _CHANNEL,
        "channel.platform": FREE,
        **_CHANNEL_CONTENT,
        "update_mask.paths": FREE,
        "update_mask.paths[0]": (
            *wrong.BYTES,
            *(
                Spoil(repr(path[:10]), path, field="update_mask")
                for path in ("", "*", "channel", "platform", "paused", "facts.takes_on", wrong.MEGABYTE)
            ),
        ),
    },
    "GetChannel": {"channel": _CHANNEL},
    "ListChannels": {"page_size": wrong.PAGE_SIZE, "page_token": wrong.TOKEN_OF_TEXT},
    "SetCredentials": {
        "channel": _CHANNEL,
        "credentials_json": (MISSING, wrong.EMPTY, *wrong.BYTES, wrong.LONG, *_JSON),
        "access_token": _TOKEN,
        "refresh_token": _TOKEN,
        "expire_time": wrong.TIME,
    },
    "LinkListing": {
        "listing": (Spoil("missing", None, field="listing.components"),),
        "listing.channel": _CHANNEL,
        "listing.item_id": wrong.ID,
        "listing.platform_sku_id": wrong.OPTIONAL_ID,
        "listing.components": (MISSING, *times(20)),
        "listing.components[0].sku": wrong.SKU,
        "listing.components[0].units": (
            MISSING,
            Spoil("zero", 0),
            *wrong.NEGATIVE,
            Spoil("too many", 1_000_001),
            Spoil("the largest number", wrong.INT64_MAX),
        ),
        "listing.takes_on": _numbers(3),
        **_LISTING_STATE,
    },
    "UnlinkListing": {
        "listing_id": (MISSING, Spoil("zero", 0), *wrong.NEGATIVE, _NO_LISTING),
    },
    "SetPolicy": {
        "policy": (Spoil("missing", None, field="policy.sku"),),
        "policy.sku": wrong.SKU,
        "policy.kind": _numbers(7),
        "policy.shares": times(100),
        "policy.shares[0].channel": _CHANNEL,
        "policy.shares[0].share": wrong.UNITS_OR_NONE,
        "policy.shares[0].cap": wrong.UNITS_OR_NONE,
        "policy.stop_at": wrong.UNITS_OR_NONE,
        "policy.shown_min": wrong.UNITS_OR_NONE,
        "policy.buffer": wrong.UNITS_OR_NONE,
        "policy.escrow_below": wrong.UNITS_OR_NONE,
    },
    "GetPolicy": {"sku": wrong.SKU},
    "ListPolicies": {"page_size": wrong.PAGE_SIZE, "page_token": wrong.TOKEN_OF_TEXT},
    "ImportCatalog": {
        "table": _TABLE,
        "csv": (MISSING, wrong.EMPTY, *wrong.BYTES, wrong.LONG, Spoil("a NUL", "sku\0\nCUP\n")),
        "dry_run": FREE,
    },
    "ExportCatalog": {"table": _TABLE},
}
