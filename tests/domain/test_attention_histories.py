"""Any history of one warning and the people who do something about it, against a small model of `attention.py`."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import replace

from gateway.domain.alerts import AckAction, Acknowledgement, Escalation, Silence, SilenceMatcher
from gateway.domain.attention import (
    ack_end,
    escalation_due,
    require_first,
    require_open,
    rungs_told,
    silence_end,
    silenced_by,
)
from gateway.domain.errors import AlreadyAcknowledged, EpisodeOver, GatewayError, TierChanged
from gateway.domain.tiers import Standing, Tier

START = datetime(2026, 11, 11, 20, 0, tzinfo=UTC)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
# Minutes without improvement after which people are told again.
PATIENCE_MINUTES = {Tier.TREND: 60, Tier.THRESHOLD: 20, Tier.URGENT: 5, Tier.SOLD_OUT: 5}
WARNED = (Tier.TREND, Tier.THRESHOLD, Tier.URGENT, Tier.SOLD_OUT)
SKU, CHANNELS, SESSIONS = "tea", ("dy", "ks"), (3, 4)


class Model:
    """The desk as `alerts.md` tells of it, for one SKU: who holds it since when, what was told, who is silenced."""

    def __init__(self) -> None:
        self.holder: tuple[str, Tier, int, datetime] | None = None
        self.ends: list[str] = []
        self.slots_told = 0
        self.calls: list[int] = []

    def look(self, tier: Tier, episode: int, since: datetime, now: datetime) -> None:
        """Time has passed, or the tier has changed."""
        if self.holder is not None:
            _, taken, of_episode, at = self.holder
            minutes = PATIENCE_MINUTES[taken]
            over = [
                ("CLOSED", tier is Tier.NORMAL or episode != of_episode),
                ("RISEN", tier > taken),
                ("TIMED_OUT", tier == taken and (now - at).total_seconds() >= minutes * 60),
            ]
            why = [reason for reason, is_so in over if is_so]
            if why:
                self.ends.append(why[0])
                self.holder = None
        if self.holder is None and tier is Tier.URGENT:
            seconds = (now - since).total_seconds()
            slots = [60, 180, *range(480, 180 + int(seconds) + 301, 300)]
            passed = sum(slot <= seconds for slot in slots)
            if passed > self.slots_told:
                self.calls.append(2 if passed == 1 else 3)
                self.slots_told = passed


class Desk(RuleBasedStateMachine):
    """One SKU, people, an engine that looks now and then: what counts is what the model says, whatever happens."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.since = START
        self.standing = Standing()
        self.model = Model()
        self.held: Acknowledgement | None = None
        self.held_episode = 0
        self.told = 0
        self.ends: list[str] = []
        self.calls: list[Escalation] = []
        self.silences: list[Silence] = []

    def look(self) -> None:
        """The engine looks, as it does on each tick and after each change."""
        tier, episode = self.standing.tier, self.standing.episode
        if self.held is not None:
            is_same = self.held_episode == episode
            if reason := ack_end(self.held, is_same_episode=is_same, tier=tier, now=self.now):
                self.ends.append(reason)
                self.held = None
        due = escalation_due(
            tier=tier, since=self.since, told=self.told, is_acknowledged=self.held is not None, now=self.now
        )
        if due is not None:
            self.calls.append(due)
            self.told = rungs_told(due)
        self.silences = [
            replace(silence, ended_time=self.now)
            if silence_end(silence, matches_any_warning=tier is not Tier.NORMAL, now=self.now)
            else silence
            for silence in self.silences
        ]
        self.model.look(tier, episode, self.since, self.now)

    def move(self, tier: Tier, episode: int) -> None:
        """The tier changes."""
        peak = max(tier, self.standing.peak) if episode == self.standing.episode else tier
        self.standing, self.since, self.told, self.model.slots_told = (
            Standing(tier, episode=episode, peak=peak),
            self.now,
            0,
            0,
        )
        self.look()

    @initialize(tier=st.sampled_from(WARNED), is_taken_on=st.booleans())
    def begin(self, tier: Tier, *, is_taken_on: bool) -> None:
        """There is a warning, and perhaps somebody is at it."""
        self.move(tier, 1)
        if is_taken_on:
            self.acknowledge(off=0, behind=0, actor="li")

    @rule(steps=st.integers(1, 40), seconds=st.sampled_from([1, 5, 20, 60]))
    def pass_time(self, steps: int, seconds: int) -> None:
        """Time passes, and the engine looks all the while."""
        for _ in range(steps):
            self.now += seconds * SECOND
            self.look()

    @precondition(lambda self: self.model.holder is not None)
    @rule(early=st.booleans())
    def wait_out(self, *, early: bool) -> None:
        """Whoever is at it takes all the time there is, or a second less."""
        assert self.model.holder is not None
        _, tier, _, at = self.model.holder
        self.now = max(self.now, at + PATIENCE_MINUTES[tier] * MINUTE - early * SECOND)
        self.look()

    @rule(minutes=st.integers(1, 120))
    def pause(self, minutes: int) -> None:
        """Nobody looks for a while."""
        self.now += minutes * MINUTE
        self.look()

    @rule(tier=st.sampled_from(WARNED))
    def change(self, tier: Tier) -> None:
        """It gets worse, or better; a new episode if there was none, the same if it is reopened."""
        if tier is not self.standing.tier:
            self.move(tier, self.standing.episode or 1)

    @precondition(lambda self: self.standing.tier is not Tier.NORMAL)
    @rule()
    def close(self) -> None:
        """It is NORMAL again."""
        self.move(Tier.NORMAL, self.standing.episode)

    @precondition(lambda self: self.standing.tier is Tier.NORMAL)
    @rule(tier=st.sampled_from(WARNED))
    def begin_anew(self, tier: Tier) -> None:
        """Another episode begins."""
        self.move(tier, self.standing.episode + 1)

    @rule(
        off=st.sampled_from([0, 0, 0, 0, -1, 1]),
        behind=st.sampled_from([0, 0, 0, 0, 1]),
        actor=st.sampled_from(["li", "王"]),
    )
    def acknowledge(self, off: int, behind: int, actor: str) -> None:
        """Somebody takes it on, and may be late, or second: the model knows."""
        tier = Tier(min(max(self.standing.tier + off, Tier.TREND), Tier.SOLD_OUT))
        episode, before = self.standing.episode - behind, self.held
        now = self.standing.tier
        if now is Tier.NORMAL or behind or not episode:
            expected: type[GatewayError] | None = EpisodeOver
        elif now > tier or tier > self.standing.peak:
            expected = TierChanged
        else:
            expected = AlreadyAcknowledged if self.model.holder else None
        if expected is not None:
            with pytest.raises(expected):
                self.take_on(episode, tier, actor)
            assert self.held is before
            return
        self.take_on(episode, tier, actor)
        self.model.holder = (actor, now, episode, self.now)

    def take_on(self, episode: int, tier: Tier, actor: str) -> None:
        """What the desk does."""
        found = require_open(self.standing, episode=episode, tier=tier)
        require_first(self.held)
        self.held, self.held_episode = Acknowledgement(found.tier, actor, self.now, AckAction.WATCH), episode

    @rule(
        max_tier=st.sampled_from(WARNED),
        minutes=st.integers(1, 720),
        ahead=st.sampled_from([0, 0, 30]),
        until_resolved=st.booleans(),
        sku=st.sampled_from(["", SKU, "mug"]),
    )
    def silence(self, max_tier: Tier, minutes: int, ahead: int, sku: str, *, until_resolved: bool) -> None:
        """Somebody does not want to be told."""
        begins = self.now + ahead * MINUTE
        matcher, number = SilenceMatcher((sku,) if sku else ()), len(self.silences) + 1
        self.silences.append(
            Silence(
                matcher,
                begins,
                begins + minutes * MINUTE,
                "li",
                "why not",
                number,
                until_resolved=until_resolved,
                max_tier=max_tier,
            )
        )

    @precondition(lambda self: self.silences)
    @rule(pick=st.integers(0, 99))
    def end_silence(self, pick: int) -> None:
        """Somebody wants to be told again."""
        place = pick % len(self.silences)
        if self.silences[place].ended_time is None:
            self.silences[place] = replace(self.silences[place], ended_time=self.now)

    @invariant()
    def counts_what_the_model_says(self) -> None:
        """Who holds it, why others did not any more, who was called."""
        holder = self.model.holder
        assert (self.held is None) == (holder is None)
        if self.held is not None and holder is not None:
            assert (self.held.actor, self.held.tier, self.held_episode, self.held.time) == holder
        assert self.ends == self.model.ends
        assert [call.level for call in self.calls] == self.model.calls

    @invariant()
    def is_silenced_by_what_is_on(self) -> None:
        """Those that have begun, are not over, are about it and reach so high; URGENT is heard unless it was named."""
        tier = self.standing.tier
        found = silenced_by(self.silences, sku=SKU, channels=CHANNELS, session_ids=SESSIONS, tier=tier, now=self.now)
        for one in self.silences:
            is_on = one.ended_time is None and one.start_time <= self.now < one.end_time
            is_about = not one.matcher.skus or SKU in one.matcher.skus
            assert (one.silence_id in found) == (is_on and is_about and one.max_tier >= tier)

    @invariant()
    def only_what_is_urgent_is_called(self) -> None:
        """Level 1 is the change of tier itself, so a call begins with level 2."""
        assert all(call.tier is Tier.URGENT and call.level in {2, 3} for call in self.calls)


TestDesk = Desk.TestCase
TestDesk.settings = settings(max_examples=250, stateful_step_count=40, deadline=None)
