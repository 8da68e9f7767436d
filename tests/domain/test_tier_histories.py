"""The tier machine under any history: what it promises whatever comes, and that replay gives the same."""

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec.structs import replace

from gateway.domain.chances import LeadTime
from gateway.domain.curves import HOURS, hour_curve
from gateway.domain.demand import Pace, Prior, begin, observed
from gateway.domain.tiers import (
    BARS,
    FLAPPING_CHANGES,
    FLAPPING_HOLD_FACTOR,
    FLAPPING_SECONDS,
    HOLD_SECONDS,
    REOPEN_SECONDS,
    Evidence,
    Shelf,
    Standing,
    Supply,
    Tier,
    TierRule,
    decide,
    judge,
)

CALM = Evidence(
    available=500,
    sellable=500,
    is_accelerating=False,
    chance=0.0,
    clear_chance=0.0,
    urgent_chance=0.0,
    lead_seconds=600.0,
    fast_rate=1.0,
    slow_rate=1.0,
    score=0.0,
    score_bar=4.0,
    onset_time=0.0,
    evidence_orders=100,
    has_options=True,
    is_booked=False,
)
BUSY_NOON = hour_curve([3.0 if hour == 12 else 0.9 for hour in range(HOURS)], offset_seconds=0.0)


class Histories(RuleBasedStateMachine):
    """Any evidence at any time: what the machine promises whatever happens."""

    def __init__(self) -> None:
        super().__init__()
        self.time = 0.0
        self.standing = Standing()
        self.evidence = CALM
        self.moves: list[tuple[float, Tier, Tier]] = []
        self.log: list[tuple[Evidence, float, bool]] = []
        self.is_stale = False
        # When the episode left which tier.
        self.stood: list[tuple[float, Tier]] = []

    @rule(seconds=st.one_of(st.floats(0.0, 5.0), st.floats(0.0, 900.0)))
    def wait(self, seconds: float) -> None:
        """Time passes, and somebody looks."""
        self.time += seconds
        self.look()

    @rule(
        units=st.integers(0, 60),
        chance=st.floats(0.0, 1.0),
        share=st.floats(0.0, 1.0),
        rising=st.booleans(),
        options=st.booleans(),
    )
    def change(self, units: int, chance: float, share: float, rising: bool, options: bool) -> None:
        """The world is another one."""
        self.evidence = replace(
            CALM,
            available=units,
            sellable=units,
            chance=chance,
            clear_chance=chance + (1 - chance) * share,
            urgent_chance=chance * share,
            is_accelerating=rising,
            has_options=options,
            is_booked=self.evidence.is_booked,
        )
        self.look()

    @rule()
    def blink(self) -> None:
        """A unit goes, and comes back."""
        for units in (0, 1, 0, 1):
            self.evidence = replace(self.evidence, sellable=units)
            self.look()

    @rule()
    def book(self) -> None:
        """Supply is on its way, or no longer."""
        self.evidence = replace(self.evidence, is_booked=not self.evidence.is_booked)
        self.look()

    @rule()
    def lose_sight(self) -> None:
        """The channel goes silent, or is back."""
        self.is_stale = not self.is_stale
        self.look()

    def look(self) -> None:
        """Judges, and keeps what is checked below."""
        before = self.standing
        self.log.append((self.evidence, self.time, self.is_stale))
        self.standing, pages = judge(before, self.evidence, TierRule(), self.time, is_stale=self.is_stale)
        if self.standing.tier == before.tier:
            assert not pages
            return
        self.moves.append((self.time, before.tier, self.standing.tier))
        assert self.standing.since == self.time
        if self.standing.tier < before.tier:
            assert not pages
            self.check_the_way_down(before)
        else:
            self.check_the_way_up(before, pages=pages)
        self.stood.append((self.time, before.tier))

    def check_the_way_down(self, before: Standing) -> None:
        """Only with fresh knowledge, after the hold, and past the bar of each tier that is left."""
        assert not self.is_stale
        if not (before.tier is Tier.URGENT and self.evidence.is_booked):
            assert self.time - before.since >= HOLD_SECONDS[before.tier]
            changes = before.changes[-FLAPPING_CHANGES:]
            if len(changes) == FLAPPING_CHANGES and self.time - changes[0] <= FLAPPING_SECONDS:
                assert self.time - before.since >= FLAPPING_HOLD_FACTOR * HOLD_SECONDS[before.tier]
        for bar in BARS:
            if self.standing.tier < bar.tier <= before.tier:
                assert bar.cleared(self.evidence, TierRule())

    def check_the_way_up(self, before: Standing, *, pages: bool) -> None:
        """Out of NORMAL an episode goes on or begins; a person is called if it has not stood so high of late."""
        if before.tier is Tier.NORMAL:
            if before.ended is not None and self.time - before.ended <= REOPEN_SECONDS:
                assert (self.standing.episode, self.standing.reopened) == (before.episode, before.reopened + 1)
            else:
                assert (self.standing.episode, self.standing.reopened) == (before.episode + 1, 0)
                self.stood = []
        else:
            assert (self.standing.episode, self.standing.reopened) == (before.episode, before.reopened)
        if pages:
            recent = [tier for left, tier in self.stood if self.time - left <= REOPEN_SECONDS]
            assert self.standing.tier > max([before.tier, *recent])
        elif self.standing.tier > max([Tier.NORMAL, *(tier for _, tier in self.stood)]):
            raise AssertionError("higher than ever in this episode, and nobody is called")

    @invariant()
    def the_highest_raised_tier_is_never_missed(self) -> None:
        """R41: URGENT and SOLD_OUT are entered at once, and so is every other."""
        if self.log:
            raised = [bar.tier for bar in BARS if bar.raised(self.evidence, TierRule())]
            assert self.standing.tier >= max(raised, default=Tier.NORMAL)

    @invariant()
    def it_does_not_blink(self) -> None:
        """In any ten minutes a key changes ten times plus once per tier, at most."""
        times = [time for time, _, _ in self.moves]
        for place, time in enumerate(times):
            assert sum(each - time <= FLAPPING_SECONDS for each in times[place:]) <= 2 * 10 + len(Tier)

    @invariant()
    def episodes_only_grow(self) -> None:
        """Outside NORMAL there is an episode, and it began with the first raise."""
        assert (self.standing.episode == 0) == (not self.moves)
        assert self.standing.peak >= self.standing.tier or self.standing.tier is Tier.NORMAL

    @precondition(lambda self: len(self.log) > 5)
    @rule()
    def replay(self) -> None:
        """The same looks again lead to the same standing."""
        standing = Standing()
        for evidence, time, stale in self.log:
            standing, _ = judge(standing, evidence, TierRule(), time, is_stale=stale)
        assert standing == self.standing


