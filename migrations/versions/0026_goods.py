"""Goods: prizes that are sent by courier or fetched in a store."""

import sqlalchemy as sa
from alembic import op

from migrations import types
from migrations.steps import add_column, create_index, create_table, set_check

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    """Create the table of this step; an award may be goods."""
    add_column("awards", sa.Column("delivery", sa.String(24), nullable=True))
    set_check("awards", "ck_awards_kind", "kind IN ('money', 'points', 'voucher', 'goods', 'nothing')")
    set_check("awards", "ck_awards_delivery", "delivery IN ('courier', 'store', 'either')")
    create_table(
        "deliveries",
        sa.Column("award_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("campaign_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("state", sa.String(24), nullable=False),
        sa.Column("receiver", sa.LargeBinary(), nullable=True),
        sa.Column("phone", sa.LargeBinary(), nullable=True),
        sa.Column("address", sa.LargeBinary(), nullable=True),
        sa.Column("region", types.exact(6), nullable=True),
        sa.Column("courier", sa.String(32), nullable=True),
        sa.Column("tracking_no", types.exact(64), nullable=True),
        sa.Column("store_id", types.bigint(), autoincrement=False, nullable=True),
        sa.Column("asked_at", types.moment(), nullable=True),
        sa.Column("resolved_at", types.moment(), nullable=True),
        sa.Column("resolved_by", sa.String(64), nullable=True),
        sa.Column("reason", sa.String(200), nullable=True),
        sa.CheckConstraint(
            "state IN ('asked', 'exported', 'sent', 'reopened', 'handed_over')",
            name=op.f("ck_deliveries_state"),
        ),
        sa.CheckConstraint("state <> 'sent' OR tracking_no IS NOT NULL", name=op.f("ck_deliveries_sent")),
        sa.CheckConstraint(
            "state <> 'handed_over' OR store_id IS NOT NULL", name=op.f("ck_deliveries_handed_over")
        ),
        sa.ForeignKeyConstraint(["store_id"], ["stores.id"], name=op.f("fk_deliveries_store_id")),
        sa.PrimaryKeyConstraint("award_id", name=op.f("pk_deliveries")),
    )
    create_index("ix_deliveries_campaign_id_state", "deliveries", ["campaign_id", "state"])
    create_index("ix_deliveries_state_resolved_at", "deliveries", ["state", "resolved_at"])
