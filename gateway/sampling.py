"""How much is traced: a share of what begins, and of anything only so much in a second."""

import logging
import random
import time
from collections.abc import Mapping
from contextlib import suppress

log = logging.getLogger(__name__)

RATIO = 0.1
# A crowd is not slowed down by being looked at: of a thousand equal calls a second, twenty tell as much as a hundred.
# One costs the gateway some 0.3 ms, most of it for being written down. Of each name, so that no crowd takes the turn of
# what is seldom.
TRACES_PER_SECOND_MAX = 20
# More names than that we do not have.
NAMES_MAX = 500


class Allowance:
    """So many a second."""

    def __init__(self, per_second_max: int) -> None:
        """None taken yet."""
        self._per_second_max = per_second_max
        self._second = 0
        self._taken = 0

    def take(self) -> bool:
        """True if there is one left."""
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._taken = second, 0
        self._taken += 1
        return self._taken <= self._per_second_max


class Sampling:
    """Whether a trace that begins here is kept; `is_on` is false where nothing is traced at all."""

    def __init__(self, ratio: float, *, follows_caller: bool, per_second_max: int | None, is_on: bool = True) -> None:
        """Keep this share of traces, 0 to 1, but no more than so many a second that begin with a span of one name."""
        self.ratio = ratio
        self.follows_caller = follows_caller
        self.is_on = is_on
        self.per_second_max = per_second_max
        self._allowances: dict[str, Allowance] = {}

    def draw(self, name: str) -> bool:
        """True for the chosen share of traces that begin with a span of this name."""
        if random.random() >= self.ratio:  # noqa: S311 - a lot is drawn, no secret is made
            return False
        if self.per_second_max is None:
            return True
        known = name if name in self._allowances or len(self._allowances) < NAMES_MAX else ""
        return self._allowances.setdefault(known, Allowance(self.per_second_max)).take()

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Sampling":
        """What OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG ask for; nothing of it hinders a start."""
        name = environment.get("OTEL_TRACES_SAMPLER", "").strip().lower()
        if not name:
            return cls(RATIO, follows_caller=True, per_second_max=TRACES_PER_SECOND_MAX)
        kind = name.removeprefix("parentbased_")
        ratio = {"always_on": 1.0, "always_off": 0.0, "traceidratio": _ratio(environment)}.get(kind)
        if ratio is None:
            log.warning("OTEL_TRACES_SAMPLER names no sampler we know; a tenth of the traces is kept")
            ratio = RATIO
        return cls(ratio, follows_caller=kind != name, per_second_max=None)


def _ratio(environment: Mapping[str, str]) -> float:
    raw = environment.get("OTEL_TRACES_SAMPLER_ARG", "").strip() or "1.0"
    with suppress(ValueError):
        if 0.0 <= float(raw) <= 1.0:
            return float(raw)
    log.warning("OTEL_TRACES_SAMPLER_ARG should be a number from 0 to 1; a tenth of the traces is kept")
    return RATIO
