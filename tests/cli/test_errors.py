"""What a failure prints: the problem, where it is, and what to do next."""

import json
import socket
from string import Formatter

import pytest
from google.rpc import code_pb2, error_details_pb2, status_pb2

from gateway.cli.command import main
from gateway.cli.errors import NEXT_STEPS, Problem, Violation, report
from gateway.cli.refusals import problem_of_status
from gateway.rpc.status import STATUS_OF


def status() -> status_pb2.Status:
    """A status with everything a gateway may say."""
    rich = status_pb2.Status(code=code_pb2.FAILED_PRECONDITION, message="5 units asked, 2 available")
    facts = {"sku": "TEA", "available": "2", "asked": "5"}
    rich.details.add().Pack(error_details_pb2.ErrorInfo(reason="INSUFFICIENT_STOCK", metadata=facts))
    violation = error_details_pb2.BadRequest.FieldViolation(field="lines[0].quantity", description="too many")
    rich.details.add().Pack(error_details_pb2.BadRequest(field_violations=[violation]))
    retry = error_details_pb2.RetryInfo()
    retry.retry_delay.FromMilliseconds(250)
    rich.details.add().Pack(retry)
    return rich


def exit_code(*arguments: str) -> int:
    """How a command ends."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.fixture
def deaf_address(monkeypatch: pytest.MonkeyPatch) -> str:
    """An address at which nobody answers, in the environment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    monkeypatch.setenv("STOCKGATE_ADDRESS", address)
    monkeypatch.setenv("STOCKGATE_TOKEN", "shop.secret")
    monkeypatch.setenv("COLUMNS", "200")
    return address


def test_a_status_is_read_with_its_details() -> None:
    """ErrorInfo, BadRequest and RetryInfo all arrive."""
    problem = problem_of_status(status())
    assert (problem.code, problem.reason) == ("FAILED_PRECONDITION", "INSUFFICIENT_STOCK")
    assert problem.violations == (Violation("lines[0].quantity", "too many"),)
    assert problem.retry_after_seconds == 0.25
    assert "Asked 5, available 2" in problem.next_step
    assert "receive TEA QUANTITY" in problem.next_step


def test_every_reason_has_a_next_step() -> None:
    """Whatever the gateway refuses, the command line knows what to do about it."""
    assert {reason for _, reason in STATUS_OF.values()} <= NEXT_STEPS.keys()
    for text in NEXT_STEPS.values():
        assert all(name is None or name.isidentifier() for _, name, _, _ in Formatter().parse(text))


def test_a_next_step_stands_metadata_that_is_missing() -> None:
    """An older gateway may say less."""
    assert "Asked ?, available ?" in Problem("FAILED_PRECONDITION", "no", reason="INSUFFICIENT_STOCK").next_step


def test_a_problem_is_printed_by_field(capsys: pytest.CaptureFixture[str]) -> None:
    """The reason, the message, each field, the next step, when to try again."""
    report(problem_of_status(status()), as_json=False)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[0] == "INSUFFICIENT_STOCK: 5 units asked, 2 available"
    assert "  lines[0].quantity: too many" in err
    assert "Worth another try in 0.25 s." in err


def test_a_problem_is_json_on_stderr_where_that_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    """One document, with everything the text has."""
    report(problem_of_status(status()), as_json=True)
    out, err = capsys.readouterr()
    assert out == ""
    error = json.loads(err)["error"]
    assert error["reason"] == "INSUFFICIENT_STOCK"
    assert error["metadata"] == {"sku": "TEA", "available": "2", "asked": "5"}
    assert error["violations"] == [{"field": "lines[0].quantity", "description": "too many"}]


