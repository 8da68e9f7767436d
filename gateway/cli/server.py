"""The commands that start and tend a gateway on this machine: `serve`, `migrate`, `doctor`, `merchant ...`.

They work on the database itself, not through gRPC, and load the gateway only when they are called.
"""

from __future__ import annotations

import dataclasses
import os
import signal
import socket
import sys
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from gateway.cli.client import PORT_MAX, JsonOption
from gateway.cli.errors import EXIT_FAILED, EXIT_USAGE, Failure, Problem, failure
from gateway.cli.output import Column, print_document, print_table, say

if TYPE_CHECKING:
    from gateway.settings import Settings

app = typer.Typer()
merchant_app = typer.Typer(no_args_is_help=True, help="The merchants this gateway serves.")

Listen = Annotated[
    str | None,
    typer.Option("--listen", metavar="HOST:PORT", help="Where to serve; else STOCKGATE_LISTEN.", show_default=False),
]
DataDirectory = Annotated[
    Path | None,
    typer.Option(
        "--data-dir", metavar="FOLDER", help="For the embedded PostgreSQL; else STOCKGATE_DATA_DIR.", show_default=False
    ),
]
MerchantName = Annotated[str, typer.Argument(metavar="NAME", help="The merchant's name.", show_default=False)]
DATABASE_ADVICE = "Look at STOCKGATE_DATABASE_URL, or for the embedded PostgreSQL at the log in the data folder."

Result = TypeVar("Result")


