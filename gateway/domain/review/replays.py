"""What other ways of warning would have done with the session's own sales (R47).

Each policy of `baselines.py` is shown what came to pass: every order, and what was available. It answers whether that
is too little. Our own rules are played through the engine's fold, as they are set now. What is compared, of each:

    warnings   how often it began to say so while there was still something to sell
    needless   by the rule of `reactions.py`, the same for all
    caught     stock-outs before which it said so, and went on saying so
    before     minutes from then to the stock-out, the median

Nobody can say what people would have done on another warning: sales are taken as they were.
"""

from collections.abc import Callable, Sequence
from statistics import median

from msgspec import Struct

from gateway.domain.baselines import History, RateTimesLead, ReorderPoint, Session, StaticLine, Watcher
from gateway.domain.review.reactions import Span, is_needless, warned_spans
from gateway.domain.review.record import SessionRecord
from gateway.domain.review.stories import Moment, Story
from gateway.domain.review.values import ReviewPolicy
from gateway.domain.tiers import Tier
from gateway.domain.vigil import begin_watch, looked, moved

# A policy looks at a SKU so often at most, and this often in a session however little happens: a session of 300 SKUs
# is to be replayed within a second or two.
LOOKS_MAX = 1_000
TICKS_MIN, TICKS_MAX, TICKS_OF_ALL = 15, 60, 6_000
UNITS_LINE = 50

SpansOf = Callable[[SessionRecord, Story], list[Span]]


class Contender(Struct, frozen=True):
    """A way of warning, and when it would have warned of a SKU."""

    name: str
    title: str
    title_en: str
    spans: SpansOf
    needs_history: bool = False


class _Tally(Struct):
    warnings: int = 0
    needless: int = 0
    caught: int = 0
    stock_outs: int = 0
    before: list[float] = []


def compared(record: SessionRecord, stories: Sequence[Story]) -> tuple[ReviewPolicy, ...]:
    """As it was, then what others would have done; what needs history is left out where there is none."""
    has_history = any(story.record.circumstances.is_known for story in stories)
    fit = (one for one in _CONTENDERS if has_history or not one.needs_history)
    return tuple(_judged(record, stories, contender) for contender in fit)


def _judged(record: SessionRecord, stories: Sequence[Story], contender: Contender) -> ReviewPolicy:
    tally = _Tally()
    for story in stories:
        spans = contender.spans(record, story)
        _count(tally, record, story, spans)
    before = record.span(median(tally.before)).total_seconds() / 60 if tally.before else None
    return ReviewPolicy(
        contender.name,
        contender.title,
        contender.title_en,
        tally.warnings,
        tally.needless,
        tally.caught,
        tally.stock_outs,
        before,
    )


def _count(tally: _Tally, record: SessionRecord, story: Story, spans: Sequence[Span]) -> None:
    outs = story.ran_out
    early = [span for span in spans if not any(out.begin <= span[0] < out.end for out in outs)]
    tally.warnings += len(early)
    tally.needless += sum(is_needless(record, story, begin) for begin, _ in early)
    tally.stock_outs += len(outs)
    for out in outs:
        holding = [begin for begin, end in early if begin < out.begin <= end]
        if holding:
            tally.caught += 1
            tally.before.append(out.begin - holding[0])


# ---- playing


def _watched_by(watcher: Callable[[Session], Watcher]) -> SpansOf:
    def spans(record: SessionRecord, story: Story) -> list[Span]:
        circumstances = story.record.circumstances
        history = History(circumstances.curve, circumstances.prior, 0.0)
        seen = watcher(Session(history, record.begin, story.lead_seconds, story.begin_available))
        found = _Spans(record.end)
        for moment, is_look in _looks(record, story):
            for quantity in moment.orders:
                seen.sees(moment.time, max(1, quantity))
            if is_look:
                found.say(moment.time, seen.is_short(moment.time, moment.available))
        return found.whole()

    return spans


def _tiers(record: SessionRecord, story: Story) -> list[Span]:
    """Our own: THRESHOLD or higher, played through the engine's fold."""
    circumstances = story.record.circumstances
    watched = begin_watch(story.record.balances, circumstances, record.begin)
    found, movements = _Spans(record.end), iter(story.movements)
    coming = next(movements, None)
    for moment, is_look in _looks(record, story):
        while coming is not None and coming.time <= moment.time:
            watched = moved(watched, coming, circumstances)
            coming = next(movements, None)
        if is_look:
            watched, _ = looked(watched, moment.time, circumstances)
            found.say(moment.time, watched.standing.tier >= Tier.THRESHOLD)
    return found.whole()


def _looks(record: SessionRecord, story: Story) -> list[tuple[Moment, bool]]:
    """All moments and ticks between them, in order, and whether they are looked at: not more than so many."""
    count = max(TICKS_MIN, min(TICKS_MAX, TICKS_OF_ALL // max(1, len(record.skus))))
    ticks = [record.begin + (record.end - record.begin) * place / count for place in range(1, count)]
    least = (record.end - record.begin) / LOOKS_MAX if len(story.moments) > LOOKS_MAX else 0.0
    found: list[tuple[Moment, bool]] = []
    available, last, place = story.begin_available, record.begin - least, 0
    for moment in story.moments:
        while place < len(ticks) and ticks[place] < moment.time:
            found.append((Moment(ticks[place], (), 0, available), True))
            last, place = ticks[place], place + 1
        turns = (moment.available == 0) != (available == 0) or moment.came > 0
        is_look = turns or moment.time - last >= least
        available, last = moment.available, moment.time if is_look else last
        found.append((moment, is_look))
    return [*found, *((Moment(tick, (), 0, available), True) for tick in ticks[place:])]


class _Spans:
    def __init__(self, end: float) -> None:
        self._end = end
        self._since: float | None = None
        self._found: list[Span] = []

    def say(self, time: float, is_short: bool) -> None:
        if is_short and self._since is None:
            self._since = time
        elif not is_short and self._since is not None:
            self._found.append((self._since, time))
            self._since = None

    def whole(self) -> list[Span]:
        return self._found if self._since is None else [*self._found, (self._since, self._end)]


def _line_of_units(session: Session) -> Watcher:
    return StaticLine(session, UNITS_LINE / max(1, session.units))


_CONTENDERS = (
    Contender("as_it_was", "当时的预警", "As it was", warned_spans),
    Contender("tiers", "现行预警规则重跑", "Our rules, as set now", _tiers),
    Contender("line_50", "固定线 50 件", "Fixed line, 50 units", _watched_by(_line_of_units)),
    Contender(
        "line_10_percent", "剩 10% 报警", "10 % of the first stock", _watched_by(lambda begun: StaticLine(begun, 0.1))
    ),
    Contender(
        "line_20_percent", "剩 20% 报警", "20 % of the first stock", _watched_by(lambda begun: StaticLine(begun, 0.2))
    ),
    Contender(
        "rate_times_lead", "五分钟销速乘补货时间", "Rate of five minutes x lead time", _watched_by(RateTimesLead)
    ),
    Contender(
        "rate_doubled",
        "两倍销速乘补货时间",
        "Twice that rate x lead time",
        _watched_by(lambda begun: RateTimesLead(begun, 2.0)),
    ),
    Contender("reorder_point", "教科书订货点", "Textbook reorder point", _watched_by(ReorderPoint), needs_history=True),
)
