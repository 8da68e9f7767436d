"""Reading the parameters of a call: numbers may come as strings, as the platform's own clients send both."""

from collections.abc import Mapping
from dataclasses import dataclass

from connectors.sandbox.douyin.answers import invalid, missing

INT64_MAX = 2**63 - 1
INT64_DIGITS = 19


@dataclass(frozen=True)
class Params:
    """The parameters of a call, or of one element of a list in it."""

    fields: Mapping[str, object]

    def number(self, name: str, default: int | None = None) -> int:
        """An integer; required without a default."""
        value = self.fields.get(name)
        if value is None:
            if default is None:
                raise missing(name)
            return default
        if isinstance(value, str) and _is_number(value):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or abs(value) > INT64_MAX:
            raise invalid(name)
        return value

    def text(self, name: str, default: str | None = None) -> str:
        """A string; required without a default."""
        value = self.fields.get(name)
        if value is None:
            if default is None:
                raise missing(name)
            return default
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise invalid(name)
        return str(value)

    def flag(self, name: str, *, default: bool | None = None) -> bool:
        """True or false; required without a default."""
        value = self.fields.get(name)
        if value is None:
            if default is None:
                raise missing(name)
            return default
        if not isinstance(value, bool):
            raise invalid(name)
        return value

    def elements(self, name: str, most: int) -> list["Params"]:
        """A list of objects, not empty and not longer than `most`."""
        value = self.fields.get(name)
        if value is None:
            raise missing(name)
        if not isinstance(value, list) or not 0 < len(value) <= most:
            raise invalid(name)
        if not all(isinstance(element, dict) for element in value):
            raise invalid(name)
        return [Params(element) for element in value]

    def has(self, name: str) -> bool:
        """True if the field is there and says something."""
        return self.fields.get(name) not in (None, "")


def _is_number(text: str) -> bool:
    digits = text.removeprefix("-")
    return digits.isascii() and digits.isdecimal() and len(digits) <= INT64_DIGITS
