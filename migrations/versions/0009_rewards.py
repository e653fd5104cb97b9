"""Awards."""

import sqlalchemy as sa
from alembic import op

from migrations import types
from migrations.steps import create_index, create_table

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Create the tables of this step."""
    create_table(
        "awards",
        sa.Column("id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("brand_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("campaign_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("draw_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("person_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(24), nullable=False),
        sa.Column("amount_fen", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("points", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("points_expire_at", types.moment(), nullable=True),
        sa.Column("name_zh", sa.String(64), nullable=False),
        sa.Column("name_en", sa.String(64), nullable=False),
        sa.Column("remark", sa.String(32), nullable=False),
        sa.Column("payer_id", types.bigint(), autoincrement=False, nullable=True),
        sa.Column("state", sa.String(24), nullable=False),
        sa.Column("reason", sa.String(200), nullable=True),
        sa.Column("decided_by", sa.String(64), nullable=True),
        sa.Column("budget_account", types.bigint(), autoincrement=False, nullable=True),
        sa.Column("committed_account", types.bigint(), autoincrement=False, nullable=True),
        sa.Column("stock_account", types.bigint(), autoincrement=False, nullable=True),
        sa.Column("awarded_account", types.bigint(), autoincrement=False, nullable=True),
        sa.Column("granted_at", types.moment(), nullable=False),
        sa.Column("deadline_at", types.moment(), nullable=False),
        sa.Column("resolved_at", types.moment(), nullable=True),
        sa.CheckConstraint("kind IN ('money', 'points', 'nothing')", name=op.f("ck_awards_kind")),
        sa.CheckConstraint(
            "state IN ('held', 'collectible', 'locked', 'fulfilled', 'lapsed', 'refused')",
            name=op.f("ck_awards_state"),
        ),
        sa.CheckConstraint("amount_fen >= 0", name=op.f("ck_awards_amount_fen")),
        sa.CheckConstraint("points >= 0", name=op.f("ck_awards_points")),
        sa.ForeignKeyConstraint(["brand_id"], ["brands.id"], name=op.f("fk_awards_brand_id")),
        sa.ForeignKeyConstraint(["person_id"], ["persons.id"], name=op.f("fk_awards_person_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_awards")),
        sa.UniqueConstraint("draw_id", name=op.f("uq_awards_draw_id")),
    )
    create_index("ix_awards_person_id_id", "awards", ["person_id", "id"])
    create_index("ix_awards_state_deadline_at", "awards", ["state", "deadline_at"])
