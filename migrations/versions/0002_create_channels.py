"""Create what selling needs: channels, listings, orders, pushes, drift, policies; levels know what listings expose.

Revision: 0002. Safe under the code before it: new tables, and columns with defaults.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TIMESTAMP

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

CODE = sa.Text(collation="C")
TIME = TIMESTAMP(timezone=True)
NOW = sa.text("clock_timestamp()")
EMPTY = sa.text("''")
ZERO = sa.text("0")
FALSE = sa.text("false")

PRIVILEGES = {
    "channels": "SELECT, INSERT, UPDATE",
    "listings": "SELECT, INSERT, UPDATE, DELETE",
    "orders": "SELECT, INSERT, UPDATE",
    "pushes": "SELECT, INSERT, UPDATE",
    "drifts": "SELECT, INSERT",
    "policies": "SELECT, INSERT, UPDATE",
}


def upgrade() -> None:
    """Add the columns, create the tables."""
    for number in ("listing_number", "push_number", "drift_number"):
        op.add_column("head", sa.Column(number, sa.BigInteger, nullable=False, server_default=ZERO))
    for number in ("exposed", "short"):
        op.add_column("levels", sa.Column(number, sa.BigInteger, nullable=False, server_default=ZERO))
    _create_channels()
    _create_listings()
    _create_orders()
    _create_records()
    schema = op.get_bind().scalar(sa.text("SELECT quote_ident(current_schema())"))
    for table, privileges in PRIVILEGES.items():
        op.execute(f"GRANT {privileges} ON {schema}.{table} TO stockgate_gateway")


def _create_channels() -> None:
    op.create_table(
        "channels",
        sa.Column("channel", CODE, primary_key=True),
        sa.Column("platform", sa.SmallInteger, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("locations", ARRAY(CODE), nullable=False),
        sa.Column("facts", JSONB, nullable=False),
        sa.Column("paused", sa.Boolean, nullable=False, server_default=FALSE),
        sa.Column("pause_reason", sa.Text, nullable=False, server_default=EMPTY),
        sa.Column("many_to_zero_time", TIME),
        sa.Column("watermark", TIME),
        sa.Column("connector", JSONB),
        sa.Column("follower", sa.Text),
        sa.Column("heartbeat_time", TIME),
        sa.Column("credentials", sa.LargeBinary),
        sa.Column("tokens", sa.LargeBinary),
        sa.Column("token_version", sa.BigInteger, nullable=False, server_default=ZERO),
        sa.Column("create_time", TIME, nullable=False, server_default=NOW),
    )
    op.create_table(
        "policies",
        sa.Column("sku", CODE, primary_key=True),
        sa.Column("policy", JSONB, nullable=False),
        sa.Column("update_time", TIME, nullable=False, server_default=NOW),
    )


def _create_listings() -> None:
    op.create_table(
        "listings",
        sa.Column("listing_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("channel", CODE, nullable=False),
        sa.Column("item_id", CODE, nullable=False),
        sa.Column("platform_sku_id", CODE, nullable=False),
        sa.Column("components", JSONB, nullable=False),
        sa.Column("skus", ARRAY(CODE), nullable=False),
        sa.Column("takes_on", sa.SmallInteger),
        sa.Column("state", JSONB, nullable=False, server_default=sa.text("'[]'")),
        sa.Column("version", sa.BigInteger, nullable=False, server_default=ZERO),
        sa.Column("create_time", TIME, nullable=False, server_default=NOW),
        postgresql_with={"fillfactor": "50"},
    )
    op.create_index("listings_by_key", "listings", ["channel", "item_id", "platform_sku_id"], unique=True)
    op.create_index("listings_by_sku", "listings", ["skus"], postgresql_using="gin")
    op.create_index("listings_by_version", "listings", ["channel", "version"])


def _create_orders() -> None:
    op.create_table(
        "orders",
        sa.Column("channel", CODE, primary_key=True),
        sa.Column("order_id", CODE, primary_key=True),
        sa.Column("state", sa.SmallInteger, nullable=False),
        sa.Column("update_time", TIME, nullable=False),
        sa.Column("placed_time", TIME, nullable=False),
        sa.Column("paid_time", TIME),
        sa.Column("lines", JSONB, nullable=False),
        sa.Column("unlinked", sa.Boolean, nullable=False),
        postgresql_with={"fillfactor": "70"},
    )
    op.create_index("orders_by_update", "orders", ["channel", "update_time"])
    op.create_index("orders_unlinked", "orders", ["channel", "order_id"], postgresql_where=sa.text("unlinked"))


def _create_records() -> None:
    op.create_table(
        "pushes",
        sa.Column("push_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("listing_id", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.SmallInteger, nullable=False),
        sa.Column("sales", sa.BigInteger, nullable=False),
        sa.Column("create_time", TIME, nullable=False),
        sa.Column("settle_time", TIME),
        sa.Column("result", sa.SmallInteger),
        sa.Column("applied", sa.BigInteger),
        sa.Column("attempts", sa.Integer),
        sa.Column("duration_ms", sa.BigInteger),
        sa.Column("error", sa.Text),
        postgresql_with={"fillfactor": "70"},
    )
    op.create_index("pushes_by_listing", "pushes", ["listing_id", "push_id"])
    op.create_table(
        "drifts",
        sa.Column("drift_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("listing_id", sa.BigInteger, nullable=False),
        sa.Column("channel", CODE, nullable=False),
        sa.Column("shown", sa.BigInteger, nullable=False),
        sa.Column("exposure_before", sa.BigInteger, nullable=False),
        sa.Column("exposure_least", sa.BigInteger, nullable=False),
        sa.Column("exposure_most", sa.BigInteger, nullable=False),
        sa.Column("read_time", TIME, nullable=False),
        sa.Column("judge_time", TIME, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
    )
    op.create_index("drifts_by_channel", "drifts", ["channel", "drift_id"])
