"""The tables of one merchant's schema. `migrations/` builds them; a test holds the two against each other.

Codes and ids are compared as bytes (collation "C"): faster, and the same order on every server.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TIMESTAMP

metadata = MetaData()

CODE = Text(collation="C")
TIME = TIMESTAMP(timezone=True)

# One row. Whoever writes raises `version` from the value it has read, or has to read again: that is the gate through
# which all groups of a merchant pass, one after the other, whichever gateway they come from.
head = Table(
    "head",
    metadata,
    Column("singleton", Boolean, primary_key=True, server_default=text("true")),
    Column("version", BigInteger, nullable=False, server_default=text("0")),
    Column("revision", BigInteger, nullable=False, server_default=text("0")),
    Column("reservation_number", BigInteger, nullable=False, server_default=text("0")),
    Column("shortfall_number", BigInteger, nullable=False, server_default=text("0")),
    Column("record_time", TIME, nullable=False, server_default=text("clock_timestamp()")),
    Column("audited_revision", BigInteger, nullable=False, server_default=text("0")),
    Column("epoch", Uuid, nullable=False, server_default=text("gen_random_uuid()")),
    Column("listing_number", BigInteger, nullable=False, server_default=text("0")),
    Column("push_number", BigInteger, nullable=False, server_default=text("0")),
    Column("drift_number", BigInteger, nullable=False, server_default=text("0")),
    CheckConstraint("singleton", name="head_singleton"),
)

skus = Table(
    "skus",
    metadata,
    Column("sku", CODE, primary_key=True),
    Column("title", Text, nullable=False),
    Column("safety_stock", BigInteger, nullable=False),
    Column("lead_time_mean_days", Double),
    Column("lead_time_deviation_days", Double),
    Column("substitutes", ARRAY(CODE), nullable=False),
    Column("frozen", Boolean, nullable=False, server_default=text("false")),
    Column("freeze_reason", Text, nullable=False, server_default=text("''")),
    Column("create_time", TIME, nullable=False, server_default=text("clock_timestamp()")),
    Column("update_time", TIME, nullable=False, server_default=text("clock_timestamp()")),
)

locations = Table(
    "locations",
    metadata,
    Column("location", CODE, primary_key=True),
    Column("title", Text, nullable=False),
    Column("position", Integer, nullable=False),
    Column("create_time", TIME, nullable=False, server_default=text("clock_timestamp()")),
)

# A few hot rows, updated with every group: half of each page stays free for their new versions (HOT updates).
levels = Table(
    "levels",
    metadata,
    Column("sku", CODE, primary_key=True),
    Column("location", CODE, primary_key=True),
    Column("on_hand", BigInteger, nullable=False),
    Column("reserved", BigInteger, nullable=False),
    Column("safety_stock", BigInteger, nullable=False),
    Column("last_count_time", TIME),
    Column("last_count_revision", BigInteger, nullable=False),
    Column("revision", BigInteger, nullable=False),
    # Units that listings may still sell by themselves: the sum over `listings`, kept here for the hot path.
    Column("exposed", BigInteger, nullable=False, server_default=text("0")),
    # Promised units that are missing, and of which a shortfall tells.
    Column("short", BigInteger, nullable=False, server_default=text("0")),
    CheckConstraint("reserved >= 0", name="levels_reserved"),
    postgresql_with={"fillfactor": "50"},
)

# The journal. The gateway's role may insert and read it, and no more.
movements = Table(
    "movements",
    metadata,
    Column("revision", BigInteger, primary_key=True, autoincrement=False),
    Column("record_time", TIME, nullable=False),
    Column("occur_time", TIME, nullable=False),
    Column("kind", SmallInteger, nullable=False),
    Column("sku", CODE, nullable=False),
    Column("location", CODE, nullable=False),
    Column("quantity", BigInteger, nullable=False),
    Column("on_hand_change", BigInteger, nullable=False),
    Column("reserved_change", BigInteger, nullable=False),
    Column("on_hand_after", BigInteger, nullable=False),
    Column("reserved_after", BigInteger, nullable=False),
    Column("safety_stock_after", BigInteger, nullable=False),
    Column("reservation_id", BigInteger),
    Column("request_id", CODE),
    Column("reason", Text),
    Column("corrects_revision", BigInteger),
    Column("absorbed_by_revision", BigInteger),
    # Whose order moved the units, if it was an order's.
    Column("channel", CODE),
    # The span that asked for it (W3C), if that is traced.
    Column("traceparent", Text),
    Index("movements_by_place", "sku", "location", "record_time", "revision"),
    # For the past: expiries, which may be written down late, and the few that were told of late and count.
    Index("movements_expired", "sku", "location", "record_time", "occur_time", postgresql_where=text("kind = 9")),
    Index(
        "movements_late",
        "sku",
        "location",
        "record_time",
        postgresql_where=text("occur_time < record_time AND on_hand_change <> 0"),
    ),
)

# `lines` is [[line_number, sku, location asked, requested, [[location, held, committed, returned], ...]], ...]; one row
# per reservation, whatever its lines, because every row more is felt on the hot path.
reservations = Table(
    "reservations",
    metadata,
    Column("reservation_id", BigInteger, primary_key=True, autoincrement=False),
    Column("state", SmallInteger, nullable=False),
    Column("lines", JSONB, nullable=False),
    Column("order_id", CODE),
    Column("create_time", TIME, nullable=False),
    Column("expire_time", TIME, nullable=False),
    Column("resolve_time", TIME),
    Column("replaces_reservation_id", BigInteger),
    Column("replaced_by_reservation_id", BigInteger),
    Column("locations", JSONB),
    Index("reservations_open", "expire_time", postgresql_where=text("state = 1")),
    Index("reservations_by_order", "order_id", postgresql_where=text("order_id IS NOT NULL")),
)

# Every request id that took effect, with what was asked and what was answered (R10, R12).
requests = Table(
    "requests",
    metadata,
    Column("request_id", CODE, primary_key=True),
    Column("content", LargeBinary, nullable=False),
    Column("answer", LargeBinary, nullable=False),
)

shortfalls = Table(
    "shortfalls",
    metadata,
    Column("shortfall_id", BigInteger, primary_key=True, autoincrement=False),
    Column("cause", SmallInteger, nullable=False),
    Column("sku", CODE, nullable=False),
    Column("location", CODE, nullable=False),
    Column("quantity", BigInteger, nullable=False),
    Column("open_time", TIME, nullable=False),
    Column("reservation_id", BigInteger),
    Column("order_id", CODE),
    Column("owner", Text, nullable=False, server_default=text("''")),
    Column("resolution", Text, nullable=False, server_default=text("''")),
    Column("resolve_time", TIME),
)

# Only a token's SHA-256 is kept; the token itself is shown once.
access_tokens = Table(
    "access_tokens",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),
    Column("create_time", TIME, nullable=False, server_default=text("clock_timestamp()")),
)

# Who writes here or to `listings` and `policies` from outside a group raises `head.version` in the same transaction.
# Credentials and tokens are encrypted with a key from the environment.
channels = Table(
    "channels",
    metadata,
    Column("channel", CODE, primary_key=True),
    Column("platform", SmallInteger, nullable=False),
    Column("title", Text, nullable=False),
    Column("locations", ARRAY(CODE), nullable=False),
    Column("facts", JSONB, nullable=False),
    Column("paused", Boolean, nullable=False, server_default=text("false")),
    Column("pause_reason", Text, nullable=False, server_default=text("''")),
    Column("many_to_zero_time", TIME),
    Column("watermark", TIME),
    Column("connector", JSONB),
    # The connector whose stream is told what to do; the last to open one.
    Column("follower", Text),
    Column("heartbeat_time", TIME),
    Column("credentials", LargeBinary),
    Column("tokens", LargeBinary),
    Column("token_version", BigInteger, nullable=False, server_default=text("0")),
    Column("create_time", TIME, nullable=False, server_default=text("clock_timestamp()")),
)

# What the catalog says of a listing, and `state`: what the ledger knows of it (`domain/listings.py`). `version` is that
# of the head when the state was last saved: streams follow it.
listings = Table(
    "listings",
    metadata,
    Column("listing_id", BigInteger, primary_key=True, autoincrement=False),
    Column("channel", CODE, nullable=False),
    Column("item_id", CODE, nullable=False),
    Column("platform_sku_id", CODE, nullable=False),
    Column("components", JSONB, nullable=False),
    Column("skus", ARRAY(CODE), nullable=False),
    Column("takes_on", SmallInteger),
    Column("state", JSONB, nullable=False, server_default=text("'[]'")),
    Column("version", BigInteger, nullable=False, server_default=text("0")),
    Column("create_time", TIME, nullable=False, server_default=text("clock_timestamp()")),
    Index("listings_by_key", "channel", "item_id", "platform_sku_id", unique=True),
    Index("listings_by_sku", "skus", postgresql_using="gin"),
    Index("listings_by_version", "channel", "version"),
    postgresql_with={"fillfactor": "50"},
)

# `lines` is an array of `domain/orders.py: KnownLine`.
orders = Table(
    "orders",
    metadata,
    Column("channel", CODE, primary_key=True),
    Column("order_id", CODE, primary_key=True),
    Column("state", SmallInteger, nullable=False),
    Column("update_time", TIME, nullable=False),
    Column("placed_time", TIME, nullable=False),
    Column("paid_time", TIME),
    Column("lines", JSONB, nullable=False),
    Column("unlinked", Boolean, nullable=False),
    Index("orders_by_update", "channel", "update_time"),
    Index("orders_unlinked", "channel", "order_id", postgresql_where=text("unlinked")),
    postgresql_with={"fillfactor": "70"},
)

# Every change of a listing's number that was ever decided, and what became of it.
pushes = Table(
    "pushes",
    metadata,
    Column("push_id", BigInteger, primary_key=True, autoincrement=False),
    Column("listing_id", BigInteger, nullable=False),
    Column("kind", SmallInteger, nullable=False),
    Column("sales", BigInteger, nullable=False),
    Column("create_time", TIME, nullable=False),
    Column("settle_time", TIME),
    Column("result", SmallInteger),
    Column("applied", BigInteger),
    Column("attempts", Integer),
    Column("duration_ms", BigInteger),
    Column("error", Text),
    # The span that decided it (W3C); the newest movement it answers, and when the oldest of those was recorded.
    Column("traceparent", Text),
    Column("origin_revision", BigInteger),
    Column("origin_time", TIME),
    Index("pushes_by_listing", "listing_id", "push_id"),
    # The few that are under way, among all that ever were.
    Index("pushes_open", "listing_id", postgresql_where=text("settle_time IS NULL")),
    postgresql_with={"fillfactor": "70"},
)

drifts = Table(
    "drifts",
    metadata,
    Column("drift_id", BigInteger, primary_key=True, autoincrement=False),
    Column("listing_id", BigInteger, nullable=False),
    Column("channel", CODE, nullable=False),
    Column("shown", BigInteger, nullable=False),
    Column("exposure_before", BigInteger, nullable=False),
    Column("exposure_least", BigInteger, nullable=False),
    Column("exposure_most", BigInteger, nullable=False),
    Column("read_time", TIME, nullable=False),
    Column("judge_time", TIME, nullable=False),
    Column("action", Text, nullable=False),
    Index("drifts_by_channel", "channel", "drift_id"),
)

policies = Table(
    "policies",
    metadata,
    Column("sku", CODE, primary_key=True),
    Column("policy", JSONB, nullable=False),
    Column("update_time", TIME, nullable=False, server_default=text("clock_timestamp()")),
)
