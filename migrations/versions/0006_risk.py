"""Black and white lists."""

import sqlalchemy as sa
from alembic import op

from migrations import types
from migrations.steps import create_table

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Create the tables of this step."""
    create_table(
        "risk_entries",
        sa.Column("id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("list", sa.String(24), nullable=False),
        sa.Column("subject_kind", sa.String(24), nullable=False),
        sa.Column("subject_hash", types.blind(), nullable=False),
        sa.Column("subject", sa.LargeBinary(), nullable=False),
        sa.Column("effect", sa.String(24), nullable=False),
        sa.Column("reason", sa.String(200), nullable=False),
        sa.Column("expires_at", types.moment(), nullable=True),
        sa.Column("changed_at", types.moment(), nullable=False),
        sa.Column("changed_by", sa.String(64), nullable=False),
        sa.CheckConstraint("list IN ('black', 'white')", name=op.f("ck_risk_entries_list")),
        sa.CheckConstraint(
            "subject_kind IN ('person', 'phone', 'address', 'batch')",
            name=op.f("ck_risk_entries_subject_kind"),
        ),
        sa.CheckConstraint("effect IN ('pass', 'abnormal', 'refuse')", name=op.f("ck_risk_entries_effect")),
        sa.CheckConstraint("(list = 'white') = (effect = 'pass')", name=op.f("ck_risk_entries_list_effect")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_risk_entries")),
        sa.UniqueConstraint(
            "subject_hash",
            "subject_kind",
            "list",
            name=op.f("uq_risk_entries_subject_hash_subject_kind_list"),
        ),
    )
