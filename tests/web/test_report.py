"""The printed review: one file, in which whatever people have written is text; and its tables."""

import csv
import io
import re
import zipfile
from datetime import timedelta
from html.parser import HTMLParser

import pytest
from msgspec.structs import replace

from gateway.domain.alerts import AckAction, Acknowledgement, EventKind
from gateway.domain.review.looking_back import review_of
from gateway.domain.tiers import Tier
from gateway.rpc.reviews import fill_review
from gateway.v1.review_pb2 import Review
from gateway.web.report import EN, PICTURES_MAX, ZH, report_html
from gateway.web.report_charts import sku_chart
from gateway.web.report_tables import report_tables, report_zip
from tests.domain.review.records import OPENED, Tape, event, record, told

HOSTILE = '<script>alert("1")</script>{{ 7*7 }}<img src=x onerror=alert(1)>"\''
ELSEWHERE = re.compile(r"(?:https?:)?//\w|\bsrc\s*=|@import|url\(", re.IGNORECASE)


class Outline(HTMLParser):
    """Which elements and attributes a page has, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


def an_evening(title: str = "龙井", sku: str = "TEA") -> Review:
    """A SKU that ran out after ten minutes, was warned of and acknowledged, in a session of an hour."""
    tape = Tape(sku, 60)
    for count in range(1, 61):
        tape.order(10.0 * count)
    tape.receive(1_200.0, 30)
    ack = Acknowledgement(Tier.URGENT, title, OPENED + timedelta(seconds=520), AckAction.WATCH, note=title)
    events = [told(500, Tier.NORMAL, Tier.URGENT, sku), event(520, EventKind.ACKNOWLEDGED, ack, sku)]
    found = record(tape.record(title), events=events)
    session = replace(found.session, room=title, host=title)
    return written(replace(found, session=session))


def written(found: object) -> Review:
    """The review of a record, as the wire has it."""
    message = Review()
    fill_review(message, review_of(found))  # type: ignore[arg-type]  # msgspec's replace forgets the type
    return message


@pytest.mark.parametrize("language", [ZH, EN])
def test_all_of_it_is_in_one_file(language: str) -> None:
    """No script, no address, nothing fetched; the picture is in it, and the policy in its head allows no more."""
    page = report_html(an_evening(), language)
    outline = Outline(page)
    assert not ELSEWHERE.search(page.replace("http-equiv", ""))
    assert outline.tags.isdisjoint({"script", "link", "img", "iframe", "object", "a"})
    assert {"svg", "path", "table"} <= outline.tags
    assert "default-src 'none'" in page
    assert f'lang="{language}"' in page


def test_what_people_write_is_text() -> None:
    """Markup in titles, rooms, names and notes is shown as it was typed; a template's braces are braces."""
    page = report_html(an_evening(HOSTILE))
    outline = Outline(page)
    assert HOSTILE in outline.text
    assert outline.tags.isdisjoint({"script", "img"})
    assert not any(name.startswith("on") for name in outline.attributes)


def test_headline_figures_are_the_reviews() -> None:
    """Sold, lost and what was done are said in the language of the reader."""
    zh, en = Outline(report_html(an_evening(), ZH)).text, Outline(report_html(an_evening(), EN)).text
    assert "直播复盘" in zh
    assert "Session review" in en
    assert "认领紧急：观察" in zh
    assert "acknowledged urgent, watch" in en
    assert "20:08:40" in zh, "times are China's: 12:08:40 UTC"


def test_a_session_of_which_nothing_is_known() -> None:
    """It makes a page too, that says so."""
    page = Outline(report_html(written(record(length=0)))).text
    assert "这一场没有预警" in page
    assert "没有人操作过" in page


def test_many_skus_get_a_picture_each_up_to_a_bound() -> None:
    """All are in the table; those that most need a look have a picture."""
    tapes = []
    for number in range(PICTURES_MAX + 5):
        tape = Tape(f"S{number}", 100)
        tape.order(60.0, number + 1)
        tapes.append(tape.record())
    page = report_html(written(record(*tapes)))
    assert page.count("<figure") == PICTURES_MAX
    assert all(f">S{number}<" in page for number in range(PICTURES_MAX + 5))


def rows_of(tables: dict[str, str], name: str) -> list[dict[str, str]]:
    """The rows of a table."""
    return list(csv.DictReader(io.StringIO(tables[name], newline="")))


def test_tables_have_the_same_figures() -> None:
    """Each part is a table with its units in its columns; nothing known is an empty cell."""
    tables = report_tables(an_evening())
    (sku,) = rows_of(tables, "skus.csv")
    assert (sku["begin_available"], sku["received"], sku["sold"], sku["unsold"]) == ("60", "30", "60", "30")
    assert sku["stock_out_time"] == "2026-11-11T12:10:00Z"
    assert float(sku["out_for_seconds"]) == 600
    (warning,) = rows_of(tables, "warnings.csv")
    assert (warning["tier"], warning["acknowledge_after_seconds"]) == ("URGENT", "20.0")
    assert float(warning["before_stock_out_seconds"]) == 100
    assert {row["name"] for row in rows_of(tables, "series.csv")} == {"available", "sales_per_minute", "tier"}
    assert all(len(row) == len(rows_of(tables, "series.csv")[0]) for row in rows_of(tables, "series.csv"))
    assert rows_of(tables, "policies.csv")[0]["name"] == "as_it_was"
    assert rows_of(tables, "channels.csv")[0]["lag_p99_seconds"] == ""


@pytest.mark.parametrize("formula", ["=1+1", "@SUM(A1)", "+1", "-1", "\t=1"])
def test_no_cell_is_a_formula(formula: str) -> None:
    """What a spreadsheet would compute gets an apostrophe before it."""
    (sku,) = rows_of(report_tables(an_evening(formula)), "skus.csv")
    assert sku["title"] == f"'{formula}"


def test_equal_reviews_are_equal_files() -> None:
    """The zip has all tables, in UTF-8 that Excel knows, and is the same byte for byte."""
    packed = report_zip(an_evening())
    assert packed == report_zip(an_evening())
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        assert sorted(archive.namelist()) == sorted(report_tables(an_evening()))
        assert archive.read("skus.csv").decode("utf-8-sig").startswith("sku,title,")


def test_each_channels_line_is_its_own() -> None:
    """Of more channels than there are colours the first are drawn, and how many more there are is said."""
    review = an_evening()
    [sku] = review.skus
    for number in range(6):
        one = sku.series.add(name="exposure", channel=f"shop{number}")
        one.points.add(time=review.begin_time, value=10.0 * (number + 1))
    chart = sku_chart(review, sku)
    lines = [chart.paths[f"channel{place}"] for place in range(4)]
    heights = [float(line.split("H")[0].split(" ")[1]) for line in lines]
    assert heights == sorted(heights, reverse=True)
    assert len(set(heights)) == 4
    page = report_html(review)
    assert "另有 2 个渠道" in page
    assert "shop3" in page
    assert "shop4" not in page
