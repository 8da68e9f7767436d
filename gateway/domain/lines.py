"""What is said in the live room: templates with typed variables, and the words made from them. Pure.

    {title}       what people call the SKU
    {sellable}    sales this room can still make: exact up to 30, above that "约" and down to the next ten
    {minutes}     until it is sold out, as an interval or about
    {restock}     until more comes
    {substitute}  what to offer instead
    {tier}        how pressing it is, in a word

A number is never rounded up: what is said must be there (R46). A template is read once, from left to right, so that
whatever a title holds is text. Where the value of a variable is not known, the variant is passed over.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from math import ceil

from msgspec import Struct

from gateway.domain.demand import StockOutTimes
from gateway.domain.errors import InvalidArgument
from gateway.domain.phrases import BUILT_IN, BUILT_IN_STALE, EN, TIER_WORDS, ZH
from gateway.domain.tiers import Tier

INTENTS = ("HOST", "CHAT", "STOCK", "RESTOCK", "SUBSTITUTE")
# What a viewer may want to know.
QUESTIONS = ("STOCK", "RESTOCK", "SUBSTITUTE")
LANGUAGES = (ZH, EN)
VARIABLES = ("title", "sellable", "minutes", "restock", "substitute", "tier")
NUMBERS = {"sellable", "minutes", "restock"}
VARIANTS_MAX, VARIANTS_OF_CHAT_MIN = 20, 3
VARIANT_LENGTH_MAX = 200
TITLE_LENGTH_MAX = 40

EXACT_UP_TO = 30
# Who is asked for longer than this would be told a number that means nothing.
MINUTES_MAX = 180

_BRACED = re.compile(r"\{([^{}]*)\}")
_MARKUP = re.compile(r"[<>]")
_HOUR_MINUTES, _DAY_MINUTES = 60, 1_440


class Template(Struct, frozen=True):
    """Words for an intent in a tier; one for old knowledge has no tier, and stands in for those of all."""

    intent: str
    language: str
    variants: tuple[str, ...]
    tier: Tier | None = None
    is_built_in: bool = False

    @property
    def template_id(self) -> str:
        """Which one it is."""
        return template_id(self.intent, self.tier, self.language)


class Values(Struct, frozen=True):
    """What the variables stand for, in one language; None where it is not known."""

    title: str
    tier: str
    sellable: str | None = None
    minutes: str | None = None
    restock: str | None = None
    substitute: str | None = None


Templates = Mapping[str, Template]


def template_id(intent: str, tier: Tier | None, language: str) -> str:
    """The name of a template: its intent, its tier (STALE for old knowledge), its language."""
    return f"{intent}/{'STALE' if tier is None else tier.name}/{language}"


def _built_in() -> dict[str, Template]:
    found = [Template(intent, language, words, tier, True) for (intent, tier, language), words in BUILT_IN.items()]
    found += [Template(intent, language, words, None, True) for (intent, language), words in BUILT_IN_STALE.items()]
    return {one.template_id: one for one in found}


BUILT_IN_TEMPLATES: Templates = _built_in()


def require_sound(template: Template, path: str = "template") -> None:
    """Raise `InvalidArgument`, naming the field, for a template that could not be said."""
    if template.intent not in INTENTS:
        raise InvalidArgument(f"intent is one of {', '.join(INTENTS)}", field=f"{path}.intent")
    if template.language not in LANGUAGES:
        raise InvalidArgument(f"language is one of {', '.join(LANGUAGES)}", field=f"{path}.language")
    least = 1 if template.intent == "HOST" else VARIANTS_OF_CHAT_MIN
    if not least <= len(template.variants) <= VARIANTS_MAX:
        raise InvalidArgument(
            f"{template.intent} has {least} to {VARIANTS_MAX} variants, not {len(template.variants)}",
            field=f"{path}.variants",
        )
    for place, variant in enumerate(template.variants):
        _require_sayable(variant, f"{path}.variants[{place}]", is_stale=template.tier is None)
        if variant in template.variants[:place]:
            raise InvalidArgument("this variant is there already", field=f"{path}.variants[{place}]")


def _require_sayable(variant: str, field: str, *, is_stale: bool) -> None:
    if not variant.strip() or len(variant) > VARIANT_LENGTH_MAX:
        raise InvalidArgument(f"a variant has 1 to {VARIANT_LENGTH_MAX} characters, not {len(variant)}", field=field)
    if not variant.isprintable():
        raise InvalidArgument("the variant holds a character that cannot be printed", field=field)
    if _MARKUP.search(variant):
        raise InvalidArgument("the variant holds markup: < and > are not for words", field=field)
    for name in _BRACED.findall(variant):
        if name not in VARIABLES:
            raise InvalidArgument(f"there is no variable {name[:40]!r}; there are {', '.join(VARIABLES)}", field=field)
        if is_stale and name in NUMBERS:
            raise InvalidArgument(f"{{{name}}} is a number, which nobody knows while knowledge is old", field=field)
    if re.search(r"[{}]", _BRACED.sub("", variant)):
        raise InvalidArgument("the variant has a brace without its other half", field=field)


def render(variant: str, values: Values) -> str | None:
    """What a variant says; None if it needs what is not known."""
    if not _is_sayable(variant, values):
        return None
    return _BRACED.sub(lambda match: str(getattr(values, match.group(1))), variant)


def say(variants: Sequence[str], values: Values, turn: int, unlike: str = "") -> str:
    """The variant whose turn it is, of those that can be said, and another than `unlike` where there is one.

    Empty if none can be said.
    """
    sayable = [variant for variant in variants if _is_sayable(variant, values)]
    text = ""
    for step in range(len(sayable)):
        text = render(sayable[(turn + step) % len(sayable)], values) or ""
        if text != unlike:
            break
    return text


def _is_sayable(variant: str, values: Values) -> bool:
    return all(getattr(values, name) is not None for name in _names(variant))


# A room says the same few variants all the time.
@lru_cache(maxsize=4_096)
def _names(variant: str) -> tuple[str, ...]:
    return tuple(_BRACED.findall(variant))


def chosen(templates: Templates, intent: str, tier: Tier | None, language: str) -> Template:
    """The merchant's template, or the built-in where there is none."""
    name = template_id(intent, tier, language)
    return templates.get(name) or BUILT_IN_TEMPLATES[name]


