"""What the alert log tells, and what people do about it: the values of `proto/gateway/v1/alert.proto`.

Bodies of events are stored as JSON objects, told apart by `type`; new fields have a default. Numbers of things
(acknowledgements, silences, sessions, proposals, drills, incoming units) are the revision of the event that began them.
Times are aware UTC, quantities units.
"""

from datetime import datetime, timedelta
from enum import IntEnum

from msgspec import Struct

from gateway.domain.demand import StockOutTimes
from gateway.domain.tiers import Evidence, Tier

# A session that goes on so long after its planned end is one that nobody has closed.
FORGOTTEN_AFTER = timedelta(hours=2)


class EventKind(IntEnum):
    """What an event tells. The numbers are those of the proto and are stored."""

    TIER_CHANGE = 1
    ACKNOWLEDGED = 2
    ACKNOWLEDGEMENT_ENDED = 3
    SILENCED = 4
    SILENCE_ENDED = 5
    ESCALATED = 6
    PROPOSED = 7
    PROPOSAL_DECIDED = 8
    PROPOSAL_CARRIED_OUT = 9
    STEP_DONE = 10
    SESSION_OPENED = 11
    SESSION_CHANGED = 12
    SESSION_CLOSED = 13
    DRILL_STARTED = 14
    DRILL_INJECTED = 15
    DRILL_ENDED = 16
    SUBSCRIBER_LAGGED = 17
    SUBSCRIBER_SILENT = 18
    WATCHDOG = 19
    COMPACTED = 20
    INCOMING_ANNOUNCED = 21
    INCOMING_ENDED = 22
    POLICY_CHANGED = 23
    LINE_TAKEN = 24


class AckAction(IntEnum):
    """What a person has decided. The numbers are those of the proto and are stored."""

    REPLENISH = 1
    TRANSFER = 2
    CAP_SALES = 3
    DELIST = 4
    WATCH = 5
    FALSE_ALARM = 6


class ProposalKind(IntEnum):
    """What a proposal would do. The numbers are those of the proto and are stored."""

    MOVE_UNITS = 1
    RAISE_EXCLUSIVE = 2
    LIST_SUBSTITUTE = 3
    SLOW_PACE = 4


class ProposalState(IntEnum):
    """Where a proposal stands. The numbers are those of the proto and are stored."""

    OPEN = 1
    APPROVED = 2
    DECLINED = 3
    DONE = 4
    FAILED = 5
    LAPSED = 6


class RunbookStep(Struct, frozen=True):
    """One step: what to do, who does it, within how long; 0: no limit."""

    text: str
    text_en: str = ""
    owner: str = ""
    minutes_max: int = 0


class Runbook(Struct, frozen=True):
    """What to do in a tier, as the merchant has laid it down."""

    tier: Tier
    steps: tuple[RunbookStep, ...] = ()
    host_line: str = ""
    host_line_en: str = ""
    receivers: tuple[str, ...] = ()


class TierTold(Struct, frozen=True, tag="tier_change"):
    """A change of tier; `journal_revision`: the movement up to which it was known."""

    before: Tier
    after: Tier
    evidence: Evidence
    stock_out: StockOutTimes
    is_stale: bool = False
    is_flapping: bool = False
    reopened: int = 0
    pages: bool = False
    runbook: Runbook | None = None
    journal_revision: int = 0


class Acknowledgement(Struct, frozen=True, tag="acknowledgement"):
    """Somebody has taken a warning on. `end_reason`: CLOSED, RISEN, TIMED_OUT; empty while it holds."""

    tier: Tier
    actor: str
    time: datetime
    action: AckAction
    acknowledgement_id: int = 0
    quantity: int = 0
    arrive_time: datetime | None = None
    note: str = ""
    end_time: datetime | None = None
    end_reason: str = ""


class SilenceMatcher(Struct, frozen=True):
    """Whom a silence is about: all that is said must hold; nothing said: everything."""

    skus: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    session_ids: tuple[int, ...] = ()


class Silence(Struct, frozen=True, tag="silence"):
    """People do not want to be notified for a while; tiers above `max_tier` pierce it."""

    matcher: SilenceMatcher
    start_time: datetime
    end_time: datetime
    actor: str
    comment: str
    silence_id: int = 0
    until_resolved: bool = False
    max_tier: Tier = Tier.THRESHOLD
    ended_time: datetime | None = None


class Escalation(Struct, frozen=True, tag="escalation"):
    """More people are to be told. `level` 1: the console; 2: the shift lead; 3: everybody."""

    level: int
    tier: Tier
    since_time: datetime
    repeats: int = 0


