"""`stockgate version`: which release this is, and which one answers."""

from __future__ import annotations

import typer

from gateway.cli.client import Caller, gateway_command
from gateway.cli.errors import Failure
from gateway.cli.output import print_document, say
from gateway.v1 import operations_service_pb2

app = typer.Typer()

GATEWAY_WAIT_SECONDS = 3.0


@gateway_command(app)
def version(caller: Caller) -> None:
    """Show the release of this command and of the gateway, if one answers."""
    own, answer, silence = _own_version(), None, ""
    try:
        request = operations_service_pb2.GetVersionRequest()
        answer = caller.ask(caller.operations.GetVersion, request, GATEWAY_WAIT_SECONDS)
    except Failure as failed:
        silence = failed.problem.message
    if caller.as_json:
        gateway = None if answer is None else {"version": answer.version, "merchant": answer.merchant}
        print_document({"version": own, "address": caller.settings.address, "gateway": gateway})
        return
    say(f"stockgate {own}")
    if answer is None:
        say(silence, style="dim")
    else:
        say(f"gateway {answer.version} at {caller.settings.address}, merchant {answer.merchant}")


def _own_version() -> str:
    from importlib import metadata

    try:
        return metadata.version("stockgate")
    except metadata.PackageNotFoundError:  # run from a source tree that was never installed
        return "unknown"
