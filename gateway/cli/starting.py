"""Starting a gateway in a process of its own, and stopping it."""

from __future__ import annotations

import json
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from gateway.cli.errors import failure

READY_SECONDS_MAX = 120.0  # the first start unpacks PostgreSQL and makes a database
STOP_SECONDS_MAX = 30.0
LOG_LINES_SHOWN = 15


class Started(NamedTuple):
    """A gateway that runs: where it serves gRPC, the URL of its page (None: it has none), and its process."""

    address: str
    page: str | None
    process: subprocess.Popen[str]


@contextmanager
def started_gateway(
    listen: str, data_dir: Path, log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[Started]:
    """A gateway in a process of its own, so that it shares no event loop with its caller; stopped in the end.

    It gets a process group of its own too: Ctrl-C reaches this process alone, which stops the gateway in order. Raises
    Failure if it does not start.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable,
        "-m",
        "gateway",
        "serve",
        "--with-parent",
        "--json",
        "--listen",
        listen,
        "--data-dir",
        str(data_dir),
    ]
    with log.open("a", encoding="utf-8") as errors:
        process = subprocess.Popen(  # noqa: S603 - our own program, and arguments in a list
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
            env=environment,
        )
    try:
        said = _said_by(process, log)
        yield Started(str(said["address"]), said["page"], process)
    finally:
        stop(process)


def _said_by(process: subprocess.Popen[str], log: Path) -> dict[str, Any]:
    """Waits until the gateway says where it serves. Raises Failure with the end of its log if it does not."""
    assert process.stdout is not None
    give_up_at = time.monotonic() + READY_SECONDS_MAX
    while time.monotonic() < give_up_at:
        if select.select([process.stdout], [], [], 0.5)[0]:
            line = process.stdout.readline()
            if not line:
                break
            said: dict[str, Any] = json.loads(line)
            return said
    raise failure("NOT_STARTED", f"the gateway did not start\n{tail(log)}", f"Its whole log: {log}")


def stop(process: subprocess.Popen[Any]) -> None:
    """Stops a process in order; a second Ctrl-C does not leave it behind."""
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process.terminate()
        process.wait(STOP_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    finally:
        signal.signal(signal.SIGINT, previous)


def tail(log: Path) -> str:
    """The last lines of a log."""
    with log.open(encoding="utf-8", errors="replace") as lines:
        return "".join(_last(lines, LOG_LINES_SHOWN)).rstrip()


def _last(lines: TextIO, count: int) -> list[str]:
    from collections import deque

    return list(deque(lines, maxlen=count))
