"""Create the ledger: levels, journal, reservations, request ids, catalog, tokens, and the gateway's privileges.

Revision: 0001, the first. Nothing ran before it.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TIMESTAMP

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

CODE = sa.Text(collation="C")
TIME = TIMESTAMP(timezone=True)
NOW = sa.text("clock_timestamp()")
EMPTY = sa.text("''")
ZERO = sa.text("0")

# What the gateway's role may do; what is not here it may not. Movements and request ids are never changed (R17, R12).
PRIVILEGES = {
    "head": "SELECT, UPDATE",
    "skus": "SELECT, INSERT, UPDATE",
    "locations": "SELECT, INSERT, UPDATE",
    "levels": "SELECT, INSERT, UPDATE",
    "movements": "SELECT, INSERT",
    "reservations": "SELECT, INSERT, UPDATE",
    "requests": "SELECT, INSERT",
    "shortfalls": "SELECT, INSERT, UPDATE",
    "access_tokens": "SELECT, INSERT",
    "alembic_version": "SELECT",
}


def upgrade() -> None:
    """Create everything, and the first location."""
    _create_head()
    _create_catalog()
    _create_stock()
    _create_reservations()
    op.execute("INSERT INTO head DEFAULT VALUES")
    op.execute("INSERT INTO locations (location, title, position) VALUES ('main', '', 0)")
    _grant()


def _create_head() -> None:
    op.create_table(
        "head",
        sa.Column("singleton", sa.Boolean, primary_key=True, server_default=sa.text("true")),
        sa.Column("version", sa.BigInteger, nullable=False, server_default=ZERO),
        sa.Column("revision", sa.BigInteger, nullable=False, server_default=ZERO),
        sa.Column("reservation_number", sa.BigInteger, nullable=False, server_default=ZERO),
        sa.Column("shortfall_number", sa.BigInteger, nullable=False, server_default=ZERO),
        sa.Column("record_time", TIME, nullable=False, server_default=NOW),
        sa.Column("audited_revision", sa.BigInteger, nullable=False, server_default=ZERO),
        sa.Column("epoch", sa.Uuid, nullable=False, server_default=sa.text("gen_random_uuid()")),
        sa.CheckConstraint("singleton", name="head_singleton"),
    )
    op.create_table(
        "access_tokens",
        sa.Column("token_hash", sa.LargeBinary, primary_key=True),
        sa.Column("create_time", TIME, nullable=False, server_default=NOW),
    )


def _create_catalog() -> None:
    op.create_table(
        "skus",
        sa.Column("sku", CODE, primary_key=True),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("safety_stock", sa.BigInteger, nullable=False),
        sa.Column("lead_time_mean_days", sa.Double),
        sa.Column("lead_time_deviation_days", sa.Double),
        sa.Column("substitutes", ARRAY(CODE), nullable=False),
        sa.Column("frozen", sa.Boolean, nullable=False, server_default=sa.text("false")),
        sa.Column("freeze_reason", sa.Text, nullable=False, server_default=EMPTY),
        sa.Column("create_time", TIME, nullable=False, server_default=NOW),
        sa.Column("update_time", TIME, nullable=False, server_default=NOW),
    )
    op.create_table(
        "locations",
        sa.Column("location", CODE, primary_key=True),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("create_time", TIME, nullable=False, server_default=NOW),
    )


def _create_stock() -> None:
    op.create_table(
        "levels",
        sa.Column("sku", CODE, primary_key=True),
        sa.Column("location", CODE, primary_key=True),
        sa.Column("on_hand", sa.BigInteger, nullable=False),
        sa.Column("reserved", sa.BigInteger, nullable=False),
        sa.Column("safety_stock", sa.BigInteger, nullable=False),
        sa.Column("last_count_time", TIME),
        sa.Column("last_count_revision", sa.BigInteger, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.CheckConstraint("reserved >= 0", name="levels_reserved"),
        postgresql_with={"fillfactor": "50"},
    )
    op.create_table(
        "movements",
        sa.Column("revision", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("record_time", TIME, nullable=False),
        sa.Column("occur_time", TIME, nullable=False),
        sa.Column("kind", sa.SmallInteger, nullable=False),
        sa.Column("sku", CODE, nullable=False),
        sa.Column("location", CODE, nullable=False),
        sa.Column("quantity", sa.BigInteger, nullable=False),
        sa.Column("on_hand_change", sa.BigInteger, nullable=False),
        sa.Column("reserved_change", sa.BigInteger, nullable=False),
        sa.Column("on_hand_after", sa.BigInteger, nullable=False),
        sa.Column("reserved_after", sa.BigInteger, nullable=False),
        sa.Column("safety_stock_after", sa.BigInteger, nullable=False),
        sa.Column("reservation_id", sa.BigInteger),
        sa.Column("request_id", CODE),
        sa.Column("reason", sa.Text),
        sa.Column("corrects_revision", sa.BigInteger),
        sa.Column("absorbed_by_revision", sa.BigInteger),
    )
    op.create_index("movements_by_place", "movements", ["sku", "location", "record_time", "revision"])
    op.create_table(
        "shortfalls",
        sa.Column("shortfall_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("cause", sa.SmallInteger, nullable=False),
        sa.Column("sku", CODE, nullable=False),
        sa.Column("location", CODE, nullable=False),
        sa.Column("quantity", sa.BigInteger, nullable=False),
        sa.Column("open_time", TIME, nullable=False),
        sa.Column("reservation_id", sa.BigInteger),
        sa.Column("order_id", CODE),
        sa.Column("owner", sa.Text, nullable=False, server_default=EMPTY),
        sa.Column("resolution", sa.Text, nullable=False, server_default=EMPTY),
        sa.Column("resolve_time", TIME),
    )


def _create_reservations() -> None:
    op.create_table(
        "reservations",
        sa.Column("reservation_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("state", sa.SmallInteger, nullable=False),
        sa.Column("lines", JSONB, nullable=False),
        sa.Column("order_id", CODE),
        sa.Column("create_time", TIME, nullable=False),
        sa.Column("expire_time", TIME, nullable=False),
        sa.Column("resolve_time", TIME),
        sa.Column("replaces_reservation_id", sa.BigInteger),
        sa.Column("replaced_by_reservation_id", sa.BigInteger),
        sa.Column("locations", JSONB),
    )
    op.create_index("reservations_open", "reservations", ["expire_time"], postgresql_where=sa.text("state = 1"))
    op.create_index(
        "reservations_by_order", "reservations", ["order_id"], postgresql_where=sa.text("order_id IS NOT NULL")
    )
    op.create_table(
        "requests",
        sa.Column("request_id", CODE, primary_key=True),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.Column("answer", sa.LargeBinary, nullable=False),
    )


def _grant() -> None:
    schema = op.get_bind().scalar(sa.text("SELECT quote_ident(current_schema())"))
    op.execute(f"GRANT USAGE ON SCHEMA {schema} TO stockgate_gateway")
    for table, privileges in PRIVILEGES.items():
        op.execute(f"GRANT {privileges} ON {table} TO stockgate_gateway")
