"""`stockgate channel health` and `stockgate streams` as a person reads them, against a real gateway."""

from tests.cli.conftest import Stockgate
from tests.client import Client
from tests.rpc.alert_streams import AlertStream
from tests.rpc.played_shop import Shop


async def test_the_health_of_channels(quick_stockgate: Stockgate, client: Client) -> None:
    """Each channel's state with its numbers; without channels a sentence says so."""
    assert "No channels yet." in (await quick_stockgate("channel", "health")).out
    shop = Shop(client)
    await client.add_sku("CUP", 10)
    await shop.open()
    await shop.link(("CUP", 1))
    async with shop.serving():
        await shop.wait_shown(L1=10)
    said = (await quick_stockgate("channel", "health")).out
    assert all(word in said for word in ("tb", "open", "confirmed", "6 h"))
    await quick_stockgate("channel", "pause", "tb", "--reason", "stocktaking")
    assert "paused: stocktaking" in (await quick_stockgate("channel", "health")).out
    (found,) = (await quick_stockgate("channel", "health", "--json")).document["channels"]
    assert (found["channel"]["channel"], found["pushes"], found["drifts"]) == ("tb", 1, 0)


async def test_who_reads_the_warnings(quick_stockgate: Stockgate, client: Client) -> None:
    """Readers by name with their state, and how streams have ended."""
    assert "Nobody reads it." in (await quick_stockgate("streams")).out
    stream = AlertStream(client, subscriber_id="screen", live_only={})
    await stream.created()
    said = (await quick_stockgate("streams")).out
    assert all(word in said for word in ("screen", "synced", "The alert log is at revision"))
    found = (await quick_stockgate("streams", "--json")).document
    assert [one["subscriber_id"] for one in found["streams"]] == ["screen"]
    stream.cancel()
