"""The review of a session as one file: printable, with its pictures inside, nothing fetched from anywhere.

Whatever people have written (titles, rooms, notes) is text in it, never markup: the template escapes everything.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from google.protobuf.duration_pb2 import Duration
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from gateway.v1.review_pb2 import Review, ReviewSku, ReviewWarning
from gateway.web import report_charts as charts
from gateway.web import report_words as words
from gateway.web.report_words import EN as EN  # noqa: PLC0414 - asked for here
from gateway.web.report_words import ZH as ZH  # noqa: PLC0414 - the same
from gateway.web.report_words import Words

# More pictures than these nobody turns the pages for; all SKUs are in the table.
PICTURES_MAX = 12
# Of fewer changes the table says all there is to say.
LAGS_MIN = 10
# Rows of the longest tables in print; JSON and CSV have all of them.
SKUS_MAX, WARNINGS_MAX, HAPPENINGS_MAX = 300, 200, 200


@dataclass(frozen=True)
class Figure:
    """A headline figure: what, how much, and one line about it; `mood`: good, bad or empty."""

    label: str
    value: str
    note: str
    mood: str = ""


def report_html(review: Review, language: str = ZH) -> str:
    """The page, in zh-CN or en."""
    said = Words(language)
    pictured = most_interesting(review)
    return _template().render(
        review=review,
        w=said,
        words=words,
        charts=charts,
        figures=figures(review, said),
        pictures=[(sku, charts.sku_chart(review, sku)) for sku in pictured],
        lags=[(one, charts.lag_chart(review, one)) for one in review.channels if len(one.lag.points) >= LAGS_MIN],
        skus=list(review.skus)[:SKUS_MAX],
        warnings=list(review.warnings)[:WARNINGS_MAX],
        happenings=list(review.happenings)[:HAPPENINGS_MAX],
    )


def most_interesting(review: Review) -> list[ReviewSku]:
    """The SKUs worth a picture: what was lost and oversold first, then what was warned of, then what sold most."""
    warned: dict[str, int] = {}
    for warning in review.warnings:
        warned[warning.sku] = max(warned.get(warning.sku, 0), int(warning.tier))

    def worth(sku: ReviewSku) -> tuple[float, int, int]:
        return sku.lost + 100.0 * sku.oversold, warned.get(sku.sku, 0), sku.sold

    return [sku for sku in sorted(review.skus, key=worth, reverse=True) if any(worth(sku))][:PICTURES_MAX]


def figures(review: Review, said: Words) -> list[Figure]:
    """The headline."""
    skus = review.skus
    out = [sku for sku in skus if sku.HasField("stock_out_time")]
    had = sum(sku.begin_available + sku.received for sku in skus)
    oversold, lost = sum(sku.oversold for sku in skus), sum(sku.lost for sku in skus)
    return [
        Figure(said.t("sold"), words.whole(sum(sku.sold for sku in skus)), said.t("sold_of", units=words.whole(had))),
        Figure(said.t("unsold"), words.whole(sum(sku.unsold for sku in skus)), said.t("unsold_of", skus=len(skus))),
        Figure(
            said.t("lost"),
            words.whole(lost),
            said.t("lost_of", skus=len(out), time=said.span(_total(out))),
            "bad" if lost >= 1 else "good",
        ),
        Figure(
            said.t("oversold"),
            words.whole(oversold),
            said.t("oversold_some" if oversold else "oversold_none"),
            "bad" if oversold else "good",
        ),
        _caught(review, said),
        _slowest(review, said),
    ]


def _total(skus: list[ReviewSku]) -> Duration:
    total = Duration()
    total.FromMicroseconds(sum(sku.out_for.ToMicroseconds() for sku in skus))
    return total


def _caught(review: Review, said: Words) -> Figure:
    real = next(iter(review.policies), None)
    if real is None or not real.stock_outs:
        return Figure(said.t("caught"), "–", said.t("caught_none"), "good")
    note = said.t("caught_of", time=said.seconds(60 * real.minutes_before)) if real.HasField("minutes_before") else ""
    mood = "good" if real.caught == real.stock_outs else "bad"
    return Figure(said.t("caught"), f"{real.caught} / {real.stock_outs}", note, mood)


def _slowest(review: Review, said: Words) -> Figure:
    timed = [one for one in review.channels if one.HasField("lag_p99")]
    if not timed:
        return Figure(said.t("lag"), "–", said.t("lag_none"))
    slowest = max(timed, key=lambda one: one.lag_p99.ToMicroseconds())
    return Figure(said.t("lag"), said.span(slowest.lag_p99), said.t("lag_of", channel=slowest.channel))


def reaction(warning: ReviewWarning, said: Words) -> str:
    """Who acknowledged a warning and after how long."""
    if not warning.HasField("acknowledge_after"):
        return said.t("nobody")
    return f"{warning.acknowledged_by} · {said.span(warning.acknowledge_after)}"


@lru_cache(maxsize=1)
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["reaction"] = reaction
    return environment.get_template("report.html")
