"""What is said in the live room: rounding, templates that are refused, hostile titles, words for everything."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.demand import StockOutTimes
from gateway.domain.errors import InvalidArgument
from gateway.domain.lines import (
    BUILT_IN_TEMPLATES,
    INTENTS,
    LANGUAGES,
    NUMBERS,
    TITLE_LENGTH_MAX,
    VARIABLES,
    Template,
    Values,
    chosen,
    line,
    plain,
    render,
    require_sound,
    say,
    spoken_minutes,
    spoken_sales,
    spoken_span,
    template_id,
    values_of,
)
from gateway.domain.phrases import SLOW
from gateway.domain.tiers import Tier
from tests.domain.histories import bounded

CHAT = ("{title}有货", "{title}还有{sellable}单", "{title}可以拍")


def values(sellable: int | None = 23, title: str = "马克杯", **content: object) -> Values:
    return values_of("zh-CN", title=title, tier=Tier.URGENT, sellable=sellable, **content)  # type: ignore[arg-type]  # as given


# ---- numbers


@pytest.mark.parametrize(
    ("sales", "zh", "en"),
    [(1, "1", "1"), (23, "23", "23"), (30, "30", "30"), (31, "约30", "about 30"), (199, "约190", "about 190")],
)
def test_numbers_are_exact_up_to_30_and_then_down_to_the_next_ten(sales: int, zh: str, en: str) -> None:
    """Never more than there are (R46)."""
    assert (spoken_sales(sales, "zh-CN"), spoken_sales(sales, "en")) == (zh, en)


@bounded(max_examples=200)
@given(st.integers(0, 10**9), st.sampled_from(LANGUAGES))
def test_no_number_is_rounded_up(sales: int, language: str) -> None:
    """Whatever is said is there (R46)."""
    said = int("".join(char for char in spoken_sales(sales, language) if char.isdigit()))
    assert sales - 10 < said <= sales


@pytest.mark.parametrize(
    ("seconds", "zh", "en"),
    [
        ((600.0, 900.0, 1500.0), "10到25", "10 to 25"),
        ((590.0, 610.0, 620.0), "约10", "about 10"),
        ((None, 130.0, None), "约2", "about 2"),
        ((0.0, 5.0, 70.0), "约1", "about 1"),
        ((3600.0, 4500.0, 5600.0), "60到90", "60 to 90"),
        ((600.0, 900.0, None), "约15", "about 15"),
        ((600.0, 900.0, 40_000.0), "约15", "about 15"),
        ((None, 20_000.0, None), None, None),
        ((60.0, None, None), None, None),
    ],
)
def test_minutes_are_an_interval_or_about(
    seconds: tuple[float | None, float | None, float | None], zh: str | None, en: str | None
) -> None:
    """Both ends where they are known and differ; nothing where it is far away."""
    times = StockOutTimes(*seconds)
    assert (spoken_minutes(times, "zh-CN"), spoken_minutes(times, "en")) == (zh, en)


@pytest.mark.parametrize(
    ("seconds", "zh", "en"),
    [
        (61, "约5分钟", "about 5 minutes"),
        (20 * 60, "约20分钟", "about 20 minutes"),
        (3 * 3600 + 1, "约4小时", "about 4 hours"),
        (50 * 3600, "约3天", "about 3 days"),
        (0, None, None),
        (-60, None, None),
    ],
)
def test_spans_are_rounded_up(seconds: float, zh: str | None, en: str | None) -> None:
    """Until more comes; what is late already is not spoken of."""
    assert (spoken_span(seconds, "zh-CN"), spoken_span(seconds, "en")) == (zh, en)


# ---- templates


def test_there_are_words_for_everything() -> None:
    """Every intent, tier and language has built-in words, at least three for the chat, and sound ones."""
    wanted = {
        template_id(intent, tier, language) for intent in INTENTS for tier in (*Tier, None) for language in LANGUAGES
    }
    assert BUILT_IN_TEMPLATES.keys() == wanted
    for template in BUILT_IN_TEMPLATES.values():
        require_sound(template)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("tier", [*Tier, None])
@pytest.mark.parametrize("intent", INTENTS)
def test_something_can_always_be_said(intent: str, tier: Tier | None, language: str) -> None:
    """Even when nothing is known but the title; while knowledge is old there is no number in it."""
    known = values_of(language, title="A", tier=tier or Tier.NORMAL, sellable=None if tier is None else 7)
    text, template = line({}, intent, tier, known, language, 3)
    assert text
    assert template.template_id == template_id(intent, tier, language)
    if tier is None:
        assert not set(text) & set(string.digits)


def test_what_is_to_last_is_spoken_of_less() -> None:
    """The slow words are sound too."""
    for language, words in SLOW.items():
        require_sound(Template("HOST", language, words, Tier.URGENT))


@pytest.mark.parametrize(
    ("variant", "why"),
    [
        ("还能卖{stock}单", "no variable 'stock'"),
        ("还能卖{ sellable}单", "no variable"),
        ("还能卖{}单", "no variable"),
        ("还能卖{sellable单", "brace"),
        ("还能卖sellable}单", "brace"),
        ("还能卖{{sellable}}单", "brace"),
        ("{title.__class__}", "no variable"),
        ("{title!r}", "no variable"),
        ("<b>{title}</b>", "markup"),
        ("a\nb", "printed"),
        ("a\u202eb", "printed"),
        ("a\0b", "printed"),
        ("", "characters"),
        ("   ", "characters"),
        ("x" * 201, "characters"),
        ("{title}有货", "there already"),
    ],
)
def test_a_bad_variant_is_named(variant: str, why: str) -> None:
    """Each is refused when it is saved, with its place among the variants."""
    template = Template("CHAT", "zh-CN", (*CHAT, variant), Tier.URGENT)
    with pytest.raises(InvalidArgument, match=why) as refused:
        require_sound(template)
    assert refused.value.field == "template.variants[3]"


@pytest.mark.parametrize("name", sorted(NUMBERS))
def test_old_knowledge_has_no_numbers(name: str) -> None:
    """A number variable in words for old knowledge is refused."""
    with pytest.raises(InvalidArgument, match="is a number") as refused:
        require_sound(Template("HOST", "zh-CN", (f"还有{{{name}}}",)))
    assert refused.value.field == "template.variants[0]"


@pytest.mark.parametrize(
    ("template", "field"),
    [
        (Template("SHOUT", "zh-CN", CHAT, Tier.URGENT), "template.intent"),
        (Template("CHAT", "zh", CHAT, Tier.URGENT), "template.language"),
        (Template("CHAT", "zh-CN", CHAT[:2], Tier.URGENT), "template.variants"),
        (Template("HOST", "zh-CN", (), Tier.URGENT), "template.variants"),
        (Template("HOST", "zh-CN", tuple(map(str, range(21))), Tier.URGENT), "template.variants"),
    ],
)
def test_a_bad_template_names_its_field(template: Template, field: str) -> None:
    """Unknown intents and languages, too few or too many variants."""
    with pytest.raises(InvalidArgument) as refused:
        require_sound(template)
    assert refused.value.field == field


@bounded(max_examples=300)
@given(st.text(alphabet=st.sampled_from("{}<a\n单titlesb "), max_size=30))
def test_what_is_sound_can_be_rendered(variant: str) -> None:
    """Whatever is accepted says something without a brace left, and whatever is refused is an InvalidArgument."""
    try:
        require_sound(Template("HOST", "en", (variant,), Tier.NORMAL))
    except InvalidArgument:
        return
    text = render(variant, Values("t", "t", "1", "1", "1", "s"))
    assert text is not None
    assert not set("{}<\n") & set(text)


# ---- rendering


@pytest.mark.parametrize(
    "title", ["{sellable}", "<script>alert(1)</script>", "a\nb\u202ec\0d", "%s {0} {title} \\1", "x" * 10_000, "{" * 50]
)
def test_a_title_is_text(title: str) -> None:
    """Variables, markup and control characters in a title are no more than characters, on one line and not too long."""
    text = render("{title}还能卖{sellable}单", values(title=title))
    assert text is not None
    assert text.isprintable()
    assert text == f"{plain(title)}还能卖23单"
    assert len(plain(title)) <= TITLE_LENGTH_MAX


def test_what_needs_the_unknown_is_passed_over() -> None:
    """A variant whose variable nobody knows is not said; the others take turns."""
    variants = ("{title}约{minutes}分钟", "{title}有货", "看看{substitute}")
    known = values()
    assert {say(variants, known, turn) for turn in range(6)} == {"马克杯有货"}
    more = values(stock_out=StockOutTimes(None, 600.0, None), substitute="茶杯")
    assert [say(variants, more, turn) for turn in range(3)] == ["马克杯约约10分钟", "马克杯有货", "看看茶杯"]


def test_the_same_is_not_said_twice_in_a_row() -> None:
    """As long as there is something else to say."""
    last = ""
    for turn in (0, 0, 0, 5, 5):
        text = say(CHAT, values(), turn, unlike=last)
        assert text != last
        last = text
    assert say(("只有一句",), values(), 4, unlike="只有一句") == "只有一句"


def test_old_knowledge_leaves_no_number() -> None:
    """Without a number that is known no number variable has a value."""
    known = values(None, stock_out=StockOutTimes(1.0, 2.0, 3.0), restock_seconds=60.0)
    assert all(getattr(known, name) is None for name in NUMBERS)
    assert set(VARIABLES) == set(Values.__struct_fields__)


def test_the_merchants_words_come_first_and_ours_where_they_fail() -> None:
    """A merchant's template stands in for ours; if it needs what is not known, ours is said."""
    mine = Template("HOST", "zh-CN", ("补货还要{restock}",), Tier.URGENT)
    templates = {mine.template_id: mine}
    assert chosen(templates, "HOST", Tier.URGENT, "zh-CN") is mine
    text, used = line(templates, "HOST", Tier.URGENT, values(restock_seconds=1200.0), "zh-CN", 0)
    assert (text, used) == ("补货还要约20分钟", mine)
    text, used = line(templates, "HOST", Tier.URGENT, values(), "zh-CN", 0)
    assert used.is_built_in
    assert "23" in text
