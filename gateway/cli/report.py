"""`stockgate report`: a session, looked back upon: one file to print, JSON, or CSV."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli import alert_words
from gateway.cli.attention import Actor
from gateway.cli.client import Caller, gateway_command
from gateway.cli.errors import EXIT_USAGE, failure
from gateway.cli.live import show_sessions
from gateway.cli.output import Column, document, local_time, number, print_document, print_table, say
from gateway.v1 import live_service_pb2 as pb
from gateway.v1.review_pb2 import AdviceChange, AdviceSetting, Review, ReviewSku

app = typer.Typer()

# A session of hours is read whole.
TIMEOUT_SECONDS = 60.0
LANGUAGES = {"zh": "zh-CN", "zh-CN": "zh-CN", "en": "en"}
LIST_LIMIT = 20

# What each is called, and how its values are said.
_SETTINGS = {
    AdviceSetting.ADVICE_SETTING_LEAD_SECONDS: ("lead time", "{:g} s"),
    AdviceSetting.ADVICE_SETTING_LEAD_DAYS: ("lead time", "{:g} days"),
    AdviceSetting.ADVICE_SETTING_SAFETY_STOCK: ("safety stock", "{:g}"),
    AdviceSetting.ADVICE_SETTING_SERVICE_LEVEL: ("service level", "{:.1%}"),
}

SKU_COLUMNS = (
    Column("SKU"),
    Column("at first", is_number=True, worth=3),
    Column("came", is_number=True, worth=2),
    Column("sold", is_number=True, worth=8),
    Column("left", is_number=True, worth=7),
    Column("ran out", worth=6),
    Column("lost", is_number=True, worth=5),
    Column("oversold", is_number=True, worth=4),
)


@gateway_command(app)
def report(
    caller: Caller,
    actor: Actor,
    session: Annotated[
        int | None,
        typer.Argument(
            metavar="[SESSION]", min=1, help="Its number; without one, sessions are listed.", show_default=False
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Write one HTML file, with everything in it.", show_default=False
        ),
    ] = None,
    tables: Annotated[
        Path | None,
        typer.Option(
            "--csv",
            metavar="FOLDER",
            help="Write CSV tables there; a name that ends in .zip: into one file.",
            show_default=False,
        ),
    ] = None,
    lang: Annotated[str, typer.Option("--lang", metavar="zh|en", help="The language of the file.")] = "zh",
    accept: Annotated[
        list[str] | None,
        typer.Option(
            "--accept",
            metavar="KIND:SKU",
            help="Do what it advises, named as the report names it; may be repeated.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Look back on a session: what was sold and lost, how early warnings came, who reacted when, what to change.

    Made from the log and the journal alone, so the same session gives the same report. One that is still on is reported
    up to now.
    """
    language = _language(lang)
    if session is None:
        _refuse(output, tables, accept)
        show_sessions(caller, LIST_LIMIT)
        return
    if accept:
        _accept(caller, session, accept, actor)
        return
    request = pb.GetReviewRequest(session_id=session)
    review = caller.ask(caller.live.GetReview, request, TIMEOUT_SECONDS).review
    if output is not None:
        from gateway.web.report import report_html

        _write(output, lambda file: file.write_text(report_html(review, language), encoding="utf-8"))
    if tables is not None:
        _write_tables(review, tables)
    if caller.as_json:
        print_document({"review": document(review)})
    elif output is None and tables is None:
        _show(review)
    else:
        for file in (output, tables):
            if file is not None:
                say(f"Wrote {file}.")


def _language(name: str) -> str:
    if name not in LANGUAGES:
        raise typer.BadParameter(f"{name!r} is none of zh, en", param_hint="--lang")
    return LANGUAGES[name]


def _refuse(*asked: Path | list[str] | None) -> None:
    if any(asked):
        raise typer.BadParameter("of which session? `stockgate report` lists them", param_hint="SESSION")


def _accept(caller: Caller, session: int, accept: Sequence[str], actor: str) -> None:
    """Have each of these carried out; the first that is refused ends it."""
    for each in accept:
        kind, _, sku = each.partition(":")
        request = pb.AcceptAdviceRequest(
            request_id=str(uuid.uuid4()), session_id=session, kind=kind.upper(), sku=sku, actor=actor
        )
        response = caller.ask(caller.live.AcceptAdvice, request, TIMEOUT_SECONDS)
        if caller.as_json:
            print_document(document(response), as_line=True)
        else:
            say(f"{sku}: {_changed(response.change)}.")


def _changed(change: AdviceChange) -> str:
    name, form = _SETTINGS[change.setting]
    return f"{name} {form.format(change.before)} -> {form.format(change.after)}"


def _write_tables(review: Review, place: Path) -> None:
    from gateway.web.report_tables import report_tables, report_zip

    if place.suffix == ".zip":
        _write(place, lambda file: file.write_bytes(report_zip(review)))
        return
    _write(place, lambda folder: folder.mkdir(parents=True, exist_ok=True))
    for name, text in report_tables(review).items():
        _write(place / name, partial(_write_text, text))


def _write_text(text: str, file: Path) -> None:
    from gateway.web.report_tables import BYTE_ORDER_MARK

    file.write_text(BYTE_ORDER_MARK + text, encoding="utf-8", newline="")


def _write(file: Path, write: Callable[[Path], object]) -> None:
    try:
        write(file)
    except OSError as error:
        raise failure("FILE", f"cannot write {file}: {error.strerror}", "Name another place.", EXIT_USAGE) from error


def _show(review: Review) -> None:
    session = review.session
    end = local_time(review.end_time) if session.HasField("close_time") else "(it is on)"
    say(f"Session {session.session_id}: {session.room}", style="bold")
    say(f"{local_time(review.begin_time)} to {end} · {', '.join(session.channels)}")
    print_table(SKU_COLUMNS, [_row(one) for one in review.skus], "It sold nothing that is known.")
    if review.policies:
        real = review.policies[0]
        say(
            f"{number(real.warnings)} warnings, {number(real.needless)} of nothing; "
            f"{number(real.caught)} of {number(real.stock_outs)} stock-outs were warned of before."
        )
    for one in review.warnings:
        if one.late_cost_units >= 1:
            tier = alert_words.tier_word(one.tier)
            say(f"{one.sku}: a late reaction to {tier} cost about {one.late_cost_units:.0f} units.", style="yellow")
    for advice in review.advice:
        say(f"→ {advice.text_en}")
        if advice.HasField("change"):
            say(f"  --accept {advice.kind}:{advice.sku} sets it: {_changed(advice.change)}", style="dim")
    say("`-o report.html` writes it all, to print.", style="dim")


def _row(one: ReviewSku) -> tuple[str | int, ...]:
    return (
        one.sku,
        one.begin_available,
        one.received,
        one.sold,
        one.unsold,
        local_time(one.stock_out_time) if one.HasField("stock_out_time") else "",
        round(one.lost),
        one.oversold,
    )
