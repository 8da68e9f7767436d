"""`stockgate drill ...`: rehearsals of warnings, for people and for CI."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli import alert_words as words
from gateway.cli.attention import Actor
from gateway.cli.client import Caller, RequestId, gateway_command
from gateway.cli.drill_script import read_script
from gateway.cli.errors import EXIT_FAILED, EXIT_INTERRUPTED, Failure, failure
from gateway.cli.output import Column, document, local_time, number, print_document, print_table, say
from gateway.cli.pages import Limit, gathered
from gateway.cli.patience import WORTH_REPEATING
from gateway.cli.stock import say_more
from gateway.v1 import alert_service_pb2 as pb

app = typer.Typer(no_args_is_help=True, help="Rehearsals: recorded or made-up sales that touch no stock.")

DRILL_COLUMNS = (
    Column("drill", is_number=True),
    Column("name"),
    Column("state"),
    Column("passed", worth=6),
    Column("met", worth=5),
    Column("to detect", worth=4),
    Column("to deliver", worth=3),
    Column("to acknowledge", worth=3),
    Column("started", worth=2),
    Column("by", worth=1),
)
SCRIPT_COLUMNS = (Column("script"), Column("length", worth=1), Column("title", worth=2), Column("what", worth=3))
LOOK_SECONDS = 0.5
# A session of hours is read whole.
REHEARSE_SECONDS = 60.0
# Beyond the drill's own length: a restarted gateway gives it up within a minute, and says LOST.
OVERTIME_SECONDS = 120.0
AWAY_SECONDS_MAX = 60.0
RUNNING, ENDED = "RUNNING", "ENDED"

DrillNumber = Annotated[int, typer.Argument(metavar="DRILL", min=1, help="Its number.", show_default=False)]


Speed = Annotated[float | None, typer.Option("--speed", metavar="FACTOR", help="So many times faster than the clock.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what would be played.")]
Wait = Annotated[bool, typer.Option("--wait", help="Wait for its end: exit code 0 if all came as expected, else 1.")]


@gateway_command(app)
def start(
    caller: Caller,
    actor: Actor,
    request_id: RequestId,
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="The script, in TOML.", show_default=False)
    ] = None,
    session: Annotated[
        int | None,
        typer.Option("--session", metavar="N", min=1, help="Play what session N sold.", show_default=False),
    ] = None,
    ours: Annotated[
        str | None,
        typer.Option("--script", metavar="NAME", help="One of `stockgate drill scripts`.", show_default=False),
    ] = None,
    speed: Speed = None,
    wait: Wait = False,
    dry_run: DryRun = False,
) -> None:
    """Begin a rehearsal: of a script, of a recorded session, or one of ours. `generate` makes one up.

    A script has sections [drill], [[sku]], [[order]], [[inject]], [[expect]].

    [drill] name, seconds; and if wanted room, speed, seed, tape (a CSV: at_seconds, sku, quantity). [[sku]] sku, units,
    lead_seconds, rate (orders per minute). [[order]] at_seconds, sku, quantity. [[inject]] at_seconds, kind
    (CHANNEL_DEAD, CHANNEL_BACK, SUPPLY_LATE, RECEIPT, SURGE), sku, value, seconds. [[expect]] sku, tier,
    after_seconds, before_seconds. Seconds count from the start, in the drill's own time.
    """
    if sum(each is not None for each in (file, session, ours)) != 1:
        raise typer.BadParameter("name a FILE, or --session N, or --script NAME")
    if file is not None and dry_run:
        raise typer.BadParameter("a file says itself what would be played", param_hint="--dry-run")
    if file is not None:
        request = pb.StartDrillRequest(request_id=request_id, script=read_script(file, speed), actor=actor)
        _follow(caller, caller.ask(caller.alerts.StartDrill, request).drill, wait=wait)
        return
    source = pb.RehearsalSource(speed=speed or 0.0)
    if session is not None:
        source.session_id = session
    else:
        source.built_in = ours or ""
    _rehearse(caller, pb.RehearseRequest(request_id=request_id, source=source, actor=actor), wait=wait, dry_run=dry_run)


@gateway_command(app)
def generate(
    caller: Caller,
    actor: Actor,
    request_id: RequestId,
    sku: Annotated[
        list[str] | None,
        typer.Option("--sku", metavar="CODE", help="What is sold; may be repeated; else DRILL-1 to DRILL-3."),
    ] = None,
    name: Annotated[str, typer.Option("--name", help="Drills of one name are compared.")] = "generated",
    units: Annotated[int, typer.Option("--units", metavar="N", min=1, help="Of each SKU.")] = 200,
    rate: Annotated[float, typer.Option("--rate", metavar="PER_MINUTE", help="Orders of each SKU.")] = 6.0,
    surge: Annotated[
        float,
        typer.Option("--surge", metavar="FACTOR", help="How much faster the first third sells for a while; 1: no."),
    ] = 4.0,
    minutes: Annotated[float, typer.Option("--minutes", metavar="N", help="How long, in its own time.")] = 30.0,
    lead_minutes: Annotated[
        float, typer.Option("--lead-minutes", metavar="N", help="How long more takes to come.")
    ] = 10.0,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Of its chances.")] = 1,
    speed: Speed = None,
    wait: Wait = False,
    dry_run: DryRun = False,
) -> None:
    """Begin a rehearsal of sales that are made up, with a surge in the middle. The same seed makes the same sales."""
    sales = pb.MadeUpSales(
        name=name,
        skus=sku or ["DRILL-1", "DRILL-2", "DRILL-3"],
        units=units,
        rate=rate,
        seconds=minutes * 60,
        surge=surge,
        lead_seconds=lead_minutes * 60,
        seed=seed,
    )
    source = pb.RehearsalSource(made_up=sales, speed=speed or 0.0)
    _rehearse(caller, pb.RehearseRequest(request_id=request_id, source=source, actor=actor), wait=wait, dry_run=dry_run)


@gateway_command(app)
def scripts(caller: Caller) -> None:
    """Show the scripts of ours, to be begun with `start --script NAME`."""
    response = caller.ask(caller.alerts.ListRehearsals, pb.ListRehearsalsRequest())
    if caller.as_json:
        print_document(document(response))
        return
    rows = [(one.name, words.span(one.script.seconds), one.title_en, one.text_en) for one in response.rehearsals]
    print_table(SCRIPT_COLUMNS, rows, "There are none.")


def _rehearse(caller: Caller, request: pb.RehearseRequest, *, wait: bool, dry_run: bool) -> None:
    if dry_run:
        _preview(caller, request.source)
        return
    _follow(caller, caller.ask(caller.alerts.Rehearse, request, REHEARSE_SECONDS).drill, wait=wait)


def _preview(caller: Caller, source: pb.RehearsalSource) -> None:
    request = pb.PreviewRehearsalRequest(source=source)
    response = caller.ask(caller.alerts.PreviewRehearsal, request, REHEARSE_SECONDS)
    if caller.as_json:
        print_document(document(response))
        return
    script = response.script
    say(f"{script.name}: {words.span(script.seconds)} at {script.speed:g} x", style="bold")
    units = sum(sku.units for sku in script.skus)
    say(f"{number(len(script.skus))} SKUs, {number(units)} units, {number(response.tape_orders)} recorded orders")
    for expected in script.expectations:
        say(_expectation(expected, None))


def _follow(caller: Caller, drill: pb.Drill, *, wait: bool) -> None:
    """Show a drill that has begun, or wait for its end. Raises Exit if it did not pass."""
    if wait:
        if not caller.as_json:
            say(f"Drill {drill.drill_id} ({drill.script.name}) has begun.", style="dim")
        drill = _wait_for(caller, drill)
    _show(caller, drill)
    if wait and not (drill.score.passed and drill.state == ENDED):
        raise typer.Exit(EXIT_FAILED)


@gateway_command(app)
def stop(caller: Caller, drill_id: DrillNumber, actor: Actor) -> None:
    """End a rehearsal before its time."""
    _show(caller, caller.ask(caller.alerts.StopDrill, pb.StopDrillRequest(drill_id=drill_id, actor=actor)).drill)


@gateway_command(app)
def show(caller: Caller, drill_id: DrillNumber) -> None:
    """Show a rehearsal: what was expected, and what came of it."""
    _show(caller, _drill(caller, drill_id))


@gateway_command(app, name="list")
def list_drills(caller: Caller, limit: Limit = 20) -> None:
    """Show rehearsals, newest first."""
    response = gathered(caller, caller.alerts.ListDrills, pb.ListDrillsRequest(), "drills", limit)
    if caller.as_json:
        print_document(document(response))
        return
    print_table(DRILL_COLUMNS, [_row(each) for each in response.drills], "Nothing was rehearsed yet.")
    say_more(response.next_page_token, limit)


def _drill(caller: Caller, drill_id: int) -> pb.Drill:
    return caller.ask(caller.alerts.GetDrill, pb.GetDrillRequest(drill_id=drill_id)).drill


def _wait_for(caller: Caller, drill: pb.Drill) -> pb.Drill:
    """The drill at its end; a gateway that goes away meanwhile is waited for. Raises Failure if it never ends."""
    length_seconds = drill.script.seconds / max(1.0, drill.script.speed)
    ends = time.monotonic() + length_seconds + OVERTIME_SECONDS
    heard = time.monotonic()
    try:
        while drill.state == RUNNING:
            if time.monotonic() >= ends:
                message = f"drill {drill.drill_id} still runs, {OVERTIME_SECONDS:.0f} s after its time"
                raise failure("DRILL", message, f"`stockgate drill stop {drill.drill_id}` ends it.")
            time.sleep(LOOK_SECONDS)
            try:
                drill = _drill(caller, drill.drill_id)
                heard = time.monotonic()
            except Failure as failed:
                is_away = failed.problem.code in WORTH_REPEATING and time.monotonic() - heard < AWAY_SECONDS_MAX
                if not is_away:
                    raise
    except KeyboardInterrupt:
        say(f"Drill {drill.drill_id} goes on: `stockgate drill stop {drill.drill_id}` ends it.", style="dim")
        raise typer.Exit(EXIT_INTERRUPTED) from None
    return drill


def _show(caller: Caller, drill: pb.Drill) -> None:
    if caller.as_json:
        print_document({"drill": document(drill)})
        return
    script, score = drill.script, drill.score
    verdict = ("passed" if score.passed else "not passed") if drill.HasField("score") else drill.state.lower()
    say(f"Drill {drill.drill_id} {script.name}: {verdict}", style="bold green" if score.passed else "bold")
    say(f"{drill.state} · {words.span(script.seconds)} at {script.speed:g} x · by {drill.actor}")
    say(f"{local_time(drill.start_time)} to {local_time(drill.end_time) or '(it runs)'}")
    for place, expected in enumerate(script.expectations):
        say(_expectation(expected, score.met[place] if place < len(score.met) else None))
    if drill.HasField("score"):
        for line in _figures(score):
            say(line)


def _expectation(expected: pb.DrillExpectation, is_met: bool | None) -> str:
    mark = "?" if is_met is None else "✓" if is_met else "✗"
    after = f"after {words.span(expected.after_seconds)} and " if expected.after_seconds else ""
    within = f"{after}within {words.span(expected.before_seconds)}"
    return f"{mark} {expected.sku} {words.tier_word(expected.tier)} {within}"


def _figures(score: pb.DrillScore) -> list[str]:
    lines = []
    times = _times(score)
    if times:
        lines.append(" · ".join(f"{seconds:.1f} s to {what}" for what, seconds in times.items()))
    lines.append(f"{number(score.steps_done)} steps done, {number(score.steps_missed)} missed")
    if score.compared:
        lines.append(f"last time: {score.compared}")
    return lines


def _times(score: pb.DrillScore) -> dict[str, float]:
    """What took how many seconds of the clock; what never happened is left out."""
    return {
        what: getattr(score, f"{what}_seconds")
        for what in ("detect", "deliver", "acknowledge", "act")
        if score.HasField(f"{what}_seconds")  # type: ignore[arg-type]  # the stubs want a literal
    }


def _row(drill: pb.Drill) -> tuple[str | int, ...]:
    score = drill.score
    times = _times(score)
    met = f"{sum(score.met)} of {len(score.met)}" if score.met else ""
    return (
        drill.drill_id,
        drill.script.name,
        drill.state.lower(),
        ("yes" if score.passed else "no") if drill.HasField("score") else "",
        met,
        *(f"{times[what]:.1f} s" if what in times else "" for what in ("detect", "deliver", "acknowledge")),
        local_time(drill.start_time),
        drill.actor,
    )
