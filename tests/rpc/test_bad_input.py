"""Whatever a caller sends: a clear status that names the field, and nothing changed (R11).

Requests and spoils are tables (`requests.py`, `spoils.py`); the bytes are made by hand (`wire.py`), because protobuf's
own Python refuses to write much of what others will send.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import asyncpg
import grpc.aio
import msgspec
import pytest
import pytest_asyncio
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc import StatusCode

from gateway import app
from gateway.alerts.engine import Engine
from gateway.domain.demand import Prior, begin
from gateway.domain.tiers import Standing, Tier
from gateway.domain.vigil import Watched
from gateway.live.proposing import Proposing
from gateway.settings import Settings
from gateway.store.operations_tables import metadata
from gateway.v1 import (
    alert_service_pb2,
    catalog_service_pb2,
    channel_service_pb2,
    live_service_pb2,
    operations_service_pb2,
    stock_service_pb2,
)
from gateway.v1 import stock_service_pb2 as pb
from tests.client import Client
from tests.merchants import drop_merchant, new_merchant_name, schema_of_token
from tests.refusals import Refusal, refusal_of, refusal_of_error, refused
from tests.rpc.live_requests import rows_of
from tests.rpc.requests import MUTATIONS, OTHERS, mutations_of, others_of
from tests.rpc.spoils import NOT_UTF8, Fields, Spoil
from tests.rpc.stalls import Stall, open_stall
from tests.rpc.wire import delimited, element, spoiled, varint
from tests.store.history import stop_allocating

# One gateway for all of these: none of them may change anything.
pytestmark = pytest.mark.asyncio(loop_scope="module")

METHOD_OF = {
    "receive": "ReceiveStock",
    "adjust": "AdjustStock",
    "count": "CountStock",
    "transfer": "TransferStock",
    "reserve": "ReserveStock",
    "commit": "CommitReservation",
    "release": "ReleaseReservation",
    "extend": "ExtendReservation",
    "resize": "ResizeReservation",
    "return_stock": "ReturnStock",
}
FIELDS: dict[str, Fields] = {METHOD_OF[name]: fields for name, fields in MUTATIONS.items()} | OTHERS
SERVICES = (
    stock_service_pb2,
    catalog_service_pb2,
    channel_service_pb2,
    operations_service_pb2,
    alert_service_pb2,
    live_service_pb2,
)
METHODS: dict[str, MethodDescriptor] = {
    method.name: method
    for module in SERVICES
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}
GARBAGE = {
    "noise": b"\xff" * 12,
    "a cut field": delimited(1, b"CUP")[:-1],
    "a length of two gigabytes": varint(1 << 3 | 2) + varint(2**31) + b"x",
    "a number of eleven bytes": varint(4 << 3) + b"\xff" * 10 + b"\x01",
    "a group that does not end": varint(1 << 3 | 3),
    "a wire type there is not": varint(1 << 3 | 7),
    "text": b"GET / HTTP/1.1\r\n\r\n",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(settings: Settings) -> AsyncIterator[Client]:
    """A client of a gateway and a merchant that all tests of this file share."""
    name = new_merchant_name()
    token = await app.add_merchant(settings, name)
    gateway = app.running_gateway(replace(settings, listen="127.0.0.1:0"))
    with pytest.MonkeyPatch.context() as patched:
        stop_allocating(patched)
        patched.setattr(Engine, "look", _rest)
        patched.setattr(Proposing, "look", _rest)
        async with gateway as address, grpc.aio.insecure_channel(address) as channel:
            yield Client(channel, token)
    await drop_merchant(settings, name)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def witness(settings: Settings, shop: Client) -> AsyncIterator["Witness"]:
    """Tells whether anything was changed."""
    connection = await asyncpg.connect(settings.database_url)
    header: str = dict(shop.options["metadata"])["authorization"]
    yield Witness(connection, schema_of_token(header.removeprefix("Bearer ")))
    await connection.close()


@pytest.mark.parametrize("name", METHODS)
async def test_every_field_of_the_contract_has_its_spoils(name: str) -> None:
    """No field of any request is left out of the table, so a new one must be thought about."""
    assert _paths(METHODS[name].input_type.fields) <= FIELDS[name].keys()


@pytest.mark.parametrize("name", METHODS)
async def test_a_bad_field_is_named_and_nothing_changes(shop: Client, witness: "Witness", name: str) -> None:
    """Each bad value of each field is refused with its status, reason and path, and leaves nothing behind (R11)."""
    stall = await open_stall(shop)
    await witness.warn(stall.sku)
    await witness.propose(stall)
    request = _good(stall)[name]
    before = await witness.everything()
    wrong: list[str] = []
    for path, spoil in _spoils(FIELDS[name]):
        answer = await _send(shop, name, spoiled(request, path, spoil.value))
        wrong += _complaints(path, spoil, answer, "")
    assert not wrong, "\n".join(wrong)
    assert await witness.everything() == before
    assert await _send(shop, name, request.SerializeToString()) is None, "the request was not good in the first place"


@pytest.mark.parametrize("name", MUTATIONS)
async def test_a_bad_item_of_a_batch_is_refused_as_if_alone(shop: Client, witness: "Witness", name: str) -> None:
    """In a batch each bad item gets the refusal it would get alone, and a good neighbour is not disturbed (R11)."""
    stall = await open_stall(shop)
    request = mutations_of(stall)[name]
    chosen = [(path, spoil) for path, spoil in _spoils(MUTATIONS[name]) if not spoil.spoils_all]
    items = [delimited(pb.BatchItem.DESCRIPTOR.fields_by_name[name].number, _spoil(request, one)) for one in chosen]
    before = await witness.everything()
    results = (await _batch(shop, items)).results
    assert await witness.everything() == before
    assert len(results) == len(items)
    wrong: list[str] = []
    for place, ((path, spoil), result) in enumerate(zip(chosen, results, strict=True)):
        wrong += _complaints(path, spoil, refusal_of(result.error), f"items[{place}].{name}.")
    assert not wrong, "\n".join(wrong)
    good = delimited(pb.BatchItem.DESCRIPTOR.fields_by_name[name].number, request.SerializeToString())
    answered = [result.WhichOneof("outcome") for result in (await _batch(shop, [items[0], good, items[1]])).results]
    assert answered == ["error", name, "error"]


@pytest.mark.parametrize("name", MUTATIONS)
async def test_wrong_text_deep_in_a_batch_is_found(shop: Client, witness: "Witness", name: str) -> None:
    """Text that is not UTF-8 makes the whole batch unreadable; the refusal says in which item and field it is."""
    request = mutations_of(await open_stall(shop))[name]
    number = pb.BatchItem.DESCRIPTOR.fields_by_name[name].number
    good = delimited(1, delimited(number, request.SerializeToString()))
    before = await witness.everything()
    for path in (path for path, spoil in _spoils(MUTATIONS[name]) if spoil.value == NOT_UTF8):
        bad = delimited(1, delimited(number, spoiled(request, path, NOT_UTF8)))
        refusal = await _send(shop, "ApplyBatch", good + bad)
        assert refusal is not None
        assert (refusal.code, refusal.field) == (StatusCode.INVALID_ARGUMENT, f"items[1].{name}.{path}")
    assert await witness.everything() == before


async def test_an_item_without_a_command_is_refused_alone(shop: Client) -> None:
    """An item that says nothing, or what this release does not know, is malformed; its neighbours are not."""
    stall = await open_stall(shop)
    receive = delimited(1, mutations_of(stall)["receive"].SerializeToString())
    nothing, unknown = b"", delimited(999, b"whatever")
    results = (await _batch(shop, [nothing, receive, unknown])).results
    assert [result.WhichOneof("outcome") for result in results] == ["error", "receive", "error"]
    assert [refusal_of(results[place].error).field for place in (0, 2)] == ["items[0]", "items[2]"]


@pytest.mark.parametrize("name", METHODS)
async def test_garbage_is_an_invalid_argument(shop: Client, witness: "Witness", name: str) -> None:
    """Bytes that are no message of the kind are INVALID_ARGUMENT, not a fault of the gateway."""
    before = await witness.everything()
    answers = {label: await _send(shop, name, raw) for label, raw in GARBAGE.items()}
    told = {label: answer and (answer.code, answer.reason) for label, answer in answers.items()}
    assert told == dict.fromkeys(GARBAGE, (StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT"))
    assert await witness.everything() == before


async def test_a_field_of_another_wire_type_counts_as_missing(shop: Client) -> None:
    """A number where text belongs is a field that this release does not know; the one it knows is missing."""
    raw = element(1, "some-id") + element(2, 7) + element(4, 1)
    refusal = await _send(shop, "ReceiveStock", raw)
    assert refusal is not None
    assert (refusal.code, refusal.field) == (StatusCode.INVALID_ARGUMENT, "sku")


@pytest.mark.parametrize("name", ["ReserveStock", "ApplyBatch", "WatchStockLevels", "CreateSku", "GetVersion"])
async def test_a_message_above_4_mb_is_refused(shop: Client, witness: "Witness", name: str) -> None:
    """A request larger than 4 MB is RESOURCE_EXHAUSTED before anybody looks at it."""
    before = await witness.everything()
    answer = await _send(shop, name, delimited(999, bytes(4 * 2**20)))
    assert answer is not None
    assert answer.code is StatusCode.RESOURCE_EXHAUSTED
    assert await witness.everything() == before


async def test_a_message_of_almost_4_mb_is_read(shop: Client) -> None:
    """The limit is 4 MB and not less: what fits is judged by its fields; unknown ones do no harm."""
    request = others_of(await open_stall(shop))["GetSku"]
    assert await _send(shop, "GetSku", request.SerializeToString() + delimited(999, bytes(4 * 2**20 - 200))) is None


@pytest.mark.parametrize(
    "path",
    [
        "/gateway.v1.StockService/SellStock",
        "/gateway.v1.StockService/",
        "/gateway.v1.StockService/reservestock",
        "/gateway.v2.StockService/ReserveStock",
        "/StockService/ReserveStock",
        "/",
    ],
)
async def test_an_unknown_method_is_unimplemented(shop: Client, path: str) -> None:
    """What the gateway does not serve is UNIMPLEMENTED, whatever it is called."""
    call: Any = shop.channel.unary_unary(path)
    assert (await refused(call(b"", **shop.options))).code is StatusCode.UNIMPLEMENTED


async def test_the_gateway_goes_on(shop: Client) -> None:
    """After all that the gateway serves as before, and the ledger adds up (R18)."""
    await open_stall(shop)
    request = operations_service_pb2.CheckConsistencyRequest()
    assert (await shop.operations.CheckConsistency(request, **shop.options)).consistent


# What loops note there of themselves: that is no change of a caller's.
LOOPS_NOTE = {
    "head": ("audited_revision",),
    "alert_head": ("journal_revision", "engine", "engine_until", "tick_time", "watchdog_time"),
}


class Witness:
    """Sees every row of a merchant, with its token and without the gateway."""

    def __init__(self, connection: asyncpg.Connection, schema: str) -> None:
        self._connection = connection
        self._schema = schema

    async def warn(self, sku: str) -> None:
        """Have a SKU stand at THRESHOLD."""
        standing = Standing(Tier.THRESHOLD, episode=1, peak=Tier.THRESHOLD)
        watched = msgspec.json.encode(Watched(begin(Prior(0.1), 0.0), standing)).decode()
        await self._connection.execute(
            f'INSERT INTO "{self._schema}".standings VALUES ($1, 0, 1, $2, false, 0, 0, now(), $3)',
            sku,
            int(standing.tier),
            watched,
        )

    async def propose(self, stall: Stall) -> None:
        """Have a proposal with the number of the stall's session, words of the merchant's own, and advice for a review:
        units of the SKU were sold that could not be served.
        """
        rows = ((f"{{schema}}.{table}", row) for table, row in rows_of(stall).items())
        for table, row in rows:
            places = ", ".join(f"${place}" for place in range(1, len(row) + 1))
            sql = f"INSERT INTO {table.format(schema=self._schema)} VALUES ({places}) ON CONFLICT DO NOTHING"
            await self._connection.execute(sql, *row)
        await self._connection.execute(
            f"""
            INSERT INTO "{self._schema}".shortfalls
            SELECT 1000000 + session_id, 1, $1, 'main', 2, at, NULL, NULL, 'li', 'done', at
            FROM "{self._schema}".sessions, CAST(body->>'open_time' AS timestamptz) AS at WHERE session_id = $2""",
            stall.sku,
            stall.session_id,
        )

    async def everything(self) -> dict[str, str]:
        """Of each table but the audit and the spans, which keep what was refused as well, the versions of its rows."""
        statements = [self._versions(name) for name in metadata.tables.keys() - {"audit", "spans", *LOOPS_NOTE}]
        for table, columns in LOOPS_NOTE.items():
            row = f"(to_jsonb(t) - '{{{', '.join(columns)}}}'::text[])::text"
            statements.append(f"SELECT '{table}', string_agg({row}, '') FROM \"{self._schema}\".{table} t")
        rows = await self._connection.fetch(" UNION ALL ".join(statements))
        return {str(name): str(digest) for name, digest in rows}

    def _versions(self, table: str) -> str:
        """Every write of a row gives it another transaction and another place."""
        versions = "md5(coalesce(string_agg(xmin::text || ctid::text, ' ' ORDER BY ctid), ''))"
        return f"SELECT '{table}', {versions} FROM \"{self._schema}\".{table}"


async def _rest(_loop: object) -> None:
    """Look at nothing: what is seen here is what callers have done."""


def _good(stall: Stall) -> dict[str, Message]:
    return {METHOD_OF[name]: request for name, request in mutations_of(stall).items()} | others_of(stall)


def _spoils(fields: Fields) -> Iterator[tuple[str, Spoil]]:
    return ((path, spoil) for path, spoils in fields.items() for spoil in spoils)


def _spoil(request: Message, one: tuple[str, Spoil]) -> bytes:
    path, spoil = one
    return spoiled(request, path, spoil.value)


async def _send(client: Client, name: str, raw: bytes) -> Refusal | None:
    """Send bytes; the refusal, or None if the answer (of a stream: the beginning of it) was good."""
    method = METHODS[name]
    path = f"/{method.containing_service.full_name}/{name}"
    parse = GetMessageClass(method.output_type).FromString
    try:
        if not method.server_streaming:
            call: Any = client.channel.unary_unary(path, response_deserializer=parse)
            await call(raw, **client.options)
            return None
        open_stream: Any = client.channel.unary_stream(path, response_deserializer=parse)
        stream = open_stream(raw, **client.options)
        async with asyncio.timeout(10):
            await anext(aiter(stream))
            await anext(aiter(stream))
        stream.cancel()
    except grpc.aio.AioRpcError as error:
        return refusal_of_error(error)
    return None


async def _batch(client: Client, items: list[bytes]) -> pb.ApplyBatchResponse:
    raw = b"".join(delimited(1, item) for item in items)
    call: Any = client.channel.unary_unary(
        "/gateway.v1.StockService/ApplyBatch", response_deserializer=pb.ApplyBatchResponse.FromString
    )
    response = await call(raw, **client.options)
    assert isinstance(response, pb.ApplyBatchResponse)
    return response


def _complaints(path: str, spoil: Spoil, answer: Refusal | None, prefix: str) -> Iterator[str]:
    """How the answer differs from what the spoil asks for."""
    if answer is None:
        yield f"{path}, {spoil.label}: was accepted"
        return
    field = path if spoil.field is None else spoil.field
    wanted = (spoil.code, spoil.reason, "stockgate")
    if (answer.code, answer.reason, answer.domain) != wanted or answer.field not in {field, prefix + field}:
        yield f"{path}, {spoil.label}: {answer}"
    if len(answer.message) > 500:
        yield f"{path}, {spoil.label}: a message of {len(answer.message)} characters"


def _paths(fields: Any, prefix: str = "") -> set[str]:
    """The paths of all fields that hold a value or a list, well-known messages being values."""
    found: set[str] = set()
    for field in fields:
        path = prefix + field.name
        is_message = field.type == FieldDescriptor.TYPE_MESSAGE
        if is_message and field.message_type.full_name in {f"gateway.v1.{METHODS[m].input_type.name}" for m in METHODS}:
            continue
        if field.is_repeated:
            found.add(path)
            path += "[0]"
        if is_message and field.message_type.name not in {"Timestamp", "Duration"}:
            found |= _paths(field.message_type.fields, f"{path}.")
        else:
            found.add(path)
    return found
