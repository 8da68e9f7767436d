"""What a live room hears over Agora: a message a second at most, with the newest of everything, and all every 10 s.

Delivery is at most once and without history. So each payload of a room carries a version that only rises, also over a
restart: who gets an older one drops it. And all SKUs are said again every 10 s, for who came late or missed some.

    {"type": "stock", "session": 3, "version": 1795359342330, "skus": 2, "snapshot": true, "drill": false,
     "hints": [{"sku": "MUG-1", "sellable": 23, "tier": "URGENT", "host_line": "...", ...}, ...],
     "notices": [{"revision": 128, "kind": "tier", "sku": "MUG-1", "tier": "URGENT", ...}]}

`snapshot` is true where all SKUs of the room are in; of a room with too many for one message they come in several.
A hint whose time is over is not said.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from connectors.notify.delivery import Claims, Delivery, Written
from connectors.notify.grouping import in_order
from connectors.notify.notices import Notice, clipped
from connectors.notify.robot import Message, Robot
from connectors.notify.schedule import Outbox, Tempo, Window

GAP_SECONDS = 1.0
SNAPSHOT_SECONDS = 10.0
# Of the payload around hints and notices.
FRAME_BYTES_MAX = 400
TITLE_BYTES_MAX = 240
FAILURE_SECONDS_MAX = 10.0
TEMPO = Tempo(wait_seconds=0.0, interval_seconds=GAP_SECONDS, gap_seconds=GAP_SECONDS, merges_rooms=False)


@dataclass(frozen=True, slots=True)
class RoomHint:
    """What is said of one SKU. `expires` is when it may be said no more, in seconds of the epoch; None: it does not."""

    sku: str
    tier: int
    expires: float | None
    body: bytes


@dataclass
class Board:
    """What is to be said in one room, the time as an argument: `now` is any clock's, `wall` seconds of the epoch."""

    hints: dict[str, RoomHint] = field(default_factory=dict)
    _version: int = 0
    _said: dict[str, RoomHint] = field(default_factory=dict)
    _again: set[str] = field(default_factory=set)
    _snapshot_at: float = 0.0
    _not_before: float = 0.0

    def hear(self, hint: RoomHint) -> None:
        """Take a hint in, in the place of the one before."""
        self.hints[hint.sku] = hint

    def next_version(self, wall: float) -> int:
        """The version of a payload: milliseconds of the epoch, and more where those would not rise."""
        self._version = max(self._version + 1, int(wall * 1000))
        return self._version

    def due(self, now: float, wall: float) -> list[RoomHint]:
        """What is to be said at `now`, the most pressing first; [] if nothing is, or not yet."""
        self._drop_expired(wall)
        if now < self._not_before:
            return []
        if now >= self._snapshot_at + SNAPSHOT_SECONDS:
            self._again = set(self.hints)
            self._snapshot_at = now
        wanted = [hint for hint in self.hints.values() if hint.sku in self._again or self._is_new(hint)]
        return sorted(wanted, key=lambda hint: (not self._is_new(hint), -hint.tier, hint.sku))

    def wakes_at(self) -> float | None:
        """When `due` is to be asked; None: when a hint has come."""
        if not self.hints:
            return None
        has_more = self._again or any(map(self._is_new, self.hints.values()))
        return self._not_before if has_more else max(self._not_before, self._snapshot_at + SNAPSHOT_SECONDS)

    def said(self, hints: Sequence[RoomHint], now: float) -> None:
        """These were said."""
        for hint in hints:
            self._said[hint.sku] = hint
            self._again.discard(hint.sku)
        self._not_before = now + GAP_SECONDS

    def failed(self, now: float, failures: int) -> None:
        """Nothing was said, or nobody knows: the newest is said after a pause."""
        self._not_before = now + min(GAP_SECONDS * 2 ** min(failures, 10), FAILURE_SECONDS_MAX)

    def _is_new(self, hint: RoomHint) -> bool:
        return self._said.get(hint.sku) is not hint

    def _drop_expired(self, wall: float) -> None:
        for hint in list(self.hints.values()):
            if hint.expires is not None and hint.expires <= wall:
                del self.hints[hint.sku]
                self._again.discard(hint.sku)
                self._said.pop(hint.sku, None)


