"""What bears on keys beside the journal: lead times, policies, incoming units, sessions, how old our knowledge is."""

from collections.abc import Collection, Iterable
from datetime import datetime

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from gateway.domain.alerts import AlertPolicy, Runbook, Session, SilenceMatcher
from gateway.domain.attention import filled, matches, silenced_by
from gateway.domain.chances import LeadTime
from gateway.domain.curves import DAY_SECONDS, FLAT, HourCurve
from gateway.domain.profiles import Profile
from gateway.domain.tiers import Incoming, Tier, TierRule
from gateway.domain.vigil import UNKNOWN, Circumstances, Key, Moved, Tempo
from gateway.domain.watermarks import RESTS, Watermarks
from gateway.store.database import ReadConnection
from gateway.store.desk import DeskState, read_desk
from gateway.store.live import open_sessions
from gateway.store.selling import HEARTBEAT_SECONDS_MAX
from gateway.store.standings import ChannelLife, SkuFacts, read_channel_lives, read_facts

# Orders that do not come in for so long make old news of what we know. People are told of it, so it is twice as long as
# until a room's host is told no number (`domain/watermarks.py`): one slow walk is no news.
ORDERS_REST = 2 * RESTS


class Known(Struct, frozen=True):
    """A SKU, as much of it as is the same for all its keys."""

    facts: SkuFacts
    policy: AlertPolicy
    lead_time: LeadTime
    sessions: tuple[Session, ...]
    incoming: tuple[Incoming, ...]