def line(
    templates: Templates, intent: str, tier: Tier | None, values: Values, language: str, turn: int, unlike: str = ""
) -> tuple[str, Template]:
    """What to say, and the template it is made from; where none of the merchant's words can be said, ours.

    `tier` None: our knowledge is old.
    """
    template = chosen(templates, intent, tier, language)
    text = say(template.variants, values, turn, unlike)
    if not text:
        template = BUILT_IN_TEMPLATES[template.template_id]
        text = say(template.variants, values, turn, unlike)
    return text, template


# ---- values


def values_of(
    language: str,
    *,
    title: str,
    tier: Tier,
    sellable: int | None = None,
    stock_out: StockOutTimes | None = None,
    restock_seconds: float | None = None,
    substitute: str = "",
) -> Values:
    """What the variables stand for. `sellable` None: our knowledge is old, and no number is known."""
    is_known = sellable is not None
    return Values(
        plain(title),
        TIER_WORDS[language][tier],
        spoken_sales(sellable, language) if sellable else None,
        spoken_minutes(stock_out, language) if is_known and stock_out is not None else None,
        spoken_span(restock_seconds, language) if is_known and restock_seconds is not None else None,
        plain(substitute) or None,
    )


@lru_cache(maxsize=8_192)
def plain(title: str) -> str:
    """A title as one line of text that can be shown and spoken."""
    kept = "".join(char if char.isprintable() else " " for char in title[: 10 * TITLE_LENGTH_MAX])
    text = " ".join(kept.split())
    return text if len(text) <= TITLE_LENGTH_MAX else f"{text[: TITLE_LENGTH_MAX - 1]}…"


def spoken_sales(sales: int, language: str) -> str:
    """A number of sales as it is said: never more than there are."""
    if sales <= EXACT_UP_TO:
        return str(sales)
    return _about(sales // 10 * 10, language)


def spoken_minutes(times: StockOutTimes, language: str) -> str | None:
    """When it will be gone: "10到25" where both ends are known and differ, else about the middle; None if far away."""
    if times.p50 is None or times.p50 > MINUTES_MAX * 60:
        return None
    if times.p10 is not None and times.p90 is not None and times.p90 <= MINUTES_MAX * 60:
        low, high = _round_minutes(times.p10), _round_minutes(times.p90)
        if low < high:
            return f"{low}{'到' if language == ZH else ' to '}{high}"
    return _about(_round_minutes(times.p50), language)


def spoken_span(seconds: float, language: str) -> str | None:
    """How long until something comes, with its unit, rounded up. None if it is late."""
    minutes = ceil(seconds / 60)
    if minutes <= 0:
        return None
    if minutes < 2 * _HOUR_MINUTES:
        count, unit = -(-minutes // 5) * 5, ("分钟", "minutes")
    elif minutes < 2 * _DAY_MINUTES:
        count, unit = -(-minutes // _HOUR_MINUTES), ("小时", "hours")
    else:
        count, unit = -(-minutes // _DAY_MINUTES), ("天", "days")
    return f"{_about(count, language)}{unit[0] if language == ZH else ' ' + unit[1]}"


def _round_minutes(seconds: float) -> int:
    minutes = max(1, round(seconds / 60))
    step = 1 if minutes < 10 else 5 if minutes < _HOUR_MINUTES else 10  # noqa: PLR2004 - as people say it
    return round(minutes / step) * step


def _about(count: int, language: str) -> str:
    return f"约{count}" if language == ZH else f"about {count}"
