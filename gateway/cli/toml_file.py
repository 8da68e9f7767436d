"""TOML that people write: read strictly, and what is wrong is named by the file, the section and the field."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.cli.alert_words import tier_word
from gateway.cli.errors import EXIT_USAGE, Failure, failure
from gateway.v1 import alert_pb2

INT64_MAX = 2**63 - 1
TIERS = {tier_word(number): number for number in alert_pb2.Tier.values() if number}


class Section:
    """One table of the file. Each field is taken once; `done` refuses what nobody has taken. All raise `Failure`."""

    def __init__(self, file: Path, place: str, fields: Mapping[str, Any]) -> None:
        """`place` is what an error calls it: `[drill]`, `[[sku]] 2`."""
        self.place = place
        self._file = file
        self._fields = dict(fields)

    def text(self, name: str, default: str | None = None) -> str:
        """A string."""
        value = self._take(name, default)
        if not isinstance(value, str):
            raise self._wrong(name, "a string in quotes")
        return value

    def whole(self, name: str, default: int | None = None) -> int:
        """A whole number."""
        value = self._take(name, default)
        if not isinstance(value, int) or isinstance(value, bool) or abs(value) > INT64_MAX:
            raise self._wrong(name, "a whole number of 64 bits")
        return value

    def real(self, name: str, default: float | None = None) -> float:
        """A finite number."""
        value = self._take(name, default)
        if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
            raise self._wrong(name, "a number")
        return float(value)

    def texts(self, name: str) -> list[str]:
        """A list of strings; absent: none."""
        values = self._take(name, [])
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise self._wrong(name, "a list of strings")
        return [str(value) for value in values]

    def tier(self, name: str) -> alert_pb2.Tier.ValueType:
        """A tier by its word, as in `"URGENT"` or `"sold-out"`."""
        written = self.text(name).strip().upper().replace("-", " ").replace("_", " ")
        if written not in TIERS:
            raise self._wrong(name, f"one of {', '.join(TIERS)}")
        return TIERS[written]

    def section(self, name: str) -> Section:
        """A table `[name]`; absent: an empty one."""
        value = self._take(name, {})
        if not isinstance(value, dict):
            raise self._wrong(name, f"a table [{name}]")
        return Section(self._file, f"[{name}]", value)

    def sections(self, name: str) -> list[Section]:
        """The tables `[[name]]`, in order; absent: none."""
        values = self._take(name, [])
        if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
            raise self._wrong(name, f"tables [[{name}]]")
        own = f"{self.place} " if self.place else ""
        return [Section(self._file, f"{own}[[{name}]] {count}", table) for count, table in enumerate(values, start=1)]

    def done(self) -> None:
        """Nothing is left that nobody knows."""
        if self._fields:
            raise self.failure(f"knows no {', '.join(map(repr, self._fields))}")

    @property
    def names(self) -> list[str]:
        """The fields that nobody has taken."""
        return list(self._fields)

    def failure(self, message: str) -> Failure:
        """What is wrong with this section."""
        place = f" {self.place}" if self.place else ""
        return failure("FILE", f"{self._file.name}:{place} {message}", "`--help` shows the form.", EXIT_USAGE)

    def _take(self, name: str, default: Any) -> Any:
        value = self._fields.pop(name, default)
        if value is None:
            raise self.failure(f"needs {name!r}")
        return value

    def _wrong(self, name: str, wanted: str) -> Failure:
        return self.failure(f"{name!r} must be {wanted}")


def read_toml(file: Path) -> Section:
    """The whole file as a section without a name. Raises `Failure`."""
    try:
        fields = tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise failure("FILE", f"cannot read {file}: {error.strerror}", "Name a TOML file.", EXIT_USAGE) from error
    except UnicodeDecodeError as error:
        raise failure("FILE", f"{file} is not UTF-8", "Save it as UTF-8.", EXIT_USAGE) from error
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        raise failure("FILE", f"{file} is no TOML: {error}", "`--help` shows the form.", EXIT_USAGE) from error
    return Section(file, "", fields)