class Surroundings:
    """What was read of all that bears on some SKUs' keys, at one moment."""

    def __init__(
        self,
        desk: DeskState,
        sessions: Iterable[Session],
        facts: dict[str, SkuFacts],
        lives: Iterable[ChannelLife],
        now: datetime,
        before: "Surroundings | None" = None,
        tempo: Tempo = Tempo(),  # noqa: B008 - frozen, so one for all
    ) -> None:
        """Made by `read_surroundings`; what history teaches is large, and taken from `before` if it still holds."""
        self.desk = desk
        self.now = now
        self.tempo = tempo
        lives = list(lives)
        self.watermarks: Watermarks = Watermarks() if before is None else before.watermarks
        marks = {life.channel: life.watermark for life in lives}
        self._silent = self.watermarks.resting(marks, now, ORDERS_REST) | {
            life.channel
            for life in lives
            if life.heartbeat_time is not None and (now - life.heartbeat_time).total_seconds() > HEARTBEAT_SECONDS_MAX
        }
        self.profile: Profile | None = None
        self.curve: HourCurve = FLAT
        self.stranger = UNKNOWN
        if desk.profile:
            self.profile = msgspec.json.decode(desk.profile, type=Profile)
            self.curve, self.stranger = self.profile.curve(), self.profile.stranger()
        elif before is not None and desk.profile_time is not None:
            self.profile, self.curve, self.stranger = before.profile, before.curve, before.stranger
        self._sessions: dict[str, list[Session]] = {}
        for session in sessions:
            for sold in session.skus:
                self._sessions.setdefault(sold.sku, []).append(session)
        self._incoming: dict[str, list[Incoming]] = {}
        for each in desk.incoming:
            self._incoming.setdefault(each.sku, []).append(Incoming(each.quantity, tempo.seconds(each.arrive_time)))
        self.known = {sku: self._know(found) for sku, found in facts.items()}
        self._circumstances: dict[Key, Circumstances] = {}
        self._keys: dict[str, tuple[Key, ...]] = {}

    def knows(self, sku: str) -> bool:
        """True if the SKU was asked for when this was read, and there is one."""
        return sku in self.known

    def take_in(self, others: "Surroundings") -> None:
        """Know what `others` knows of other SKUs as well."""
        self.known |= others.known
        self.desk = replace(
            self.desk,
            policies=self.desk.policies | others.desk.policies,
            incoming=tuple(sorted((*self.desk.incoming, *others.desk.incoming), key=lambda each: each.arrive_time)),
            acknowledgements=(*self.desk.acknowledgements, *others.desk.acknowledgements),
        )

    def keys_of(self, sku: str) -> tuple[Key, ...]:
        """The SKU's whole stock, and each session that has units of its own of it."""
        found = self._keys.get(sku)
        if found is None:
            own = [Key(sku, s.session_id) for s in self._sessions.get(sku, ()) if _exclusive(s, sku)]
            found = self._keys[sku] = (Key(sku), *own)
        return found

    def is_current(self, key: Key) -> bool:
        """False for the key of a session that is closed, or has no units of its own any more."""
        return not key.session_id or key in self.keys_of(key.sku)

    def concerns(self, key: Key, movement: Moved) -> bool:
        """True if the movement is one of the key's."""
        if not key.session_id:
            return True
        session = self._session(key)
        if session is None or movement.channel not in session.channels:
            return False
        given = next(sold for sold in session.skus if sold.sku == key.sku)
        # What comes back of older orders was never one of the session's own.
        is_older = movement.reservation_id is not None and movement.reservation_id <= given.open_reservation
        return not is_older and movement.revision > (given.open_revision or session.open_revision)

    def begin_time(self, key: Key) -> datetime | None:
        """When a session got units of its own, at the earliest; None for a SKU's whole stock."""
        session = self._session(key) if key.session_id else None
        return None if session is None else session.open_time

    def circumstances(self, key: Key) -> Circumstances:
        """What bears on a key; the SKU must be known."""
        found = self._circumstances.get(key)
        if found is None:
            found = self._circumstances[key] = self._judge(key)
        return found

    def policy(self, sku: str) -> AlertPolicy:
        """What a person wants to be warned of, with everything filled in."""
        return self.known[sku].policy

    def lead_time(self, sku: str) -> LeadTime:
        """How long more takes to come."""
        return self.known[sku].lead_time

    def channels_of(self, sku: str) -> tuple[str, ...]:
        """The channels that sell the SKU."""
        return self.known[sku].facts.channels

    def title_of(self, sku: str) -> str:
        """What people call the SKU."""
        return self.known[sku].facts.title

    def sessions_of(self, sku: str) -> tuple[int, ...]:
        """The open sessions that sell the SKU."""
        return tuple(session.session_id for session in self._sessions.get(sku, ()))

    def silences_of(self, sku: str, tier: Tier, now: datetime) -> tuple[int, ...]:
        """The silences under which nobody is to be notified of this tier of the SKU."""
        return silenced_by(
            self.desk.silences,
            sku=sku,
            channels=self.channels_of(sku),
            session_ids=self.sessions_of(sku),
            tier=tier,
            now=now,
        )

    def matches(self, matcher: SilenceMatcher, sku: str) -> bool:
        """True if a silence of this matcher is about the SKU, which need not be known."""
        if not self.knows(sku):
            return False
        return matches(matcher, sku=sku, channels=self.channels_of(sku), session_ids=self.sessions_of(sku))

    def runbook(self, tier: Tier) -> Runbook | None:
        """What to do in a tier."""
        return self.desk.runbooks.get(tier)

    def _session(self, key: Key) -> Session | None:
        return next((s for s in self._sessions.get(key.sku, ()) if s.session_id == key.session_id), None)

    def _know(self, facts: SkuFacts) -> Known:
        policy = filled(self.desk.policies.get(facts.sku), self.desk.policies.get(""))
        return Known(
            facts,
            policy,
            _lead_time(facts, policy),
            tuple(self._sessions.get(facts.sku, ())),
            tuple(self._incoming.get(facts.sku, ())),
        )

    def _judge(self, key: Key) -> Circumstances:
        known = self.known[key.sku]
        policy, session = known.policy, self._session(key) if key.session_id else None
        sessions = known.sessions if session is None else (session,)
        ends = [self.tempo.seconds(each.planned_end_time) for each in sessions if not each.is_forgotten(self.now)]
        history = self.profile if self.profile is not None and key.sku in self.profile.skus else None
        assert policy.service_level is not None
        assert policy.false_raise_seconds is not None
        return Circumstances(
            known.lead_time,
            TierRule(policy.service_level, policy.fixed_line or 0, policy.hard_floor or 0),
            None if policy.fastest_lead_seconds is None else LeadTime(policy.fastest_lead_seconds),
            not policy.no_supply,
            () if session is not None else known.incoming,
            max(ends, default=None),
            not self._silent.isdisjoint(known.facts.channels),
            bool(sessions),
            None if session is None else _exclusive(session, key.sku),
            self.stranger if history is None else history.prior(key.sku),
            history is not None,
            self.curve,
            policy.false_raise_seconds,
            None if session is not None else known.facts.serving,
        )


async def read_surroundings(
    connection: ReadConnection,
    codes: Collection[str],
    now: datetime,
    before: Surroundings | None = None,
    tempo: Tempo = Tempo(),  # noqa: B008 - frozen, so one for all
) -> Surroundings:
    """All that bears on these SKUs' keys; `before` is what was read before, of any SKUs."""
    known_profile_time = before.desk.profile_time if before is not None else None
    return Surroundings(
        await read_desk(connection, codes, known_profile_time=known_profile_time),
        await open_sessions(connection),
        await read_facts(connection, codes),
        await read_channel_lives(connection),
        now,
        before,
        tempo,
    )


def _exclusive(session: Session, sku: str) -> int:
    return sum(sold.exclusive_units for sold in session.skus if sold.sku == sku)


def _lead_time(facts: SkuFacts, policy: AlertPolicy) -> LeadTime:
    """The catalog's, for goods that are ordered; the policy's where the catalog has none."""
    if facts.lead_time_mean_days is not None:
        return LeadTime(facts.lead_time_mean_days * DAY_SECONDS, (facts.lead_time_deviation_days or 0) * DAY_SECONDS)
    assert policy.lead_seconds is not None
    return LeadTime(policy.lead_seconds)
