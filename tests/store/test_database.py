"""What is said when the database does not do what it is asked for: where to look, and nothing that is secret."""

import logging

import asyncpg
import pytest
from grpc import StatusCode
from sqlalchemy import text

from gateway.domain.errors import DatabaseUnavailable
from gateway.settings import Settings
from gateway.store.database import MerchantDatabase, cause_of
from gateway.v1 import stock_service_pb2 as pb
from tests.client import Client
from tests.merchants import schema_of_token
from tests.refusals import refused
from tests.store.history import store_of

SAID = {
    "53100": ("the database's disk is full", "DiskFullError"),
    "53300": ("the database has no connection left for us", "TooManyConnectionsError"),
    "57014": ("the database took too long", "QueryCanceledError"),
    "25006": ("the database takes no changes: it is a standby, or set to read only", "ReadOnlySQLTransactionError"),
    "28P01": ("the database does not let us in", "InvalidPasswordError"),
    "57P03": ("the database is starting, or stopping", "CannotConnectNowError"),
    "08006": ("the database cannot be reached", "ConnectionFailureError"),
}


async def complain(database: MerchantDatabase, state: str) -> None:
    """Have the database refuse something with this SQLSTATE."""
    async with database.transaction() as connection:
        await connection.execute(text(f"DO $$ BEGIN RAISE EXCEPTION 'a secret' USING ERRCODE = '{state}'; END $$"))


async def test_what_was_wrong_is_said(settings: Settings, token: str) -> None:
    """Each kind in words of its own, and for the log by its name; nothing of what the database has said goes on."""
    async with store_of(settings, token) as database:
        for state, (words, name) in SAID.items():
            with pytest.raises(DatabaseUnavailable) as caught:
                await complain(database, state)
            said = caught.value.message
            assert said == f"{words}; try again with the same request_id, which is safe whatever happened"
            assert cause_of(caught.value) == f"{name} {state}"


@pytest.fixture
async def full_disk(owner: asyncpg.Connection, token: str) -> str:
    """Every movement meets a full disk; returns the statement that makes room."""
    schema = schema_of_token(token)
    await owner.execute(f"""
        CREATE FUNCTION "{schema}".no_room() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'no space' USING ERRCODE = '53100'; END $$""")
    await owner.execute(
        f'CREATE TRIGGER no_room BEFORE INSERT ON "{schema}".movements FOR EACH ROW '
        f'EXECUTE FUNCTION "{schema}".no_room()'
    )
    return f'DROP TRIGGER no_room ON "{schema}".movements'


async def test_a_lost_database_is_logged_once(
    client: Client, owner: asyncpg.Connection, token: str, full_disk: str, caplog: pytest.LogCaptureFixture
) -> None:
    """However many calls find out: that it is lost and why, and that it is back."""
    caplog.set_level(logging.INFO, "gateway.writer")
    await client.add_sku("CUP")
    for number in range(3):
        asked = client.ask(
            client.stock.ReceiveStock, pb.ReceiveStockRequest, request_id=str(number), sku="CUP", quantity=1
        )
        refusal = await refused(asked)
        assert refusal.code is StatusCode.UNAVAILABLE
        assert "disk is full" in refusal.message
    await owner.execute(full_disk)
    await client.tell(client.stock.ReceiveStock, pb.ReceiveStockRequest, sku="CUP", quantity=1)
    ours = [one for one in caplog.records if getattr(one, "merchant", "") == token.partition(".")[0]]
    assert [one.message.partition(":")[0] for one in ours] == ["the database is lost", "the database is back"]
    assert ours[0].cause == "DiskFullError 53100"  # type: ignore[attr-defined]  # a field of its own
