"""One line through everything: what a caller of the gateway does first."""

from tests.client import Client


async def test_a_reservation_goes_from_shelf_to_sold(client: Client) -> None:
    """Receive, reserve, commit: on hand, reserved and available follow, and the ledger adds up."""
    await client.add_sku("CUP", 10)
    reservation = await client.reserve("CUP", 3)
    level = await client.level("CUP")
    assert (level.on_hand, level.reserved, level.available) == (10, 3, 7)
    await client.commit(reservation.reservation_id)
    level = await client.level("CUP")
    assert (level.on_hand, level.reserved, level.available) == (7, 0, 7)
