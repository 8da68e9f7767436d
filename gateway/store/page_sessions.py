"""Who is signed in to the page. A cookie is `<merchant>.<secret>`; only its SHA-256 is kept, as with access tokens."""

import hashlib
from datetime import datetime, timedelta

from msgspec import Struct
from sqlalchemy import delete, insert, select

from gateway.store.database import MerchantDatabase, read_time
from gateway.store.operations_tables import page_sessions

_p = page_sessions.c


class PageSession(Struct, frozen=True):
    """Who is signed in, and until when."""

    actor: str
    expire_time: datetime


class PageSessions:
    """Who is signed in to one merchant's page, at whichever gateway."""

    def __init__(self, database: MerchantDatabase) -> None:
        """Keep them in the merchant's schema."""
        self._database = database

    async def begin(self, cookie: str, actor: str, lifetime: timedelta) -> None:
        """Accept this cookie from now on, and forget those that are over."""
        async with self._database.transaction() as connection:
            now = await read_time(connection, self._database.now)
            await connection.execute(delete(page_sessions).where(_p.expire_time <= now))
            kept = {"cookie_hash": _hash(cookie), "actor": actor, "create_time": now, "expire_time": now + lifetime}
            await connection.execute(insert(page_sessions).values(kept))

    async def find(self, cookie: str) -> PageSession | None:
        """Who is signed in with the cookie; None if nobody is any more."""
        holds = (_p.cookie_hash == _hash(cookie), _p.expire_time > self._database.now)
        async with self._database.statements() as connection:
            row = (await connection.execute(select(_p.actor, _p.expire_time).where(*holds))).one_or_none()
        return None if row is None else PageSession(*row)

    async def end(self, cookie: str) -> None:
        """Accept the cookie no more."""
        async with self._database.transaction() as connection:
            await connection.execute(delete(page_sessions).where(_p.cookie_hash == _hash(cookie)))


def _hash(cookie: str) -> bytes:
    return hashlib.sha256(cookie.encode()).digest()
