"""What one merchant's live rooms have in this gateway."""

from gateway.live.sessions import Sessions
from gateway.store.database import MerchantDatabase


class Live:
    """The live rooms of one merchant."""

    def __init__(self, database: MerchantDatabase) -> None:
        """Use the merchant's store."""
        self.sessions = Sessions(database)
