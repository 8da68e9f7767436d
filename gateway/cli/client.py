"""The command line as a caller of the gateway: its address, its token, its deadlines."""

from __future__ import annotations

import getpass
import inspect
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Concatenate, ParamSpec, TypeVar
from urllib.parse import quote

import grpc
import typer

from gateway.cli.errors import EXIT_USAGE, Failure, failure
from gateway.cli.refusals import problem_of_call
from gateway.v1 import (
    alert_service_pb2_grpc,
    catalog_service_pb2_grpc,
    channel_service_pb2_grpc,
    live_service_pb2_grpc,
    operations_service_pb2_grpc,
    stock_service_pb2_grpc,
)

DEFAULT_ADDRESS = "127.0.0.1:50051"
PORT_MAX = 65_535
INT32_MAX = 2**31 - 1
INT64_MAX = 2**63 - 1  # what a quantity on the wire can be; the gateway itself keeps fewer
DEADLINE_SECONDS = 15.0  # a person waits no longer; every answer takes milliseconds

# gRPC waits up to two minutes before it tries a lost gateway again; somebody is watching here.
CHANNEL_OPTIONS: list[tuple[str, int]] = [
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
]

Metadata = tuple[tuple[str, str], ...]
P = ParamSpec("P")
Request = TypeVar("Request")
Response = TypeVar("Response")


@dataclass(frozen=True)
class ClientSettings:
    """Where the gateway is and who calls. Without a token the caller acts for the merchant `main`."""

    address: str = DEFAULT_ADDRESS
    token: str = field(default="", repr=False)
    tls_ca_file: Path | None = None
    actor: str = ""

    @classmethod
    def from_environment(cls, address: str | None = None) -> ClientSettings:
        """Reads STOCKGATE_ADDRESS, STOCKGATE_TOKEN and STOCKGATE_TLS_CA_FILE; `address`, if given, goes first.

        Who acts is whom STOCKGATE_ACTOR names, else who is logged in to this machine.
        """
        ca_file = os.environ.get("STOCKGATE_TLS_CA_FILE", "")
        return cls(
            address=_checked_address(address or os.environ.get("STOCKGATE_ADDRESS", "") or DEFAULT_ADDRESS),
            token=os.environ.get("STOCKGATE_TOKEN", ""),
            tls_ca_file=Path(ca_file) if ca_file else None,
            actor=who_acts(),
        )

    @property
    def metadata(self) -> Metadata:
        """What every call carries: the bearer token, if there is one, and who acts, for the audit."""
        token = (("authorization", f"Bearer {self.token}"),) if self.token else ()
        return (*token, ("stockgate-actor", quote(self.actor))) if self.actor else token

    @property
    def options(self) -> list[tuple[str, int]]:
        """Channel options; a gateway on this machine is never asked through a proxy."""
        host = self.address.rpartition(":")[0]
        is_local = host in ("127.0.0.1", "localhost", "[::1]")
        return [*CHANNEL_OPTIONS, ("grpc.enable_http_proxy", 0 if is_local else 1)]

    def credentials(self) -> grpc.ChannelCredentials | None:
        """TLS with the given authority, or None for plain text. Raises Failure if the file cannot be read."""
        certificate = self.certificate()
        return None if certificate is None else grpc.ssl_channel_credentials(certificate)

    def certificate(self) -> bytes | None:
        """The given authority's, in PEM; None for plain text. Raises Failure if the file cannot be read."""
        if self.tls_ca_file is None:
            return None
        try:
            return self.tls_ca_file.read_bytes()
        except OSError as error:
            raise failure(
                "TLS_CA_FILE",
                f"cannot read {self.tls_ca_file}: {error.strerror}",
                "Correct STOCKGATE_TLS_CA_FILE, or unset it for a gateway without TLS.",
                EXIT_USAGE,
            ) from error

    def channel(self) -> grpc.Channel:
        """A blocking channel to the gateway."""
        credentials = self.credentials()
        if credentials is None:
            return grpc.insecure_channel(self.address, self.options)
        return grpc.secure_channel(self.address, credentials, self.options)


