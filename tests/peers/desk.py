"""What a Python peer's script stands on: it is told where the platform is, and says how each call went.

The script runs where the peer is installed, and knows nothing but the standard library. The first line of its stdin is
the brief, a JSON object; it writes a JSON object per call to stdout, and stays until its stdin ends if it is to be
served messages.
"""

import json
import sys
from collections.abc import Callable
from typing import Any


class NotAsExpected(Exception):
    """The platform did something else than a client of it expects."""


def brief() -> dict[str, Any]:
    """What the script is told: addresses, keys, a code to exchange, a listing, a paid order."""
    told: dict[str, Any] = json.loads(sys.stdin.readline())
    return told


def say(**said: object) -> None:
    """Tell who started us."""
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()


def call(name: str, work: Callable[[], object]) -> None:
    """Do something with the peer, and say how it went."""
    try:
        said = work()
    except Exception as error:  # noqa: BLE001 - whatever a stranger's code raises is the answer
        say(call=name, ok=False, said=f"{type(error).__name__}: {error}"[:300])
    else:
        say(call=name, ok=True, said="" if said is None else str(said)[:300])


def expect(what: str, found: object, expected: object) -> None:
    """Raise `NotAsExpected` unless they are equal."""
    if found != expected:
        raise NotAsExpected(f"{what}: {found!r}, not {expected!r}")


def wait_for_the_end() -> None:
    """Return when who started us has seen enough."""
    sys.stdin.read()
