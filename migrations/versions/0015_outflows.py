"""Money that is to leave a running campaign waits for a second operator."""

import sqlalchemy as sa
from alembic import op

from migrations import types
from migrations.steps import create_table

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Create the table of this step."""
    create_table(
        "campaign_outflows",
        sa.Column("campaign_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("reference", types.exact(40), nullable=False),
        sa.Column("action", sa.String(24), nullable=False),
        sa.Column("pool", types.exact(32), nullable=False),
        sa.Column("amount_fen", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("state", sa.String(24), nullable=False),
        sa.Column("reason", sa.String(500), nullable=False),
        sa.Column("proposed_by", types.exact(64), nullable=False),
        sa.Column("proposed_at", types.moment(), nullable=False),
        sa.Column("approved_by", types.exact(64), nullable=True),
        sa.Column("decided_at", types.moment(), nullable=True),
        sa.CheckConstraint(
            "action IN ('created', 'payer_chosen', 'saved', 'funded', 'defunded', 'budget_moved', "
            "'stocked', 'unstocked', 'published', 'proposed', 'withdrawn', 'changed', 'stopped', "
            "'resumed', 'ended')",
            name=op.f("ck_campaign_outflows_action"),
        ),
        sa.CheckConstraint("amount_fen <> 0", name=op.f("ck_campaign_outflows_amount_fen")),
        sa.CheckConstraint(
            "state <> 'approved' OR (approved_by IS NOT NULL AND approved_by <> proposed_by)",
            name=op.f("ck_campaign_outflows_second_operator"),
        ),
        sa.CheckConstraint(
            "state IN ('proposed', 'approved', 'withdrawn')",
            name=op.f("ck_campaign_outflows_state"),
        ),
        sa.ForeignKeyConstraint(
            ["campaign_id"], ["campaigns.id"], name=op.f("fk_campaign_outflows_campaign_id")
        ),
        sa.PrimaryKeyConstraint("campaign_id", "reference", name=op.f("pk_campaign_outflows")),
    )
