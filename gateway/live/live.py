"""What one merchant's live rooms have in this gateway."""

from collections.abc import Collection

from gateway.alerts.tiers import KeyState, Tiers
from gateway.live.lines import Lines
from gateway.live.rooms import Rooms
from gateway.live.sessions import SKUS_MAX, Sessions
from gateway.store.database import MerchantDatabase

# A SKU has a key of its own, and one for each session with units of its own: hardly ever more than one.
KEYS_MAX = 4 * SKUS_MAX


class Live:
    """The live rooms of one merchant."""

    def __init__(self, database: MerchantDatabase, tiers: Tiers) -> None:
        """Use the merchant's store; where SKUs stand is asked of its tiers."""

        async def read_tiers(skus: Collection[str]) -> list[KeyState]:
            return await tiers.pressing(skus=skus, count_max=KEYS_MAX)

        self.sessions = Sessions(database)
        self.rooms = Rooms(database, read_tiers)
        self.lines = Lines(database, self.rooms)

    def wake(self) -> None:
        """Something was saved in the ledger."""
        self.rooms.wake()

    def hear(self) -> None:
        """The alert log has grown."""
        self.rooms.hear()

    def close(self) -> None:
        """Tell every stream that the gateway stops."""
        self.rooms.close()
