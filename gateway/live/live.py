"""What one merchant's live rooms have in this gateway."""

from collections.abc import Collection

from gateway.alerts.tiers import KeyState, Tiers
from gateway.domain.tiers import Tier
from gateway.domain.vigil import Tempo
from gateway.live.counted import Counted
from gateway.live.lines import Lines
from gateway.live.proposals import Proposals
from gateway.live.proposing import Proposing
from gateway.live.rooms import Rooms
from gateway.live.sessions import SKUS_MAX, Sessions
from gateway.store.database import MerchantDatabase
from gateway.writer import Writer

# A SKU has a key of its own, and one for each session with units of its own: hardly ever more than one.
KEYS_MAX = 4 * SKUS_MAX
# Of what no room sells, so many of the most pressing.
PRESSING_MAX = 200


class Live:
    """The live rooms of one merchant."""

    def __init__(
        self,
        database: MerchantDatabase,
        writer: Writer,
        tiers: Tiers,
        tempo: Tempo = Tempo(),  # noqa: B008 - frozen, so one for all
    ) -> None:
        """Use the merchant's store; where SKUs stand is asked of its tiers, units are moved by its writer."""

        async def read_tiers(skus: Collection[str]) -> list[KeyState]:
            return (await tiers.pressing(skus=skus, count_max=KEYS_MAX))[0]

        async def read_pressing(skus: Collection[str] | None, min_tier: Tier) -> list[KeyState]:
            count_max = PRESSING_MAX if skus is None else KEYS_MAX
            return (await tiers.pressing(min_tier=min_tier, skus=skus, count_max=count_max))[0]

        counted = Counted(database)
        self.sessions = Sessions(database, counted)
        self.rooms = Rooms(database, read_tiers)
        self.lines = Lines(database, self.rooms)
        self.proposals = Proposals(database)
        self.proposing = Proposing(database, writer, read_pressing, counted, tempo)

    def wake(self) -> None:
        """Something was saved in the ledger."""
        self.rooms.wake()

    def hear(self) -> None:
        """The alert log has grown."""
        self.rooms.hear()
        self.proposing.wake()

    def close(self) -> None:
        """Tell every stream that the gateway stops."""
        self.rooms.close()
