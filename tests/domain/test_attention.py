"""What people do about warnings: its tables row by row; any history is in `test_attention_histories.py`."""

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from gateway.domain.alerts import (
    AckAction,
    Acknowledgement,
    AlertPolicy,
    Silence,
    SilenceMatcher,
)
from gateway.domain.attention import (
    BUILT_IN_RUNBOOKS,
    ENDS,
    LADDER,
    PATIENCE,
    ack_end,
    escalation_due,
    filled,
    matches,
    require_first,
    require_open,
    rungs_told,
    silence_end,
    silenced_by,
)
from gateway.domain.demand import FALSE_RAISE_SECONDS
from gateway.domain.errors import AlreadyAcknowledged, EpisodeOver, TierChanged
from gateway.domain.tiers import SERVICE_LEVEL, Standing, Tier

START = datetime(2026, 11, 11, 20, 0, tzinfo=UTC)
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
WARNED = (Tier.TREND, Tier.THRESHOLD, Tier.URGENT, Tier.SOLD_OUT)
SKU, CHANNELS, SESSIONS = "tea", ("dy", "ks"), (3, 4)
QUIET = Silence(SilenceMatcher(), START, START + HOUR, "li", "rehearsing", 7, max_tier=Tier.THRESHOLD)


def ack(tier: Tier, time: datetime = START, actor: str = "li") -> Acknowledgement:
    """An acknowledgement of a tier."""
    return Acknowledgement(tier, actor, time, AckAction.WATCH)


def standing(tier: Tier, episode: int = 1, peak: Tier | None = None) -> Standing:
    """A key in a tier."""
    return Standing(tier, episode=episode, peak=peak or tier)


# ---- acknowledgements


@pytest.mark.parametrize("acknowledged", WARNED)
@pytest.mark.parametrize("tier", Tier)
@pytest.mark.parametrize("is_same_episode", [True, False])
@pytest.mark.parametrize("minutes", [0, 4.999, 5, 19.999, 20, 59.999, 60, 600])
def test_the_table_of_ends(acknowledged: Tier, tier: Tier, *, is_same_episode: bool, minutes: float) -> None:
    """CLOSED by the episode, RISEN by the tier, TIMED_OUT by the clock if it is no better; else it holds."""
    patience = {Tier.TREND: 60, Tier.THRESHOLD: 20, Tier.URGENT: 5, Tier.SOLD_OUT: 5}[acknowledged]
    if not is_same_episode or tier is Tier.NORMAL:
        expected = "CLOSED"
    elif tier > acknowledged:
        expected = "RISEN"
    elif tier == acknowledged and minutes >= patience:
        expected = "TIMED_OUT"
    else:
        expected = ""
    now = START + minutes * MINUTE
    assert ack_end(ack(acknowledged), is_same_episode=is_same_episode, tier=tier, now=now) == expected


def test_the_tables_are_whole() -> None:
    """Each end has its row, each tier that warns its patience and its runbook, and the ladder only climbs."""
    assert [reason for reason, _ in ENDS] == ["CLOSED", "RISEN", "TIMED_OUT"]
    assert set(PATIENCE) == set(BUILT_IN_RUNBOOKS) == set(WARNED)
    assert list(LADDER) == sorted(LADDER)


@pytest.mark.parametrize(
    "found",
    [None, standing(Tier.NORMAL), standing(Tier.URGENT, episode=2), standing(Tier.URGENT, episode=0)],
)
def test_what_is_over_cannot_be_acknowledged(found: Standing | None) -> None:
    """No warning, a lull, another episode: refused, and told which episode it is in now."""
    with pytest.raises(EpisodeOver) as refused:
        require_open(found, episode=1, tier=Tier.SOLD_OUT)
    assert refused.value.facts["episode"] == (found.episode if found else 0)


