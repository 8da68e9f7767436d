"""What a notifier asks the gateway, and what it does when nobody answers: a notice never waits for that."""

import socket
import time

from connectors.gateway_client import GatewayAddress
from connectors.notify.delivery import Claim
from connectors.notify.frontdoor import FrontDoor
from gateway.client import ResumePoint
from gateway.v1 import alert_pb2
from tests.connectors.notifier.ward import CUP, TITLES, Ward

NOWHERE = "no such SKU"


async def test_a_notice_belongs_to_one_notifier_until_it_is_settled(ward: Ward) -> None:
    """Who asks first may post; the other hears that it was sent, or may post when the first has given it back."""
    await ward.sell(CUP, 17)
    revision = (await ward.reached(CUP, alert_pb2.TIER_URGENT)).revision
    at = GatewayAddress(ward.gateway, ward.token)
    one, two = FrontDoor(at, "one"), FrontDoor(at, "two")
    assert await one.claim(revision, "ops") == Claim(granted=True)
    assert await one.claim(revision, "ops") == Claim(granted=True)
    assert await two.claim(revision, "ops") == Claim(granted=False)
    assert await two.claim(revision, "others") == Claim(granted=True)
    await one.settle(revision, "ops", sent=False)
    assert await two.claim(revision, "ops") == Claim(granted=True)
    await two.settle(revision, "ops", sent=True)
    assert (await one.claim(revision, "ops")).sent
    for door in (one, two):
        await door.close()


async def test_names_are_asked_once(ward: Ward) -> None:
    """Titles and rooms, from memory the second time; what nobody knows has none."""
    door = FrontDoor(GatewayAddress(ward.gateway, ward.token), "one")
    assert await door.title(CUP) == TITLES[CUP]
    assert (await door.room(ward.session_id)).channel == "room-1"
    assert [session.session_id for session in await door.open_sessions()] == [ward.session_id]
    assert await door.title(NOWHERE) == ""
    assert (await door.room(999_999)).name == ""
    await door.close()


async def test_without_a_gateway_a_notice_is_granted_with_a_warning() -> None:
    """Within seconds; neither a title nor a report holds anything up."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        door = FrontDoor(GatewayAddress(f"127.0.0.1:{free.getsockname()[1]}"), "one")
        begun = time.monotonic()
        assert await door.claim(7, "ops") == Claim(granted=True, possible_duplicate=True)
        assert await door.title(CUP) == ""
        await door.report("notify/ops", ResumePoint(7, "epoch"))
        await door.settle(7, "ops", sent=True)
        assert time.monotonic() - begun < 15
        await door.close()
