"""Merchants for tests: each test has its own, and takes it along when it goes."""

import itertools
import os

import asyncpg

from gateway.settings import Settings
from gateway.store.database import CONNECT_TIMEOUT_SECONDS, schema_of

_numbers = itertools.count(1)


def new_merchant_name() -> str:
    """A merchant's name nobody has."""
    return f"test_{os.getpid()}_{next(_numbers)}"


def schema_of_token(token: str) -> str:
    """The name of the schema of the merchant who has this token."""
    return schema_of(token.partition(".")[0])


async def drop_merchant(settings: Settings, name: str) -> None:
    """Forget a merchant: every gateway serves all there are, so those of past tests would slow the next."""
    connection = await asyncpg.connect(settings.database_url, timeout=CONNECT_TIMEOUT_SECONDS)
    await connection.execute(f'DROP SCHEMA IF EXISTS "{schema_of(name)}" CASCADE')
    await connection.close()
