"""Store staff, and what they earn by scanning cases."""

import sqlalchemy as sa
from alembic import op

from migrations import types
from migrations.steps import create_index, create_table

revision = "0029"
down_revision = "0028"


def upgrade() -> None:
    """Create the tables of this step."""
    create_table(
        "staff_rewards",
        sa.Column("brand_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("points", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("starts_at", types.moment(), nullable=False),
        sa.Column("ends_at", types.moment(), nullable=False),
        sa.Column("set_at", types.moment(), nullable=False),
        sa.Column("set_by", sa.String(64), nullable=False),
        sa.CheckConstraint("points >= 1 AND points <= 100000", name=op.f("ck_staff_rewards_points")),
        sa.CheckConstraint("starts_at < ends_at", name=op.f("ck_staff_rewards_period")),
        sa.ForeignKeyConstraint(["brand_id"], ["brands.id"], name=op.f("fk_staff_rewards_brand_id")),
        sa.PrimaryKeyConstraint("brand_id", name=op.f("pk_staff_rewards")),
    )
    create_table(
        "store_staff",
        sa.Column("person_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("store_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("since", types.moment(), nullable=False),
        sa.Column("registered_by", sa.String(64), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["persons.id"], name=op.f("fk_store_staff_person_id")),
        sa.ForeignKeyConstraint(["store_id"], ["stores.id"], name=op.f("fk_store_staff_store_id")),
        sa.PrimaryKeyConstraint("person_id", name=op.f("pk_store_staff")),
    )
    create_index(op.f("ix_store_staff_store_id"), "store_staff", ["store_id"])
    create_table(
        "staff_case_rewards",
        sa.Column("batch_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("code_index", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("person_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("store_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("points", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("at", types.moment(), nullable=False),
        sa.PrimaryKeyConstraint("batch_id", "code_index", name=op.f("pk_staff_case_rewards")),
    )
    create_index(op.f("ix_staff_case_rewards_store_id_at"), "staff_case_rewards", ["store_id", "at"])
