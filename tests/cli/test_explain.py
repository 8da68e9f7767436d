"""`stockgate explain`: the sentence, then the chain with the cause in it; in Chinese and in English."""

from gateway.v1.channel_pb2 import Platform
from tests.cli.conftest import Stockgate
from tests.client import Client
from tests.rpc.shop_calls import create, link


async def test_the_cause_stands_out_with_what_to_do(client: Client, quick_stockgate: Stockgate) -> None:
    """A channel that nobody serves: headline, fourteen lines, one of them marked, and the command that helps."""
    await client.add_sku("CUP", 23)
    await create(client, channel="douyin", platform=Platform.PLATFORM_DOUYIN)
    await link(client, [("CUP", 1)], channel="douyin", item_id="7", platform_sku_id="8")
    asked = ("explain", "--sku", "CUP", "--channel", "douyin")
    for lang, verdict, cause, station in (
        ("zh", "卡住了", "还没有连接器来服务这个渠道", "送达"),
        ("en", "blocked", "no connector was ever heard for this channel", "delivery"),
    ):
        ended = await quick_stockgate(*asked, "--lang", lang)
        assert ended.exit_code == 0, ended.err
        head, headline, *chain = ended.out.splitlines()
        assert f"[{verdict}]" in head
        assert cause in headline
        assert "23" in headline
        [marked] = [line for line in chain if line.startswith("▶")]
        assert station in marked
        assert "✗" in marked
        assert cause in marked
        assert "stockgate connect douyin" in ended.out
        assert sum("✓" in line or "✗" in line or "…" in line or "?" in line for line in chain) >= 14


async def test_json_is_the_answer_as_it_is(client: Client, quick_stockgate: Stockgate) -> None:
    """For programs: every field, names and numbers as the API has them."""
    await client.add_sku("CUP", 23)
    await create(client, channel="douyin", platform=Platform.PLATFORM_DOUYIN)
    await link(client, [("CUP", 1)], channel="douyin", item_id="7", platform_sku_id="8")
    [found] = (await quick_stockgate("explain", "--listing", "1", "--json")).document["explanations"]
    assert (found["sku"], found["available"], found["cause"]) == ("CUP", 23, "DECIDER_KIND_DELIVERY")
    assert [one["kind"] for one in found["deciders"]][:2] == ["DECIDER_KIND_LEDGER", "DECIDER_KIND_RESERVATIONS"]


async def test_what_is_missing_is_said(quick_stockgate: Stockgate) -> None:
    """Nothing to explain without a SKU and a channel; an unknown language; an unknown SKU."""
    ended = await quick_stockgate("explain", "--sku", "CUP", "--json")
    assert ended.exit_code == 2
    assert "--channel" in ended.error["message"]
    assert (await quick_stockgate("explain", "--listing", "1", "--lang", "fr", "--json")).exit_code == 2
    ended = await quick_stockgate("explain", "--sku", "CUP", "--channel", "douyin", "--json")
    assert ended.exit_code == 1
    assert ended.error["code"] == "NOT_FOUND"
