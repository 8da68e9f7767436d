"""Groups: how commands are cut into groups must not show."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import cycle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import commands as c
from gateway.domain.errors import AtomicGroupFailed, GatewayError, InsufficientStock, RequestIdReused
from gateway.domain.groups import Outcome, Span, needs, short_skus
from gateway.domain.stock import SkuRule
from tests.domain.audit import audit
from tests.domain.histories import LOCATIONS, SHRINKING_TIMEOUT, SKUS, START, Moment, bounded, histories
from tests.domain.saved import SavedLedger

pytestmark = pytest.mark.timeout(SHRINKING_TIMEOUT)

Part = list[c.AnyCommand]


@bounded(max_examples=250)
@given(histories(moments_max=8, parts_max=6), st.lists(st.booleans(), min_size=1, max_size=12))
def test_the_grouping_does_not_show(history: list[Moment], cuts: list[bool]) -> None:
    """The same history, cut into groups anyhow, has the same outcomes and the same end as one by one; R18 holds."""
    singly, grouped = ledger(), ledger()
    told = [told_of(outcome) for now, group in groups(history, [True]) for outcome in apply(singly, now, group)]
    told_grouped = [told_of(outcome) for now, group in groups(history, cuts) for outcome in apply(grouped, now, group)]
    assert told_grouped == told
    assert grouped == singly
    audit(grouped.levels, grouped.reservations, grouped.journal, grouped.counters.revision)


@bounded(max_examples=100)
@given(histories(moments_max=8, parts_max=4))
def test_a_batch_sent_again_is_one_effect(history: list[Moment]) -> None:
    """R10: what was sent twice, in one group or later, has the effects of once, and what was answered is answered again."""
    once, twice = ledger(), ledger()
    for now, group in groups(history, [False]):
        for part in group:
            answers = apply(once, now, [part])
            if not any(isinstance(outcome, GatewayError) for outcome in answers):
                both = apply(twice, now, [part, [command for command in part if command.request_id]])
                answers += [answer for answer, command in zip(answers, part, strict=True) if command.request_id]
                assert both == answers
    assert twice == once


def ledger() -> SavedLedger:
    return SavedLedger(LOCATIONS, {sku: SkuRule() for sku in SKUS})


def groups(history: list[Moment], cuts: Sequence[bool]) -> Iterator[tuple[datetime, list[Part]]]:
    """What comes at one time, cut after each part or not as `cuts` say, round and round."""
    now, cut = START, cycle(cuts)
    for elapsed, parts in history:
        now += elapsed
        group: list[Part] = []
        for part in parts:
            group.append(part)
            if next(cut):
                yield now, group
                group = []
        yield now, group


def apply(saved: SavedLedger, now: datetime, group: list[Part]) -> list[Outcome]:
    """Apply these parts as one group; a part of several commands is an atomic span."""
    commands: list[c.AnyCommand] = []
    spans: list[Span] = []
    for part in group:
        if len(part) > 1:
            spans.append((len(commands), len(commands) + len(part)))
        commands += part
    return saved.apply(now, commands, spans)


def told_of(outcome: Outcome) -> object:
    """All that a caller is told, as a value: errors compare by what they say."""
    if isinstance(outcome, GatewayError):
        return type(outcome), outcome.message, outcome.field, outcome.facts
    return outcome
