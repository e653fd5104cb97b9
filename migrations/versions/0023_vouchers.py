"""Vouchers: codes bought elsewhere, given away as prizes."""

import sqlalchemy as sa
from alembic import op

from migrations import types
from migrations.steps import create_index, create_table, set_check

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    """Create the tables of this step; an award may be a voucher."""
    set_check("awards", "ck_awards_kind", "kind IN ('money', 'points', 'voucher', 'nothing')")
    create_table(
        "voucher_batches",
        sa.Column("id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("brand_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("stock_account", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("supply_account", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("reference", types.exact(40), nullable=False),
        sa.Column("pieces", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("known", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("imported_by", sa.String(64), nullable=False),
        sa.Column("imported_at", types.moment(), nullable=False),
        sa.CheckConstraint("pieces >= 0 AND known >= 0", name=op.f("ck_voucher_batches_counts")),
        sa.ForeignKeyConstraint(["brand_id"], ["brands.id"], name=op.f("fk_voucher_batches_brand_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_voucher_batches")),
        sa.UniqueConstraint(
            "stock_account", "reference", name=op.f("uq_voucher_batches_stock_account_reference")
        ),
    )
    create_table(
        "vouchers",
        sa.Column("id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("brand_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("batch_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("stock_account", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("code", sa.LargeBinary(), nullable=False),
        sa.Column("pin", sa.LargeBinary(), nullable=True),
        sa.Column("code_hash", types.blind(), nullable=False),
        sa.Column("expires_at", types.moment(), nullable=False),
        sa.Column("state", sa.String(24), nullable=False),
        sa.Column("award_id", types.bigint(), autoincrement=False, nullable=True),
        sa.Column("allotted_at", types.moment(), nullable=True),
        sa.CheckConstraint(
            "state IN ('free', 'allotted', 'expired', 'withdrawn')", name=op.f("ck_vouchers_state")
        ),
        sa.CheckConstraint(
            "(state = 'allotted') = (award_id IS NOT NULL)", name=op.f("ck_vouchers_allotted")
        ),
        sa.ForeignKeyConstraint(["brand_id"], ["brands.id"], name=op.f("fk_vouchers_brand_id")),
        sa.ForeignKeyConstraint(["batch_id"], ["voucher_batches.id"], name=op.f("fk_vouchers_batch_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_vouchers")),
        sa.UniqueConstraint("brand_id", "code_hash", name=op.f("uq_vouchers_brand_id_code_hash")),
        sa.UniqueConstraint("award_id", name=op.f("uq_vouchers_award_id")),
    )
    create_index(
        "ix_vouchers_stock_account_state_expires_at_id",
        "vouchers",
        ["stock_account", "state", "expires_at", "id"],
    )
    create_index("ix_vouchers_state_expires_at", "vouchers", ["state", "expires_at"])
