"""An award may be unlocked by friends."""

import sqlalchemy as sa
from alembic import op

from migrations import types
from migrations.steps import add_column, create_table, set_check

revision = "0032"
down_revision = "0031"


def upgrade() -> None:
    """Add the column and the table; what was won before needs no help."""
    add_column(
        "awards",
        sa.Column("unlock_helpers", sa.Integer(), autoincrement=False, nullable=False, server_default="0"),
    )
    set_check("awards", "ck_awards_unlock_helpers", "unlock_helpers >= 0")
    create_table(
        "award_helps",
        sa.Column("award_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("person_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("campaign_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("draw_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("helped_at", types.moment(), nullable=False),
        sa.PrimaryKeyConstraint("award_id", "person_id", name=op.f("pk_award_helps")),
        sa.UniqueConstraint("campaign_id", "person_id", name=op.f("uq_award_helps_campaign_id_person_id")),
        sa.UniqueConstraint("draw_id", name=op.f("uq_award_helps_draw_id")),
    )
