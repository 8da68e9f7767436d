"""Several notices in one message: the most pressing first, whole or not at all, within the platform's bytes."""

from collections.abc import Sequence
from typing import NamedTuple

from connectors.notify.notices import Notice, clipped, entry_of
from connectors.notify.words import NAME, REHEARSAL, both, more

ROOM_BYTES_MAX = 90


class Grouped(NamedTuple):
    """A message's text, the notices in it, and those that are left for another."""

    text: str
    told: tuple[Notice, ...]
    left: tuple[Notice, ...]


def in_order(notices: Sequence[Notice]) -> list[Notice]:
    """What stands highest first; of equals, what happened first."""
    return sorted(notices, key=lambda notice: (-notice.rank, notice.revision))


def grouped(notices: Sequence[Notice], bytes_max: int, dropped: int = 0, left: int = 0) -> Grouped:
    """As many of the notices as go into `bytes_max` bytes, at least one.

    `dropped` others are never told, `left` others in another message; both are counted in the text.
    Rehearsed and true ones never share a message: the caller sees to that.
    """
    ordered = in_order(notices)
    assert ordered, "a message tells something"
    assert len({notice.is_drill for notice in ordered}) == 1, "true and rehearsed notices in one message"
    for count in range(len(ordered), 1, -1):
        text = _text(ordered[:count], len(ordered) - count + left, dropped)
        if len(text.encode()) <= bytes_max:
            return Grouped(text, tuple(ordered[:count]), tuple(ordered[count:]))
    return Grouped(_text(ordered[:1], len(ordered) - 1 + left, dropped), tuple(ordered[:1]), tuple(ordered[1:]))


def _text(notices: Sequence[Notice], left: int, dropped: int) -> str:
    """A heading, and one for each room where there are several; the order of the notices stays."""
    rooms = list(dict.fromkeys(notice.room for notice in notices))
    mark = REHEARSAL.zh if notices[0].is_drill else ""
    heading = f"{mark}{both(NAME)}"
    if len(rooms) == 1:
        parts = [" · ".join(filter(None, (heading, _room(rooms[0])))), *map(entry_of, notices)]
    else:
        parts = [heading, *(_under_its_room(notice) for notice in notices)]
    footer = more(left, dropped)
    return "\n".join([*parts, *([f"——\n{footer}"] if footer else [])])


def _under_its_room(notice: Notice) -> str:
    room = _room(notice.room)
    return f"[{room}]\n{entry_of(notice)}" if room else entry_of(notice)


def _room(name: str) -> str:
    shown = clipped(name, ROOM_BYTES_MAX)
    return f"直播间 {shown}" if shown else ""
