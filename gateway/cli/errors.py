"""What went wrong, and what to do about it.

Every failure a person can meet ends here as a `Problem`: a refusal of the gateway (status code, `ErrorInfo`,
`BadRequest`, `RetryInfo`), a gateway that does not answer, or a fault in what was typed. A problem is printed with its
next step, or with `--json` as one JSON document on stderr. Exit codes: 1 the thing asked for failed or was refused,
2 usage,
130 Ctrl-C.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130  # as shells have it

# By ErrorInfo.reason, the closed list of the gateway. {names} come from the error's metadata.
NEXT_STEPS: Mapping[str, str] = {
    "INVALID_ARGUMENT": "Correct the fields named above; `--help` says what each one takes.",
    "SKU_UNKNOWN": "`stockgate sku list` shows the SKUs; `stockgate sku add CODE` makes one.",
    "LOCATION_UNKNOWN": "`stockgate location list` shows the locations; `stockgate location add CODE` makes one.",
    "CHANNEL_UNKNOWN": "`stockgate channel list` shows the channels; `stockgate channel add CODE --platform "
    "PLATFORM` makes one.",
    "LISTING_UNKNOWN": "`stockgate listing list` shows the listings with their numbers.",
    "LISTING_IN_USE": "Have it lowered to zero first: `stockgate policy set SKU` with a cap of 0 for its channel. "
    "Once it shows nothing, try again.",
    "CREDENTIALS_MISSING": "`stockgate channel credentials CODE --file FILE` stores them.",
    "CREDENTIALS_LOCKED": "`stockgate channel key` makes a key; give it to the gateway in STOCKGATE_CREDENTIALS_KEY.",
    "TOKENS_CHANGED": "Somebody stored newer tokens (version {version}). Read the credentials again, and use those.",
    "SHORTFALL_UNKNOWN": "`stockgate shortfall list` shows them with their ids.",
    "RESERVATION_UNKNOWN": "`stockgate stock reservations` shows them with their ids.",
    "MOVEMENT_UNKNOWN": "`stockgate stock movements` shows the journal with its revisions.",
    "INSUFFICIENT_STOCK": "Asked {asked}, available {available}. Ask for less, take what there is (--allow-partial), "
    "or book goods in with `stockgate stock receive {sku} QUANTITY`.",
    "RESERVATION_RESOLVED": "That is final. Nothing was changed.",
    "RESERVATION_EXPIRED": "Reserve again; or, if it is paid, `stockgate stock commit ID --retake-expired`.",
    "RESERVATION_NOT_COMMITTED": "Only sold goods can come back. `stockgate stock reservation ID` shows its state.",
    "REQUEST_ID_REUSED": "Take a new id. To repeat the old request, repeat it exactly.",
    "ON_HAND_CHANGED": "On hand is {on_hand} now. Look again, then repeat with --expected-on-hand {on_hand}.",
    "SKU_FROZEN": "`stockgate sku show CODE` says why; `stockgate sku unfreeze CODE` lets it be reserved again.",
    "BELOW_RESERVED": "If the goods are really gone, --record-reality books it, down to 0 on hand.",
    "QUANTITY_OVERFLOW": "That is more than the ledger keeps. Check the quantity.",
    "ABOVE_HELD": "`stockgate stock reservation ID` shows what each line has; ask for no more than that.",
    "ALREADY_EXISTS": "It exists with other content. Show it, and change it with the `set` command.",
    "ATOMIC_GROUP_FAILED": "Another command of the same atomic group was refused; correct that one.",
    "QUEUE_FULL": "The gateway has more to do than it can. Repeat with the same request id after a moment.",
    "DATABASE_UNAVAILABLE": "The gateway cannot reach PostgreSQL. Repeat with the same request id; if it lasts, look "
    "at the gateway's log.",
    "UNAUTHENTICATED": "Set STOCKGATE_TOKEN to a valid token; `stockgate merchant token NAME`, where the gateway runs, "
    "makes a new one.",
    "READER_TOO_SLOW": "This reader fell behind. Watch again from the last revision it saw (--after), or fewer SKUs.",
    "EPOCH_MISMATCH": "The database is not the one you watched before. Watch again without --after.",
    "REVISION_FROM_FUTURE": "The ledger has not come that far. Watch again without --after.",
    "REVISION_COMPACTED": "That part of the journal is no longer kept. Watch again without --after.",
    "SLOW_CONSUMER": "This reader fell behind. Watch again from the last revision it saw (--after), or fewer SKUs.",
    "TOO_MANY_STREAMS": "Close a stream of this subscriber, or give this one another name (--subscriber).",
    "ALREADY_ACKNOWLEDGED": "{by} was first, at {at}. `stockgate alert show SKU` shows what was decided.",
    "EPISODE_OVER": "There is nothing left to acknowledge. `stockgate alert show SKU` shows where it stands.",
    "TIER_CHANGED": "It is {tier} by now. Look again with `stockgate alert show SKU`, then decide.",
    "SILENCE_UNKNOWN": "`stockgate alert silences` shows them with their numbers.",
    "INCOMING_UNKNOWN": "`stockgate alert incoming list` shows them with their numbers.",
    "DRILL_UNKNOWN": "`stockgate drill list` shows them with their numbers.",
    "DRILL_RUNNING": "Wait for the one that runs, or end it with `stockgate drill stop {drill_id}`.",
    "SESSION_UNKNOWN": "`stockgate live list` shows them with their numbers.",
    "ADVICE_UNKNOWN": "`stockgate report SESSION` says what can be accepted.",
    "SETTING_CHANGED": "Somebody has set something else since. Set it by hand if it is still right.",
    "SESSION_OVER": "It is closed for good. `stockgate live open` opens another.",
    "SESSION_CONFLICT": "Session {session_id} has units of its own of {sku}. Change one of the two.",
    "TEMPLATE_UNKNOWN": "`stockgate live template list` shows them.",
    "PROPOSAL_UNKNOWN": "`stockgate live proposals` shows them with their numbers.",
    "PROPOSAL_SETTLED": "It is {state} already. `stockgate live proposals` shows who decided, and why.",
    "DEADLINE_EXCEEDED": "It may have been applied, or not. Repeat with the same request id: it cannot happen twice.",
    "SHUTTING_DOWN": "The gateway is stopping. Repeat with the same request id once it is back.",
}

# By status code, for errors without a reason of ours: they come from gRPC itself.
NEXT_STEPS_BY_CODE: Mapping[str, str] = {
    "UNAVAILABLE": "Is a gateway running there? `make run` or `stockgate serve` starts one; --address or "
    "STOCKGATE_ADDRESS names another. For TLS set STOCKGATE_TLS_CA_FILE.",
    "DEADLINE_EXCEEDED": NEXT_STEPS["DEADLINE_EXCEEDED"],
    "UNIMPLEMENTED": "What answers there is no stockgate gateway, or an older release of it.",
    "UNAUTHENTICATED": NEXT_STEPS["UNAUTHENTICATED"],
    "PERMISSION_DENIED": NEXT_STEPS["UNAUTHENTICATED"],
    "RESOURCE_EXHAUSTED": NEXT_STEPS["QUEUE_FULL"],
    "INTERNAL": "That is a defect of the gateway. Its log has the details.",
    "UNKNOWN": "That is a defect of the gateway. Its log has the details.",
}

# After these the request may or may not have been applied; after every other it was not, and its id is free again.
OUTCOME_UNKNOWN = frozenset(
    {"UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "CANCELLED", "INTERNAL", "UNKNOWN"}
)


@dataclass(frozen=True)
class Violation:
    """One thing that is wrong with what was asked, and the field (or line and column) it is wrong in."""

    field: str
    description: str


@dataclass(frozen=True)
class Problem:
    """A failure as the person at the keyboard needs it."""

    code: str
    message: str
    reason: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    violations: tuple[Violation, ...] = ()
    retry_after_seconds: float | None = None
    request_id: str = ""
    advice: str = ""

    @property
    def next_step(self) -> str:
        """What to do about it; empty if there is nothing better to say than the message."""
        text = self.advice or NEXT_STEPS.get(self.reason) or NEXT_STEPS_BY_CODE.get(self.code, "")
        return text.format_map(_Known(self.metadata))

    def document(self) -> dict[str, object]:
        """The problem as a JSON document."""
        return {
            "error": {
                "code": self.code,
                "reason": self.reason,
                "message": self.message,
                "metadata": dict(self.metadata),
                "violations": [{"field": each.field, "description": each.description} for each in self.violations],
                "retry_after_seconds": self.retry_after_seconds,
                "request_id": self.request_id,
                "next_step": self.next_step,
            }
        }


class Failure(Exception):
    """Ends the command with a problem that is printed, and an exit code."""

    def __init__(self, problem: Problem, exit_code: int = EXIT_FAILED) -> None:
        super().__init__(problem.message)
        self.problem = problem
        self.exit_code = exit_code


def failure(code: str, message: str, advice: str = "", exit_code: int = EXIT_FAILED) -> Failure:
    """A failure of the command itself, not of the gateway."""
    return Failure(Problem(code=code, message=message, advice=_literal(advice)), exit_code)


def report(problem: Problem, *, as_json: bool) -> None:
    """Prints a problem on stderr."""
    if as_json:
        print(json.dumps(problem.document(), ensure_ascii=False), file=sys.stderr)
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True, highlight=False)
    for style, line in _lines(problem):
        console.print(Text(line, style=style), soft_wrap=not console.is_terminal)


def _lines(problem: Problem) -> list[tuple[str, str]]:
    label = problem.reason or problem.code
    lines = [("bold red", f"{label}: {problem.message}" if problem.message else label)]
    lines += [("", f"  {_violation(each, problem)}") for each in problem.violations]
    if problem.next_step:
        lines.append(("", problem.next_step))
    if problem.retry_after_seconds is not None:
        lines.append(("", f"Worth another try in {problem.retry_after_seconds:g} s."))
    if problem.request_id and problem.code in OUTCOME_UNKNOWN:
        lines.append(("dim", f"request id {problem.request_id} (to repeat it: --request-id {problem.request_id})"))
    return lines


def _violation(violation: Violation, problem: Problem) -> str:
    is_said = violation.description == problem.message
    return f"in {violation.field}" if is_said else f"{violation.field}: {violation.description}"


def _literal(advice: str) -> str:
    return advice.replace("{", "{{").replace("}", "}}")


class _Known(dict[str, str]):
    """Metadata for `format_map`: what the gateway did not say reads as a question mark."""

    def __missing__(self, key: str) -> str:
        return "?"