@app.command()
def serve(
    listen: Listen = None,
    data_dir: DataDirectory = None,
    with_parent: Annotated[bool, typer.Option("--with-parent", hidden=True, help="Stop when stdin is closed.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Serve the gateway until Ctrl-C. With --json one line says where, once it serves."""
    settings = settings_for(listen, data_dir)
    refuse_taken_port(settings.listen)
    refuse_taken_page(settings.page_listen)
    if with_parent:
        threading.Thread(target=_stop_with_stdin, daemon=True).start()

    from gateway import app as gateway_app

    def ready(addresses: gateway_app.Addresses) -> None:
        if as_json:
            print_document({"address": addresses.grpc, "page": addresses.page}, as_line=True)
        else:
            say(f"Serving on {addresses.grpc}. Ctrl-C stops.")
            if addresses.page is not None:
                say(f"The page: {addresses.page}")

    _run(gateway_app.serve(settings, ready=ready))


@app.command()
def migrate(data_dir: DataDirectory = None, as_json: JsonOption = False) -> None:
    """Bring every merchant's schema to this release."""
    from gateway import app as gateway_app

    migrated = _run(gateway_app.migrate(settings_for(None, data_dir)))
    if as_json:
        print_document({"migrated": [dataclasses.asdict(each) for each in migrated]})
        return
    columns = (Column("merchant"), Column("from"), Column("to"))
    rows = [(each.merchant, each.from_revision or "nothing", each.to_revision) for each in migrated]
    print_table(columns, rows, "No merchants.")


@app.command("new-epoch")
def new_epoch(
    merchant: Annotated[
        str | None,
        typer.Option("--merchant", metavar="NAME", help="Of this one only; else of all.", show_default=False),
    ] = None,
    data_dir: DataDirectory = None,
    as_json: JsonOption = False,
) -> None:
    """Begin a new lineage of the data, after a backup was restored and before gateways start on it.

    What was numbered after the backup is lost, and its numbers will be given to other things. So a reader who resumes
    a stream after such a number would miss something and never know. With a new lineage he is refused
    (EPOCH_MISMATCH), and begins with a snapshot. Every channel is paused, for platforms show what the backup knows
    nothing of: `stockgate channel resume CODE` once its orders are in and its numbers were read.
    """
    from gateway import app as gateway_app

    epochs = _run(gateway_app.new_epoch(settings_for(None, data_dir), merchant))
    if as_json:
        print_document({"epochs": epochs})
        return
    print_table((Column("merchant"), Column("epoch")), list(epochs.items()), "No merchants.")
    say("Their channels are paused: start the gateway and the connectors, wait until orders are in (`stockgate")
    say("channel health`) and listings were read (`listing list`, `drift`), then `stockgate channel resume CODE`.")


@app.command()
def doctor(data_dir: DataDirectory = None, as_json: JsonOption = False) -> None:
    """Check that every merchant's ledger adds up. Exit code 1 if one does not."""
    from gateway import app as gateway_app

    diagnoses = _run(gateway_app.doctor(settings_for(None, data_dir)))
    is_healthy = all(each.ok for each in diagnoses)
    if as_json:
        print_document({"healthy": is_healthy, "diagnoses": [dataclasses.asdict(each) for each in diagnoses]})
    else:
        columns = (Column("merchant"), Column("check"), Column("result"), Column("detail", worth=1))
        rows = [(each.merchant, each.check, "ok" if each.ok else "FAILED", each.detail) for each in diagnoses]
        print_table(columns, rows, "Nothing to check.")
    raise typer.Exit(0 if is_healthy else EXIT_FAILED)


@merchant_app.command("add")
def add_merchant(name: MerchantName, data_dir: DataDirectory = None, as_json: JsonOption = False) -> None:
    """Make a merchant with an empty ledger of its own, and its access token."""
    from gateway import app as gateway_app

    _show_token(name, _run(gateway_app.add_merchant(settings_for(None, data_dir), name)), as_json=as_json)


@merchant_app.command("token")
def new_token(name: MerchantName, data_dir: DataDirectory = None, as_json: JsonOption = False) -> None:
    """Make one more access token for a merchant. Those there are stay good."""
    from gateway import app as gateway_app

    _show_token(name, _run(gateway_app.new_token(settings_for(None, data_dir), name)), as_json=as_json)


@merchant_app.command("revoke")
def revoke_tokens(name: MerchantName, data_dir: DataDirectory = None, as_json: JsonOption = False) -> None:
    """Take all access tokens of a merchant back, and make a new one.

    Gateways refuse the old ones within a minute, and whoever is signed in to the page has to sign in again. A stream
    that is open already ends within half an hour; a restart ends it at once.
    """
    from gateway import app as gateway_app

    made = gateway_app.new_token(settings_for(None, data_dir), name, revoking=True)
    _show_token(name, _run(made), as_json=as_json)


@merchant_app.command("list")
def list_merchants(data_dir: DataDirectory = None, as_json: JsonOption = False) -> None:
    """Show the merchants."""
    from gateway import app as gateway_app

    names = _run(gateway_app.list_merchants(settings_for(None, data_dir)))
    if as_json:
        print_document({"merchants": names})
        return
    print_table((Column("merchant"),), [(name,) for name in names], "No merchants.")


def settings_for(listen: str | None, data_dir: Path | None) -> Settings:
    """The gateway's settings from the environment, with what was given on the command line. Raises Failure."""
    from gateway.settings import Settings, SettingsError

    try:
        settings = Settings.from_environment()
        if listen is not None:
            settings = dataclasses.replace(settings, listen=listen)
        if data_dir is not None:
            settings = dataclasses.replace(settings, data_dir=data_dir)
    except SettingsError as error:
        raise failure("SETTINGS", str(error), "Correct the environment variables named above.", EXIT_USAGE) from error
    return settings


def refuse_taken_port(listen: str) -> None:
    """Raises Failure if something else already serves there, or the address makes no sense."""
    host, _, port = listen.rpartition(":")
    if not host or not port.isdigit() or int(port) > PORT_MAX:
        raise failure("LISTEN", f"{listen!r} is no address", "Write HOST:PORT, as in 127.0.0.1:50051.", EXIT_USAGE)
    advice = "Stop what serves there (another gateway?), or serve elsewhere: --listen HOST:PORT or STOCKGATE_LISTEN."
    _refuse_taken(listen, f"cannot serve on {listen}", advice)


def refuse_taken_page(listen: str | None) -> None:
    """Raises Failure if something else already serves where the page is to be; None: there is to be no page."""
    if listen is not None:
        advice = (
            "Stop what serves there, or say STOCKGATE_PAGE_LISTEN=HOST:PORT (127.0.0.1:0: any free port; off: no page)."
        )
        _refuse_taken(listen, f"cannot serve the page on {listen}", advice)


def _refuse_taken(listen: str, problem: str, advice: str) -> None:
    host, _, port = listen.rpartition(":")
    try:
        family, _, _, _, place = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
    except OSError as error:
        raise failure("PORT_TAKEN", f"{problem}: {error.strerror}", advice) from error


def _run(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """Runs one of the gateway's functions; what it refuses is printed, not traced."""
    from gateway.cli.loop import run_to_end
    from gateway.domain.errors import DatabaseUnavailable, GatewayError
    from gateway.rpc.status import STATUS_OF

    try:
        return run_to_end(coroutine)
    except GatewayError as error:
        code, reason = STATUS_OF[type(error)]
        advice = DATABASE_ADVICE if isinstance(error, DatabaseUnavailable) else ""
        message = str(error).partition(";")[0]  # the rest speaks to callers of the API
        raise Failure(Problem(code=code.name, reason=reason, message=message, advice=advice)) from error
    except OSError as error:
        if error.filename is None:  # ours, and a whole sentence
            raise failure("SYSTEM", str(error)) from error
        raise failure(
            "FILES", f"{error.filename}: {error.strerror}", "Is the data folder one this user may write?"
        ) from error


def _show_token(name: str, token: str, *, as_json: bool) -> None:
    if as_json:
        print_document({"merchant": name, "token": token})
        return
    say(f"The access token of {name}, shown this once:", style="bold")
    say(token)
    say("Callers send it as `authorization: Bearer ...`; this command takes it from STOCKGATE_TOKEN.", style="dim")


def _stop_with_stdin() -> None:
    """Stops this process when its parent is gone: the parent holds the other end of stdin, and never writes."""
    while os.read(sys.stdin.fileno(), 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
