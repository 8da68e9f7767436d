"""The tables of warnings: the alert log, where SKUs stand, what people have said. Part of one merchant's schema."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Index,
    SmallInteger,
    Table,
    Text,
    literal_column,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from gateway.store.tables import CODE, TIME
from gateway.store.tables import metadata as metadata  # noqa: PLC0414 - all tables are known to who imports it here

ZERO = text("0")

# One row. Whoever appends to the log raises `revision` first and so holds the row until the end: numbers are gapless
# and become visible in order. `journal_revision` is the movement up to which the engine has seen the journal, -1 before
# the first; `settings_version` rises with all that the engine has to read anew.
alert_head = Table(
    "alert_head",
    metadata,
    Column("singleton", Boolean, primary_key=True, server_default=text("true")),
    Column("revision", BigInteger, nullable=False, server_default=ZERO),
    Column("compact_revision", BigInteger, nullable=False, server_default=ZERO),
    Column("settings_version", BigInteger, nullable=False, server_default=ZERO),
    Column("journal_revision", BigInteger, nullable=False, server_default=text("-1")),
    Column("engine", Text, nullable=False, server_default=text("''")),
    Column("engine_until", TIME),
    Column("tick_time", TIME),
    Column("watchdog_time", TIME),
    CheckConstraint("singleton", name="alert_head_singleton"),
)

# `tier` is the higher of the two of a change, 0 for what is about none; `body` is `domain/alerts.py: Body`.
# Sessions and silences: few among all that the log tells. To be said in a query word for word: of values that are sent
# with it nobody knows beforehand that they are some of these.
IS_OF_MANY = literal_column("kind IN (4, 5, 11, 12, 13)", Boolean)

alert_events = Table(
    "alert_events",
    metadata,
    Column("revision", BigInteger, primary_key=True, autoincrement=False),
    Column("record_time", TIME, nullable=False),
    Column("kind", SmallInteger, nullable=False),
    Column("sku", CODE, nullable=False),
    Column("session_id", BigInteger, nullable=False),
    Column("episode", BigInteger, nullable=False),
    Column("tier", SmallInteger, nullable=False),
    Column("channels", ARRAY(CODE), nullable=False),
    Column("session_ids", ARRAY(BigInteger), nullable=False),
    Column("drill_id", BigInteger, nullable=False),
    Column("silenced_by", ARRAY(BigInteger), nullable=False),
    Column("observe_time", TIME),
    Column("expire_time", TIME),
    Column("body", JSONB),
    # The span that told of it (W3C), if it is traced.
    Column("traceparent", Text),
    Index("alert_events_by_sku", "sku", "revision"),
    Index("alert_events_by_time", "record_time"),
    Index("alert_events_of_many", "revision", postgresql_where=IS_OF_MANY),
)

# Where each key stands, as of `journal_revision` and `seen_time`; `session_id` 0 is the SKU's whole stock. The JSON is
# that of `domain/vigil.py`. `event_revision` is the event that told of it last. Whoever writes raises `state_version`
# from the value he has read.
standings = Table(
    "standings",
    metadata,
    Column("sku", CODE, primary_key=True),
    Column("session_id", BigInteger, primary_key=True, autoincrement=False),
    Column("state_version", BigInteger, nullable=False),
    Column("tier", SmallInteger, nullable=False),
    Column("is_awake", Boolean, nullable=False),
    Column("event_revision", BigInteger, nullable=False),
    Column("journal_revision", BigInteger, nullable=False),
    Column("seen_time", TIME, nullable=False),
    Column("content", JSONB, nullable=False),
    Index("standings_awake", "tier", "sku", postgresql_where=text("is_awake")),
    Index("standings_by_tier", text("tier DESC"), text("is_awake DESC"), "sku", "session_id"),
    postgresql_with={"fillfactor": "50"},
)

# One that holds has no `end_time`; of those there is one for each key at most.
acknowledgements = Table(
    "acknowledgements",
    metadata,
    Column("acknowledgement_id", BigInteger, primary_key=True, autoincrement=False),
    Column("sku", CODE, nullable=False),
    Column("session_id", BigInteger, nullable=False),
    Column("episode", BigInteger, nullable=False),
    Column("drill_id", BigInteger, nullable=False),
    Column("end_time", TIME),
    Column("body", JSONB, nullable=False),
    Index(
        "acknowledgements_open", "sku", "session_id", "drill_id", unique=True, postgresql_where=text("end_time IS NULL")
    ),
)

silences = Table(
    "silences",
    metadata,
    Column("silence_id", BigInteger, primary_key=True, autoincrement=False),
    Column("end_time", TIME, nullable=False),
    Column("ended_time", TIME),
    Column("body", JSONB, nullable=False),
)

# The one for all has no SKU.
alert_policies = Table(
    "alert_policies",
    metadata,
    Column("sku", CODE, primary_key=True),
    Column("body", JSONB, nullable=False),
    Column("update_time", TIME, nullable=False, server_default=text("clock_timestamp()")),
)

runbooks = Table(
    "runbooks",
    metadata,
    Column("tier", SmallInteger, primary_key=True, autoincrement=False),
    Column("body", JSONB, nullable=False),
)

incoming = Table(
    "incoming",
    metadata,
    Column("incoming_id", BigInteger, primary_key=True, autoincrement=False),
    Column("sku", CODE, nullable=False),
    Column("arrive_time", TIME, nullable=False),
    Column("end_time", TIME),
    Column("body", JSONB, nullable=False),
    Index("incoming_open", "sku", "arrive_time", postgresql_where=text("end_time IS NULL")),
)

demand_profiles = Table(
    "demand_profiles",
    metadata,
    Column("singleton", Boolean, primary_key=True, server_default=text("true")),
    Column("profile", Text, nullable=False),
    Column("update_time", TIME, nullable=False, server_default=text("clock_timestamp()")),
    CheckConstraint("singleton", name="demand_profiles_singleton"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("session_id", BigInteger, primary_key=True, autoincrement=False),
    Column("close_time", TIME),
    Column("body", JSONB, nullable=False),
    Index("sessions_open", "session_id", postgresql_where=text("close_time IS NULL")),
)

templates = Table(
    "templates",
    metadata,
    Column("template_id", CODE, primary_key=True),
    Column("body", JSONB, nullable=False),
)

proposals = Table(
    "proposals",
    metadata,
    Column("proposal_id", BigInteger, primary_key=True, autoincrement=False),
    Column("session_id", BigInteger, nullable=False),
    Column("sku", CODE, nullable=False),
    Column("state", SmallInteger, nullable=False),
    Column("body", JSONB, nullable=False),
    Index("proposals_unsettled", "sku", postgresql_where=text("state IN (1, 2)")),
    Index("proposals_by_sku", "sku", "proposal_id"),
    Index("proposals_by_session", "session_id", "proposal_id"),
)

# `gateway` plays it, and says so in `heard_time` while it lives.
drills = Table(
    "drills",
    metadata,
    Column("drill_id", BigInteger, primary_key=True, autoincrement=False),
    Column("state", Text, nullable=False),
    Column("gateway", Text, nullable=False),
    Column("heard_time", TIME, nullable=False),
    Column("body", JSONB, nullable=False),
)

# How far a subscriber says it has come.
cursors = Table(
    "cursors",
    metadata,
    Column("subscriber_id", CODE, primary_key=True),
    Column("revision", BigInteger, nullable=False),
    Column("report_time", TIME, nullable=False),
    Column("told_silent", Boolean, nullable=False, server_default=text("false")),
)

# Who tells whom of what, so that nobody is told twice.
notices = Table(
    "notices",
    metadata,
    Column("revision", BigInteger, primary_key=True, autoincrement=False),
    Column("receiver", CODE, primary_key=True),
    Column("claimant", Text, nullable=False),
    Column("lease_until", TIME, nullable=False),
    Column("sent_time", TIME),
)

# Every request id of a mutation here that took effect, with what was asked and what was answered (R10, R12).
alert_requests = Table(
    "alert_requests",
    metadata,
    Column("request_id", CODE, primary_key=True),
    Column("method", Text, nullable=False),
    Column("content", JSONB, nullable=False),
    Column("answer", JSONB, nullable=False),
)
