"""`stockgate alert ack ...`: what people do about warnings: take them on, tick steps, keep from being notified."""

from __future__ import annotations

from typing import Annotated

import typer
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.cli import alert_words as words
from gateway.cli import arguments
from gateway.cli.client import INT32_MAX, Caller, RequestId, gateway_command, who_acts
from gateway.cli.errors import EXIT_USAGE, Failure, Problem, failure
from gateway.cli.output import Column, document, local_time, number, print_document, print_table, say
from gateway.cli.pages import Limit, gathered
from gateway.cli.sku import SkuCode
from gateway.cli.stock import say_more
from gateway.v1 import alert_pb2, alert_service_pb2

app = typer.Typer()

SILENCE_COLUMNS = (
    Column("silence", is_number=True),
    Column("whom it is about"),
    Column("from", worth=3),
    Column("until", worth=8),
    Column("up to", worth=4),
    Column("by", worth=5),
    Column("why", worth=6),
    Column("ended", worth=7),
)

Actor = Annotated[
    str,
    typer.Option(
        "--actor",
        metavar="NAME",
        default_factory=who_acts,
        show_default="STOCKGATE_ACTOR, or who is logged in here",
        help="Who does it.",
    ),
]
Session = Annotated[
    int, typer.Option("--session", metavar="NUMBER", min=0, help="Its own units in this session; else the whole stock.")
]
Episode = Annotated[
    int, typer.Option("--episode", metavar="NUMBER", min=0, help="The episode that is meant; else the one that is on.")
]
TierMeant = Annotated[str, typer.Option("--tier", metavar="TIER", help="The tier that is meant; else where it stands.")]
DrillNumber = Annotated[int, typer.Option("--drill", metavar="NUMBER", min=0, help="It belongs to this drill.")]


@gateway_command(app)
def ack(
    caller: Caller,
    sku: SkuCode,
    actor: Actor,
    request_id: RequestId,
    action: Annotated[
        str,
        typer.Option(
            "--action",
            metavar="ACTION",
            help="replenish, transfer, cap-sales, delist, watch or false-alarm.",
            show_default=False,
        ),
    ],
    quantity: Annotated[
        int, typer.Option("--quantity", metavar="UNITS", min=0, help="replenish, transfer: how many come.")
    ] = 0,
    arrive: Annotated[
        str,
        typer.Option("--in", metavar="TIME", help="replenish, transfer: when they are there, as in 15m, or a time."),
    ] = "",
    note: Annotated[str, typer.Option("--note", metavar="TEXT", help="In your own words.")] = "",
    session: Session = 0,
    episode: Episode = 0,
    tier: TierMeant = "",
    drill: DrillNumber = 0,
) -> None:
    """Take a warning on, and say what was decided. The first wins.

    If it has risen since you looked, it is refused: say --tier to be sure which warning you mean.
    """
    request = alert_service_pb2.AcknowledgeRequest(
        request_id=request_id,
        sku=sku,
        session_id=session,
        actor=actor,
        action=arguments.ack_action(action),
        quantity=quantity,
        note=note,
        drill_id=drill,
        arrive_time=arguments.later(arrive) if arrive else None,
    )
    request.episode, request.tier = _meant(caller, sku, session, episode, tier, drill)
    response = caller.ask(caller.alerts.Acknowledge, request)
    if caller.as_json:
        print_document({"request_id": request_id, **document(response)})
        return
    say(f"{sku}: {words.acknowledged(response.acknowledgement)}", style="bold")
    _say_recorded(request_id, response.revision)


@gateway_command(app)
def step(
    caller: Caller,
    sku: SkuCode,
    number_of_step: Annotated[
        int,
        typer.Argument(
            metavar="STEP", min=1, max=INT32_MAX, help="Which step of the runbook, from 1.", show_default=False
        ),
    ],
    actor: Actor,
    request_id: RequestId,
    session: Session = 0,
    episode: Episode = 0,
    tier: TierMeant = "",
    drill: DrillNumber = 0,
) -> None:
    """Tick a step of the runbook as done."""
    request = alert_service_pb2.CompleteStepRequest(
        request_id=request_id, sku=sku, session_id=session, step=number_of_step - 1, actor=actor, drill_id=drill
    )
    request.episode, request.tier = _meant(caller, sku, session, episode, tier, drill)
    response = caller.ask(caller.alerts.CompleteStep, request)
    if caller.as_json:
        print_document({"request_id": request_id, **document(response)})
        return
    say(f"{sku}: step {number_of_step} is done.", style="bold")
    _say_recorded(request_id, response.revision)


