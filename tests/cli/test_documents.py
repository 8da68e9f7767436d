"""The commands that the documents name are there, with the options they are shown with."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from gateway.cli.command import app

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = ("README.md", "README.zh-CN.md", "OPERATIONS.md", "gateway/observability/alerts.rules.yml")
# In a block a command begins its line; in a sentence it stands between backticks, which a folded line may part.
COMMAND = re.compile(r"(?:(?<=\n)|(?<=`)|(?<=\" ))stockgate\s+([^`#\n]+(?:\n[^`#\n]+(?=`))?)")
# Programs of their own, with their own command lines.
APART = {"connect", "notify", "sandbox"}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_what_is_shown_can_be_typed(name: str) -> None:
    """Every group, command and option exists."""
    shown = [match.split() for match in COMMAND.findall((ROOT / name).read_text(encoding="utf-8"))]
    assert shown, "found no command: this test would prove nothing"
    assert [wrong for words in shown for wrong in _wrong(words)] == []


def _wrong(words: list[str]) -> Iterator[str]:
    command: Any = typer.main.get_command(app)
    place = 0
    while place < len(words) and hasattr(command, "commands"):
        if words[place] not in command.commands:
            if not words[place].startswith("-"):
                yield f"no command {' '.join(words[: place + 1])}"
            return
        command = command.commands[words[place]]
        place += 1
    known = {name for each in command.params for name in (*each.opts, *each.secondary_opts)} | {"--help"}
    if words[0] not in APART:
        options = [word for word in words[place:] if re.fullmatch(r"--?[a-z][a-z-]*", word)]
        yield from (f"no option {word} of {' '.join(words[:place])}" for word in options if word not in known)
