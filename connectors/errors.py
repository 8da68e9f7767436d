"""What a platform did not do, or may not have done. Each class is a decision the agent must take.

An unknown refusal is `Rejected`, never `Transient`: repeating unknown refusals is how bans happen.
"""


class ConnectorError(Exception):
    """A call to a platform brought no result; `code` is the platform's own, "" if it never spoke."""

    def __init__(self, message: str, *, code: str = "") -> None:
        """Keep the platform's words; no secret ever stands in them."""
        super().__init__(message)
        self.message = message
        self.code = code


class Transient(ConnectorError):
    """Certainly not applied; another try may fare better."""


class OutcomeUnknown(ConnectorError):
    """Sent, and no readable answer: it may have been applied, or may be yet. Read back, then decide."""


class Throttled(ConnectorError):
    """Not applied: the platform wants fewer calls, and none for `retry_after_seconds` (None: it did not say)."""

    def __init__(self, message: str, *, code: str = "", retry_after_seconds: float | None = None) -> None:
        """Keep how long the ban lasts."""
        super().__init__(message, code=code)
        self.retry_after_seconds = retry_after_seconds


class AuthExpired(ConnectorError):
    """The access token is dead: refresh once; if that fails, park the channel and tell a person."""


class Rejected(ConnectorError):
    """The platform refuses this call, and would again; a person must look.

    `ends_change`: it says what became of the change itself, and not only of this try.
    """

    ends_change = False


class BelowZero(Rejected):
    """The platform refuses a lowering because it shows fewer units than that; nothing was applied."""


class Misunderstood(ConnectorError):
    """The platform's answer is not what its protocol says; `body` is the beginning of it."""

    def __init__(self, message: str, *, body: bytes = b"") -> None:
        """Keep the first bytes of the answer, for the log."""
        super().__init__(message)
        self.body = body[:500]


class Forged(ConnectorError):
    """An inbound push is not signed or encrypted as the platform does it, or is not readable."""
