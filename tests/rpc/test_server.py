"""The server around the services: health, reflection, channelz, TLS, tokens, and how it begins and ends."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc import StatusCode
from grpc_channelz.v1 import channelz_pb2, channelz_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from gateway import app
from gateway.settings import Settings
from gateway.v1 import (
    alert_service_pb2,
    catalog_service_pb2,
    channel_service_pb2,
    live_service_pb2,
    operations_service_pb2,
    stock_service_pb2,
)
from gateway.v1 import operations_service_pb2 as operations
from tests.client import Client
from tests.refusals import refused
from tests.streams import Stream

TLS = Path(__file__).parent / "tls"
OURS = (
    "gateway.v1.StockService",
    "gateway.v1.CatalogService",
    "gateway.v1.ChannelService",
    "gateway.v1.AlertService",
    "gateway.v1.LiveService",
    "gateway.v1.OperationsService",
)
THEIRS = (
    "grpc.health.v1.Health",
    "grpc.reflection.v1alpha.ServerReflection",
    "grpc.channelz.v1.Channelz",
    "opentelemetry.proto.collector.trace.v1.TraceService",
)
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.mark.parametrize("service", ["", *OURS, *THEIRS])
async def test_every_service_is_healthy(client: Client, service: str) -> None:
    """The server as a whole and each of its services is SERVING, without a token."""
    stub: Any = health_pb2_grpc.HealthStub(client.channel)
    assert (await stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=10)).status == SERVING


async def test_the_health_of_an_unknown_service_is_unknown(client: Client) -> None:
    """What is not served has no health."""
    stub: Any = health_pb2_grpc.HealthStub(client.channel)
    refusal = await refused(stub.Check(health_pb2.HealthCheckRequest(service="gateway.v1.Nothing"), timeout=10))
    assert refusal.code is StatusCode.NOT_FOUND


async def test_a_stopping_gateway_is_not_serving(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who watches the health is told NOT_SERVING, so that no new call is sent here; then his stream ends by itself.

    Were it to wait for the end of the grace, so would the gateway.
    """
    monkeypatch.setattr(app, "GRACE_SECONDS", 600.0)
    async with asyncio.timeout(60):
        async with app.running_gateway(replace(settings, listen="127.0.0.1:0")) as address:
            channel = grpc.aio.insecure_channel(address)
            stub: Any = health_pb2_grpc.HealthStub(channel)
            watched = [stub.Watch(health_pb2.HealthCheckRequest(service=service)) for service in ("", OURS[0])]
            assert [(await call.read()).status for call in watched] == [SERVING, SERVING]
            ends = [asyncio.ensure_future(call.read()) for call in watched]
        assert [(await end).status for end in ends] == [NOT_SERVING, NOT_SERVING]
        assert [await call.read() for call in watched] == [grpc.aio.EOF, grpc.aio.EOF]
        await channel.close()


async def test_reflection_lists_all_services(client: Client) -> None:
    """A client without our proto files finds every service there is."""
    (answer,) = await _reflect(client, reflection_pb2.ServerReflectionRequest(list_services=""))
    assert {service.name for service in answer.list_services_response.service} == {*OURS, *THEIRS}


@pytest.mark.parametrize(
    "module",
    [
        stock_service_pb2,
        catalog_service_pb2,
        channel_service_pb2,
        alert_service_pb2,
        live_service_pb2,
        operations_service_pb2,
    ],
)
async def test_reflection_describes_every_method(client: Client, module: Any) -> None:
    """The description of a service is that of the contract, and so are the files that it stands on."""
    (name,) = (service.full_name for service in module.DESCRIPTOR.services_by_name.values())
    known: dict[str, FileDescriptorProto] = {}
    wanted = [reflection_pb2.ServerReflectionRequest(file_containing_symbol=name)]
    while wanted:
        for answer in await _reflect(client, *wanted):
            for raw in answer.file_descriptor_response.file_descriptor_proto:
                file = FileDescriptorProto.FromString(raw)
                known[file.name] = file
        missing = {needed for file in known.values() for needed in file.dependency} - known.keys()
        wanted = [reflection_pb2.ServerReflectionRequest(file_by_filename=needed) for needed in missing]
    expected = FileDescriptorProto()
    module.DESCRIPTOR.CopyToProto(expected)
    assert known[module.DESCRIPTOR.name] == expected


