"""Create what numbers are explained from: attempts, past states, the audit, spans; rows know the span that made them.

Revision: 0004. Safe under the code before it: new tables, and columns that may be empty.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TIMESTAMP

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

CODE = sa.Text(collation="C")
TIME = TIMESTAMP(timezone=True)

PRIVILEGES = {
    "attempts": "SELECT, INSERT, UPDATE, DELETE",
    "listing_states": "SELECT, INSERT, DELETE",
    "channel_states": "SELECT, INSERT, DELETE",
    "sku_states": "SELECT, INSERT, DELETE",
    # Of what was asked only what became of it is written later.
    "audit": "SELECT, INSERT, UPDATE (outcome, sku, channel)",
    "reviews": "SELECT, INSERT",
    "spans": "SELECT, INSERT, DELETE",
    "traced_skus": "SELECT, INSERT, UPDATE, DELETE",
    "page_sessions": "SELECT, INSERT, UPDATE, DELETE",
    # Tokens can be taken back.
    "access_tokens": "DELETE",
}


def upgrade() -> None:
    """Add the columns, create the tables."""
    op.add_column("movements", sa.Column("traceparent", sa.Text))
    op.create_index(
        "movements_expired",
        "movements",
        ["sku", "location", "record_time", "occur_time"],
        postgresql_where=sa.text("kind = 9"),
    )
    op.create_index(
        "movements_late",
        "movements",
        ["sku", "location", "record_time"],
        postgresql_where=sa.text("occur_time < record_time AND on_hand_change <> 0"),
    )
    op.add_column("pushes", sa.Column("traceparent", sa.Text))
    op.add_column("pushes", sa.Column("origin_revision", sa.BigInteger))
    op.add_column("pushes", sa.Column("origin_time", TIME))
    op.create_index("pushes_open", "pushes", ["listing_id"], postgresql_where=sa.text("settle_time IS NULL"))
    op.add_column("alert_events", sa.Column("traceparent", sa.Text))
    # Sessions and silences: few among all that the log tells.
    op.create_index(
        "alert_events_of_many", "alert_events", ["revision"], postgresql_where=sa.text("kind IN (4, 5, 11, 12, 13)")
    )
    # The most pressing first, among a hundred thousand.
    op.create_index(
        "standings_by_tier", "standings", [sa.text("tier DESC"), sa.text("is_awake DESC"), "sku", "session_id"]
    )
    op.create_index("proposals_by_sku", "proposals", ["sku", "proposal_id"])
    op.create_index("proposals_by_session", "proposals", ["session_id", "proposal_id"])
    _create_attempts()
    _create_states()
    _create_audit()
    _create_spans()
    op.create_table(
        "reviews",
        sa.Column("session_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("record_time", TIME, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "traced_skus",
        sa.Column("sku", CODE, primary_key=True),
        sa.Column("until", TIME, nullable=False),
    )
    op.create_table(
        "page_sessions",
        sa.Column("cookie_hash", sa.LargeBinary, primary_key=True),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("create_time", TIME, nullable=False),
        sa.Column("expire_time", TIME, nullable=False),
    )
    schema = op.get_bind().scalar(sa.text("SELECT quote_ident(current_schema())"))
    for table, privileges in PRIVILEGES.items():
        op.execute(f"GRANT {privileges} ON {schema}.{table} TO stockgate_gateway")
    # Platforms know a push by its number: no database may give one out that another has used for the same shop
    # (`gateway/store/lineage.py`). Who decides meanwhile finds another version, and reads anew.
    op.execute("""
        UPDATE head SET version = version + 1,
            push_number = greatest(push_number, floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint)""")


def _create_attempts() -> None:
    op.create_table(
        "attempts",
        sa.Column("push_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("listing_id", sa.BigInteger, nullable=False),
        sa.Column("channel", CODE, nullable=False),
        sa.Column("begin_time", TIME, primary_key=True),
        sa.Column("duration_ms", sa.BigInteger, nullable=False),
        sa.Column("outcome", sa.SmallInteger, nullable=False),
        sa.Column("http_status", sa.Integer),
        sa.Column("platform_code", sa.Text, nullable=False),
        sa.Column("platform_request_id", sa.Text, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("next_try_time", TIME),
        sa.Column("traceparent", sa.Text),
        sa.Column("record_time", TIME, nullable=False),
    )
    op.create_index("attempts_by_listing", "attempts", ["listing_id", "record_time"])
    op.create_index("attempts_by_time", "attempts", ["record_time"])


def _create_states() -> None:
    op.create_table(
        "listing_states",
        sa.Column("listing_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("version", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("record_time", TIME, nullable=False),
        sa.Column("state", JSONB, nullable=False),
        sa.Column("is_read", sa.Boolean, nullable=False),
    )
    op.create_index("listing_states_by_time", "listing_states", ["record_time"])
    op.create_index(
        "listing_states_read", "listing_states", ["listing_id", "version"], postgresql_where=sa.text("is_read")
    )
    op.create_table(
        "channel_states",
        sa.Column("channel", CODE, primary_key=True),
        sa.Column("record_time", TIME, primary_key=True),
        sa.Column("body", JSONB, nullable=False),
    )
    op.create_table(
        "sku_states",
        sa.Column("sku", CODE, primary_key=True),
        sa.Column("record_time", TIME, primary_key=True),
        sa.Column("body", JSONB, nullable=False),
    )
    # What there is now has a past from here on.
    op.execute("""
        INSERT INTO listing_states (listing_id, version, record_time, state, is_read)
        SELECT l.listing_id, h.version, clock_timestamp(), l.state, false
        FROM listings l, head h WHERE jsonb_array_length(l.state) > 0""")
    op.execute("""
        INSERT INTO sku_states (sku, record_time, body)
        SELECT s.sku, clock_timestamp(), jsonb_build_object('policy', p.policy, 'frozen', s.frozen)
        FROM skus s LEFT JOIN policies p USING (sku) WHERE s.frozen OR p.sku IS NOT NULL""")


def _create_audit() -> None:
    op.create_table(
        "audit",
        sa.Column("audit_id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("record_time", TIME, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("method", sa.Text, nullable=False),
        sa.Column("sku", CODE),
        sa.Column("channel", CODE),
        sa.Column("request_id", CODE),
        sa.Column("content", JSONB, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("traceparent", sa.Text),
    )
    op.create_index("audit_by_sku", "audit", ["sku", "audit_id"])
    op.create_index("audit_by_channel", "audit", ["channel", "audit_id"])
    op.create_index("audit_by_time", "audit", ["record_time"])


def _create_spans() -> None:
    op.create_table(
        "spans",
        sa.Column("trace_id", CODE, primary_key=True),
        sa.Column("span_id", CODE, primary_key=True),
        sa.Column("parent_span_id", CODE, nullable=False),
        sa.Column("service", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("kind", sa.SmallInteger, nullable=False),
        sa.Column("begin_ns", sa.BigInteger, nullable=False),
        sa.Column("end_ns", sa.BigInteger, nullable=False),
        sa.Column("is_error", sa.Boolean, nullable=False),
        sa.Column("sku", CODE),
        sa.Column("body", JSONB, nullable=False),
        sa.Column("linked_trace_ids", ARRAY(CODE), nullable=False),
        sa.Column("record_time", TIME, nullable=False),
    )
    op.create_index("spans_by_time", "spans", ["record_time"])
    op.create_index("spans_by_sku", "spans", ["sku", "record_time"])
    op.create_index("spans_by_link", "spans", ["linked_trace_ids"], postgresql_using="gin")
