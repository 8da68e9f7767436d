"""What the system proposes to a person when a SKU will not last (R45). Pure.

    MOVE_UNITS        TREND and above   units lie free where the room is not served: as many as are missing
    RAISE_EXCLUSIVE   TREND and above   the room has units of its own, and others have more than they will sell
    LIST_SUBSTITUTE   THRESHOLD on      a substitute can be had, and the room does not sell it yet
    SLOW_PACE         THRESHOLD on      nothing else is possible

What is missing is what may well be asked for until the session ends, by the model (`demand.py`), less what there is.
In one episode each is open once, and what a person has declined, what could not be done, and a pace that is slow
already are not proposed again.
"""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

from msgspec import Struct

from gateway.domain.alerts import Proposal, ProposalKind, ProposalState
from gateway.domain.lines import plain
from gateway.domain.tiers import Tier

# Where no session says when it ends, so far ahead is looked.
HORIZON_MINUTES = 60.0
# Others keep at least this part of what they have.
OTHERS_SHARE = 0.5
OPEN_FOR = timedelta(minutes=30)


class Alternative(Struct, frozen=True):
    """A substitute that is not in the room, and units of it that are available."""

    sku: str
    title: str
    units: int


class Need(Struct, frozen=True):
    """A SKU that may not last. `units`: what the room has of it; `rate` in orders per minute, `minutes` to the end,
    until which so many units of `demand` may well be asked for.

    `elsewhere`: free units by location that does not serve the room. `own` with `others_units`: the room has units of
    its own, and what others may sell beside.
    """

    sku: str
    title: str
    tier: Tier
    units: int
    rate: float
    minutes: float
    demand: int
    session_id: int = 0
    to_location: str = ""
    elsewhere: Mapping[str, int] = {}
    own: bool = False
    others_units: int = 0
    alternatives: tuple[Alternative, ...] = ()

    @property
    def missing(self) -> int:
        """Units of these that are not there."""
        return max(0, self.demand - self.units)


def propose(
    need: Need, barred: Collection[ProposalKind], pending: Collection[ProposalKind], now: datetime
) -> list[Proposal]:
    """What to propose now, best first; of the `barred` kinds none, of which the `pending` are still to be decided."""
    if need.tier < Tier.TREND:
        return []
    possible = [found for found in (_move(need, now), _raise(need, now), _substitute(need, now)) if found is not None]
    wanted = [one for one in possible if one.kind not in barred]
    is_last = need.missing and not wanted and not pending and ProposalKind.SLOW_PACE not in barred
    if is_last and need.session_id and Tier.THRESHOLD <= need.tier < Tier.SOLD_OUT:
        wanted.append(_slow(need, now))
    return wanted


def bars(kind: ProposalKind, state: ProposalState) -> bool:
    """True if a proposal in this state keeps another of its kind from being made in the same episode."""
    if state in {ProposalState.LAPSED, ProposalState.DONE}:
        return state is ProposalState.DONE and kind is ProposalKind.SLOW_PACE
    return True


def is_over(proposal: Proposal, *, is_warned: bool, is_on: bool, now: datetime) -> bool:
    """True if nobody needs to decide any more: NORMAL again, the session closed, or too old."""
    return not is_warned or not is_on or now - proposal.propose_time >= OPEN_FOR


def gives_up(proposal: Proposal, *, is_on: bool, now: datetime) -> bool:
    """True if what was approved and could not be done yet makes no sense any more."""
    since = proposal.decide_time or proposal.propose_time
    return not is_on or now - since >= OPEN_FOR


def _move(need: Need, now: datetime) -> Proposal | None:
    if not need.to_location or not need.missing or not any(need.elsewhere.values()):
        return None
    source = max(sorted(need.elsewhere), key=lambda at: need.elsewhere[at])
    there = need.elsewhere[source]
    quantity = min(need.missing, there)
    return _proposal(
        need,
        now,
        ProposalKind.MOVE_UNITS,
        f"{_zh(need)}；{source}有{there}件空闲，可调{quantity}件到{need.to_location}",
        f"{_en(need)}; {there} are free at {source}: move {quantity} to {need.to_location}",
        quantity=quantity,
        from_location=source,
        to_location=need.to_location,
    )


def _raise(need: Need, now: datetime) -> Proposal | None:
    spare = int(need.others_units * (1 - OTHERS_SHARE))
    if not need.own or not need.missing or not spare:
        return None
    quantity = min(need.missing, spare)
    return _proposal(
        need,
        now,
        ProposalKind.RAISE_EXCLUSIVE,
        f"{_zh(need)}；其他渠道还有{need.others_units}件，可多留{quantity}件给本场",
        f"{_en(need)}; other channels have {need.others_units}: give the session {quantity} more",
        quantity=quantity,
    )


def _substitute(need: Need, now: datetime) -> Proposal | None:
    best = next((one for one in need.alternatives if one.units > 0), None)
    if not need.session_id or need.tier < Tier.THRESHOLD or best is None:
        return None
    name = plain(best.title) or best.sku
    return _proposal(
        need,
        now,
        ProposalKind.LIST_SUBSTITUTE,
        f"{_zh(need)}；替代款{name}有{best.units}件，建议上架",
        f"{_en(need)}; the substitute {name} has {best.units}: list it",
        substitute=best.sku,
    )


def _slow(need: Need, now: datetime) -> Proposal:
    return _proposal(
        need,
        now,
        ProposalKind.SLOW_PACE,
        f"{_zh(need)}；没有可调的货，建议放慢节奏",
        f"{_en(need)}; nothing can be moved: slow down",
    )


def _proposal(need: Need, now: datetime, kind: ProposalKind, zh: str, en: str, **content: object) -> Proposal:
    return Proposal(
        kind,
        ProposalState.OPEN,
        need.sku,
        now,
        session_id=need.session_id,
        reason=zh,
        reason_en=en,
        **content,  # type: ignore[arg-type]  # quantity, locations, substitute: as each kind has them
    )


def _zh(need: Need) -> str:
    return (
        f"{plain(need.title) or need.sku}还有{need.units}件，每分钟约{need.rate:.1f}单，"
        f"{need.minutes:.0f}分钟内可能要{need.demand}件"
    )


def _en(need: Need) -> str:
    return (
        f"{plain(need.title) or need.sku}: {need.units} left at {need.rate:.1f} orders a minute, "
        f"up to {need.demand} may be asked for within {need.minutes:.0f} minutes"
    )
