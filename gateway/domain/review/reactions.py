"""How early each warning came, how soon people reacted, and what a late reaction cost.

A warning is a rise of a SKU's tier to THRESHOLD or higher. It is needless if no stock-out follows within three of the
SKU's lead times, or by the session's end, and no units came that could have averted it: the rule by which policies are
compared too (`replays.py`); of a session that is still on, one that may yet prove right is not.

A reaction to it is the first of: somebody acknowledges it; units come; a proposal is carried out; a step of its runbook
is done; a line is taken. It counts until the tier rises again. What a late one cost is what was lost between the end of
the warning's patience (`attention.py: PATIENCE`) and the reaction. Where two warnings waited for the same units, the
first one bears them, so that costs add up to no more than was lost.
"""

from collections.abc import Iterable, Iterator, Sequence

from gateway.domain.alerts import Acknowledgement, Event, EventKind, Proposal, StepDone, TakenLine, TierTold
from gateway.domain.attention import PATIENCE
from gateway.domain.review.record import SessionRecord
from gateway.domain.review.stories import StockOut, Story
from gateway.domain.review.values import ReviewWarning
from gateway.domain.tiers import Tier

NEEDLESS_LEAD_TIMES = 3.0

# From the time of warning on, until it was over or the session was.
Span = tuple[float, float]
# When, what it was in Chinese and in English.
Act = tuple[float, str, str]


def event_seconds(record: SessionRecord, event: Event) -> float:
    """When what an event tells of was so, in the model's seconds."""
    return record.seconds(event.observe_time or event.record_time)


def tier_changes(record: SessionRecord, story: Story) -> list[tuple[float, Event, TierTold]]:
    """The SKU's changes of tier in the session, in order: of its own units where it has some."""
    is_own = story.record.circumstances.exclusive_units is not None
    key = (story.record.sku, record.session.session_id if is_own else 0)
    return [
        (event_seconds(record, event), event, event.body)
        for event in record.events
        if isinstance(event.body, TierTold) and (event.sku, event.session_id) == key
    ]


def warned_spans(record: SessionRecord, story: Story) -> list[Span]:
    """From when to when the SKU stood at THRESHOLD or higher."""
    spans: list[Span] = []
    since: float | None = None
    for time, _, told in tier_changes(record, story):
        if told.after >= Tier.THRESHOLD and since is None:
            since = time
        elif told.after < Tier.THRESHOLD and since is not None:
            spans.append((since, time))
            since = None
    return spans if since is None else [*spans, (since, record.end)]


def is_needless(record: SessionRecord, story: Story, time: float) -> bool:
    """True if a warning at that time was of nothing."""
    latest = time + NEEDLESS_LEAD_TIMES * story.lead_seconds
    if latest > record.end and not record.is_over:
        return False
    if any(out.end > time and out.begin <= latest for out in story.ran_out):
        return False
    return not any(moment.came > 0 and time < moment.time <= latest for moment in story.moments)


def warnings_of(record: SessionRecord, story: Story) -> list[ReviewWarning]:
    """The SKU's warnings, oldest first."""
    rises = [(time, event, told) for time, event, told in tier_changes(record, story) if _is_warning(told)]
    acts = sorted(_acts(record, story))
    acknowledged = list(_acknowledgements(record, story))
    found, borne = [], record.begin
    for place, (time, event, told) in enumerate(rises):
        until = rises[place + 1][0] if place + 1 < len(rises) else record.end
        ack = next(((at, who) for at, who in acknowledged if time <= at <= until), None)
        act = next((one for one in acts if time < one[0] <= until), None)
        reacted = min((one[0] for one in (ack, act) if one is not None), default=record.end)
        patience = time + PATIENCE[told.after].total_seconds() * record.tempo.speed
        cost = sum(out.lost_between(max(patience, borne), reacted) for out in story.ran_out)
        borne = max(borne, reacted)
        before = _before(story.ran_out, time, _over(record, story, time))
        found.append(
            ReviewWarning(
                sku=story.record.sku,
                tier=told.after,
                revision=event.revision,
                time=record.time(time),
                before_stock_out=None if before is None else record.span(before),
                lead_times=before / story.lead_seconds if before is not None and story.lead_seconds > 0 else None,
                needless=is_needless(record, story, time),
                acknowledge_after=record.span(ack[0] - time) if ack else None,
                acknowledged_by=ack[1] if ack else "",
                act_after=record.span(act[0] - time) if act else None,
                act=act[1] if act else "",
                act_en=act[2] if act else "",
                late_cost_units=cost,
            )
        )
    return found


def _is_warning(told: TierTold) -> bool:
    return told.after > told.before and told.after >= Tier.THRESHOLD


def _before(outs: Sequence[StockOut], time: float, over: float) -> float | None:
    """How long before the stock-out that it was of; 0 if there was nothing any more; None if it was over before one."""
    return next((max(0.0, out.begin - time) for out in outs if out.end > time and out.begin <= over), None)


def _over(record: SessionRecord, story: Story, time: float) -> float:
    """When a warning of that time was taken back; the session's end if it was not."""
    return next((end for begin, end in warned_spans(record, story) if begin <= time < end), record.end)


def _acknowledgements(record: SessionRecord, story: Story) -> Iterator[tuple[float, str]]:
    for event in _about(record, story):
        if event.kind is EventKind.ACKNOWLEDGED and isinstance(event.body, Acknowledgement):
            yield record.seconds(event.body.time), event.body.actor


def _acts(record: SessionRecord, story: Story) -> Iterator[Act]:
    for moment in story.moments:
        if moment.came > 0:
            yield moment.time, f"到货 {moment.came} 件", f"{moment.came} units came"
    for event in _about(record, story):
        time = record.seconds(event.record_time)
        match event.body:
            case Proposal() if event.kind is EventKind.PROPOSAL_CARRIED_OUT:
                yield time, "执行了提案", "a proposal was carried out"
            case StepDone():
                yield time, f"完成步骤：{event.body.text}", f"step done: {event.body.text}"
            case TakenLine():
                yield time, "采用了话术", "a line was taken"
            case _:
                pass


def _about(record: SessionRecord, story: Story) -> Iterable[Event]:
    return (event for event in record.events if event.sku == story.record.sku)
