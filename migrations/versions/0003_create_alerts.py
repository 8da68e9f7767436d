"""Create what warnings need: the alert log, standings, what people say; movements know whose order moved them.

Revision: 0003. Safe under the code before it: new tables, and a column that may be empty.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TIMESTAMP

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

CODE = sa.Text(collation="C")
TIME = TIMESTAMP(timezone=True)
NOW = sa.text("clock_timestamp()")
EMPTY = sa.text("''")
ZERO = sa.text("0")
TRUE = sa.text("true")
FALSE = sa.text("false")

PRIVILEGES = {
    "alert_head": "SELECT, UPDATE",
    "alert_events": "SELECT, INSERT, DELETE",
    "standings": "SELECT, INSERT, UPDATE, DELETE",
    "acknowledgements": "SELECT, INSERT, UPDATE",
    "silences": "SELECT, INSERT, UPDATE",
    "alert_policies": "SELECT, INSERT, UPDATE, DELETE",
    "runbooks": "SELECT, INSERT, UPDATE",
    "incoming": "SELECT, INSERT, UPDATE",
    "demand_profiles": "SELECT, INSERT, UPDATE",
    "sessions": "SELECT, INSERT, UPDATE",
    "templates": "SELECT, INSERT, UPDATE, DELETE",
    "proposals": "SELECT, INSERT, UPDATE",
    "drills": "SELECT, INSERT, UPDATE",
    "cursors": "SELECT, INSERT, UPDATE, DELETE",
    "notices": "SELECT, INSERT, UPDATE, DELETE",
    "alert_requests": "SELECT, INSERT",
}


def upgrade() -> None:
    """Add the column, create the tables."""
    op.add_column("movements", sa.Column("channel", CODE))
    _create_log()
    _create_standings()
    _create_answers()
    _create_rules()
    _create_live()
    _create_receivers()
    op.execute("INSERT INTO alert_head DEFAULT VALUES")
    schema = op.get_bind().scalar(sa.text("SELECT quote_ident(current_schema())"))
    for table, privileges in PRIVILEGES.items():
        op.execute(f"GRANT {privileges} ON {schema}.{table} TO stockgate_gateway")


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, primary_key=True, autoincrement=False)


def _create_log() -> None:
    op.create_table(
        "alert_head",
        sa.Column("singleton", sa.Boolean, primary_key=True, server_default=TRUE),
        sa.Column("revision", sa.BigInteger, nullable=False, server_default=ZERO),
        sa.Column("compact_revision", sa.BigInteger, nullable=False, server_default=ZERO),
        sa.Column("settings_version", sa.BigInteger, nullable=False, server_default=ZERO),
        sa.Column("journal_revision", sa.BigInteger, nullable=False, server_default=sa.text("-1")),
        sa.Column("engine", sa.Text, nullable=False, server_default=EMPTY),
        sa.Column("engine_until", TIME),
        sa.Column("tick_time", TIME),
        sa.Column("watchdog_time", TIME),
        sa.CheckConstraint("singleton", name="alert_head_singleton"),
    )
    op.create_table(
        "alert_events",
        _number("revision"),
        sa.Column("record_time", TIME, nullable=False),
        sa.Column("kind", sa.SmallInteger, nullable=False),
        sa.Column("sku", CODE, nullable=False),
        sa.Column("session_id", sa.BigInteger, nullable=False),
        sa.Column("episode", sa.BigInteger, nullable=False),
        sa.Column("tier", sa.SmallInteger, nullable=False),
        sa.Column("channels", ARRAY(CODE), nullable=False),
        sa.Column("session_ids", ARRAY(sa.BigInteger), nullable=False),
        sa.Column("drill_id", sa.BigInteger, nullable=False),
        sa.Column("silenced_by", ARRAY(sa.BigInteger), nullable=False),
        sa.Column("observe_time", TIME),
        sa.Column("expire_time", TIME),
        sa.Column("body", JSONB),
    )
    op.create_index("alert_events_by_sku", "alert_events", ["sku", "revision"])
    op.create_index("alert_events_by_time", "alert_events", ["record_time"])


def _create_standings() -> None:
    op.create_table(
        "standings",
        sa.Column("sku", CODE, primary_key=True),
        _number("session_id"),
        sa.Column("state_version", sa.BigInteger, nullable=False),
        sa.Column("tier", sa.SmallInteger, nullable=False),
        sa.Column("is_awake", sa.Boolean, nullable=False),
        sa.Column("event_revision", sa.BigInteger, nullable=False),
        sa.Column("journal_revision", sa.BigInteger, nullable=False),
        sa.Column("seen_time", TIME, nullable=False),
        sa.Column("content", JSONB, nullable=False),
        postgresql_with={"fillfactor": "50"},
    )
    op.create_index("standings_awake", "standings", ["tier", "sku"], postgresql_where=sa.text("is_awake"))


def _create_answers() -> None:
    op.create_table(
        "acknowledgements",
        _number("acknowledgement_id"),
        sa.Column("sku", CODE, nullable=False),
        sa.Column("session_id", sa.BigInteger, nullable=False),
        sa.Column("episode", sa.BigInteger, nullable=False),
        sa.Column("drill_id", sa.BigInteger, nullable=False),
        sa.Column("end_time", TIME),
        sa.Column("body", JSONB, nullable=False),
    )
    op.create_index(
        "acknowledgements_open",
        "acknowledgements",
        ["sku", "session_id", "drill_id"],
        unique=True,
        postgresql_where=sa.text("end_time IS NULL"),
    )
    op.create_table(
        "silences",
        _number("silence_id"),
        sa.Column("end_time", TIME, nullable=False),
        sa.Column("ended_time", TIME),
        sa.Column("body", JSONB, nullable=False),
    )
    op.create_table(
        "alert_requests",
        sa.Column("request_id", CODE, primary_key=True),
        sa.Column("method", sa.Text, nullable=False),
        sa.Column("content", JSONB, nullable=False),
        sa.Column("answer", JSONB, nullable=False),
    )


def _create_rules() -> None:
    op.create_table(
        "alert_policies",
        sa.Column("sku", CODE, primary_key=True),
        sa.Column("body", JSONB, nullable=False),
        sa.Column("update_time", TIME, nullable=False, server_default=NOW),
    )
    op.create_table(
        "runbooks",
        sa.Column("tier", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("body", JSONB, nullable=False),
    )
    op.create_table(
        "incoming",
        _number("incoming_id"),
        sa.Column("sku", CODE, nullable=False),
        sa.Column("arrive_time", TIME, nullable=False),
        sa.Column("end_time", TIME),
        sa.Column("body", JSONB, nullable=False),
    )
    op.create_index("incoming_open", "incoming", ["sku", "arrive_time"], postgresql_where=sa.text("end_time IS NULL"))
    op.create_table(
        "demand_profiles",
        sa.Column("singleton", sa.Boolean, primary_key=True, server_default=TRUE),
        sa.Column("profile", sa.Text, nullable=False),
        sa.Column("update_time", TIME, nullable=False, server_default=NOW),
        sa.CheckConstraint("singleton", name="demand_profiles_singleton"),
    )


def _create_live() -> None:
    op.create_table(
        "sessions",
        _number("session_id"),
        sa.Column("close_time", TIME),
        sa.Column("body", JSONB, nullable=False),
    )
    op.create_index("sessions_open", "sessions", ["session_id"], postgresql_where=sa.text("close_time IS NULL"))
    op.create_table(
        "templates",
        sa.Column("template_id", CODE, primary_key=True),
        sa.Column("body", JSONB, nullable=False),
    )
    op.create_table(
        "proposals",
        _number("proposal_id"),
        sa.Column("session_id", sa.BigInteger, nullable=False),
        sa.Column("sku", CODE, nullable=False),
        sa.Column("state", sa.SmallInteger, nullable=False),
        sa.Column("body", JSONB, nullable=False),
    )
    op.create_index("proposals_unsettled", "proposals", ["sku"], postgresql_where=sa.text("state IN (1, 2)"))
    op.create_table(
        "drills",
        _number("drill_id"),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("gateway", sa.Text, nullable=False),
        sa.Column("heard_time", TIME, nullable=False),
        sa.Column("body", JSONB, nullable=False),
    )


def _create_receivers() -> None:
    op.create_table(
        "cursors",
        sa.Column("subscriber_id", CODE, primary_key=True),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("report_time", TIME, nullable=False),
        sa.Column("told_silent", sa.Boolean, nullable=False, server_default=FALSE),
    )
    op.create_table(
        "notices",
        _number("revision"),
        sa.Column("receiver", CODE, primary_key=True),
        sa.Column("claimant", sa.Text, nullable=False),
        sa.Column("lease_until", TIME, nullable=False),
        sa.Column("sent_time", TIME),
    )