@gateway_command(app)
def silence(
    caller: Caller,
    actor: Actor,
    request_id: RequestId,
    until: Annotated[
        str,
        typer.Option(
            "--until", metavar="TIME", help="A time, or for how long, as in 30m; up to 12h.", show_default=False
        ),
    ],
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help="Why; needed.", show_default=False)],
    sku: Annotated[list[str] | None, typer.Option("--sku", metavar="CODE", help="Only it; may be repeated.")] = None,
    channel: Annotated[list[str] | None, typer.Option("--channel", metavar="CODE", help="Only what it sells.")] = None,
    session: Annotated[
        list[int] | None, typer.Option("--session", metavar="NUMBER", help="Only what it sells.")
    ] = None,
    start: Annotated[str, typer.Option("--from", metavar="TIME", help="From when on; else from now on.")] = "",
    until_resolved: Annotated[
        bool, typer.Option("--until-resolved", help="It ends when all is normal again, if that is sooner.")
    ] = False,
    max_tier: Annotated[
        str, typer.Option("--max-tier", metavar="TIER", help="Tiers above this one pierce it; else threshold.")
    ] = "",
) -> None:
    """Keep people from being notified for a while; streams carry everything all the same."""
    request = alert_service_pb2.SilenceRequest(
        request_id=request_id,
        matcher=alert_pb2.SilenceMatcher(skus=sku or [], channels=channel or [], session_ids=session or []),
        start_time=arguments.later(start) if start else None,
        end_time=arguments.later(until),
        actor=actor,
        comment=why,
        until_resolved=until_resolved,
        max_tier=arguments.tier(max_tier) if max_tier else alert_pb2.TIER_UNSPECIFIED,
    )
    response = caller.ask(caller.alerts.Silence, request)
    if caller.as_json:
        print_document({"request_id": request_id, **document(response)})
        return
    _say_silence(response.silence)
    say(f"it silences {number(response.matches)} SKUs that are not normal now")
    say(f"Next: `stockgate alert unsilence {response.silence.silence_id}` ends it.", style="dim")


@gateway_command(app)
def unsilence(
    caller: Caller,
    silence_id: Annotated[int, typer.Argument(metavar="SILENCE", min=1, help="Its number.", show_default=False)],
    actor: Actor,
    request_id: RequestId,
) -> None:
    """End a silence."""
    request = alert_service_pb2.EndSilenceRequest(request_id=request_id, silence_id=silence_id, actor=actor)
    response = caller.ask(caller.alerts.EndSilence, request)
    if caller.as_json:
        print_document({"request_id": request_id, **document(response)})
        return
    _say_silence(response.silence)


@gateway_command(app)
def silences(
    caller: Caller,
    ended: Annotated[bool, typer.Option("--ended", help="Those that are over too.")] = False,
    limit: Limit = 100,
) -> None:
    """Show who does not want to be notified of what, newest first."""
    request = alert_service_pb2.ListSilencesRequest(include_ended=ended)
    response = gathered(caller, caller.alerts.ListSilences, request, "silences", limit)
    if caller.as_json:
        print_document(document(response))
        return
    print_table(SILENCE_COLUMNS, [_silence_row(each) for each in response.silences], "Nothing is silenced.")
    say_more(response.next_page_token, limit)


def _meant(
    caller: Caller, sku: str, session: int, episode: int, tier: str, drill: int
) -> tuple[int, alert_pb2.Tier.ValueType]:
    """The episode and the tier: as typed, or as they are now. Raises Failure if there is nothing to acknowledge."""
    if episode and tier:
        return episode, arguments.tier(tier)
    if drill:
        message = "a drill's episode and tier have to be named"
        raise failure("DRILL", message, "`stockgate alert list --drills` shows them: --episode, --tier.", EXIT_USAGE)
    request = alert_service_pb2.GetTierRequest(sku=sku, session_id=session)
    state = caller.ask(caller.alerts.GetTier, request).state
    if not (episode or state.episode):
        raise Failure(Problem("FAILED_PRECONDITION", f"nothing has ever warned of {sku}", reason="EPISODE_OVER"))
    return episode or state.episode, arguments.tier(tier) if tier else state.tier


def _say_silence(record: alert_pb2.SilenceRecord) -> None:
    over = f", ended {local_time(record.ended_time)}" if record.HasField("ended_time") else ""
    say(f"Silence {record.silence_id}: {words.matched(record.matcher)}{over}", style="bold")
    resolved = ", or until it is resolved" if record.until_resolved else ""
    say(f"{local_time(record.start_time)} until {local_time(record.end_time)}{resolved}")
    say(f"up to {words.tier_word(record.max_tier)} · {record.actor}: {record.comment}")


def _silence_row(record: alert_pb2.SilenceRecord) -> tuple[str | int, ...]:
    return (
        record.silence_id,
        words.matched(record.matcher),
        local_time(record.start_time),
        local_time(record.end_time) + (" or resolved" if record.until_resolved else ""),
        words.tier_word(record.max_tier),
        record.actor,
        record.comment,
        local_time(record.ended_time) if record.HasField("ended_time") else "",
    )


def _say_recorded(request_id: str, revision: int, record_time: Timestamp | None = None) -> None:
    """The last line of a mutation: where it stands in the log, and the id that repeats it."""
    when = f" · {local_time(record_time)}" if record_time is not None else ""
    say(f"revision {number(revision)}{when} · request id {request_id}", style="dim")
