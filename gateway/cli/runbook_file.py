"""Runbooks as a TOML file: a table per tier, its steps in order.

[urgent]
host_line = "手快有，手慢无"
host_line_en = "Be quick"
receivers = ["ops"]

[[urgent.step]]
text = "联系仓库加急补货"
text_en = "Have the warehouse send more at once"
owner = "仓库"
minutes_max = 5
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from gateway.cli.alert_words import tier_word
from gateway.cli.toml_file import TIERS, Section, read_toml
from gateway.v1 import alert_pb2

_TABLE_OF = {number: word.lower().replace(" ", "_") for word, number in TIERS.items()}


def read_runbooks(file: Path) -> list[alert_pb2.Runbook]:
    """The runbooks of a file, by tier. Raises `Failure`."""
    whole = read_toml(file)
    runbooks = [_runbook(tier, whole.section(name)) for tier, name in _TABLE_OF.items() if name in whole.names]
    whole.done()
    if not runbooks:
        raise whole.failure(f"has none of the tables {', '.join(f'[{name}]' for name in _TABLE_OF.values())}")
    return runbooks


def written(runbooks: Iterable[alert_pb2.Runbook]) -> str:
    """Runbooks in the form that is read."""
    return "\n".join(line for runbook in runbooks for line in _lines(runbook))


def _runbook(tier: alert_pb2.Tier.ValueType, section: Section) -> alert_pb2.Runbook:
    runbook = alert_pb2.Runbook(
        tier=tier,
        host_line=section.text("host_line", ""),
        host_line_en=section.text("host_line_en", ""),
        receivers=section.texts("receivers"),
        steps=[_step(each) for each in section.sections("step")],
    )
    section.done()
    return runbook


def _step(section: Section) -> alert_pb2.RunbookStep:
    step = alert_pb2.RunbookStep(
        text=section.text("text"),
        text_en=section.text("text_en", ""),
        owner=section.text("owner", ""),
        minutes_max=section.whole("minutes_max", 0),
    )
    section.done()
    return step


def _lines(runbook: alert_pb2.Runbook) -> Iterator[str]:
    table = _TABLE_OF[runbook.tier]
    yield f"# {tier_word(runbook.tier)}"
    yield f"[{table}]"
    yield f"host_line = {_quoted(runbook.host_line)}"
    yield f"host_line_en = {_quoted(runbook.host_line_en)}"
    yield f"receivers = [{', '.join(map(_quoted, runbook.receivers))}]"
    yield ""
    for step in runbook.steps:
        yield f"[[{table}.step]]"
        yield f"text = {_quoted(step.text)}"
        yield f"text_en = {_quoted(step.text_en)}"
        yield f"owner = {_quoted(step.owner)}"
        yield f"minutes_max = {step.minutes_max}"
        yield ""


def _quoted(text: str) -> str:
    """A string as TOML has it, which is as JSON has it but for one letter."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
