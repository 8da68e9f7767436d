"""`python -m connectors`, which is `stockgate connect`: agents for the channels of one platform, or of all."""

import asyncio
import logging
import signal
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated

import typer

from connectors.agent import run_agents
from connectors.arguments import DEFAULT_ADDRESS, gateway_address, host_and_port
from connectors.contract import ChannelState
from connectors.exporting import expose_metrics, trace_to
from connectors.gateway_client import GatewayAddress, GatewayClient
from connectors.inbox import Inbox
from connectors.logs import log_to_stderr
from connectors.settings import AgentSettings

DEFAULT_INBOX = "127.0.0.1:8088"

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


class Served(StrEnum):
    """Whose channels."""

    TAOBAO = "taobao"
    DOUYIN = "douyin"
    KUAISHOU = "kuaishou"
    ALL = "all"


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
    log_to_stderr()
    gateway = gateway_address(address)
    trace_to(gateway, "stockgate-connect")
    expose_metrics()
    host, port = host_and_port(inbox, "--inbox")
    codes = frozenset(channel or ())

    def wanted(state: ChannelState) -> bool:
        is_named = not codes or state.channel in codes
        return is_named and platform in {Served.ALL, state.platform.value}

    asyncio.run(_serve(gateway, wanted, host, port))


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


if __name__ == "__main__":
    main()
