"""When what is sent, to one robot: pure, the time is an argument.

    urgent      at once, whatever else waits. Only the platform's limit and its bans hold it back: its last quarter is
                spread over the span it is for, so that a flood of urgent ones waits for seconds and not for a minute
    the rest    by room: 2 s after the first, so that what happens together is told together, and 15 s after the last
                message of that room; half of the platform's limit is kept for what is urgent
    too many    rooms for what the limit still allows share one message

Of one thread a newer notice replaces older ones that do not stand higher, so that what waits of a thread falls from
one to the next, and to send the highest first is to send it in order. Of what is long past only the newest is told. A
thread waits in one room, and nothing of it overtakes what must wait. What waits is bounded: beyond it, the lowest and
oldest that is no escalation is dropped and counted. An escalation is dropped never.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from connectors.notify.notices import Notice
from connectors.notify.robot import Rate

# Of the platform's limit: kept for what is urgent; and of that, spread over the span.
KEPT_SHARE, SPREAD_SHARE = 2, 4
# Another notifier that was heard of is counted with for so long.
SHARED_SECONDS = 120.0


@dataclass(frozen=True)
class Tempo:
    """How one robot's messages are spaced; `merges_rooms`: rooms may share a message.

    `gap_seconds` is kept between any two messages of a room, urgent ones too.
    """

    wait_seconds: float = 2.0
    interval_seconds: float = 15.0
    gap_seconds: float = 0.0
    pending_max: int = 500
    merges_rooms: bool = True


class Window:
    """What a platform's limit still allows: so many calls in any span of so many seconds, ours counted at their end.

    A call arrives before it ends, so that spans between our ends are never longer than those between arrivals. While
    another notifier serves the same robot, each takes half.
    """

    def __init__(self, rates: Sequence[Rate]) -> None:
        """Nothing was sent yet."""
        self._rates = tuple(rates)
        self._ends: deque[float] = deque(maxlen=max(rate.calls for rate in rates))
        self._shared_until = float("-inf")

    def ended(self, now: float) -> None:
        """A call has ended, however it ended."""
        self._ends.append(now)

    def heard_another(self, now: float) -> None:
        """Another notifier was faster."""
        self._shared_until = now + SHARED_SECONDS

    def begin(self, now: float) -> None:
        """The process before this one may have been killed with half of the limit used up."""
        self._shared_until = now + max(rate.seconds for rate in self._rates)

    def allows(self, now: float, *, urgent: bool) -> bool:
        """True if a call may begin."""
        return self.opens_at(now, urgent=urgent) <= now

    def free(self, now: float) -> int:
        """How many calls that are not urgent may begin."""
        return min(_usable(rate, urgent=False) - self._used(rate, now) for rate in self._shares(now))

    def opens_at(self, now: float, *, urgent: bool) -> float:
        """When the next call may begin, if none is made before; what is over may be named."""
        return max(self._opening(rate, urgent=urgent) for rate in self._shares(now))

    def _shares(self, now: float) -> Sequence[Rate]:
        if now >= self._shared_until:
            return self._rates
        return [rate._replace(calls=max(1, rate.calls // 2)) for rate in self._rates]

    def _used(self, rate: Rate, now: float) -> int:
        return sum(now - end < rate.seconds for end in self._ends)

    def _opening(self, rate: Rate, *, urgent: bool) -> float:
        """The call that stands `usable` from the end must have left the span."""
        opens = self._leaves(rate, _usable(rate, urgent=urgent))
        spread = rate.calls // SPREAD_SHARE
        if urgent and spread and self._ends:
            spaced = self._ends[-1] + rate.seconds / spread
            opens = max(opens, min(spaced, self._leaves(rate, rate.calls - spread)))
        return opens

    def _leaves(self, rate: Rate, place: int) -> float:
        """When fewer than `place` calls will be in the span."""
        return self._ends[-place] + rate.seconds if len(self._ends) >= place else 0.0


def _usable(rate: Rate, *, urgent: bool) -> int:
    return rate.calls if urgent else rate.calls - rate.calls // KEPT_SHARE


# Its name, and whether what is said there is rehearsed.
Room = tuple[str, bool]


@dataclass(frozen=True, slots=True)
class Pending:
    """A notice that waits, among those of a room; `tries` it has behind it, and when the next may be.

    `alone`: it shares no message, for the robot has refused one that it was in. `told_before`: how many the robot had
    told at its first try.
    """

    notice: Notice
    room: Room
    arrived: float
    not_before: float = 0.0
    tries: int = 0
    alone: bool = False
    told_before: int | None = None


class Group(NamedTuple):
    """What is to be told now, in one message or as many of it as go into one."""

    pending: tuple[Pending, ...]
    is_urgent: bool

    @property
    def notices(self) -> list[Notice]:
        """What is to be told."""
        return [pending.notice for pending in self.pending]


@dataclass
class Outbox:
    """What waits for one robot. `quiet_until` is when the platform's ban, or our own pause, is over."""

    tempo: Tempo
    window: Window
    quiet_until: float = 0.0
    dropped: int = 0
    _waiting: list[Pending] = field(default_factory=list)
    _last_sent: dict[Room, float] = field(default_factory=dict)

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def __contains__(self, notice: object) -> bool:
        """True if this notice waits."""
        return isinstance(notice, Notice) and any(pending.notice.key == notice.key for pending in self._waiting)

    @property
    def oldest_revision(self) -> int | None:
        """The lowest number that waits; None if nothing does."""
        return min((pending.notice.revision for pending in self._waiting), default=None)

    def add(self, notice: Notice, now: float) -> None:
        """Take a notice in; what it makes pointless is gone."""
        self._take(Pending(notice, (notice.room, notice.is_drill), now))

    def put_back(self, pending: Pending, not_before: float, *, may_be_told: bool = False, alone: bool = False) -> None:
        """What was taken and not told waits again, unless something newer has made it pointless."""
        notice = replace(pending.notice, may_be_told=pending.notice.may_be_told or may_be_told)
        waits = replace(pending, notice=notice, not_before=not_before, tries=pending.tries + 1)
        self._take(replace(waits, alone=pending.alone or alone))

    def taken(self, notices: Iterable[Notice]) -> tuple[Pending, ...]:
        """Take these out: they are on their way."""
        keys = {notice.key for notice in notices}
        gone = tuple(pending for pending in self._waiting if pending.notice.key in keys)
        self._waiting = [pending for pending in self._waiting if pending.notice.key not in keys]
        return gone

    def delay(self, notices: Iterable[Notice], not_before: float) -> None:
        """These wait until then: another notifier has them in hand."""
        keys = {notice.key for notice in notices}
        self._waiting = [
            replace(pending, not_before=not_before) if pending.notice.key in keys else pending
            for pending in self._waiting
        ]
        self._line_up()

    def sent(self, pending: Sequence[Pending], now: float, dropped: int = 0) -> None:
        """They have been told in one message, which said that so many others were dropped."""
        for each in pending:
            self.spoke(each.room, now)
        self.dropped -= dropped

    def spoke(self, room: Room, now: float) -> None:
        """Something was said in a room."""
        self._last_sent[room] = now
        if len(self._last_sent) > self.tempo.pending_max:
            self._forget_rooms(now)

    def due(self, now: float) -> Group | None:
        """What is to be sent at `now`; None if nothing may be, or nothing is to be."""
        if now < self.quiet_until:
            return None
        ready = [pending for pending in self._waiting if self._ready_at(pending) <= now]
        unsuspected = [pending for pending in ready if not pending.alone]
        urgent = [pending for pending in unsuspected if pending.notice.is_urgent]
        if urgent:
            return self._urgent_group(urgent, unsuspected, now) if self.window.allows(now, urgent=True) else None
        group = self._group_of_rooms(unsuspected, now) if self.window.allows(now, urgent=False) else None
        return group or self._lone_group(ready, now)

    def wakes_at(self, now: float) -> float | None:
        """When `due` is to be asked next if nothing comes; None: when something comes."""
        if not self._waiting:
            return None
        urgent = [self._ready_at(each) for each in self._waiting if each.notice.is_urgent and not each.alone]
        times = [max(min(urgent), self.window.opens_at(now, urgent=True))] if urgent else []
        opens = self.window.opens_at(now, urgent=False)
        rest = [each for each in self._waiting if not each.notice.is_urgent and not each.alone]
        times += [max(at, opens) for at in self._times(rest).values()]
        for each, is_urgent in _suspects(self._waiting):
            times.append(max(self._ready_at(each), self.window.opens_at(now, urgent=is_urgent)))
        return max(now, self.quiet_until, min(times))

    def _take(self, pending: Pending) -> None:
        notice = pending.notice
        about = [each for each in self._waiting if each.notice.about == notice.about]
        if any(_makes_pointless(each.notice, notice) for each in about):
            return
        gone = [each for each in about if _makes_pointless(notice, each.notice)]
        self._waiting = [each for each in self._waiting if all(each is not one for one in gone)]
        self._waiting.append(replace(pending, notice=_in_place_of(notice, [each.notice for each in gone])))
        self._keep_bounds()
        self._line_up()

    def _line_up(self) -> None:
        """A thread waits in the room of its oldest, and as long as that."""
        oldest_first = sorted(self._waiting, key=lambda each: each.notice.revision)
        fronts: dict[tuple[str, int], Pending] = {}
        for place, each in enumerate(oldest_first):
            front = fronts.get(each.notice.about, each)
            not_before, alone = max(front.not_before, each.not_before), front.alone or each.alone
            oldest_first[place] = replace(each, room=front.room, not_before=not_before, alone=alone)
            fronts[each.notice.about] = oldest_first[place]
        self._waiting = oldest_first

    def _keep_bounds(self) -> None:
        excess = len(self._waiting) - self.tempo.pending_max
        if excess <= 0:
            return
        idle = [each for each in self._waiting if not each.notice.is_escalation]
        idle.sort(key=lambda each: (each.notice.rank, each.notice.revision))
        gone = {id(each) for each in idle[:excess]}
        self._waiting = [each for each in self._waiting if id(each) not in gone]
        self.dropped += len(gone)

    def _ready_at(self, pending: Pending) -> float:
        """When it may be told if it is urgent."""
        last = self._last_sent.get(pending.room)
        return pending.not_before if last is None else max(pending.not_before, last + self.tempo.gap_seconds)

    def _urgent_group(self, urgent: list[Pending], ready: list[Pending], now: float) -> Group:
        first = min(urgent, key=lambda each: (-each.notice.rank, each.notice.revision))
        return Group(self._company(first, ready, urgent, now), is_urgent=True)

    def _group_of_rooms(self, ready: list[Pending], now: float) -> Group | None:
        rooms = sorted((at, room) for room, at in self._times(ready).items() if at <= now)
        if not rooms:
            return None
        together = self._rooms_together([room for _, room in rooms], now)
        return Group(tuple(each for each in ready if each.room in together), is_urgent=False)

    def _lone_group(self, ready: list[Pending], now: float) -> Group | None:
        """Of what was refused, one at a time: what was tried least."""
        suspects = [
            (each, is_urgent) for each, is_urgent in _suspects(ready) if self.window.allows(now, urgent=is_urgent)
        ]
        if not suspects:
            return None
        first, is_urgent = min(
            suspects, key=lambda each: (each[0].tries, -each[0].notice.rank, each[0].notice.revision)
        )
        return Group((first,), is_urgent)

    def _company(self, first: Pending, ready: list[Pending], urgent: list[Pending], now: float) -> tuple[Pending, ...]:
        """All that waits of its room goes along; where calls are few, the other rooms with urgent ones as well."""
        rooms = {each.room for each in urgent if each.room[1] == first.room[1]}
        if not self.tempo.merges_rooms or len(rooms) <= max(1, self.window.free(now)):
            rooms = {first.room}
        return tuple(each for each in ready if each.room in rooms)

    def _rooms_together(self, rooms: list[Room], now: float) -> set[Room]:
        """The room that has waited longest; where calls are few, all that are due."""
        first = rooms[0]
        if not self.tempo.merges_rooms or len(rooms) <= self.window.free(now):
            return {first}
        return {room for room in rooms if room[1] == first[1]}

    def _times(self, waiting: Iterable[Pending]) -> dict[Room, float]:
        """When each room's next message that is not urgent is due."""
        times: dict[Room, float] = {}
        for each in waiting:
            room = each.room
            last = self._last_sent.get(room)
            at = max(each.arrived + self.tempo.wait_seconds, each.not_before)
            if last is not None:
                at = max(at, last + self.tempo.interval_seconds)
            times[room] = min(at, times.get(room, at))
        return times

    def _forget_rooms(self, now: float) -> None:
        interval = self.tempo.interval_seconds
        self._last_sent = {room: at for room, at in self._last_sent.items() if now - at < interval}


def _in_place_of(notice: Notice, older: Iterable[Notice]) -> Notice:
    """No less urgent than what it replaces, unless that is over: where things stand lower now."""
    lower = [each for each in older if notice.rank >= each.rank]
    return replace(
        notice,
        stands_for_urgent=notice.stands_for_urgent or any(each.is_urgent for each in lower),
        stands_for_escalation=notice.stands_for_escalation or any(each.is_escalation for each in lower),
    )


def _suspects(oldest_first: Iterable[Pending]) -> list[tuple[Pending, bool]]:
    """Of each thread that goes alone the oldest, for nothing overtakes it; and whether something urgent waits there."""
    fronts: dict[tuple[str, int], tuple[Pending, bool]] = {}
    for each in oldest_first:
        if each.alone:
            front, is_urgent = fronts.get(each.notice.about, (each, False))
            fronts[each.notice.about] = front, is_urgent or each.notice.is_urgent
    return list(fronts.values())


def _makes_pointless(newer: Notice, older: Notice) -> bool:
    """True if nobody needs to be told the older any more, for the newer of the same thread is told."""
    return newer.revision >= older.revision and (newer.rank >= older.rank or older.is_past)
