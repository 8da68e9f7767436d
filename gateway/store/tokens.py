"""Access tokens. `<merchant>.<secret>`: the merchant is in the token, its schema keeps the SHA-256 of the whole."""

import hashlib

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.store.operations_tables import page_sessions
from gateway.store.tables import access_tokens


async def keep_token(connection: AsyncConnection, token: str) -> None:
    """Accept this token from now on."""
    await connection.execute(insert(access_tokens).values(token_hash=_hash(token)))


async def forget_tokens(connection: AsyncConnection) -> None:
    """Accept no token that was given out until now, nor who is signed in to the page with one."""
    await connection.execute(delete(access_tokens))
    await connection.execute(delete(page_sessions))


async def is_known_token(connection: AsyncConnection, token: str) -> bool:
    """True if the token was given out by this merchant."""
    return await connection.scalar(select(1).where(access_tokens.c.token_hash == _hash(token))) is not None


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
