"""Events in words: every kind has some, and what a person must see stands in them."""

import pytest

from gateway.cli import alert_words as words
from gateway.domain.alerts import Event, EventKind
from gateway.rpc.alert_rendering import fill_event
from gateway.v1 import alert_pb2
from tests.rpc.test_alert_rendering import BODIES, NOW

SAID = {
    EventKind.TIER_CHANGE: ["TREND → ‼ URGENT STALE", "21 can be sold", "12.5 orders/min", "1 min to a week or more"],
    EventKind.ACKNOWLEDGED: ["URGENT by li, transfer 200, there ", ": in a van", "ended risen"],
    EventKind.SILENCED: ["4: tea on dy in session 3 until ", "or until it is resolved, by li: known", "ended "],
    EventKind.ESCALATED: ["level 2: URGENT since ", "acknowledged by nobody"],
    EventKind.PROPOSED: ["5: move units 200 near → main mug · done by li: moved"],
    EventKind.STEP_DONE: ["URGENT step 2 by li: 补货"],
    EventKind.SESSION_OPENED: ["3: 晚八点 on dy, 1 SKUs"],
    EventKind.DRILL_INJECTED: ["surge SURGE: x 5"],
    EventKind.SUBSCRIBER_LAGGED: ["console CUT_OFF, 300 behind"],
    EventKind.COMPACTED: ["events up to 1,000 are no longer kept"],
    EventKind.INCOMING_ANNOUNCED: ["8: 200 units, there ", "by li (PO 7)", "arrived"],
    EventKind.POLICY_CHANGED: [
        "to last with 90 %",
        "THRESHOLD at 50 · URGENT at 5 · more in 10 min",
        "no way to get more",
    ],
    EventKind.LINE_TAKEN: ["chat (zh-CN): 还有23件"],
}


@pytest.mark.parametrize("kind", BODIES, ids=lambda kind: kind.name)
def test_every_event_is_told(kind: EventKind) -> None:
    """With who, what, how many and until when; a drill is marked, and so is what is silenced."""
    message = alert_pb2.AlertEvent()
    event = Event(revision=1, record_time=NOW, kind=kind, body=BODIES[kind], sku="tea", drill_id=6, silenced_by=(4,))
    fill_event(message, event)
    told = words.told(message)
    assert [part for part in SAID[kind] if part not in told] == [], told
    assert told.startswith("[drill 演练] ")
    assert told.endswith(" · silenced")
    assert words.kind_word(message) == kind.name.lower().replace("_", " ")


def test_what_has_no_body_says_nothing() -> None:
    """As a watchdog."""
    assert not words.told(alert_pb2.AlertEvent(kind=alert_pb2.ALERT_EVENT_KIND_WATCHDOG))


@pytest.mark.parametrize(
    ("seconds", "said"), [(40, "40 s"), (119, "2 min"), (7_000, "117 min"), (9_000, "2.5 h"), (259_200, "3.0 d")]
)
def test_spans(seconds: float, said: str) -> None:
    """In the unit people would take."""
    assert words.span(seconds) == said


@pytest.mark.parametrize(
    ("chance", "said"), [(0.0, "0 %"), (1e-9, "< 0.01 %"), (0.0125, "1.25 %"), (0.4, "40 %"), (1.0, "100 %")]
)
def test_chances(chance: float, said: str) -> None:
    """To three digits, and never as a power of ten."""
    assert words.percent(chance) == said


def test_a_tier_is_told_without_colour() -> None:
    """Each has a symbol and a word of its own."""
    tiers = [number for number in alert_pb2.Tier.values() if number]
    assert len({words.tier_mark(tier) for tier in tiers}) == len(tiers) == len(words.SYMBOLS) == len(words.STYLES)
    assert not words.tier_mark(alert_pb2.TIER_UNSPECIFIED)
