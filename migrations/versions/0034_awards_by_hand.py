"""Awards that are granted by hand, and bills that are concluded by two accounts."""

import sqlalchemy as sa
from alembic import op

from migrations import types
from migrations.steps import create_table, let_be_empty, set_check

revision = "0034"
down_revision = "0033"


def upgrade() -> None:
    """Let an award come from no draw; widen what can be proposed; create the table."""
    let_be_empty("awards", "draw_id", types.bigint())
    set_check(
        "approvals",
        "ck_approvals_kind",
        "kind IN ('campaign.start', 'campaign.change', 'budget.in', 'budget.out', 'payer.release',"
        " 'bill.conclusion', 'award.grant')",
    )
    set_check(
        "campaign_accounts",
        "ck_campaign_accounts_purpose",
        "purpose IN ('funding', 'budget', 'pool_budget', 'committed', 'supply', 'stock', 'awarded',"
        " 'granted')",
    )
    create_table(
        "award_grants",
        sa.Column("campaign_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("reference", types.exact(40), nullable=False),
        sa.Column("approval_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("award_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("person_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("reason", sa.String(500), nullable=False),
        sa.Column("proposed_by", types.exact(64), nullable=False),
        sa.Column("approved_by", types.exact(64), nullable=False),
        sa.Column("granted_at", types.moment(), nullable=False),
        sa.CheckConstraint("approved_by <> proposed_by", name=op.f("ck_award_grants_second_operator")),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaigns.id"], name=op.f("fk_award_grants_campaign_id")),
        sa.PrimaryKeyConstraint("campaign_id", "reference", name=op.f("pk_award_grants")),
        sa.UniqueConstraint("approval_id", name=op.f("uq_award_grants_approval_id")),
        sa.UniqueConstraint("award_id", name=op.f("uq_award_grants_award_id")),
    )