TestHistories = Histories.TestCase
TestHistories.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)

# What happens at a key: seconds until it, units sold (0: somebody looks, below 0: units come back), whether we see it.
Story = list[tuple[float, int, bool]]
stories: st.SearchStrategy[Story] = st.lists(
    st.tuples(st.floats(0.0, 400.0), st.integers(-3, 5), st.booleans()), max_size=60
)


def test_nobody_is_called_again_for_what_was_so_a_moment_ago() -> None:
    """Although the episode has stood higher, and left that long ago."""
    history = Histories()
    history.blink()
    history.wait(2.0)
    history.change(units=1, chance=1.0, share=0.0, rising=False, options=False)
    history.wait(REOPEN_SECONDS - 1.0)
    history.change(units=1, chance=0.0, share=0.0, rising=False, options=False)
    history.change(units=1, chance=1.0, share=0.0, rising=False, options=False)


def told(story: Story, *, stored: bool) -> bytes:
    """The changes as they go into the log; `stored`: everything remembered goes through the database after each."""
    pace, standing = begin(Prior(0.05), 43_000.0, BUSY_NOON), Standing()
    supply, units, time = Supply(LeadTime(300.0, 60.0)), 40, 43_000.0
    changes = []
    for seconds, sold, is_seen in story:
        time, units = time + seconds, max(0, units - sold)
        if sold > 0:
            pace = observed(pace, time, BUSY_NOON, sold)
        standing, change = decide(
            standing, pace, Shelf(units, units, is_stale=not is_seen), supply, time, TierRule(), BUSY_NOON
        )
        changes += [change] if change else []
        if stored:
            pace = msgspec.json.decode(msgspec.json.encode(pace), type=Pace)
            standing = msgspec.json.decode(msgspec.json.encode(standing), type=Standing)
    return msgspec.json.encode(changes)


@given(story=stories)
@settings(deadline=None)
def test_replay_gives_the_same_bytes(story: Story) -> None:
    """Also for a gateway that takes over after any movement, and knows only what was stored."""
    assert told(story, stored=False) == told(story, stored=False) == told(story, stored=True)


@given(story=stories, extra=st.integers(0, 59))
@settings(deadline=None)
def test_looking_twice_at_one_moment_changes_nothing(story: Story, extra: int) -> None:
    """A second look at the same time finds what the first has found."""
    twice = [*story[:extra], *((0.0, 0, is_seen) for _, _, is_seen in story[extra - 1 : extra]), *story[extra:]]
    assert told(twice, stored=False) == told(story, stored=False)
