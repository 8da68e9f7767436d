"""What the command lines of connectors take: where the gateway is, and addresses of this machine."""

import os
from pathlib import Path

import typer

from connectors.gateway_client import GatewayAddress

DEFAULT_ADDRESS = "127.0.0.1:50051"
PORT_MAX = 65_535


def gateway_address(address: str | None) -> GatewayAddress:
    """The gateway at this address, else at STOCKGATE_ADDRESS, with STOCKGATE_TOKEN and STOCKGATE_TLS_CA_FILE.

    Raises `typer.BadParameter`.
    """
    address = address or os.environ.get("STOCKGATE_ADDRESS", "") or DEFAULT_ADDRESS
    host_and_port(address, "--address")
    ca_file = os.environ.get("STOCKGATE_TLS_CA_FILE", "")
    try:
        certificate = Path(ca_file).read_bytes() if ca_file else None
    except OSError as error:
        raise typer.BadParameter(f"STOCKGATE_TLS_CA_FILE: cannot read {ca_file}: {error.strerror}") from error
    return GatewayAddress(address, os.environ.get("STOCKGATE_TOKEN", ""), certificate)


def host_and_port(address: str, name: str) -> tuple[str, int]:
    """The parts of `HOST:PORT`. Raises `typer.BadParameter`, naming the argument."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or int(port) > PORT_MAX:
        raise typer.BadParameter(f"{name}: {address!r} is no address; write HOST:PORT")
    return host, int(port)
