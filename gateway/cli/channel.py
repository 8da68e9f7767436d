"""`stockgate channel ...`: the shops on the platforms, their facts and their secrets."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask

from gateway.cli import arguments
from gateway.cli.client import Caller, JsonOption, gateway_command
from gateway.cli.errors import EXIT_USAGE, failure
from gateway.cli.output import Column, document, local_time, number, print_document, print_table, say, word
from gateway.cli.pages import Limit, gathered
from gateway.cli.stock import say_more
from gateway.v1 import catalog_service_pb2, channel_pb2, channel_service_pb2

app = typer.Typer(no_args_is_help=True, help="The shops on the platforms.")

CHANNEL_COLUMNS = (
    Column("channel"),
    Column("platform", worth=6),
    Column("title", worth=4),
    Column("state"),
    Column("orders up to", worth=5),
    Column("connector", worth=3),
    Column("locations", worth=2),
    Column("created", worth=1),
)
# In the file of a channel's secrets these are kept apart from the platform's own fields: they are renewed.
TOKEN_FIELDS = ("access_token", "refresh_token", "expire_time")

ChannelCode = Annotated[str, typer.Argument(metavar="CHANNEL", help="The channel's code.", show_default=False)]
Title = Annotated[str | None, typer.Option("--title", metavar="TEXT", help="What people call it.")]
Locations = Annotated[
    list[str] | None,
    typer.Option("--location", metavar="CODE", help="A location that serves it, in order; may be repeated. Else all."),
]
TakesOn = Annotated[
    str | None,
    typer.Option("--takes-on", metavar="order|payment", help="When the platform takes units off; else on order."),
]
CloseKeeps = Annotated[
    bool | None,
    typer.Option(
        "--close-keeps/--close-restores", help="Whether an order that is closed unpaid gives its units back there."
    ),
]
RefundKeeps = Annotated[
    bool | None,
    typer.Option(
        "--refund-keeps/--refund-restores", help="Whether a refund before shipping gives its units back there."
    ),
]
PaymentLimit = Annotated[
    str, typer.Option("--payment-limit", metavar="TIME", help="How long a buyer may take to pay, as in 30m.")
]
ApplyLateLimit = Annotated[
    str,
    typer.Option("--apply-late-limit", metavar="TIME", help="After how long a call that was given up may still work."),
]
ClockMargin = Annotated[
    str, typer.Option("--clock-margin", metavar="TIME", help="How far off the platform's times may be, as in 2s.")
]


@gateway_command(app)
def add(
    caller: Caller,
    channel: ChannelCode,
    platform: Annotated[
        str, typer.Option("--platform", metavar="taobao|douyin|kuaishou", help="Where it is.", show_default=False)
    ],
    title: Title = None,
    location: Locations = None,
    takes_on: TakesOn = None,
    close_keeps: CloseKeeps = None,
    refund_keeps: RefundKeeps = None,
    payment_limit: PaymentLimit = "",
    apply_late_limit: ApplyLateLimit = "",
    clock_margin: ClockMargin = "",
) -> None:
    """Make a channel. Making the same one again does no harm."""
    wanted = channel_pb2.Channel(
        channel=channel, platform=arguments.platform(platform), title=title or "", locations=location or []
    )
    durations = _durations(payment_limit, apply_late_limit, clock_margin)
    _set_facts(wanted.facts, takes_on, close_keeps, refund_keeps, durations)
    response = caller.ask(caller.catalog.CreateChannel, catalog_service_pb2.CreateChannelRequest(channel=wanted))
    _show_channel(caller, response)
    if not response.channel.has_credentials and not caller.as_json:
        say(f"Next: `stockgate channel credentials {channel} --file FILE` lets its connector in.", style="dim")


@gateway_command(app, name="set")
def set_channel(
    caller: Caller,
    channel: ChannelCode,
    title: Title = None,
    location: Locations = None,
    takes_on: TakesOn = None,
    close_keeps: CloseKeeps = None,
    refund_keeps: RefundKeeps = None,
    payment_limit: PaymentLimit = "",
    apply_late_limit: ApplyLateLimit = "",
    clock_margin: ClockMargin = "",
) -> None:
    """Change a channel: only what is named. `--location ""` lets all locations serve it."""
    durations = _durations(payment_limit, apply_late_limit, clock_margin)
    wanted = channel_pb2.Channel(
        channel=channel, title=title or "", locations=[each for each in location or [] if each]
    )
    paths = [name for name, value in (("title", title), ("locations", location)) if value is not None]
    if durations or any(each is not None for each in (takes_on, close_keeps, refund_keeps)):
        wanted.facts.CopyFrom(_ask_for(caller, channel).channel.facts)
        _set_facts(wanted.facts, takes_on, close_keeps, refund_keeps, durations)
        paths.append("facts")
    if not paths:
        raise failure("NOTHING_TO_SET", "no field was named", "`stockgate channel set --help` shows them.", EXIT_USAGE)
    request = catalog_service_pb2.UpdateChannelRequest(channel=wanted, update_mask=FieldMask(paths=paths))
    _show_channel(caller, caller.ask(caller.catalog.UpdateChannel, request))


@gateway_command(app)
def show(caller: Caller, channel: ChannelCode) -> None:
    """Show one channel, and how its connector fares."""
    _show_channel(caller, _ask_for(caller, channel))


@gateway_command(app, name="list")
def list_channels(caller: Caller, limit: Limit = 100) -> None:
    """Show the channels, by code."""
    request = catalog_service_pb2.ListChannelsRequest()
    response = gathered(caller, caller.catalog.ListChannels, request, "channels", limit)
    if caller.as_json:
        print_document(document(response))
        return
    empty = "No channels: `stockgate channel add CODE --platform PLATFORM` makes one."
    print_table(CHANNEL_COLUMNS, [_row(each) for each in response.channels], empty)
    say_more(response.next_page_token, limit)


@gateway_command(app)
def pause(
    caller: Caller,
    channel: ChannelCode,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; needed.", show_default=False)],
) -> None:
    """Stop changing a channel's numbers. Orders are still taken in, and it can still sell what it shows."""
    request = channel_service_pb2.PauseChannelRequest(channel=channel, reason=reason)
    _show_channel(caller, caller.ask(caller.selling.PauseChannel, request))


