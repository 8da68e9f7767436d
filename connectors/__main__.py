"""`python -m connectors`, which is `stockgate connect`: agents for the channels of one platform, or of all."""

import asyncio
import logging
import os
import signal
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from connectors.agent import run_agents
from connectors.contract import ChannelState
from connectors.gateway_client import GatewayAddress, GatewayClient
from connectors.inbox import Inbox
from connectors.settings import AgentSettings

DEFAULT_ADDRESS = "127.0.0.1:50051"
DEFAULT_INBOX = "127.0.0.1:8088"
PORT_MAX = 65_535
# What a record of the logging module has of its own; everything else is a field of ours.
_OWN = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


class Served(StrEnum):
    """Whose channels."""

    TAOBAO = "taobao"
    DOUYIN = "douyin"
    KUAISHOU = "kuaishou"
    ALL = "all"


class FieldsFormatter(logging.Formatter):
    """A record as one line: time, level, message, then its fields as name=value."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, and the traceback if there is one."""
        fields = " ".join(f"{name}={value!r}" for name, value in vars(record).items() if name not in _OWN)
        first, newline, rest = super().format(record).partition("\n")
        return f"{first} {fields}{newline}{rest}" if fields else first + newline + rest


@app.command()
def connect(
    platform: Annotated[Served, typer.Argument(help="Whose channels to serve.")],
    channel: Annotated[
        list[str] | None, typer.Option("--channel", metavar="CODE", help="Only this channel; may be given again.")
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(
            "--address", metavar="HOST:PORT", help=f"The gateway; else STOCKGATE_ADDRESS, else {DEFAULT_ADDRESS}."
        ),
    ] = None,
    inbox: Annotated[
        str, typer.Option("--inbox", metavar="HOST:PORT", help="Where platforms push to, at /inbox/CHANNEL.")
    ] = DEFAULT_INBOX,
) -> None:
    """Connect the channels of a platform to the gateway until Ctrl-C or SIGTERM."""
    _log_to_stderr()
    gateway = gateway_address(address or os.environ.get("STOCKGATE_ADDRESS", "") or DEFAULT_ADDRESS)
    host, port = _split(inbox, "--inbox")
    codes = frozenset(channel or ())

    def wanted(state: ChannelState) -> bool:
        is_named = not codes or state.channel in codes
        return is_named and platform in {Served.ALL, state.platform.value}

    asyncio.run(_serve(gateway, wanted, host, port))


def gateway_address(address: str) -> GatewayAddress:
    """The gateway at this address, with STOCKGATE_TOKEN and STOCKGATE_TLS_CA_FILE. Raises `typer.BadParameter`."""
    _split(address, "--address")
    ca_file = os.environ.get("STOCKGATE_TLS_CA_FILE", "")
    try:
        certificate = Path(ca_file).read_bytes() if ca_file else None
    except OSError as error:
        raise typer.BadParameter(f"STOCKGATE_TLS_CA_FILE: cannot read {ca_file}: {error.strerror}") from error
    return GatewayAddress(address, os.environ.get("STOCKGATE_TOKEN", ""), certificate)


def main() -> None:
    """Run the command line, and exit."""
    app(prog_name="stockgate connect")


async def _serve(address: GatewayAddress, wanted: Callable[[ChannelState], bool], host: str, port: int) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    gateway, inbox = GatewayClient(address), Inbox()
    try:
        async with inbox.serving(host, port) as at:
            logging.getLogger("connectors").info("connectors begin", extra={"gateway": address.address, "inbox": at})
            await run_agents(gateway, wanted, stopping, AgentSettings(), inbox=inbox)
    except OSError as error:
        raise typer.BadParameter(f"--inbox {host}:{port}: {error.strerror}") from error
    finally:
        await gateway.close()


def _split(address: str, name: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or int(port) > PORT_MAX:
        raise typer.BadParameter(f"{name}: {address!r} is no address; write HOST:PORT")
    return host, int(port)


def _log_to_stderr() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(FieldsFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("connectors").setLevel(logging.INFO)


if __name__ == "__main__":
    main()
