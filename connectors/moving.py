"""One push, carried out on a platform: which calls it takes, and what may be said of it afterwards.

A report must never be better than the truth. The gateway keeps an exposure that must not fall below what the platform
may still sell, so a raise may be reported too high and never too low, and a lowering too low and never too high:

    raise, and the platform does not say how much      UNKNOWN
    lowering, and the platform does not say how much   APPLIED with what is certain, and a reading follows
    refused, busy, away                                nothing of this call; what earlier calls took is reported
    no answer, or one that makes no sense              UNKNOWN, with what earlier calls have taken for certain

A lowering by more than is shown is cut to what is shown, since sales come in between, a few times.
"""

from collections.abc import Callable
from dataclasses import dataclass

from connectors.access import Access
from connectors.attempts import Attempt, Tries
from connectors.base import Applied, Change, ListingKey
from connectors.contract import Push, PushKind, PushResult
from connectors.errors import (
    AuthExpired,
    BelowZero,
    ConnectorError,
    Rejected,
    Throttled,
    Transient,
)
from connectors.needs import words


@dataclass
class Progress:
    """How far a push has come; it lasts from try to try, and says what is certain."""

    push: Push
    # Is told of every call to the platform.
    tell: Callable[[Attempt], None] = lambda _attempt: None
    attempts: int = 0
    # Sales that were certainly moved.
    moved: int = 0
    # Each change that is another has another id, and a change that is sent again has its own.
    changes: int = 0

    def __post_init__(self) -> None:
        """Nothing was tried yet."""
        self.tries = Tries(self.push.push_id, self.push.listing_id, self.push.key, self.tell)

    @property
    def change_id(self) -> str:
        """The id of the change to be sent next."""
        return f"{self.push.push_id}-{self.changes}" if self.changes else str(self.push.push_id)

    @property
    def rest(self) -> int:
        """Sales that are still to be moved."""
        return self.push.sales - self.moved


@dataclass(frozen=True)
class Outcome:
    """What to report; `wants_reading` if only a reading tells the rest."""

    result: PushResult
    applied: int = 0
    error: str = ""
    wants_reading: bool = False


class NotNow(Exception):
    """The push is not over: it is to be tried again once the platform lets us call."""


async def carried_out(access: Access, progress: Progress, lower_tries_max: int) -> Outcome:
    """Do a push; raises `NotNow`, and then the same `progress` is to be handed in again."""
    push = progress.push
    if push.kind is PushKind.RAISE:
        return await _raised(access, progress)
    try:
        return await _lowered(access, progress, lower_tries_max)
    except ConnectorError as error:
        return outcome_of(progress, error)


def outcome_of(progress: Progress, result: Applied | ConnectorError) -> Outcome:
    """What a call's end says of a push of which `progress.moved` was done before; raises `NotNow`."""
    if isinstance(result, Applied):
        return _outcome_of_raise(result)
    said = words(f"{result.code} {result.message}" if result.code else result.message)
    if isinstance(result, Throttled | AuthExpired):
        raise NotNow(said) from result
    if not isinstance(result, Rejected | Transient):  # silence, nonsense, and what nobody has thought of
        return Outcome(PushResult.UNKNOWN, progress.moved, said)
    if progress.moved:
        return Outcome(PushResult.APPLIED, progress.moved, said, wants_reading=True)
    if isinstance(result, Rejected):
        return Outcome(PushResult.REFUSED, error=said)
    return Outcome(PushResult.NOT_SENT, error=said)


async def _raised(access: Access, progress: Progress) -> Outcome:
    push = progress.push
    progress.attempts += 1
    try:
        with progress.tries.heard():
            applied = await access.change(Change(push.key, push.sales, progress.change_id))
        return outcome_of(progress, applied)
    except ConnectorError as error:
        return outcome_of(progress, error)


def _outcome_of_raise(applied: Applied) -> Outcome:
    if applied.units is None:
        return Outcome(PushResult.UNKNOWN, error="the platform does not say how much it added")
    return Outcome(PushResult.APPLIED, max(0, applied.units))


async def _lowered(access: Access, progress: Progress, tries_max: int) -> Outcome:
    """Take the rest away, or as much of it as is shown."""
    wanted = progress.rest
    for _ in range(tries_max):
        progress.attempts += 1
        try:
            with progress.tries.heard():
                applied = await access.change(Change(progress.push.key, -wanted, progress.change_id))
        except BelowZero:
            progress.changes += 1
            wanted = min(progress.rest, await _takeable(access, progress.push.key))
            if wanted <= 0:
                return _done(progress)
            continue
        progress.changes += 1
        progress.moved += min(max(0, -(applied.units or 0)), wanted)
        if applied.shown and progress.push.kind is PushKind.TO_ZERO:
            return await _cleared(access, progress)
        return _done(progress)
    return await _cleared(access, progress)


async def _takeable(access: Access, key: ListingKey) -> int:
    """What the listing shows and no unpaid order withholds."""
    shelf = (await access.read([key]))[key]
    if isinstance(shelf, ConnectorError):
        raise shelf
    return shelf.shown - shelf.withheld


def _done(progress: Progress) -> Outcome:
    return Outcome(PushResult.APPLIED, progress.moved, wants_reading=progress.rest > 0)


async def _cleared(access: Access, progress: Progress) -> Outcome:
    """It still shows something. Zero may be set at any time: whatever it overwrites, less is shown than is booked."""
    if progress.push.kind is PushKind.TO_ZERO and access.platform.capabilities.sets_absolute:
        progress.attempts += 1
        with progress.tries.heard():
            await access.set_shown(progress.push.key, 0)
    return Outcome(PushResult.APPLIED, progress.moved, wants_reading=True)