@gateway_command(app)
def resume(
    caller: Caller,
    channel: ChannelCode,
    allow_many_to_zero: Annotated[
        bool, typer.Option("--allow-many-to-zero", help="Let many listings go to zero at once: the brake stopped that.")
    ] = False,
) -> None:
    """Let a channel's numbers be changed again."""
    request = channel_service_pb2.ResumeChannelRequest(channel=channel, allow_many_to_zero=allow_many_to_zero)
    _show_channel(caller, caller.ask(caller.selling.ResumeChannel, request))


@gateway_command(app)
def credentials(
    caller: Caller,
    channel: ChannelCode,
    file: Annotated[
        str, typer.Option("--file", metavar="FILE", help="A JSON object; - reads standard input.", show_default=False)
    ],
) -> None:
    """Store a channel's secrets, encrypted; nobody but its connector gets them.

    FILE is a JSON object. All have `app_key` and `app_secret`, of your application in the platform's open-platform
    console, and of the shop's authorisation `access_token`, `refresh_token` and `expire_time` (ISO 8601).

    Taobao: if you have them, `messages_url` (the message channel, wss://...) and its `group_name`; else messages are
    fetched over HTTP. Douyin: `out_warehouse_id` if the shop has stock by region; `below_zero` if you have found that a
    lowering by too much is cut ("clamps") and not refused ("refuses"). Kuaishou: `sign_secret` and `message_secret`
    from the console too; `warehouse_code` if goods lie in several. `base_url` only where it is not the usual one, as
    for a sandbox: `stockgate sandbox` prints such a file.
    """
    fields = _read_secrets(file)
    tokens = {name: fields.pop(name, None) for name in TOKEN_FIELDS}
    request = catalog_service_pb2.SetCredentialsRequest(
        channel=channel,
        credentials_json=json.dumps(fields, ensure_ascii=False),
        access_token=str(tokens["access_token"] or ""),
        refresh_token=str(tokens["refresh_token"] or ""),
    )
    if tokens["expire_time"]:
        request.expire_time.CopyFrom(arguments.timestamp(str(tokens["expire_time"])))
    _show_channel(caller, caller.ask(caller.catalog.SetCredentials, request))


@app.command()
def key(as_json: JsonOption = False) -> None:
    """Make a key that keeps credentials; the gateway takes it from STOCKGATE_CREDENTIALS_KEY."""
    from cryptography.fernet import Fernet

    made = Fernet.generate_key().decode()
    if as_json:
        print_document({"key": made})
        return
    print(made)
    if sys.stdout.isatty():
        say("Give it to the gateway in STOCKGATE_CREDENTIALS_KEY, and keep a copy: without it the", style="dim")
        say("credentials must be set anew. To change it, put the new one first: NEW,OLD.", style="dim")


ChannelResponse = (
    catalog_service_pb2.CreateChannelResponse
    | catalog_service_pb2.UpdateChannelResponse
    | catalog_service_pb2.GetChannelResponse
    | catalog_service_pb2.SetCredentialsResponse
    | channel_service_pb2.PauseChannelResponse
    | channel_service_pb2.ResumeChannelResponse
)


