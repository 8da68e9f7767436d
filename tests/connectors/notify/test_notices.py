"""What people read: everything that R42 asks for, in one look, and nothing that a stranger has smuggled in."""

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.notify import dingtalk, feishu, wecom
from connectors.notify.grouping import grouped
from connectors.notify.notices import Kind, Notice, Reason, Tier, entry_of
from connectors.notify.words import SYMBOLS, TIERS, Words
from tests.connectors.notify.chances import notices

SMALLEST = min(words.LIMITS.text_bytes_max for words in (dingtalk, feishu, wecom))

URGENT = Notice(
    revision=128,
    kind=Kind.TIER,
    thread="MUG-1",
    tier=Tier.URGENT,
    tier_before=Tier.THRESHOLD,
    sku="MUG-1",
    title="红色马克杯",
    room="一号直播间",
    reason=Reason(23, 4.24, 180.0, 320.0, 480.0),
    action=Words("从近仓调货 200 件", "move 200 units from the near warehouse"),
    host_line=Words("这款库存不多了", "few left of this one"),
    link="https://ops.example/ack?sku=MUG-1&episode=3",
    pages=True,
)


def test_a_notice_says_all_that_is_needed() -> None:
    """SKU, title, tier by symbol and word, the numbers with their interval, what to do, host line, link, number."""
    assert entry_of(URGENT).split("\n") == [
        "‼ 紧急 URGENT · MUG-1 红色马克杯 #128",
        "可用 23 件，每分钟 4.2 单，约 5 分钟售完（3–8）｜23 left, 4.2/min, gone in about 5 min (3-8)",
        "处理 Do：从近仓调货 200 件｜move 200 units from the near warehouse",
        "主播 Host：这款库存不多了｜few left of this one",
        "认领 Acknowledge：https://ops.example/ack?sku=MUG-1&episode=3",
    ]


def test_tiers_differ_by_more_than_colour() -> None:
    """Each tier has a symbol and a word of its own, in both languages."""
    for column in (SYMBOLS.values(), *zip(*TIERS.values(), strict=True)):
        assert len(set(column)) == len(Tier)
    heads = {entry_of(replace(URGENT, tier=tier)).split("\n")[0] for tier in Tier}
    assert len(heads) == len(Tier)


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        (Reason(23, 0.04), "每分钟 0.0 单｜"),
        (Reason(23, 4.2, None, None, None), "每分钟 4.2 单｜23 left, 4.2/min"),
        (Reason(3, 9.0, 5.0, 20.0, 59.0), "约 ≤1 分钟售完（≤1–≤1）"),
        (Reason(23, 4.2, 60.0, 300.0, None), "约 5 分钟售完（最快 1）"),
        (Reason(900, 1.0, 7200.0, 14_400.0, 28_800.0), "约 4 小时售完（2–8）"),
        (Reason(900, 1.0, 600.0, 14_400.0, 28_800.0), "约 4 小时售完（≤1–8）"),
    ],
)
def test_how_long_it_lasts(reason: Reason, expected: str) -> None:
    """Minutes, hours where they are many; nothing where it lasts; less than one of a unit is said as that."""
    assert expected in entry_of(replace(URGENT, reason=reason))


def test_old_knowledge_is_told_without_numbers() -> None:
    """STALE: no number and no line for the host, for neither may be spoken."""
    told = entry_of(replace(URGENT, kind=Kind.STALE, is_stale=True))
    assert "23" not in told
    assert "主播" not in told
    assert "数据过期" in told


def test_a_drill_says_so_first() -> None:
    """The message and each entry begin with the mark."""
    text = grouped([replace(URGENT, drill_id=7)], SMALLEST).text
    assert text.startswith("【演练】")
    assert "\n【演练】‼ 紧急" in text
    assert "演练" not in grouped([URGENT], SMALLEST).text


def test_what_may_have_been_told_says_so() -> None:
    """It has the same number as before, and the word that it may be a repeat."""
    told = entry_of(replace(URGENT, may_be_told=True))
    assert "可能重复" in told
    assert "#128" in told


def test_other_facts() -> None:
    """Acknowledged by whom and with what decision; nobody has; a proposal; each with its word."""
    plain = replace(URGENT, action=Words("已调货 200 件", "200 units on their way"), actor="王芳")
    assert "王芳：已调货 200 件" in entry_of(replace(plain, kind=Kind.ACKNOWLEDGED))
    assert "已认领 ACKNOWLEDGED" not in entry_of(plain)
    assert "请所有人处理" in entry_of(replace(plain, kind=Kind.ESCALATED, level=3))
    assert replace(plain, kind=Kind.ESCALATED, level=3).mentions_all
    assert not replace(plain, kind=Kind.ESCALATED, level=2).mentions_all
    assert "建议待批准" in entry_of(replace(plain, kind=Kind.PROPOSED))


@settings(deadline=None)
@given(notices())
def test_every_notice_fits_every_robot(notice: Notice) -> None:
    """Whatever stands in catalogue, runbook and notes: one notice always goes into the smallest message."""
    made = grouped([notice], SMALLEST)
    assert len(made.text.encode()) <= SMALLEST
    assert made.told == (notice,)


@settings(deadline=None)
@given(notices())
def test_strangers_neither_call_people_nor_forge_lines(notice: Notice) -> None:
    """No mention of any platform comes from a title or a note, no line is begun, and the number is the notice's own."""
    text = grouped([notice], SMALLEST).text
    without_link = text.replace(notice.link, "")
    assert not re.search(r"[<@\u202e\r]", without_link)
    entry = entry_of(notice).split("\n")
    assert len(entry) <= 5
    assert entry[0].endswith(f"#{notice.revision}")


@settings(deadline=None)
@given(st.lists(notices(drills=False), min_size=1, max_size=40), st.integers(SMALLEST, 9_000), st.integers(0, 9))
def test_grouping_loses_nothing_and_keeps_to_the_limit(given_notices: list[Notice], limit: int, dropped: int) -> None:
    """Told and left are all there is, told are whole and the highest, the rest is counted, and bytes are kept to."""
    made = grouped(given_notices, limit, dropped)
    assert len(made.text.encode()) <= limit
    assert made.told
    assert sorted(map(id, made.told + made.left)) == sorted(map(id, given_notices))
    assert all(high.rank >= low.rank for high in made.told for low in made.left)
    for notice in made.told:
        assert entry_of(notice) in made.text
    for count in filter(None, (len(made.left), dropped)):
        assert str(count) in made.text.split("——")[-1]


def test_a_cut_message_says_how_many_follow() -> None:
    """Only whole entries, and the count of the others, which come in the next message."""
    many = [replace(URGENT, revision=number, thread=str(number)) for number in range(1, 21)]
    made = grouped(many, SMALLEST, dropped=2)
    assert 1 < len(made.told) < 20
    assert f"还有 {20 - len(made.told)} 条，稍后发送" in made.text
    assert "另有 2 条未发送" in made.text
    assert made.text.count("‼ 紧急") == len(made.told)


def test_rooms_are_told_apart() -> None:
    """One room stands in the heading; of several, each entry is under its own."""
    other = replace(URGENT, revision=129, thread="BOWL-2", room="二号直播间")
    assert "直播间 一号直播间\n‼" in grouped([URGENT], SMALLEST).text
    text = grouped([URGENT, other], SMALLEST).text
    assert (
        text.index("[直播间 一号直播间]") < text.index("#128") < text.index("[直播间 二号直播间]") < text.index("#129")
    )
