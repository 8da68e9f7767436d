"""What open sessions have left of their own units, counted on from one question to the next.

Counting begins when a session gets its units, and the journal has grown by millions since. So what was counted is kept,
and whoever is about to lock something catches up first: behind the lock only a moment's movements are left to count.
"""

from gateway.domain.alerts import Session
from gateway.store import live
from gateway.store.database import MerchantDatabase, ReadConnection
from gateway.store.live import Sold

# Of so many sessions; the one that was asked for longest ago is counted anew.
SESSIONS_MAX = 20


class Counted:
    """The counts of one merchant's open sessions, in this gateway."""

    def __init__(self, database: MerchantDatabase) -> None:
        """Nothing is counted yet."""
        self._database = database
        self._sold: dict[int, Sold] = {}

    def of(self, session_id: int) -> Sold:
        """What is known of a session; to be counted on."""
        sold = self._sold.pop(session_id, None) or Sold()
        self._sold[session_id] = sold
        if len(self._sold) > SESSIONS_MAX:
            del self._sold[next(iter(self._sold))]
        return sold

    def forget(self, session_id: int) -> None:
        """The session is over."""
        self._sold.pop(session_id, None)

    async def with_left(self, connection: ReadConnection, session: Session) -> Session:
        """The session with what it has left of its own units now; nothing once it is closed."""
        is_counted = session.close_time is None and live.own(session)
        return await live.with_left(connection, session, self.of(session.session_id) if is_counted else None)

    async def catch_up(self, session_id: int) -> None:
        """Count up to now while nothing is locked; of a session that is over or unknown there is nothing to count."""
        async with self._database.transaction() as connection:
            session = await live.read_session(connection, session_id)
            if session is not None:
                await self.with_left(connection, session)