async def test_channelz_knows_the_server(client: Client) -> None:
    """channelz answers with the server and the calls it has had."""
    await client.add_sku("CUP", 1)
    channel: Any = client.channel
    stub: Any = channelz_pb2_grpc.ChannelzStub(channel)
    servers = (await stub.GetServers(channelz_pb2.GetServersRequest(), timeout=10)).server
    assert servers
    assert sum(server.data.calls_started for server in servers) >= 2


async def test_the_version_is_told_with_the_merchant(client: Client, token: str) -> None:
    """GetVersion says which release runs, and for whom the caller acts."""
    answer = await client.ask(client.operations.GetVersion, operations.GetVersionRequest)
    assert (answer.version, answer.merchant) == (version("stockgate"), token.partition(".")[0])


async def test_a_taken_address_is_an_error_that_says_so(settings: Settings, gateway_address: str) -> None:
    """A second gateway at the same address does not start, and says why."""
    with pytest.raises(OSError, match=gateway_address):
        async with app.running_gateway(replace(settings, listen=gateway_address)):
            raise AssertionError("it started")


async def test_tls_protects_calls(settings: Settings, token: str) -> None:
    """With a certificate calls go over TLS: who trusts it gets answers and streams, who does not gets nowhere."""
    async with _gateway(settings, tls_cert_file=TLS / "cert.pem", tls_key_file=TLS / "key.pem") as address:
        trusted = grpc.ssl_channel_credentials((TLS / "cert.pem").read_bytes())
        async with grpc.aio.secure_channel(address, trusted) as channel:
            client = Client(channel, token)
            await client.add_sku("CUP", 3)
            assert (await client.reserve("CUP", 2)).reservation_id == "1"
            stream = Stream(client, live_only=True)
            assert (await stream.created()).revision == 2
            stream.cancel()
        distrusted = grpc.ssl_channel_credentials((TLS / "other-cert.pem").read_bytes())
        async with grpc.aio.secure_channel(address, distrusted) as channel:
            assert (await refused(_version(channel, ()))).code is StatusCode.UNAVAILABLE
        async with grpc.aio.insecure_channel(address) as channel:
            assert (await refused(_version(channel, ()))).code is StatusCode.UNAVAILABLE


async def test_beyond_loopback_a_token_is_needed(settings: Settings, token: str) -> None:
    """A gateway that others can reach answers nobody without a token, whatever the call; its health it tells all."""
    async with _gateway(settings, listen="0.0.0.0:0") as address:
        port = address.rpartition(":")[2]
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            refusal = await refused(_version(channel, ()))
            assert (refusal.code, refusal.reason) == (StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED")
            assert "Bearer" in refusal.message
            client = Client(channel, token)
            assert await _version(channel, client.options["metadata"]) == token.partition(".")[0]
            client.options["metadata"] = ()
            assert (await refused(client.reserve("CUP"))).code is StatusCode.UNAUTHENTICATED
            stream = Stream(client)
            assert (await refused(stream.read())).code is StatusCode.UNAUTHENTICATED
            stub: Any = health_pb2_grpc.HealthStub(channel)
            assert (await stub.Check(health_pb2.HealthCheckRequest(), timeout=10)).status == SERVING


async def test_a_gateway_that_fails_still_ends_its_streams(settings: Settings, token: str) -> None:
    """Whatever ends a gateway, its callers are told, and its address is free again."""
    gateway = _gateway(settings)
    async with asyncio.timeout(60), AsyncExitStack() as stack:
        address = await stack.enter_async_context(gateway)
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(address))
        stream = Stream(Client(channel, token), live_only=True)
        await stream.created()
        stack.pop_all()
        fault = RuntimeError("a fault")
        assert not await gateway.__aexit__(RuntimeError, fault, None), "the fault was swallowed"
        assert (await stream.drain())[-1].go_away.reason == "SHUTDOWN"
        await channel.close()
    async with _gateway(settings, listen=address) as again:
        assert again == address


@asynccontextmanager
async def _gateway(settings: Settings, **other: Any) -> AsyncIterator[str]:
    async with app.running_gateway(replace(settings, **{"listen": "127.0.0.1:0", **other})) as address:
        yield address


async def _version(channel: grpc.aio.Channel, metadata: Any) -> str:
    client = Client(channel, "")
    options = {**client.options, "metadata": metadata}
    return (await client.operations.GetVersion(operations.GetVersionRequest(), **options)).merchant


async def _reflect(client: Client, *requests: reflection_pb2.ServerReflectionRequest) -> list[Any]:
    channel: Any = client.channel
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
    return [answer async for answer in stub.ServerReflectionInfo(iter(requests), timeout=10)]
