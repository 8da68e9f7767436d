"""Who may post what, kept in memory as the gateway keeps it, and steered by a test."""

from dataclasses import dataclass, field

from connectors.notify.delivery import Claim


@dataclass
class ClaimBook:
    """What notifiers have claimed: by revision and receiver, who, and whether it was sent."""

    held: dict[tuple[int, str], str] = field(default_factory=dict)
    sent: set[tuple[int, str]] = field(default_factory=set)
    # Whose lease has run out without a word.
    lapsed: set[tuple[int, str]] = field(default_factory=set)

    def notifier(self, name: str) -> "Notifier":
        return Notifier(name, self)

    def forget(self, claimant: str) -> None:
        """The claimant is gone, and its leases have run out."""
        gone = {key for key, by in self.held.items() if by == claimant}
        self.lapsed |= gone - self.sent
        for key in gone:
            del self.held[key]


@dataclass
class Notifier:
    """One process's claims. While the gateway is away, everything is granted with a warning."""

    name: str
    book: ClaimBook
    is_gateway_away: bool = False

    async def claim(self, revision: int, receiver: str) -> Claim:
        key = (revision, receiver)
        if self.is_gateway_away:
            return Claim(granted=True, possible_duplicate=True)
        if key in self.book.sent:
            return Claim(granted=False, sent=True)
        if self.book.held.setdefault(key, self.name) != self.name:
            return Claim(granted=False)
        return Claim(granted=True, possible_duplicate=key in self.book.lapsed)

    async def settle(self, revision: int, receiver: str, *, sent: bool) -> None:
        if self.is_gateway_away:
            return
        self.book.held.pop((revision, receiver), None)
        if sent:
            self.book.sent.add((revision, receiver))
