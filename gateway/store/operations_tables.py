"""The tables from which numbers are explained: attempts, past states, what people did, spans. In a merchant's schema.

All of it is a record: nothing decides by it, and what is old is removed (`gateway/retention.py`), but for the audit.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Identity,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from gateway.store.alert_tables import metadata as metadata  # noqa: PLC0414 - all tables are known to who imports it here
from gateway.store.tables import CODE, TIME

# Every call to a platform that was to change a number, as its connector told; `number` counts those of one push in one
# process, so that another one that goes on with the push is told from it by `begin_time`.
# `outcome` is `domain/attempts.py: AttemptOutcome`; `traceparent` (W3C) is the attempt's own span.
attempts = Table(
    "attempts",
    metadata,
    Column("push_id", BigInteger, primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("listing_id", BigInteger, nullable=False),
    Column("channel", CODE, nullable=False),
    Column("begin_time", TIME, primary_key=True),
    Column("duration_ms", BigInteger, nullable=False),
    Column("outcome", SmallInteger, nullable=False),
    Column("http_status", Integer),
    Column("platform_code", Text, nullable=False),
    Column("platform_request_id", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("next_try_time", TIME),
    Column("traceparent", Text),
    Column("record_time", TIME, nullable=False),
    Index("attempts_by_listing", "listing_id", "record_time"),
    Index("attempts_by_time", "record_time"),
)

# What a listing's state was, from `record_time` on; `version` is that of the head; `is_read`: a reading made it so.
listing_states = Table(
    "listing_states",
    metadata,
    Column("listing_id", BigInteger, primary_key=True, autoincrement=False),
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    Column("record_time", TIME, nullable=False),
    Column("state", JSONB, nullable=False),
    Column("is_read", Boolean, nullable=False),
    Index("listing_states_by_time", "record_time"),
    # The few readings among all that moves.
    Index("listing_states_read", "listing_id", "version", postgresql_where=text("is_read")),
)

# What a channel was like, from `record_time` on: paused, who served it, breaker, limits, watermark.
channel_states = Table(
    "channel_states",
    metadata,
    Column("channel", CODE, primary_key=True),
    Column("record_time", TIME, primary_key=True),
    Column("body", JSONB, nullable=False),
)

# How a SKU was divided, and whether it was frozen, from `record_time` on: `policy` (null if none was set) and `frozen`.
sku_states = Table(
    "sku_states",
    metadata,
    Column("sku", CODE, primary_key=True),
    Column("record_time", TIME, primary_key=True),
    Column("body", JSONB, nullable=False),
)

# What people asked for. A row is written before the thing is done; `outcome` is OK or the reason of the refusal, and
# empty while it is under way, for ever if the gateway died meanwhile.
audit = Table(
    "audit",
    metadata,
    Column("audit_id", BigInteger, Identity(), primary_key=True),
    Column("record_time", TIME, nullable=False),
    Column("actor", Text, nullable=False),
    Column("method", Text, nullable=False),
    Column("sku", CODE),
    Column("channel", CODE),
    Column("request_id", CODE),
    Column("content", JSONB, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("traceparent", Text),
    Index("audit_by_sku", "sku", "audit_id"),
    Index("audit_by_channel", "channel", "audit_id"),
    Index("audit_by_time", "record_time"),
)

# Recent spans of this gateway and of the processes that export to it. Times in nanoseconds since 1970; ids in hex.
# `linked_trace_ids` are those of `links`, to be found from the other side.
spans = Table(
    "spans",
    metadata,
    Column("trace_id", CODE, primary_key=True),
    Column("span_id", CODE, primary_key=True),
    Column("parent_span_id", CODE, nullable=False),
    Column("service", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("kind", SmallInteger, nullable=False),
    Column("begin_ns", BigInteger, nullable=False),
    Column("end_ns", BigInteger, nullable=False),
    Column("is_error", Boolean, nullable=False),
    Column("sku", CODE),
    Column("body", JSONB, nullable=False),
    Column("linked_trace_ids", ARRAY(CODE), nullable=False),
    Column("record_time", TIME, nullable=False),
    Index("spans_by_time", "record_time"),
    Index("spans_by_sku", "sku", "record_time"),
    Index("spans_by_link", "linked_trace_ids", postgresql_using="gin"),
)

# Reviews of sessions that are over, for ever: MessagePack of `domain/review/values.py`, compressed (zlib).
reviews = Table(
    "reviews",
    metadata,
    Column("session_id", BigInteger, primary_key=True, autoincrement=False),
    Column("record_time", TIME, nullable=False),
    Column("body", LargeBinary, nullable=False),
)

# SKUs of which every call is traced until then.
traced_skus = Table(
    "traced_skus",
    metadata,
    Column("sku", CODE, primary_key=True),
    Column("until", TIME, nullable=False),
)

# Who is signed in to the page. Only the SHA-256 of the cookie is kept.
page_sessions = Table(
    "page_sessions",
    metadata,
    Column("cookie_hash", LargeBinary, primary_key=True),
    Column("actor", Text, nullable=False),
    Column("create_time", TIME, nullable=False),
    Column("expire_time", TIME, nullable=False),
)
