"""The calls of selling's catalog, as tests make them."""

import json
from typing import Any

from gateway.v1 import catalog_service_pb2 as pb
from gateway.v1 import channel_service_pb2 as channel_pb
from gateway.v1.channel_pb2 import Channel, Listing, Platform, StockPolicy
from tests.client import Client

SECRET = "a-secret-nobody-may-see"


async def stock(client: Client) -> None:
    """Two SKUs and two channels."""
    for sku in ("CUP", "MUG"):
        await client.add_sku(sku)
    for code in ("tb", "dy"):
        await create(client, channel=code, platform=Platform.PLATFORM_TAOBAO)


async def create(client: Client, **content: Any) -> Channel:
    """Create a channel."""
    return (await client.ask(client.catalog.CreateChannel, pb.CreateChannelRequest, channel=content)).channel


async def update(client: Client, mask: list[str], **content: Any) -> Channel:
    """Change a channel."""
    request = {"channel": content, "update_mask": {"paths": mask}}
    return (await client.ask(client.catalog.UpdateChannel, pb.UpdateChannelRequest, **request)).channel


async def get(client: Client, channel: str) -> Channel:
    """Read a channel."""
    return (await client.ask(client.catalog.GetChannel, pb.GetChannelRequest, channel=channel)).channel


async def set_credentials(client: Client, **content: Any) -> Channel:
    """Store the secrets of the channel tb."""
    usual = {"channel": "tb", "access_token": SECRET}
    secrets = json.dumps({"app_key": "12", "app_secret": SECRET})
    request = {**usual, "credentials_json": secrets, **content}
    return (await client.ask(client.catalog.SetCredentials, pb.SetCredentialsRequest, **request)).channel


async def credentials(client: Client, channel: str = "tb") -> channel_pb.GetCredentialsResponse:
    """Read a channel's secrets, as its connector does."""
    return await client.ask(client.selling.GetCredentials, channel_pb.GetCredentialsRequest, channel=channel)


async def store_tokens(client: Client, version: int, **content: Any) -> channel_pb.StoreTokensResponse:
    """Store rotated tokens of the channel tb."""
    request = {"channel": "tb", "version": version, "access_token": "rotated", **content}
    return await client.ask(client.selling.StoreTokens, channel_pb.StoreTokensRequest, **request)


async def link(client: Client, components: list[tuple[str, int]], **content: Any) -> Listing:
    """Link the listing tb/1/2, or another."""
    parts = [{"sku": sku, "units": units} for sku, units in components]
    listing = {"channel": "tb", "item_id": "1", "platform_sku_id": "2", "components": parts, **content}
    return (await client.ask(client.catalog.LinkListing, pb.LinkListingRequest, listing=listing)).listing


async def unlink(client: Client, listing_id: int) -> pb.UnlinkListingResponse:
    """Unlink a listing."""
    return await client.ask(client.catalog.UnlinkListing, pb.UnlinkListingRequest, listing_id=listing_id)


async def set_policy(client: Client, **content: Any) -> StockPolicy:
    """Set a policy."""
    return (await client.ask(client.catalog.SetPolicy, pb.SetPolicyRequest, policy=content)).policy


async def get_policy(client: Client, sku: str) -> StockPolicy:
    """Read a policy."""
    return (await client.ask(client.catalog.GetPolicy, pb.GetPolicyRequest, sku=sku)).policy
