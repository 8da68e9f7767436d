"""What people ask the desk to do, and what they are answered: kept with the request id (R10).

Fields have the names of the proto's, so that what differs from the first time can be named. New ones have a default.
Times are aware UTC, quantities units; `actor` is who asks; `drill_id` 0: it is true.
"""

from datetime import datetime

from msgspec import Struct

from gateway.domain.alerts import (
    AckAction,
    Acknowledgement,
    AlertPolicy,
    IncomingUnits,
    Runbook,
    Silence,
    SilenceMatcher,
)
from gateway.domain.tiers import Tier


class Acknowledge(Struct, frozen=True):
    """Take a warning on."""

    request_id: str
    sku: str
    session_id: int
    episode: int
    tier: Tier
    actor: str
    action: AckAction
    quantity: int = 0
    arrive_time: datetime | None = None
    note: str = ""
    drill_id: int = 0


class Acknowledged(Struct, frozen=True):
    """The acknowledgement as it was recorded."""

    acknowledgement: Acknowledgement
    revision: int


class CompleteStep(Struct, frozen=True):
    """Tick a step of a runbook, counted from 0."""

    request_id: str
    sku: str
    session_id: int
    episode: int
    tier: Tier
    step: int
    actor: str
    drill_id: int = 0


class StepCompleted(Struct, frozen=True):
    """The event that says so."""

    revision: int


class BeginSilence(Struct, frozen=True):
    """Keep people from being notified; without a start from now on."""

    request_id: str
    matcher: SilenceMatcher
    start_time: datetime | None
    end_time: datetime
    actor: str
    comment: str
    until_resolved: bool
    max_tier: Tier


class Silenced(Struct, frozen=True):
    """The silence as it was recorded, and how many SKUs it silences now."""

    silence: Silence
    matches: int


class EndSilence(Struct, frozen=True):
    """Let people be notified again."""

    request_id: str
    silence_id: int
    actor: str


class SilenceEnded(Struct, frozen=True):
    """The silence as it was recorded."""

    silence: Silence


class SetPolicy(Struct, frozen=True):
    """Say what to be warned of."""

    request_id: str
    policy: AlertPolicy
    actor: str


class PolicySet(Struct, frozen=True):
    """The policy as it was stored."""

    policy: AlertPolicy


class SetRunbook(Struct, frozen=True):
    """Lay down what to do in a tier."""

    request_id: str
    runbook: Runbook
    actor: str


class RunbookSet(Struct, frozen=True):
    """The runbook as it was stored."""

    runbook: Runbook


class AnnounceIncoming(Struct, frozen=True):
    """Say that units are on their way."""

    request_id: str
    sku: str
    quantity: int
    arrive_time: datetime
    actor: str
    reference: str = ""


class CancelIncoming(Struct, frozen=True):
    """Say that announced units will not come."""

    request_id: str
    incoming_id: int
    actor: str


class IncomingKept(Struct, frozen=True):
    """The announced units as they were recorded."""

    incoming: IncomingUnits


class SetProfile(Struct, frozen=True):
    """Store what history says. `profile_json` is the digest of the text: the text itself is too long to keep twice."""

    request_id: str
    profile_json: str


class ProfileSet(Struct, frozen=True):
    """How many SKUs it knows."""

    skus: int
