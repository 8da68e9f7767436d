"""Access tokens: given out, and taken back."""

import asyncpg
import pytest
from grpc import StatusCode

from gateway import app
from gateway.domain.errors import InvalidArgument
from gateway.rpc import auth
from gateway.settings import Settings
from gateway.v1 import operations_service_pb2 as pb
from tests.client import Client
from tests.merchants import schema_of_token
from tests.refusals import refused


async def test_what_was_given_out_can_be_taken_back(
    client: Client, settings: Settings, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second token leaves the first good; revoked, both are refused, the page asks anew, and a fresh one holds."""
    monkeypatch.setattr(auth, "TRUST_SECONDS", 0.0)
    name, schema = token.partition(".")[0], schema_of_token(token)
    callers = [client, Client(client.channel, await app.new_token(settings, name))]
    for caller in callers:
        assert (await caller.ask(caller.operations.GetVersion, pb.GetVersionRequest)).merchant == name
    connection = await asyncpg.connect(settings.database_url)
    await connection.execute(f"INSERT INTO \"{schema}\".page_sessions VALUES ('\\x01', 'Mei', now(), now() + '1 h')")
    fresh = Client(client.channel, await app.new_token(settings, name, revoking=True))
    assert await connection.fetchval(f'SELECT count(*) FROM "{schema}".page_sessions') == 0
    await connection.close()
    for caller in callers:
        refusal = await refused(caller.operations.GetVersion(pb.GetVersionRequest(), **caller.options))
        assert (refusal.code, refusal.reason) == (StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED")
    assert (await fresh.ask(fresh.operations.GetVersion, pb.GetVersionRequest)).merchant == name


async def test_nobodys_tokens_cannot_be_taken_back(settings: Settings) -> None:
    """A merchant there is not is said, and nothing is made."""
    with pytest.raises(InvalidArgument, match="no merchant"):
        await app.new_token(settings, "nobody", revoking=True)