@pytest.mark.parametrize("meant", WARNED)
@pytest.mark.parametrize("now", WARNED)
@pytest.mark.parametrize("peak", WARNED)
def test_a_tier_that_has_risen_cannot_be_acknowledged_as_it_was(meant: Tier, now: Tier, peak: Tier) -> None:
    """One that has fallen since can; one that the episode never reached cannot."""
    found = standing(now, peak=max(peak, now))
    if now <= meant <= found.peak:
        assert require_open(found, episode=1, tier=meant) is found
        return
    with pytest.raises(TierChanged) as refused:
        require_open(found, episode=1, tier=meant)
    assert refused.value.facts["tier"] == now.name


def test_the_second_hears_of_the_first() -> None:
    """By whom, and when."""
    require_first(None)
    with pytest.raises(AlreadyAcknowledged) as refused:
        require_first(ack(Tier.URGENT, actor="王"))
    assert refused.value.facts == {"by": "王", "at": START.isoformat()}


# ---- escalation


def climbed(until: timedelta, every: timedelta, told: int = 0) -> list[tuple[float, int, int]]:
    """Seconds, level and repeats of all that is told of an URGENT that nobody acknowledges, looked at so often."""
    climbs, elapsed = [], timedelta()
    while elapsed <= until:
        due = escalation_due(tier=Tier.URGENT, since=START, told=told, is_acknowledged=False, now=START + elapsed)
        if due is not None:
            told = rungs_told(due)
            climbs.append((elapsed.total_seconds(), due.level, due.repeats))
        elapsed += every
    return climbs


def test_the_ladder() -> None:
    """The shift lead after a minute, everybody after three, then everybody every five minutes."""
    assert climbed(20 * MINUTE, SECOND) == [(60, 2, 0), (180, 3, 0), (480, 3, 1), (780, 3, 2), (1080, 3, 3)]


def test_after_a_pause_one_call_is_enough() -> None:
    """Of the rungs that nobody told while the engine was away only the highest is told, then it goes on as ever."""
    assert climbed(timedelta(hours=2), HOUR) == [(3600, 3, 11), (7200, 3, 23)]


@pytest.mark.parametrize("tier", [tier for tier in Tier if tier is not Tier.URGENT])
def test_only_urgent_climbs(tier: Tier) -> None:
    """Nothing below is worth a call at night, and of what is sold out there is nothing left to hurry for."""
    assert escalation_due(tier=tier, since=START, told=0, is_acknowledged=False, now=START + HOUR) is None


def test_what_is_acknowledged_does_not_climb() -> None:
    """Somebody is at it."""
    assert escalation_due(tier=Tier.URGENT, since=START, told=0, is_acknowledged=True, now=START + HOUR) is None


# ---- silences


@pytest.mark.parametrize(
    ("matcher", "is_about"),
    [
        (SilenceMatcher(), True),
        (SilenceMatcher(("tea",)), True),
        (SilenceMatcher(("mug", "tea")), True),
        (SilenceMatcher(("mug",)), False),
        (SilenceMatcher(channels=("ks",)), True),
        (SilenceMatcher(channels=("tb",)), False),
        (SilenceMatcher(session_ids=(4, 5)), True),
        (SilenceMatcher(session_ids=(5,)), False),
        (SilenceMatcher(("tea",), ("dy",), (3,)), True),
        (SilenceMatcher(("tea",), ("dy",), (5,)), False),
        (SilenceMatcher(("tea",), ("tb",), (3,)), False),
        (SilenceMatcher(("mug",), ("dy",), (3,)), False),
    ],
)
def test_all_that_a_matcher_says_must_hold(matcher: SilenceMatcher, *, is_about: bool) -> None:
    """One of the SKUs, one of the channels, one of the sessions; what is not said holds."""
    assert matches(matcher, sku=SKU, channels=CHANNELS, session_ids=SESSIONS) is is_about


def test_what_is_sold_nowhere_is_not_about_a_channel() -> None:
    """A SKU without listings is silenced by its code only."""
    assert not matches(SilenceMatcher(channels=("dy",)), sku=SKU, channels=(), session_ids=())
    assert matches(SilenceMatcher((SKU,)), sku=SKU, channels=(), session_ids=())


