"""Proposals that wait for a second account."""

import sqlalchemy as sa
from alembic import op

from migrations import types
from migrations.steps import create_index, create_table

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    """Create the tables of this step."""
    create_table(
        "approvals",
        sa.Column("id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(24), nullable=False),
        sa.Column("subject", types.exact(160), nullable=False),
        sa.Column("open_subject", types.exact(200), nullable=True),
        sa.Column("payload", types.long_text(), nullable=False),
        sa.Column("sha256", types.exact(64), nullable=False),
        sa.Column("reason", sa.String(500), nullable=False),
        sa.Column("state", sa.String(24), nullable=False),
        sa.Column("proposed_by", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("proposed_label", types.exact(64), nullable=False),
        sa.Column("proposed_at", types.moment(), nullable=False),
        sa.Column("expires_at", types.moment(), nullable=False),
        sa.Column("decided_by", types.bigint(), autoincrement=False, nullable=True),
        sa.Column("decided_at", types.moment(), nullable=True),
        sa.CheckConstraint(
            "kind IN ('campaign.start', 'campaign.change', 'budget.in', 'budget.out', 'payer.release')",
            name=op.f("ck_approvals_kind"),
        ),
        sa.CheckConstraint(
            "state IN ('proposed', 'approved', 'refused', 'withdrawn', 'expired')",
            name=op.f("ck_approvals_state"),
        ),
        sa.CheckConstraint(
            "state NOT IN ('approved', 'refused') OR (decided_by IS NOT NULL AND decided_by <> proposed_by)",
            name=op.f("ck_approvals_second_account"),
        ),
        sa.CheckConstraint(
            "(state = 'proposed') = (open_subject IS NOT NULL)", name=op.f("ck_approvals_open_subject")
        ),
        sa.ForeignKeyConstraint(
            ["proposed_by"], ["console_accounts.id"], name=op.f("fk_approvals_proposed_by")
        ),
        sa.ForeignKeyConstraint(
            ["decided_by"], ["console_accounts.id"], name=op.f("fk_approvals_decided_by")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_approvals")),
        sa.UniqueConstraint("open_subject", name=op.f("uq_approvals_open_subject")),
    )
    create_index("ix_approvals_state_id", "approvals", ["state", "id"])
