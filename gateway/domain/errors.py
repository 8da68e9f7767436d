"""What a caller may ask that cannot be.

One class per reason. Each says in English what is wrong and carries the facts a program needs (`facts`) and, where one
input is to blame, its path in the request (`field`). `rpc/status.py` maps every class here to a gRPC status.
"""


class GatewayError(Exception):
    """The caller asked for what cannot be; nothing was changed.

    `message` is for people; `field` is the path of the input at fault ("lines[0].quantity"), "" if none;
    `facts` are for programs, by snake_case name.
    """

    def __init__(self, message: str, *, field: str = "", **facts: int | str) -> None:
        """Keep message, field and facts as they are."""
        super().__init__(message)
        self.message = message
        self.field = field
        self.facts = facts


class InvalidArgument(GatewayError):
    """An input is malformed whatever the state of the ledger."""


class SkuUnknown(GatewayError):
    """No SKU has this code."""


class LocationUnknown(GatewayError):
    """No location has this code."""


class ChannelUnknown(GatewayError):
    """No channel has this code."""


class ListingUnknown(GatewayError):
    """No listing has this number."""


class ListingInUse(GatewayError):
    """The listing may still sell, so what it is made of stays (R20). Facts: listing_id, exposure."""


class CredentialsMissing(GatewayError):
    """The channel has no credentials yet. Facts: channel."""


class CredentialsLocked(GatewayError):
    """The gateway has no key for credentials, or not the one they were encrypted with."""


class TokensChanged(GatewayError):
    """Somebody else has stored tokens since the caller read them. Facts: version."""


class ShortfallUnknown(GatewayError):
    """No shortfall has this id."""


class ReservationUnknown(GatewayError):
    """No reservation has this id."""


class MovementUnknown(GatewayError):
    """The journal has no such revision."""


class InsufficientStock(GatewayError):
    """Fewer units are available than asked. Facts: sku, location, available, asked."""


class ReservationResolved(GatewayError):
    """The reservation was committed or released before (R6). Facts: reservation_id, state, resolve_time."""


class ReservationExpired(GatewayError):
    """The reservation ran out of time before (R6, R7). Facts: reservation_id, state, resolve_time."""


class ReservationNotCommitted(GatewayError):
    """Only what was sold can come back. Facts: reservation_id, state."""


class RequestIdReused(GatewayError):
    """The request id was used with other content (R10); `field` is the first that differs. Facts: request_id."""


class OnHandChanged(GatewayError):
    """On hand is not what the caller expected (R16). Facts: on_hand, expected_on_hand."""


class SkuFrozen(GatewayError):
    """The SKU is frozen: nothing new may be reserved. Facts: sku."""


class BelowReserved(GatewayError):
    """On hand would fall below what is reserved (R14). Facts: sku, on_hand, reserved, change."""


class QuantityOverflow(GatewayError):
    """A level would pass the largest quantity the ledger keeps (R13). Facts: units_max."""


class AboveHeld(GatewayError):
    """More was asked than the reservation has (R4). Facts: line_number, held, asked."""


class AlreadyExists(GatewayError):
    """The code is taken, with other content."""


class AtomicGroupFailed(GatewayError):
    """Another item of the same atomic group was refused. Facts: failed_item (its request_id)."""


class QueueFull(GatewayError):
    """More commands wait than the gateway takes; come back later. Facts: retry_after_ms."""


class DatabaseUnavailable(GatewayError):
    """The database cannot be reached, or was lost underway; a retry with the same request_id is safe."""


class Unauthenticated(GatewayError):
    """The caller's token is missing or not known."""


class ReaderTooSlow(GatewayError):
    """The reader of a stream fell too far behind. Facts: resume_revision."""


class EpochMismatch(GatewayError):
    """The resume point belongs to another lineage of the database. Facts: epoch."""


class RevisionFromFuture(GatewayError):
    """The resume point lies beyond the journal's head. Facts: revision."""


class DeadlinePassed(GatewayError):
    """The caller's deadline passed before the command's group began; nothing was done."""


class ShuttingDown(GatewayError):
    """This gateway is stopping; another one, or this one again in a moment, will answer."""


class RevisionCompacted(GatewayError):
    """What follows the resume point is no longer kept. Facts: compact_revision, current_revision."""


class SlowConsumer(GatewayError):
    """The reader of a stream of alerts fell too far behind and was cut off. Facts: resume_revision."""


class TooManyStreams(GatewayError):
    """More streams than one subscriber, or all together, may have open. Facts: streams_max."""


class AlreadyAcknowledged(GatewayError):
    """Somebody else was first. Facts: by, at."""


class EpisodeOver(GatewayError):
    """The episode that is meant is over, or never was. Facts: episode."""


class TierChanged(GatewayError):
    """The tier that is meant is not the tier that is. Facts: tier."""


class SilenceUnknown(GatewayError):
    """No silence has this number."""


class IncomingUnknown(GatewayError):
    """No announced units have this number."""


class DrillUnknown(GatewayError):
    """No drill has this number."""


class DrillRunning(GatewayError):
    """As many drills run as may. Facts: drill_id."""


class SessionUnknown(GatewayError):
    """No session has this number."""


class SessionOver(GatewayError):
    """The session is closed."""


class SessionConflict(GatewayError):
    """Another open session has units of its own of the same SKU. Facts: sku, session_id."""


class TemplateUnknown(GatewayError):
    """There is no such template."""


class ProposalUnknown(GatewayError):
    """No proposal has this number."""


class ProposalSettled(GatewayError):
    """The proposal was decided before, or has lapsed. Facts: state, by."""


class AdviceUnknown(GatewayError):
    """The session's review has no such advice, or none that sets something."""


class SettingChanged(GatewayError):
    """Somebody has set something else since the session was looked back upon. Facts: value."""
