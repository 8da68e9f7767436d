"""What people are told: one fact of the alert log as a person reads it, Chinese first.

A notice says which SKU, the tier by symbol and word, why in one line, what to do, what the host may say, where to take
it on, and the number of the change. What stands in a text came from catalogues, runbooks and people: a line's end or a
mention in it must not become one of ours.
"""

import unicodedata
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import NamedTuple

from connectors.notify.words import (
    ESCALATED,
    KINDS,
    LEVELS,
    MAYBE_AGAIN,
    NOTHING,
    REHEARSAL,
    SYMBOLS,
    TIERS,
    Words,
    both,
    gone_in,
)

TITLE_BYTES_MAX = 90
CODE_BYTES_MAX = 80
LINE_BYTES_MAX = 240
ENGLISH_BYTES_MAX = 160
LINK_BYTES_MAX = 400


class Tier(IntEnum):
    """How pressing it is. The numbers are those of the proto."""

    NORMAL = 1
    TREND = 2
    THRESHOLD = 3
    URGENT = 4
    SOLD_OUT = 5


class Kind(Enum):
    """What a notice tells."""

    TIER = "tier"
    STALE = "stale"
    ESCALATED = "escalated"
    ACKNOWLEDGED = "acknowledged"
    UNACKNOWLEDGED = "unacknowledged"
    PROPOSED = "proposed"
    DECIDED = "decided"
    CARRIED_OUT = "carried out"
    DRILL = "drill"
    OUTAGE = "outage"


