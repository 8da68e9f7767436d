"""Settings come from the environment; what is wrong is said all at once, by name, without repeating a secret."""

from dataclasses import fields
from pathlib import Path

import pytest

from gateway.settings import DAY_MS, TTL_MS_MAX, Settings, SettingsError

KEY = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LWFiYz0="
TLS = Path(__file__).parent / "rpc" / "tls"


def test_nothing_set_is_a_gateway_for_this_machine() -> None:
    """Without configuration: an own database in ./data, loopback, no TLS."""
    settings = Settings.from_environment({})
    assert settings == Settings()
    assert (settings.database_url, settings.data_dir, settings.listen) == (None, Path("data"), "127.0.0.1:50051")
    assert settings.listens_on_loopback


def test_every_setting_can_be_set() -> None:
    """Each variable sets its field; spaces around a value do not count."""
    environment = {
        "STOCKGATE_DATABASE_URL": "postgresql://user:pass@one,two/stock?sslmode=require",
        "STOCKGATE_DATA_DIR": "/var/lib/stockgate",
        "STOCKGATE_LISTEN": " [::]:0 ",
        "STOCKGATE_PAGE_LISTEN": "0.0.0.0:8443",
        "STOCKGATE_TLS_CERT_FILE": str(TLS / "cert.pem"),
        "STOCKGATE_TLS_KEY_FILE": str(TLS / "key.pem"),
        "STOCKGATE_RESERVATION_TTL_DEFAULT_MS": "60000",
        "STOCKGATE_RESERVATION_TTL_MAX_MS": str(DAY_MS),
        "STOCKGATE_QUEUE_COMMANDS_MAX": "10",
        "STOCKGATE_REHEARSAL_SPEED": "240.0",
        "STOCKGATE_LOGS": "text",
        "STOCKGATE_CREDENTIALS_KEY": f"{KEY},{KEY}",
    }
    settings = Settings.from_environment(environment)
    values = [getattr(settings, field.name) for field in fields(Settings)]
    assert [str(value) for value in values] == [value.strip() for value in environment.values()]
    assert all(getattr(settings, field.name) != field.default for field in fields(Settings))


def test_an_empty_variable_is_not_set() -> None:
    """Empty or blank is the default, as deployments write what they leave out."""
    names = ("DATABASE_URL", "LISTEN", "TLS_CERT_FILE", "TLS_KEY_FILE", "QUEUE_COMMANDS_MAX", "RESERVATION_TTL_MAX_MS")
    assert Settings.from_environment({f"STOCKGATE_{name}": " " for name in names}) == Settings()


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        *(("DATABASE_URL", raw) for raw in ("mysql://host/name", "host/name", "sqlite:///file", "postgresql//host")),
        *(("LISTEN", raw) for raw in ("50051", ":50051", "host", "host:", "host:x", "host:-1", "host:65536", "h:1e3")),
        *(("TLS_CERT_FILE", raw) for raw in ("no-such-file.pem", ".", "a\0b")),
        ("TLS_KEY_FILE", "no-such-file.pem"),
        *(("QUEUE_COMMANDS_MAX", raw) for raw in ("0", "-1", "1.5", "many", "0x10", "²", "9" * 5000)),
        *(("LOGS", raw) for raw in ("xml", "yes", "json,text")),
        *(("REHEARSAL_SPEED", raw) for raw in ("0", "-1", "nan", "inf", "fast", "1001")),
        *(("RESERVATION_TTL_DEFAULT_MS", raw) for raw in ("0", "-1", "soon", str(7 * DAY_MS + 1))),
        *(("RESERVATION_TTL_MAX_MS", raw) for raw in ("0", "1", str(TTL_MS_MAX + 1), "9" * 30)),
    ],
)
def test_a_wrong_value_is_refused_by_name(name: str, raw: str) -> None:
    """Each kind of wrong value names its variable, in a line that is short enough to read."""
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment({f"STOCKGATE_{name}": raw})
    assert f"STOCKGATE_{name}" in str(caught.value)
    assert all(len(line) < 200 for line in str(caught.value).splitlines())


