"""What people asked for: one entry per call, made before anything is done, with what became of it."""

from datetime import datetime

import msgspec
from msgspec import Struct

# The outcome of what was done. Others are the reasons of refusals; empty: not known, or not yet.
DONE = "OK"
# Under which of these names requests say why, the first that says something.
_REASONS = ("reason", "note", "comment", "resolution")


class Asked(Struct, frozen=True):
    """What a person asks for. `content` is the request as JSON, without what is secret; "" is said of nothing."""

    actor: str
    method: str
    sku: str
    channel: str
    request_id: str
    content: str
    traceparent: str | None = None


class AuditEntry(Asked, frozen=True, kw_only=True):
    """What was asked, when, and what became of it: `DONE`, the reason of the refusal, or "" if nobody knows."""

    audit_id: int
    record_time: datetime
    outcome: str

    @property
    def reason(self) -> str:
        """Why, in the person's own words; empty if he did not say."""
        asked = msgspec.json.decode(self.content)
        texts = (asked.get(name) for name in _REASONS)
        return next((text for text in texts if isinstance(text, str) and text), "")
