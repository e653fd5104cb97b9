"""Codes that WeChat makes: accounts, orders, files, activations, tickets."""

import sqlalchemy as sa
from alembic import op

from migrations import types
from migrations.steps import create_index, create_table

revision = "0038"
down_revision = "0037"


def upgrade() -> None:
    """Create the tables of this step."""
    _orders()
    create_table(
        "market_activations",
        sa.Column("id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("batch_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("first_index", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("last_index", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("activity_name", sa.String(64), nullable=False),
        sa.Column("product_brand", sa.String(64), nullable=False),
        sa.Column("product_title", sa.String(64), nullable=False),
        sa.Column("product_code", types.exact(14), nullable=False),
        sa.Column("path", types.exact(128), nullable=False),
        sa.Column("page_type", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("state", sa.String(24), nullable=False),
        sa.Column("fault", sa.String(200), nullable=True),
        sa.Column("asked_at", types.moment(), nullable=False),
        sa.Column("asked_by", sa.String(64), nullable=False),
        sa.Column("ended_at", types.moment(), nullable=True),
        sa.CheckConstraint(
            "state IN ('asked', 'active', 'refused')", name=op.f("ck_market_activations_state")
        ),
        sa.CheckConstraint(
            "first_index >= 0 AND first_index <= last_index", name=op.f("ck_market_activations_indexes")
        ),
        sa.ForeignKeyConstraint(
            ["batch_id"], ["market_orders.batch_id"], name=op.f("fk_market_activations_batch_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_market_activations")),
    )
    create_index(
        "ix_market_activations_batch_id_first_index", "market_activations", ["batch_id", "first_index"]
    )
    create_table(
        "market_tickets",
        sa.Column("digest", types.blind(), nullable=False),
        sa.Column("person_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("batch_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("code_index", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", types.moment(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_market_tickets")),
    )
    create_index("ix_market_tickets_at", "market_tickets", ["at"])


def _orders() -> None:
    create_table(
        "market_accounts",
        sa.Column("id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("app_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("appid", types.exact(32), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("file_key", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", types.moment(), nullable=False),
        sa.ForeignKeyConstraint(["app_id"], ["apps.id"], name=op.f("fk_market_accounts_app_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_market_accounts")),
        sa.UniqueConstraint("app_id", name=op.f("uq_market_accounts_app_id")),
        sa.UniqueConstraint("appid", name=op.f("uq_market_accounts_appid")),
    )
    create_table(
        "market_orders",
        sa.Column("batch_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("account_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("order_no", types.exact(64), nullable=False),
        sa.Column("application_id", types.bigint(), autoincrement=False, nullable=True),
        sa.Column("state", sa.String(24), nullable=False),
        sa.Column("fault", sa.String(200), nullable=True),
        sa.Column("asked_at", types.moment(), nullable=False),
        sa.Column("asked_by", sa.String(64), nullable=False),
        sa.CheckConstraint(
            "state IN ('asked', 'making', 'loading', 'loaded')", name=op.f("ck_market_orders_state")
        ),
        sa.ForeignKeyConstraint(["batch_id"], ["code_batches.id"], name=op.f("fk_market_orders_batch_id")),
        sa.ForeignKeyConstraint(
            ["account_id"], ["market_accounts.id"], name=op.f("fk_market_orders_account_id")
        ),
        sa.PrimaryKeyConstraint("batch_id", name=op.f("pk_market_orders")),
        sa.UniqueConstraint("order_no", name=op.f("uq_market_orders_order_no")),
        sa.UniqueConstraint("application_id", name=op.f("uq_market_orders_application_id")),
    )
    create_table(
        "market_files",
        sa.Column("batch_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("first_index", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("last_index", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("sha256", types.exact(64), nullable=True),
        sa.Column("loaded_at", types.moment(), nullable=True),
        sa.ForeignKeyConstraint(
            ["batch_id"], ["market_orders.batch_id"], name=op.f("fk_market_files_batch_id")
        ),
        sa.PrimaryKeyConstraint("batch_id", "first_index", name=op.f("pk_market_files")),
    )
