"""What a room hears: the newest of everything, once a second, all of it every ten, and never what is over."""

import json
from dataclasses import dataclass, replace
from typing import Any

import pytest
import pytest_asyncio

from connectors.notify.notices import Tier
from connectors.notify.rooms import Board, RoomDelivery, RoomHint
from connectors.notify.schedule import Window
from connectors.sandbox.robots import Fault
from tests.connectors.notify.book import ClaimBook
from tests.connectors.notify.rig import ROOM, Rig
from tests.connectors.notify.test_schedule import told


def hint(sku: str, units: int = 5, *, tier: int = 1, expires: float | None = None, size: int = 0) -> RoomHint:
    body = {"sku": sku, "sellable": units, "pad": "x" * size}
    return RoomHint(sku, tier, expires, json.dumps(body).encode())


def said(board: Board, now: float, wall: float = 0.0) -> list[str]:
    due = board.due(now, wall)
    if due:
        board.said(due, now)
    return [each.sku for each in due]


def test_a_second_lies_between_messages_and_the_newest_counts() -> None:
    """Of what changes within a second only the last is said."""
    board = Board()
    board.hear(hint("A", 9))
    assert said(board, 100.0) == ["A"]
    for units in (8, 7, 6):
        board.hear(hint("A", units))
    assert not said(board, 100.9)
    assert board.wakes_at() == 101.0
    [due] = board.due(101.0, 0.0)
    assert json.loads(due.body)["sellable"] == 6


def test_everything_is_said_again_every_ten_seconds() -> None:
    """For those who came late; what is new goes first, and of that the most pressing."""
    board = Board()
    for sku, tier in (("A", 1), ("B", 4), ("C", 2)):
        board.hear(hint(sku, tier=tier))
    assert said(board, 100.0) == ["B", "C", "A"]
    assert not said(board, 105.0)
    assert board.wakes_at() == 110.0
    board.hear(hint("C", 1, tier=2))
    assert said(board, 110.0) == ["C", "B", "A"]


def test_what_is_over_is_not_said() -> None:
    """A hint past its time is forgotten, and leaves nothing to wake up for."""
    board = Board()
    board.hear(hint("A", expires=50.0))
    board.hear(hint("B", expires=60.0))
    assert said(board, 100.0, wall=50.0) == ["B"]
    assert not said(board, 200.0, wall=60.0)
    assert board.wakes_at() is None


def test_versions_rise_whatever_the_clock_does() -> None:
    """Milliseconds of the epoch; where the clock stands still or goes back, one more than before."""
    board = Board()
    versions = [board.next_version(wall) for wall in (1000.0, 1000.0, 999.0, 1000.5)]
    assert versions == [1_000_000, 1_000_001, 1_000_002, 1_000_500]


@dataclass
class Clocks:
    """Both of a delivery's clocks, moved by hand."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Place:
    """A room, and who speaks there."""

    rig: Rig
    room: RoomDelivery
    clocks: Clocks

    async def speak(self) -> list[dict[str, Any]]:
        """Send what is due; what the room has heard."""
        before = len(self.rig.desk.kept)
        while await self.room.send_due():
            pass
        return [json.loads(kept.text) for kept in list(self.rig.desk.kept)[before:]]


@pytest.fixture
def book() -> ClaimBook:
    return ClaimBook()


@pytest_asyncio.fixture(loop_scope="session")
async def place(agora: Rig, book: ClaimBook) -> Place:
    clocks = Clocks()
    agora.lose_patience()
    window = Window(agora.robot.limits.rates)
    room = RoomDelivery(agora.robot, book.notifier("one"), window, 3, ROOM, clocks, clocks)
    return Place(agora, room, clocks)


async def test_notices_and_hints_share_a_payload(place: Place) -> None:
    """A notice takes the hints that wait along, and counts as the room's message of that second."""
    place.room.hear(hint("A"))
    place.room.tell(told(7, Tier.URGENT, room=ROOM))
    [payload] = await place.speak()
    assert (payload["session"], payload["snapshot"], payload["skus"], payload["drill"]) == (3, True, 1, False)
    assert [each["revision"] for each in payload["notices"]] == [7]
    assert [each["sku"] for each in payload["hints"]] == ["A"]
    assert place.rig.desk.kept[0].target == ROOM
    place.room.hear(hint("A", 4))
    place.room.tell(told(8, Tier.SOLD_OUT, room=ROOM))
    assert not await place.speak()
    place.clocks.now += 1.0
    [payload] = await place.speak()
    assert payload["notices"][0]["tier"] == "SOLD_OUT"


async def test_too_much_for_one_message_comes_in_several(place: Place) -> None:
    """Each within 32 KB, a second apart; together they hold everything, and none says that it does."""
    for number in range(40):
        place.room.hear(hint(f"SKU-{number}", size=2_000))
    heard: list[dict[str, Any]] = []
    for _ in range(5):
        heard += await place.speak()
        place.clocks.now += 1.0
    assert all(len(kept.text.encode()) <= 32_000 for kept in place.rig.desk.kept)
    assert len(heard) == 3
    assert {each["sku"] for payload in heard for each in payload["hints"]} == {f"SKU-{n}" for n in range(40)}
    assert not any(payload["snapshot"] for payload in heard)


async def test_what_failed_is_said_with_what_is_new_then(place: Place) -> None:
    """A tick that was lost is not repeated: the next one says how things are by then; a notice comes again."""
    place.rig.desk.go_wrong(Fault.ERROR, calls=1)
    place.room.hear(hint("A", 9))
    place.room.tell(told(7, Tier.URGENT, room=ROOM))
    assert not await place.speak()
    place.room.hear(hint("A", 4))
    place.clocks.now += 5.0
    [payload] = await place.speak()
    assert [each["sellable"] for each in payload["hints"]] == [4]
    assert [(each["revision"], each["may_be_repeated"]) for each in payload["notices"]] == [(7, True)]


async def test_hints_alone_survive_failures(place: Place) -> None:
    """Nothing waits for a room that does not answer, and nothing is lost that is still true."""
    place.rig.desk.go_wrong(Fault.HANG, calls=1)
    place.room.hear(hint("A", 9))
    assert not await place.speak()
    place.clocks.now += 2.0
    [payload] = await place.speak()
    assert payload["snapshot"]


async def test_rehearsed_notices_come_alone(place: Place) -> None:
    """A drill's payload says so and holds no true number."""
    place.rig.robot.include_drills = True
    place.room.hear(hint("A"))
    place.room.tell(replace(told(7, Tier.URGENT, room=ROOM), drill_id=5))
    payloads = await place.speak()
    place.clocks.now += 1.0
    payloads += await place.speak()
    assert [(payload["drill"], len(payload["hints"]), len(payload["notices"])) for payload in payloads] == [
        (True, 0, 1),
        (False, 1, 0),
    ]