class Caller:
    """One command's connection to the gateway, and how its answer is wanted."""

    def __init__(self, settings: ClientSettings, channel: grpc.Channel, *, as_json: bool) -> None:
        self.settings = settings
        self.as_json = as_json
        self.stock = stock_service_pb2_grpc.StockServiceStub(channel)
        self.catalog = catalog_service_pb2_grpc.CatalogServiceStub(channel)
        self.selling = channel_service_pb2_grpc.ChannelServiceStub(channel)
        self.operations = operations_service_pb2_grpc.OperationsServiceStub(channel)
        self.alerts = alert_service_pb2_grpc.AlertServiceStub(channel)
        self.live = live_service_pb2_grpc.LiveServiceStub(channel)

    def ask(
        self,
        method: grpc.UnaryUnaryMultiCallable[Request, Response],
        request: Request,
        timeout_seconds: float = DEADLINE_SECONDS,
    ) -> Response:
        """Calls once. Raises Failure with what the gateway said."""
        with self.fence(str(getattr(request, "request_id", ""))):
            return method(request, timeout=timeout_seconds, metadata=self.settings.metadata)

    @contextmanager
    def fence(self, request_id: str = "") -> Iterator[None]:
        """Turns gRPC's errors into Failure."""
        try:
            yield
        except grpc.RpcError as error:
            raise Failure(problem_of_call(error, self.settings.address, request_id)) from error


@contextmanager
def connected(settings: ClientSettings, *, as_json: bool) -> Iterator[Caller]:
    """A caller whose connection is closed afterwards."""
    with settings.channel() as channel:
        yield Caller(settings, channel, as_json=as_json)


def gateway_command(
    group: typer.Typer, name: str | None = None, **settings: Any
) -> Callable[[Callable[Concatenate[Caller, P], None]], Callable[..., None]]:
    """Registers a command that asks the gateway.

    The function's first parameter is the `Caller`. The command gets two options beside the function's own:
    `--address`, and `--json`.
    """

    def register(function: Callable[Concatenate[Caller, P], None]) -> Callable[..., None]:
        def command(context: typer.Context, **values: Any) -> None:
            _refuse_large_numbers(values)
            address, as_json = values.pop("address"), values.pop("as_json")
            chosen = address or (context.obj or {}).get("address")
            with connected(ClientSettings.from_environment(chosen), as_json=as_json) as caller:
                function(caller, **values)  # type: ignore[call-arg]  # typer calls by name; ParamSpec cannot say so

        own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
        asked = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in own]
        parameters = [_parameter("context", typer.Context), *asked, *_COMMON_OPTIONS]
        command.__name__ = function.__name__
        command.__doc__ = function.__doc__
        command.__annotations__ = {each.name: each.annotation for each in parameters} | {"return": None}
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # read by typer
        group.command(name, **settings)(command)
        return command

    return register


AddressOption = Annotated[
    str | None,
    typer.Option(
        "--address", metavar="HOST:PORT", help=f"The gateway; else STOCKGATE_ADDRESS, else {DEFAULT_ADDRESS}."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Answer with JSON, for programs.")]
RequestId = Annotated[
    str,
    typer.Option(
        "--request-id",
        metavar="TEXT",
        default_factory=lambda: str(uuid.uuid4()),
        show_default="a fresh one",
        help="Names this request: repeating it with the same id can never happen twice.",
    ),
]


def _parameter(name: str, annotation: object, default: object = inspect.Parameter.empty) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


_COMMON_OPTIONS = (_parameter("address", AddressOption, None), _parameter("as_json", JsonOption, False))


def who_acts() -> str:
    """STOCKGATE_ACTOR, else the user of this machine; empty where the system knows none."""
    with suppress(KeyError, OSError, ImportError):
        return os.environ.get("STOCKGATE_ACTOR", "").strip() or getpass.getuser()
    return ""


def _refuse_large_numbers(values: dict[str, Any]) -> None:
    for name, given in values.items():
        for value in given if isinstance(given, list) else [given]:
            if isinstance(value, int) and abs(value) > INT64_MAX:
                raise typer.BadParameter(f"{name.replace('_', '-')}: {value} is more than 64 bits hold")


def _checked_address(address: str) -> str:
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) <= PORT_MAX:
        raise failure(
            "ADDRESS",
            f"{address!r} is no address",
            f"Write HOST:PORT, as in {DEFAULT_ADDRESS} (--address, STOCKGATE_ADDRESS).",
            EXIT_USAGE,
        )
    return address