@pytest.mark.parametrize(
    ("silence", "tier", "now", "is_silenced"),
    [
        (QUIET, Tier.TREND, START, True),
        (QUIET, Tier.THRESHOLD, START + HOUR - SECOND, True),
        (QUIET, Tier.THRESHOLD, START + HOUR, False),
        (QUIET, Tier.THRESHOLD, START - SECOND, False),
        (QUIET, Tier.URGENT, START, False),
        (replace(QUIET, max_tier=Tier.URGENT), Tier.URGENT, START, True),
        (replace(QUIET, max_tier=Tier.URGENT), Tier.SOLD_OUT, START, False),
        (replace(QUIET, ended_time=START), Tier.TREND, START + SECOND, False),
    ],
)
def test_a_silence_counts_within_its_time_and_below_its_tier(
    silence: Silence, tier: Tier, now: datetime, *, is_silenced: bool
) -> None:
    """From its start until before its end, unless it was ended; URGENT pierces it if nobody has said otherwise."""
    found = silenced_by([silence], sku=SKU, channels=CHANNELS, session_ids=SESSIONS, tier=tier, now=now)
    assert found == ((7,) if is_silenced else ())


@pytest.mark.parametrize(
    ("silence", "matches_any_warning", "after", "is_over"),
    [
        (QUIET, True, HOUR - SECOND, False),
        (QUIET, True, HOUR, True),
        (QUIET, False, MINUTE, False),
        (replace(QUIET, until_resolved=True), True, MINUTE, False),
        (replace(QUIET, until_resolved=True), False, MINUTE, True),
        (replace(QUIET, until_resolved=True), False, -MINUTE, False),
        (replace(QUIET, until_resolved=True), True, HOUR, True),
        (replace(QUIET, ended_time=START), True, HOUR, False),
    ],
)
def test_a_silence_is_over_by_the_clock_or_by_resolution(
    silence: Silence, after: timedelta, *, matches_any_warning: bool, is_over: bool
) -> None:
    """By the clock always; by resolution only if asked, and not before it has begun; once only."""
    assert silence_end(silence, matches_any_warning=matches_any_warning, now=START + after) is is_over


# ---- what a person has said


def test_a_policy_is_filled_from_its_own_word_down() -> None:
    """The SKU's, that for all, the first; a fastest way that nobody has named is the lead time, whichever that is."""
    first = filled(None, None)
    assert first == AlertPolicy("", SERVICE_LEVEL, 0, 0, 1_800.0, None, FALSE_RAISE_SECONDS, no_supply=False)
    for_all = AlertPolicy("", service_level=0.9, fixed_line=50, fastest_lead_seconds=60.0, no_supply=True)
    own = AlertPolicy("tea", fixed_line=0, lead_seconds=600.0, no_supply=False)
    assert filled(own, for_all) == AlertPolicy("tea", 0.9, 0, 0, 600.0, 60.0, FALSE_RAISE_SECONDS, no_supply=False)
    assert filled(None, for_all).no_supply is True


@pytest.mark.parametrize("tier", WARNED)
def test_a_built_in_runbook_can_be_followed(tier: Tier) -> None:
    """Who does what within how long, in both languages, no longer than the contract allows; the host's line is without
    numbers.
    """
    runbook = BUILT_IN_RUNBOOKS[tier]
    assert runbook.tier is tier
    assert 3 <= len(runbook.steps) <= 20
    for step in runbook.steps:
        assert 0 < len(step.text) <= 200
        assert 0 < len(step.text_en) <= 200
        assert step.owner
        assert step.minutes_max > 0
    for line in (runbook.host_line, runbook.host_line_en):
        assert 0 < len(line) <= 200
        assert not any(letter.isdigit() for letter in line)
    assert runbook.host_line != runbook.host_line_en
