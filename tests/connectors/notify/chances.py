"""Notices as they may come: any SKU, any room, any tier, texts from strangers."""

from hypothesis import strategies as st

from connectors.notify.notices import Kind, Notice, Reason, Tier
from connectors.notify.words import Words

KINDS = (Kind.TIER, Kind.TIER, Kind.TIER, Kind.STALE, Kind.ESCALATED, Kind.ACKNOWLEDGED)
# What people type, and what they should not be able to do with it.
texts = st.text(max_size=300) | st.sampled_from(
    [
        "红色马克杯 350ml",
        '<at user_id="all">所有人</at>',
        "<@all> @所有人",
        "line\r\none\n#99",
        "\u202egnp.exe",
        "杯" * 300,
    ]
)
words = st.builds(Words, texts, texts)
reasons = st.builds(
    Reason,
    available=st.integers(0, 10**9),
    per_minute=st.floats(0, 1e6),
    p10_seconds=st.none() | st.floats(0, 1e6),
    p50_seconds=st.none() | st.floats(0, 1e6),
    p90_seconds=st.none() | st.floats(0, 1e6),
)


@st.composite
def notices(draw: st.DrawFn, revision: int | None = None, *, drills: bool = True) -> Notice:
    """One notice; its tier and the one before differ when it tells of a tier."""
    sku = draw(st.sampled_from(("MUG-1", "BOWL-2", "VASE-3", "T" * 64)))
    return Notice(
        revision=revision if revision is not None else draw(st.integers(1, 10**12)),
        kind=draw(st.sampled_from(KINDS)),
        thread=sku,
        tier=draw(st.sampled_from(Tier)),
        tier_before=draw(st.sampled_from(Tier)),
        sku=sku,
        title=draw(texts),
        room=draw(st.sampled_from(("", "room-1", "room-2", "直播间" * 20))),
        reason=draw(st.none() | reasons),
        action=draw(words),
        host_line=draw(words),
        actor=draw(texts),
        link=draw(
            st.sampled_from(("", "https://ops.example/ack?sku=MUG-1&episode=3", "https://ops.example/" + "a" * 500))
        ),
        level=draw(st.integers(0, 9)),
        drill_id=draw(st.sampled_from((0, 0, 0, 7))) if drills else 0,
        pages=draw(st.booleans()),
        is_stale=draw(st.booleans()),
        is_flapping=draw(st.booleans()),
        may_be_told=draw(st.booleans()),
    )