class Reason(NamedTuple):
    """The numbers: units available, orders per minute, and seconds until nothing is left (None: not within a week)."""

    available: int
    per_minute: float
    p10_seconds: float | None = None
    p50_seconds: float | None = None
    p90_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One fact to be told. `thread` names what it is about: there, a newer fact may make an older one pointless.

    `room` is what people call the live room, "" for none. `action` is the first thing to do, or what was decided.
    `is_past`: it comes so late that only the newest of its thread is worth telling. `stands_for_urgent` and
    `stands_for_escalation`: it is told in the place of an older one that was. `traceparent` is the span that told of it
    first, "" for none.
    """

    revision: int
    kind: Kind
    thread: str
    tier: Tier = Tier.NORMAL
    tier_before: Tier = Tier.NORMAL
    sku: str = ""
    title: str = ""
    room: str = ""
    reason: Reason | None = None
    action: Words = NOTHING
    host_line: Words = NOTHING
    actor: str = ""
    link: str = ""
    level: int = 0
    drill_id: int = 0
    pages: bool = False
    is_stale: bool = False
    is_flapping: bool = False
    is_past: bool = False
    stands_for_urgent: bool = False
    stands_for_escalation: bool = False
    may_be_told: bool = False
    traceparent: str = ""

    @property
    def key(self) -> tuple[int, Kind]:
        """Which notice it is, whatever has become of it since."""
        return self.revision, self.kind

    @property
    def about(self) -> tuple[str, int]:
        """What it is about; what is rehearsed is never about what is true."""
        return self.thread, self.drill_id

    @property
    def is_drill(self) -> bool:
        """It is rehearsed, and not true."""
        return bool(self.drill_id)

    @property
    def rank(self) -> float:
        """How high it stands among the notices of its thread."""
        match self.kind:
            case Kind.TIER:
                return float(self.tier)
            case Kind.STALE:
                return self.tier - 0.5  # it does not replace the change that it comes after
            case Kind.ESCALATED:
                return self.tier + 0.5
            case Kind.OUTAGE:
                return float(Tier.URGENT)
        return 0.0

    @property
    def is_urgent(self) -> bool:
        """It is never delayed."""
        if self.stands_for_urgent or self.kind in {Kind.ESCALATED, Kind.OUTAGE}:
            return True
        return self.kind is Kind.TIER and self.pages and self.tier >= Tier.URGENT

    @property
    def is_escalation(self) -> bool:
        """It is never dropped: things have got worse, or nobody has taken it on."""
        has_risen = self.kind is Kind.TIER and self.tier > self.tier_before
        return self.is_urgent or has_risen or self.stands_for_escalation

    @property
    def is_local(self) -> bool:
        """It stands in no log: this process alone tells it."""
        return self.kind is Kind.OUTAGE

    @property
    def mentions_all(self) -> bool:
        """Everybody is to look."""
        return self.kind is Kind.ESCALATED and self.level >= LEVELS


def entry_of(notice: Notice) -> str:
    """The notice as lines; each has its bound, so that one notice fits any robot."""
    lines = (_headline(notice), _why(notice), _action(notice), _host(notice), _acknowledge(notice))
    return "\n".join(filter(None, lines))


def _headline(notice: Notice) -> str:
    marks = (REHEARSAL.zh if notice.is_drill else "") + (MAYBE_AGAIN.zh if notice.may_be_told else "")
    name = " ".join(filter(None, (clipped(notice.sku, CODE_BYTES_MAX), clipped(notice.title, TITLE_BYTES_MAX))))
    return f"{marks}{_subject(notice)}{' · ' if name else ''}{name} #{notice.revision}"


def _subject(notice: Notice) -> str:
    word = TIERS[notice.tier]
    tier = f"{SYMBOLS[notice.tier]} {word.zh} {word.en}"
    match notice.kind:
        case Kind.TIER | Kind.OUTAGE:
            return tier if notice.kind is Kind.TIER else both(KINDS[notice.kind.value])
        case Kind.ESCALATED:
            told = ESCALATED[max(1, min(notice.level, LEVELS))]
            return f"{tier} · {told.zh} {told.en}"
        case Kind.DRILL | Kind.PROPOSED | Kind.DECIDED | Kind.CARRIED_OUT:
            return both(KINDS[notice.kind.value])
    return f"{both(KINDS[notice.kind.value])} · {tier}"


def _why(notice: Notice) -> str:
    if notice.is_stale:
        return both(KINDS["old"])
    if notice.tier is Tier.SOLD_OUT and notice.kind is Kind.TIER:
        return both(KINDS["gone"])
    reason = notice.reason
    if reason is None or notice.kind not in {Kind.TIER, Kind.ESCALATED}:
        return ""
    spell = both(KINDS["flapping"]) if notice.is_flapping else ""
    gone = gone_in(reason.p10_seconds, reason.p50_seconds, reason.p90_seconds)
    pace = f"{reason.per_minute:.1f}"
    chinese = f"可用 {reason.available} 件，每分钟 {pace} 单{gone.zh}"
    return " · ".join(filter(None, (both(Words(chinese, f"{reason.available} left, {pace}/min{gone.en}")), spell)))


def _action(notice: Notice) -> str:
    actor = clipped(notice.actor, TITLE_BYTES_MAX)
    said = both(_fit(notice.action))
    if not said and not actor:
        return ""
    if actor:
        return f"{actor}：{said}"
    return f"处理 Do：{said}" if notice.kind in {Kind.TIER, Kind.ESCALATED} else said


def _host(notice: Notice) -> str:
    said = both(_fit(notice.host_line))
    return f"主播 Host：{said}" if said and not notice.is_stale else ""


def _acknowledge(notice: Notice) -> str:
    link = notice.link
    if not link:
        return ""
    if notice.kind is Kind.PROPOSED:
        return f"批准 Decide：{link}"
    asks = notice.kind in {Kind.TIER, Kind.ESCALATED, Kind.UNACKNOWLEDGED} and notice.tier > Tier.NORMAL
    return f"认领 Acknowledge：{link}" if asks else ""


def _fit(words: Words) -> Words:
    return Words(clipped(words.zh, LINE_BYTES_MAX), clipped(words.en, ENGLISH_BYTES_MAX))


# What begins a mention on one of the platforms, and what a reader's eye takes for it.
_MENTIONS = str.maketrans({"<": "＜", ">": "＞", "@": "＠"})


def clipped(text: str, bytes_max: int) -> str:
    """One line of at most so many bytes in UTF-8, without what could call people or break the line."""
    plain = " ".join("".join(letter for letter in text if _is_visible(letter)).translate(_MENTIONS).split())
    if len(plain.encode()) <= bytes_max:
        return plain
    return plain.encode()[: bytes_max - len("…".encode())].decode(errors="ignore") + "…"


def _is_visible(letter: str) -> bool:
    """Neither a control character nor one that turns the reading around; half a character is none."""
    return letter.isspace() or unicodedata.category(letter) not in {"Cc", "Cf", "Cs"}