class RoomDelivery(Delivery):
    """One session's room: notices at once, hints once a second."""

    def __init__(
        self,
        robot: Robot,
        claims: Claims,
        window: Window,
        session_id: int,
        channel: str,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`channel` is the room's name at the platform; the window is shared by all rooms of the project."""
        super().__init__(robot, claims, Outbox(TEMPO, window), f"{robot.name}/{session_id}", clock)
        self.session_id, self.channel = session_id, channel
        self.board = Board()
        self._wall = wall
        self._in_message: list[RoomHint] = []

    def hear(self, hint: RoomHint) -> None:
        """Take a hint in."""
        self.board.hear(hint)
        self.wake()

    async def send_due(self) -> bool:
        """Send what is due: notices with the hints that wait, or hints alone."""
        if await super().send_due():
            return True
        now = self._clock()
        if self.board.due(now, self._wall()) and self.outbox.window.allows(now, urgent=False):
            await self.post(self.written((), is_urgent=False, left=0))
            return True
        return False

    def wakes_at(self, now: float) -> float | None:
        """When a notice or a hint is due."""
        opens = self.outbox.window.opens_at(now, urgent=False)
        at = self.board.wakes_at()
        times = [self.outbox.wakes_at(now), None if at is None else max(at, opens, self.outbox.quiet_until)]
        return min((each for each in times if each is not None), default=None)

    def written(self, notices: Sequence[Notice], *, is_urgent: bool, left: int) -> Written:
        """A payload; no hint goes along with what is rehearsed."""
        room = _Payload(self.robot.limits.text_bytes_max - FRAME_BYTES_MAX)
        told = [notice for notice in in_order(notices) if room.takes_notice(notice)]
        is_drill = any(notice.is_drill for notice in told)
        hints = [] if is_drill else self.board.due(self._clock(), self._wall())
        self._in_message = [hint for hint in hints if room.takes_hint(hint)]
        frame = {
            "type": "stock",
            "session": self.session_id,
            "version": self.board.next_version(self._wall()),
            "skus": len(self.board.hints),
            "snapshot": bool(self._in_message) and len(self._in_message) == len(self.board.hints),
            "drill": is_drill,
            "hints": room.hints,
            "notices": room.notices,
        }
        text = msgspec.json.encode(frame).decode()
        return Written(Message(text, self.channel, is_drill, is_urgent), told, self.outbox.dropped)

    async def post(self, written: Written) -> bool:
        """Post, and remember what the room has heard."""
        hints, failures = self._in_message, self.failures
        is_taken = await super().post(written)
        now = self._clock()
        self.outbox.spoke((self.channel, False), now)
        if is_taken:
            self.board.said(hints, now)
        else:
            self.board.failed(now, failures)
        return is_taken


class _Payload:
    """Fills up to a size."""

    def __init__(self, bytes_max: int) -> None:
        self.hints: list[msgspec.Raw] = []
        self.notices: list[msgspec.Raw] = []
        self._left = bytes_max

    def takes_hint(self, hint: RoomHint) -> bool:
        return self._takes(self.hints, hint.body)

    def takes_notice(self, notice: Notice) -> bool:
        return self._takes(self.notices, msgspec.json.encode(notice_body(notice)))

    def _takes(self, into: list[msgspec.Raw], body: bytes) -> bool:
        if len(body) + 1 > self._left:
            return False
        self._left -= len(body) + 1
        into.append(msgspec.Raw(body))
        return True


def notice_body(notice: Notice) -> dict[str, Any]:
    """A notice as programs read it."""
    reason = notice.reason
    return {
        "revision": notice.revision,
        "kind": notice.kind.value,
        "sku": clipped(notice.sku, TITLE_BYTES_MAX),
        "title": clipped(notice.title, TITLE_BYTES_MAX),
        "tier": notice.tier.name,
        "tier_before": notice.tier_before.name,
        "is_stale": notice.is_stale,
        "available": reason.available if reason and not notice.is_stale else None,
        "per_minute": round(reason.per_minute, 2) if reason and not notice.is_stale else None,
        "stock_out_seconds": [reason.p10_seconds, reason.p50_seconds, reason.p90_seconds] if reason else None,
        "action": clipped(notice.action.zh, TITLE_BYTES_MAX),
        "action_en": clipped(notice.action.en, TITLE_BYTES_MAX),
        "host_line": clipped(notice.host_line.zh, TITLE_BYTES_MAX),
        "host_line_en": clipped(notice.host_line.en, TITLE_BYTES_MAX),
        "actor": clipped(notice.actor, TITLE_BYTES_MAX),
        "link": notice.link,
        "drill_id": notice.drill_id,
        "may_be_repeated": notice.may_be_told,
    }