def require_channel(caller: Caller, channel: str) -> None:
    """Raises Failure if a code was given and no channel has it: an empty list would say that all is well."""
    if channel:
        _ask_for(caller, channel)


def _ask_for(caller: Caller, channel: str) -> catalog_service_pb2.GetChannelResponse:
    return caller.ask(caller.catalog.GetChannel, catalog_service_pb2.GetChannelRequest(channel=channel))


def _durations(payment_limit: str, apply_late_limit: str, clock_margin: str) -> dict[str, Duration]:
    """Those that were given, by the field's name."""
    given = {"payment_limit": payment_limit, "apply_late_limit": apply_late_limit, "clock_margin": clock_margin}
    durations = {}
    for name, text in given.items():
        if text:
            durations[name] = Duration()
            durations[name].FromTimedelta(arguments.duration(text))
    return durations


def _set_facts(
    facts: channel_pb2.ChannelFacts,
    takes_on: str | None,
    close_keeps: bool | None,
    refund_keeps: bool | None,
    durations: dict[str, Duration],
) -> None:
    if takes_on is not None:
        facts.takes_on = arguments.takes_on(takes_on)
    if close_keeps is not None:
        facts.close_keeps = close_keeps
    if refund_keeps is not None:
        facts.refund_keeps = refund_keeps
    for name, duration in durations.items():
        getattr(facts, name).CopyFrom(duration)


def _read_secrets(file: str) -> dict[str, Any]:
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise failure("FILE", f"cannot read {file}: {error.strerror}", "Name a file.", EXIT_USAGE) from error
    except UnicodeDecodeError as error:
        raise failure("FILE", f"{file} is not UTF-8", "Save it as UTF-8.", EXIT_USAGE) from error
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        # What it says is secret: only where it goes wrong would help, and that is for an editor to say.
        raise failure("FILE", f"{file} holds no JSON object", 'It looks like {"app_key": "...", ...}.', EXIT_USAGE)
    return fields


def _show_channel(caller: Caller, response: ChannelResponse) -> None:
    if caller.as_json:
        print_document(document(response))
        return
    channel = response.channel
    say(f"{channel.channel}  {channel.title}".rstrip(), style="bold")
    say(f"{_platform(channel)} · {_state(channel)} · served by {', '.join(channel.locations) or 'all locations'}")
    for line in _facts(channel.facts):
        say(line)
    say(f"orders taken in up to {local_time(channel.watermark) or '(nothing yet)'}")
    if channel.HasField("connector"):
        for line in _connector(channel.connector):
            say(line)
    say(f"created {local_time(channel.create_time)}", style="dim")


def _facts(facts: channel_pb2.ChannelFacts) -> Iterator[str]:
    takes_on = word(channel_pb2.TakesOn.Name(facts.takes_on), "TAKES_ON_")
    kept = {"a closed order": facts.close_keeps, "a refund": facts.refund_keeps}
    gives = ", ".join(f"{what} {'keeps' if is_kept else 'gives back'} its units" for what, is_kept in kept.items())
    yield f"takes units on {takes_on}; {gives}"
    late = f"calls apply up to {_seconds(facts.apply_late_limit)} late"
    yield f"{_seconds(facts.payment_limit)} to pay · {late} · clock within {_seconds(facts.clock_margin)}"


def _connector(state: channel_pb2.ConnectorState) -> Iterator[str]:
    away = " · the platform is away" if state.breaker_open else ""
    yield f"connector {state.connector_id or '(unnamed)'}, last heard {local_time(state.heartbeat_time)}{away}"
    made = f"{number(state.calls)} calls made, {number(state.retries)} of them again"
    if state.forged:
        made += f"; {number(state.forged)} forged pushes refused"
    yield f"{state.calls_per_second:g} calls/s · {number(state.waiting)} waiting · {made}"
    if state.needs:
        yield f"needs: {state.needs}"


def _row(channel: channel_pb2.Channel) -> tuple[str, ...]:
    return (
        channel.channel,
        _platform(channel),
        channel.title,
        _state(channel),
        local_time(channel.watermark),
        channel.connector.needs or local_time(channel.connector.heartbeat_time),
        ", ".join(channel.locations),
        local_time(channel.create_time),
    )


def _platform(channel: channel_pb2.Channel) -> str:
    return word(channel_pb2.Platform.Name(channel.platform), "PLATFORM_")


def _state(channel: channel_pb2.Channel) -> str:
    if channel.paused:
        return f"paused: {channel.pause_reason}"
    return "open" if channel.has_credentials else "no credentials yet"


def _seconds(duration: Duration) -> str:
    return f"{duration.ToMilliseconds() / 1_000:g} s"