class Proposal(Struct, frozen=True, tag="proposal"):
    """What the system proposes to a person (R45), and what came of it."""

    kind: ProposalKind
    state: ProposalState
    sku: str
    propose_time: datetime
    proposal_id: int = 0
    session_id: int = 0
    quantity: int = 0
    from_location: str = ""
    to_location: str = ""
    substitute: str = ""
    reason: str = ""
    reason_en: str = ""
    actor: str = ""
    note: str = ""
    decide_time: datetime | None = None
    effect: str = ""
    effect_time: datetime | None = None


class StepDone(Struct, frozen=True, tag="step_done"):
    """A step of a runbook, counted from 0, is done."""

    tier: Tier
    step: int
    text: str
    actor: str


class SessionSku(Struct, frozen=True):
    """What a session sells; `exclusive_units` are its own, 0: it sells from what all sell from.

    `open_revision` is the journal's when it got them, `open_reservation` the last reservation there was then.
    """

    sku: str
    exclusive_units: int = 0
    exclusive_left: int = 0
    open_revision: int = 0
    open_reservation: int = 0


class Session(Struct, frozen=True, tag="session"):
    """A live room that sells SKUs on channels; `open_revision` is the journal's when it began."""

    room: str
    channels: tuple[str, ...]
    skus: tuple[SessionSku, ...]
    open_time: datetime
    planned_end_time: datetime
    session_id: int = 0
    close_time: datetime | None = None
    actor: str = ""
    host: str = ""
    agora_channel: str = ""
    open_revision: int = 0

    def is_forgotten(self, now: datetime) -> bool:
        """True if nobody seems to be there any more, though it was not closed: its end is none to go by."""
        return now - self.planned_end_time > FORGOTTEN_AFTER


class DrillStep(Struct, frozen=True, tag="drill"):
    """Something about a drill: its start, what it makes happen, its end."""

    name: str
    actor: str = ""
    inject: str = ""
    passed: bool = False
    detail: str = ""


class SubscriberState(Struct, frozen=True, tag="subscriber"):
    """A subscriber as far as we know it. `trouble`: CUT_OFF, COALESCED, SILENT; empty: all is well."""

    subscriber_id: str
    revision: int = 0
    report_time: datetime | None = None
    streams: int = 0
    trouble: str = ""
    lag: int = 0


class Compaction(Struct, frozen=True, tag="compaction"):
    """Events up to this revision, itself included, were removed."""

    compact_revision: int


class IncomingUnits(Struct, frozen=True, tag="incoming"):
    """Units on their way. `end_reason`: ARRIVED, LATE, CANCELLED; empty while they are.

    `is_ordered`: a supplier brings them, so that what only moves from one place to another is none of them.
    """

    sku: str
    quantity: int
    arrive_time: datetime
    actor: str
    incoming_id: int = 0
    reference: str = ""
    end_reason: str = ""
    announce_time: datetime | None = None
    is_ordered: bool = False


class AlertPolicy(Struct, frozen=True, tag="policy"):
    """What to be warned of; None: as the one for all, whose `sku` is empty, and that as the defaults."""

    sku: str = ""
    service_level: float | None = None
    fixed_line: int | None = None
    hard_floor: int | None = None
    lead_seconds: float | None = None
    fastest_lead_seconds: float | None = None
    false_raise_seconds: float | None = None
    no_supply: bool | None = None


class TakenLine(Struct, frozen=True, tag="line"):
    """A line that was said or sent."""

    intent: str
    text: str
    template_id: str
    language: str


Body = (
    TierTold
    | Acknowledgement
    | Silence
    | Escalation
    | Proposal
    | StepDone
    | Session
    | DrillStep
    | SubscriberState
    | Compaction
    | IncomingUnits
    | AlertPolicy
    | TakenLine
)


class News(Struct, frozen=True, kw_only=True):
    """An event that has no number yet. `session_id` 0: the SKU's whole stock; `drill_id` 0: it is true."""

    kind: EventKind
    body: Body | None = None
    sku: str = ""
    session_id: int = 0
    episode: int = 0
    channels: tuple[str, ...] = ()
    session_ids: tuple[int, ...] = ()
    drill_id: int = 0
    silenced_by: tuple[int, ...] = ()
    observe_time: datetime | None = None
    expire_time: datetime | None = None

    @property
    def tier(self) -> int:
        """The higher of the two tiers of a change; 0 for what is about no tier."""
        return max(self.body.before, self.body.after) if isinstance(self.body, TierTold) else 0


class Event(News, frozen=True, kw_only=True):
    """One numbered fact of the alert log. `traceparent` (W3C) is the span that appended it, if that had one."""

    revision: int
    record_time: datetime
    traceparent: str | None = None