@pytest.mark.parametrize("raw", ["hunter2", f"{KEY},hunter2", f"{KEY},", f"hunter2{KEY}", "hunter2\u00e4", KEY[:-2]])
def test_a_key_is_never_repeated(raw: str) -> None:
    """A wrong key is refused by name, and neither that nor the settings' own text shows one."""
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment({"STOCKGATE_CREDENTIALS_KEY": raw})
    assert str(caught.value).startswith("STOCKGATE_CREDENTIALS_KEY")
    assert "hunter2" not in str(caught.value)
    assert KEY not in repr(Settings.from_environment({"STOCKGATE_CREDENTIALS_KEY": KEY}))


def test_all_that_is_wrong_is_said_at_once() -> None:
    """Four wrong variables are four lines, so that nobody mends them one by one."""
    environment = {
        "STOCKGATE_DATABASE_URL": "oracle://host",
        "STOCKGATE_LISTEN": "here",
        "STOCKGATE_QUEUE_COMMANDS_MAX": "lots",
        "STOCKGATE_TLS_KEY_FILE": str(TLS / "key.pem"),
    }
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment(environment)
    lines = str(caught.value).splitlines()
    assert len(lines) == len(environment)
    assert [line.partition(":")[0] for line in lines[:3]] == list(environment)[:3]
    assert "STOCKGATE_TLS_CERT_FILE" in lines[3]


@pytest.mark.parametrize(
    "url",
    ["mysql://user:hunter2@host/name", "user:hunter2@host", "postgresql://u:hunter2\uff03@host/n", "pg://[hunter2"],
)
def test_a_password_is_never_repeated(url: str) -> None:
    """Whatever is wrong with a database URL, the message does not show it."""
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment({"STOCKGATE_DATABASE_URL": url})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("listen", "is_loopback"),
    [
        ("127.0.0.1:50051", True),
        ("127.1.2.3:0", True),
        ("localhost:50051", True),
        ("[::1]:50051", True),
        ("0.0.0.0:50051", False),
        ("[::]:50051", False),
        ("192.168.0.7:50051", False),
        ("gateway.example.com:50051", False),
        ("127.0.0.1.example.com:50051", False),
        ("localhost.example.com:50051", False),
        ("1270.0.0.1:50051", False),
        ("unix:/tmp/socket:1", False),
    ],
)
def test_only_loopback_is_loopback(listen: str, *, is_loopback: bool) -> None:
    """Who may act without a token hangs on this: an address others can reach is never taken for loopback."""
    assert Settings(listen=listen).listens_on_loopback is is_loopback


@pytest.mark.parametrize(
    ("told", "is_in_the_clear"),
    [
        ({}, False),
        ({"LISTEN": "localhost:0", "PAGE_LISTEN": "off"}, False),
        ({"LISTEN": "0.0.0.0:50051"}, True),
        ({"PAGE_LISTEN": "[::]:8080"}, True),
        (
            {
                "LISTEN": "shop.example:50051",
                "TLS_CERT_FILE": str(TLS / "cert.pem"),
                "TLS_KEY_FILE": str(TLS / "key.pem"),
            },
            False,
        ),
    ],
)
def test_who_serves_others_without_tls_knows_it(told: dict[str, str], *, is_in_the_clear: bool) -> None:
    """Calls or the page: off this machine tokens can be read on their way, and the log says so at start."""
    settings = Settings.from_environment({f"STOCKGATE_{name}": value for name, value in told.items()})
    assert settings.is_in_the_clear == is_in_the_clear


def test_a_speed_that_is_none_is_said_in_our_words() -> None:
    """Not in Python's."""
    with pytest.raises(SettingsError, match="'fast' should be 1 to 1000"):
        Settings.from_environment({"STOCKGATE_REHEARSAL_SPEED": "fast"})