@pytest.mark.parametrize(
    ("code", "is_shown"), [("UNAVAILABLE", True), ("DEADLINE_EXCEEDED", True), ("NOT_FOUND", False)]
)
def test_the_request_id_is_shown_where_the_outcome_is_unknown(
    code: str, is_shown: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """After a refusal the id is free again (R11); after silence it is what makes a retry safe (R10)."""
    report(Problem(code, "", request_id="my-id"), as_json=False)
    assert ("--request-id my-id" in capsys.readouterr().err) == is_shown


def test_a_gateway_that_is_not_there_is_named(deaf_address: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The address, and how to start a gateway; never the token."""
    assert exit_code("stock", "receive", "TEA", "5", "--request-id", "my-id") == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert f"no gateway answers at {deaf_address} (Connection refused)" in err
    assert "make run" in err
    assert "--request-id my-id" in err
    assert "secret" not in err


@pytest.mark.usefixtures("deaf_address")
def test_a_replay_without_a_gateway_fails_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    """Patience is for a gateway that was there in the beginning."""
    assert exit_code("replay", "--json") == 1
    assert json.loads(capsys.readouterr().err)["error"]["code"] == "UNAVAILABLE"


@pytest.mark.usefixtures("deaf_address")
def test_version_needs_no_gateway(capsys: pytest.CaptureFixture[str]) -> None:
    """It says that none answers, and succeeds."""
    assert exit_code("version", "--json") == 0
    assert json.loads(capsys.readouterr().out)["gateway"] is None


@pytest.mark.parametrize(
    "arguments",
    [
        ("stock", "receive", "TEA"),
        ("stock", "receive", "TEA", "five"),
        ("stock", "receive", "TEA", str(2**63)),
        ("stock", "receive", "\udcff", "5"),
        ("stock", "adjust", "TEA", "-3"),
        ("stock", "reserve", "TEA=x"),
        ("stock", "as-of", "TEA", "yesterday"),
        ("stock", "movements", "--kind", "bogus"),
        ("stock", "watch", "--after", "5"),
        ("sku", "set", "TEA"),
        ("alert", "step", "TEA", str(2**31)),
        ("alert", "list", "--session", str(2**63)),
        ("replay", "--speed", "fast"),
        ("replay", "no-such-file.csv"),
        ("serve", "--listen", "nowhere"),
        ("--address", "nowhere", "stock", "level"),
        ("no-such-command",),
    ],
)
@pytest.mark.usefixtures("deaf_address")
def test_what_was_typed_wrong_ends_with_2(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """In words, and with --json as JSON on stderr; stdout stays empty."""
    assert exit_code(*arguments) == 2
    assert capsys.readouterr().err
    if arguments != ("no-such-command",):
        assert exit_code(*arguments, "--json") == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert json.loads(err)["error"]["message"]


def test_bad_settings_are_all_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Every bad variable at once, and exit code 2."""
    monkeypatch.setenv("STOCKGATE_LISTEN", "nowhere")
    monkeypatch.setenv("STOCKGATE_DATABASE_URL", "mysql://secret@host/name")
    assert exit_code("doctor") == 2
    err = capsys.readouterr().err
    assert "STOCKGATE_LISTEN" in err
    assert "STOCKGATE_DATABASE_URL" in err
    assert "secret" not in err


@pytest.mark.parametrize("command", ["serve", "up"])
def test_a_taken_port_is_said_clearly(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """... before anything is started."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert exit_code(command, "--listen", f"127.0.0.1:{taken.getsockname()[1]}") == 1
    err = capsys.readouterr().err
    assert err.startswith("PORT_TAKEN")
    assert "--listen" in err


@pytest.mark.parametrize("command", ["serve", "up"])
def test_a_taken_port_of_the_page_is_said_clearly(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """... with the variable to change, and how to do without a page."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setenv("STOCKGATE_PAGE_LISTEN", f"127.0.0.1:{taken.getsockname()[1]}")
        assert exit_code(command, "--listen", "127.0.0.1:0") == 1
    err = capsys.readouterr().err
    assert err.startswith("PORT_TAKEN")
    assert "STOCKGATE_PAGE_LISTEN=HOST:PORT" in err
    assert "off: no page" in err
