"""Payers, payouts, bills."""

import sqlalchemy as sa
from alembic import op

from migrations import types
from migrations.steps import create_index, create_table

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Create the tables of this step."""
    create_table(
        "payers",
        sa.Column("id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("brand_id", types.bigint(), autoincrement=False, nullable=True),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("mchid", types.exact(32), nullable=False),
        sa.Column("serial_no", types.exact(64), nullable=False),
        sa.Column("private_key", sa.LargeBinary(), nullable=False),
        sa.Column("apiv3_key", sa.LargeBinary(), nullable=False),
        sa.Column("public_key_id", types.exact(64), nullable=False),
        sa.Column("public_key", types.long_text(), nullable=False),
        sa.Column("scene_id", types.exact(36), nullable=False),
        sa.Column("report_infos", sa.JSON(), nullable=False),
        sa.Column("recv_style", types.exact(24), nullable=True),
        sa.Column("notify_url", types.exact(256), nullable=True),
        sa.Column("product_max_fen", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("state", sa.String(24), nullable=False),
        sa.Column("state_reason", sa.String(200), nullable=True),
        sa.Column("state_by", sa.String(64), nullable=False),
        sa.Column("state_at", types.moment(), nullable=False),
        sa.Column("probe_at", types.moment(), nullable=True),
        sa.Column("created_at", types.moment(), nullable=False),
        sa.CheckConstraint(
            "state IN ('active', 'paused_balance', 'paused_operator')", name=op.f("ck_payers_state")
        ),
        sa.CheckConstraint("product_max_fen >= 10", name=op.f("ck_payers_product_max_fen")),
        sa.ForeignKeyConstraint(["brand_id"], ["brands.id"], name=op.f("fk_payers_brand_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payers")),
        sa.UniqueConstraint("mchid", name=op.f("uq_payers_mchid")),
    )
    create_table(
        "payer_apps",
        sa.Column("payer_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("app_id", types.bigint(), autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(["app_id"], ["apps.id"], name=op.f("fk_payer_apps_app_id")),
        sa.ForeignKeyConstraint(["payer_id"], ["payers.id"], name=op.f("fk_payer_apps_payer_id")),
        sa.PrimaryKeyConstraint("payer_id", "app_id", name=op.f("pk_payer_apps")),
    )
    create_table(
        "payouts",
        sa.Column("id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("award_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("brand_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("payer_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("person_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("amount_fen", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("state", sa.String(24), nullable=False),
        sa.Column("generation", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("created_at", types.moment(), nullable=False),
        sa.Column("settled_at", types.moment(), nullable=True),
        sa.CheckConstraint("state IN ('open', 'failed', 'settled')", name=op.f("ck_payouts_state")),
        sa.CheckConstraint("amount_fen >= 10", name=op.f("ck_payouts_amount_fen")),
        sa.ForeignKeyConstraint(["brand_id"], ["brands.id"], name=op.f("fk_payouts_brand_id")),
        sa.ForeignKeyConstraint(["payer_id"], ["payers.id"], name=op.f("fk_payouts_payer_id")),
        sa.ForeignKeyConstraint(["person_id"], ["persons.id"], name=op.f("fk_payouts_person_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payouts")),
        sa.UniqueConstraint("award_id", name=op.f("uq_payouts_award_id")),
    )
    create_table(
        "bills",
        sa.Column("id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("payout_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("payer_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("generation", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("bill_no", types.exact(28), nullable=False),
        sa.Column("state", sa.String(24), nullable=False),
        sa.Column("app_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("appid", types.exact(32), nullable=False),
        sa.Column("openid", sa.LargeBinary(), nullable=False),
        sa.Column("user_name", sa.LargeBinary(), nullable=True),
        sa.Column("amount_fen", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("remark", sa.String(32), nullable=False),
        sa.Column("scene_id", types.exact(36), nullable=False),
        sa.Column("report_infos", sa.JSON(), nullable=False),
        sa.Column("recv_style", types.exact(24), nullable=True),
        sa.Column("notify_url", types.exact(256), nullable=True),
        sa.Column("transfer_bill_no", types.exact(64), nullable=True),
        sa.Column("package_info", sa.LargeBinary(), nullable=True),
        sa.Column("fail_reason", sa.String(128), nullable=True),
        sa.Column("message_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("polls", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("poll_at", types.moment(), nullable=True),
        sa.Column("opened_by", sa.String(64), nullable=False),
        sa.Column("opened_at", types.moment(), nullable=False),
        sa.Column("ended_at", types.moment(), nullable=True),
        sa.CheckConstraint(
            "state IN ('new', 'accepted', 'processing', 'wait_user_confirm',"
            " 'transfering', 'canceling', 'success', 'fail', 'cancelled')",
            name=op.f("ck_bills_state"),
        ),
        sa.CheckConstraint("amount_fen >= 10", name=op.f("ck_bills_amount_fen")),
        sa.ForeignKeyConstraint(["app_id"], ["apps.id"], name=op.f("fk_bills_app_id")),
        sa.ForeignKeyConstraint(["payer_id"], ["payers.id"], name=op.f("fk_bills_payer_id")),
        sa.ForeignKeyConstraint(["payout_id"], ["payouts.id"], name=op.f("fk_bills_payout_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bills")),
        sa.UniqueConstraint("bill_no", name=op.f("uq_bills_bill_no")),
        sa.UniqueConstraint("payout_id", "generation", name=op.f("uq_bills_payout_id_generation")),
    )
    create_index("ix_bills_poll_at", "bills", ["poll_at"])
