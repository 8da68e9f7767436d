"""The gateway's settings, from the environment. Every bad variable is reported at once."""

import base64
import os
from binascii import Error as Base64Error
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from gateway.logs import Form, form_of

T = TypeVar("T")

PORT_MAX = 65_535
DAY_MS = 24 * 3600 * 1000
# Far beyond any order's patience, and near enough for every calendar.
TTL_MS_MAX = 3650 * DAY_MS
CREDENTIALS_KEY_BYTES = 32
SPEED_MAX = 1_000
NO_PAGE = "off"


class SettingsError(Exception):
    """Some variables are wrong; the text names each, and what it should be."""


@dataclass(frozen=True)
class Settings:
    """What the gateway is told. Units are in the names; None means not set, of `page_listen`: no page."""

    database_url: str | None = None
    data_dir: Path = Path("data")
    listen: str = "127.0.0.1:50051"
    page_listen: str | None = "127.0.0.1:8080"
    tls_cert_file: Path | None = None
    tls_key_file: Path | None = None
    reservation_ttl_default_ms: int = 15 * 60 * 1000
    reservation_ttl_max_ms: int = 7 * DAY_MS
    queue_commands_max: int = 20_000
    rehearsal_speed: float = 1.0
    logs: Form | None = None
    credentials_key: str | None = field(default=None, repr=False)

    @property
    def listens_on_loopback(self) -> bool:
        """True if only this machine can reach the gateway."""
        return _is_loopback(self.listen)

    @property
    def is_in_the_clear(self) -> bool:
        """True if tokens, and stock, travel from and to other machines without TLS."""
        places = [place for place in (self.listen, self.page_listen) if place is not None]
        return self.tls_cert_file is None and not all(map(_is_loopback, places))

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> "Settings":
        """Read the environment; raises `SettingsError`."""
        reader = _Reader(os.environ if environment is None else environment)
        settings = cls(
            database_url=reader.read("STOCKGATE_DATABASE_URL", _database_url, cls.database_url),
            data_dir=reader.read("STOCKGATE_DATA_DIR", Path, cls.data_dir),
            listen=reader.read("STOCKGATE_LISTEN", _address, cls.listen),
            page_listen=reader.read("STOCKGATE_PAGE_LISTEN", _page_address, cls.page_listen),
            tls_cert_file=reader.read("STOCKGATE_TLS_CERT_FILE", _file, cls.tls_cert_file),
            tls_key_file=reader.read("STOCKGATE_TLS_KEY_FILE", _file, cls.tls_key_file),
            reservation_ttl_default_ms=reader.read(
                "STOCKGATE_RESERVATION_TTL_DEFAULT_MS", _milliseconds, cls.reservation_ttl_default_ms
            ),
            reservation_ttl_max_ms=reader.read(
                "STOCKGATE_RESERVATION_TTL_MAX_MS", _milliseconds, cls.reservation_ttl_max_ms
            ),
            queue_commands_max=reader.read("STOCKGATE_QUEUE_COMMANDS_MAX", _positive, cls.queue_commands_max),
            rehearsal_speed=reader.read("STOCKGATE_REHEARSAL_SPEED", _speed, cls.rehearsal_speed),
            logs=reader.read("STOCKGATE_LOGS", form_of, cls.logs),
            credentials_key=reader.read("STOCKGATE_CREDENTIALS_KEY", _keys, None),
        )
        reader.finish(settings)
        return settings


class _Reader:
    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._wrong: list[str] = []

    def read(self, name: str, parse: Callable[[str], T], default: T) -> T:
        raw = self._environment.get(name, "").strip()
        if not raw:
            return default
        try:
            return parse(raw)
        except ValueError as error:
            self._wrong.append(f"{name}: {error}")
            return default

    def finish(self, settings: Settings) -> None:
        if (settings.tls_cert_file is None) != (settings.tls_key_file is None):
            self._wrong.append("STOCKGATE_TLS_CERT_FILE and STOCKGATE_TLS_KEY_FILE: set both or none")
        if settings.reservation_ttl_default_ms > settings.reservation_ttl_max_ms:
            self._wrong.append("STOCKGATE_RESERVATION_TTL_DEFAULT_MS: above STOCKGATE_RESERVATION_TTL_MAX_MS")
        if self._wrong:
            raise SettingsError("\n".join(self._wrong))


def _is_loopback(address: str) -> bool:
    host = address.rpartition(":")[0].strip("[]")
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _database_url(raw: str) -> str:
    # The value may hold a password: it is never repeated, and urlsplit's own errors repeat it.
    with suppress(ValueError):
        if urlsplit(raw).scheme in {"postgresql", "postgres"}:
            return raw
    raise ValueError("should look like postgresql://user:password@host/name")


def _keys(raw: str) -> str:
    # Secret, and never repeated.
    for key in raw.split(","):
        with suppress(Base64Error, ValueError):
            if len(base64.urlsafe_b64decode(key.strip().encode("ascii"))) == CREDENTIALS_KEY_BYTES:
                continue
        raise ValueError("should be a key that 'stockgate channel key' made, or several joined by commas")
    return raw


def _address(raw: str) -> str:
    host, _, port = raw.rpartition(":")
    if not host or not port.isdecimal() or int(port) > PORT_MAX:
        raise ValueError(f"{raw!r} should look like host:port, port 0 for any free one")
    return raw


def _page_address(raw: str) -> str | None:
    try:
        return None if raw == NO_PAGE else _address(raw)
    except ValueError as error:
        raise ValueError(f"{error}, or {NO_PAGE!r} for no page") from None


def _file(raw: str) -> Path:
    path = Path(raw)
    if not path.is_file():
        raise ValueError(f"there is no file {raw!r}")
    return path


def _milliseconds(raw: str) -> int:
    if _positive(raw) > TTL_MS_MAX:
        raise ValueError(f"{raw!r} is more than ten years, {TTL_MS_MAX} ms")
    return int(raw)


def _speed(raw: str) -> float:
    with suppress(ValueError):
        if 1 <= (speed := float(raw)) <= SPEED_MAX:
            return speed
    raise ValueError(f"{raw[:50]!r} should be 1 to {SPEED_MAX}: seconds of sales in one second of the clock")


def _positive(raw: str) -> int:
    if not raw.isdecimal() or int(raw) == 0:
        raise ValueError(f"{raw!r} should be a whole number above 0")
    return int(raw)
