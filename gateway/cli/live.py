"""`stockgate live ...`: live sessions, what their rooms can sell, what is said, what is proposed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from gateway.cli import arguments, hints, lines, proposals
from gateway.cli.attention import Actor
from gateway.cli.client import Caller, RequestId, gateway_command
from gateway.cli.errors import EXIT_USAGE, failure
from gateway.cli.output import Column, ago, document, local_time, number, print_document, print_table, say
from gateway.cli.pages import Limit, gathered
from gateway.cli.stock import say_more
from gateway.v1 import alert_pb2
from gateway.v1 import live_service_pb2 as pb

app = typer.Typer(no_args_is_help=True, help="Live sessions: what a room can sell, and what to say.")
for _part in (hints.app, lines.app, proposals.app):
    app.add_typer(_part)
app.add_typer(lines.template_app, name="template")

SESSION_COLUMNS = (
    Column("session", is_number=True),
    Column("room"),
    Column("channels", worth=5),
    Column("SKUs", is_number=True, worth=4),
    Column("own units", worth=3),
    Column("host", worth=1),
    Column("opened", worth=2),
    Column("ends", worth=6),
    Column("closed", worth=7),
)
SKU_COLUMNS = (Column("SKU"), Column("own units", worth=2), Column("left of them", worth=1))

SessionNumber = hints.SessionNumber
Skus = Annotated[
    list[str] | None,
    typer.Option(
        "--sku",
        metavar="CODE[=UNITS]",
        help="What it sells; UNITS that only it may sell, those it has sold included. May be repeated.",
        show_default=False,
    ),
]


@gateway_command(app, name="open")
def open_session(
    caller: Caller,
    room: Annotated[str, typer.Argument(metavar="ROOM", help="What people call it.", show_default=False)],
    actor: Actor,
    request_id: RequestId,
    until: Annotated[
        str,
        typer.Option(
            "--until", metavar="TIME", help="When it is to end, or in how long, as in 4h.", show_default=False
        ),
    ],
    channel: Annotated[
        list[str] | None,
        typer.Option("--channel", metavar="CODE", help="Where it sells; may be repeated.", show_default=False),
    ] = None,
    sku: Skus = None,
    host: Annotated[str, typer.Option("--host", metavar="NAME", help="What the host is called.")] = "",
    agora_channel: Annotated[
        str, typer.Option("--agora-channel", metavar="NAME", help="Where its clients listen, with Agora Signaling.")
    ] = "",
) -> None:
    """Open a session."""
    request = pb.OpenSessionRequest(
        request_id=request_id,
        room=room,
        channels=channel or [],
        skus=[arguments.session_sku(each) for each in sku or []],
        planned_end_time=arguments.later(until),
        actor=actor,
        host=host,
        agora_channel=agora_channel,
    )
    response = caller.ask(caller.live.OpenSession, request)
    _show_session(caller, response, request_id)
    if not caller.as_json:
        say(f"Next: `stockgate live hints {response.session.session_id}` shows what it can sell.", style="dim")


@gateway_command(app, name="update")
def update_session(
    caller: Caller,
    session_id: SessionNumber,
    actor: Actor,
    request_id: RequestId,
    sku: Skus = None,
    remove: Annotated[
        list[str] | None, typer.Option("--remove", metavar="CODE", help="What it sells no more; may be repeated.")
    ] = None,
    until: Annotated[str, typer.Option("--until", metavar="TIME", help="When it is to end, or in how long.")] = "",
) -> None:
    """Change what a session sells, its own units, or its end: only what is named."""
    if not (sku or remove or until):
        raise failure("NOTHING_TO_SET", "nothing was named", "`stockgate live update --help` shows what.", EXIT_USAGE)
    request = pb.UpdateSessionRequest(
        request_id=request_id,
        session_id=session_id,
        skus=[arguments.session_sku(each) for each in sku or []],
        remove_skus=remove or [],
        planned_end_time=arguments.later(until) if until else None,
        actor=actor,
    )
    _show_session(caller, caller.ask(caller.live.UpdateSession, request), request_id)


@gateway_command(app, name="close")
def close_session(caller: Caller, session_id: SessionNumber, actor: Actor, request_id: RequestId) -> None:
    """End a session; its own units are everybody's again."""
    request = pb.CloseSessionRequest(request_id=request_id, session_id=session_id, actor=actor)
    _show_session(caller, caller.ask(caller.live.CloseSession, request), request_id)


@gateway_command(app)
def show(caller: Caller, session_id: SessionNumber) -> None:
    """Show one session, and what it has left of its own units."""
    _show_session(caller, caller.ask(caller.live.GetSession, pb.GetSessionRequest(session_id=session_id)))


@gateway_command(app, name="list")
def list_sessions(
    caller: Caller,
    open_only: Annotated[bool, typer.Option("--open", help="Only those that are on.")] = False,
    limit: Limit = 20,
) -> None:
    """Show sessions, newest first."""
    show_sessions(caller, limit, open_only=open_only)


def show_sessions(caller: Caller, limit: int, *, open_only: bool = False) -> None:
    """Print sessions, newest first."""
    request = pb.ListSessionsRequest(open_only=open_only)
    response = gathered(caller, caller.live.ListSessions, request, "sessions", limit)
    if caller.as_json:
        print_document(document(response))
        return
    empty = "No sessions: `stockgate live open ROOM --channel CODE --sku CODE --until 4h` opens one."
    print_table(SESSION_COLUMNS, [_row(each) for each in response.sessions], empty)
    say_more(response.next_page_token, limit)


Answer = pb.OpenSessionResponse | pb.UpdateSessionResponse | pb.CloseSessionResponse | pb.GetSessionResponse


def _show_session(caller: Caller, response: Answer, request_id: str = "") -> None:
    if caller.as_json:
        named = {"request_id": request_id} if request_id else {}
        print_document(named | document(response))
        return
    session = response.session
    host = f", {session.host}" if session.host else ""
    say(f"Session {session.session_id}  {session.room}{host}: {_state(session)}", style="bold")
    say(f"on {', '.join(session.channels)} · opened {local_time(session.open_time)} by {session.actor}")
    if session.agora_channel:
        say(f"clients listen on Agora channel {session.agora_channel}")
    rows = [(each.sku, *_own_units(each)) for each in session.skus]
    print_table(SKU_COLUMNS, rows, "It sells nothing.")
    if request_id:
        say(f"request id {request_id}", style="dim")


def _own_units(sold: alert_pb2.SessionSku) -> tuple[str, str]:
    return (number(sold.exclusive_units), number(sold.exclusive_left)) if sold.exclusive_units else ("", "")


def _state(session: alert_pb2.Session) -> str:
    if session.HasField("close_time"):
        return f"closed {local_time(session.close_time)}"
    is_late = session.planned_end_time.ToDatetime(UTC) < datetime.now(UTC)
    ended = f", should have ended {ago(session.planned_end_time, datetime.now(UTC))}" if is_late else ""
    return f"open until {local_time(session.planned_end_time)}{ended}"


def _row(session: alert_pb2.Session) -> tuple[str | int, ...]:
    own = sum(each.exclusive_units for each in session.skus)
    left = sum(each.exclusive_left for each in session.skus)
    return (
        session.session_id,
        session.room,
        ", ".join(session.channels),
        len(session.skus),
        f"{number(left)} of {number(own)}" if own else "",
        session.host,
        local_time(session.open_time),
        local_time(session.planned_end_time),
        local_time(session.close_time) if session.HasField("close_time") else "",
    )
