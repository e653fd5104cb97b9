"""Points lots and entries."""

import sqlalchemy as sa
from alembic import op

from migrations import types
from migrations.steps import create_index, create_table

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Create the tables of this step."""
    create_table(
        "points_lots",
        sa.Column("id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("brand_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("person_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(24), nullable=False),
        sa.Column("bearer", types.exact(64), nullable=False),
        sa.Column("granted", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("remaining", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("expires_at", types.moment(), nullable=True),
        sa.Column("granted_at", types.moment(), nullable=False),
        sa.CheckConstraint("kind IN ('spendable', 'grading', 'annual')", name=op.f("ck_points_lots_kind")),
        sa.CheckConstraint("granted > 0", name=op.f("ck_points_lots_granted")),
        sa.CheckConstraint("remaining >= 0 AND remaining <= granted", name=op.f("ck_points_lots_remaining")),
        sa.ForeignKeyConstraint(["brand_id"], ["brands.id"], name=op.f("fk_points_lots_brand_id")),
        sa.ForeignKeyConstraint(["person_id"], ["persons.id"], name=op.f("fk_points_lots_person_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_points_lots")),
    )
    create_index(
        "ix_points_lots_person_id_kind_expires_at", "points_lots", ["person_id", "kind", "expires_at"]
    )
    create_table(
        "points_entries",
        sa.Column("id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("brand_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("person_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("lot_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(24), nullable=False),
        sa.Column("points", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("manner", types.exact(48), nullable=False),
        sa.Column("bearer", types.exact(64), nullable=False),
        sa.Column("ref_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("transfer_key", types.exact(96), nullable=False),
        sa.Column("at", types.moment(), nullable=False),
        sa.CheckConstraint("kind IN ('spendable', 'grading', 'annual')", name=op.f("ck_points_entries_kind")),
        sa.CheckConstraint("points <> 0", name=op.f("ck_points_entries_points")),
        sa.ForeignKeyConstraint(["brand_id"], ["brands.id"], name=op.f("fk_points_entries_brand_id")),
        sa.ForeignKeyConstraint(["lot_id"], ["points_lots.id"], name=op.f("fk_points_entries_lot_id")),
        sa.ForeignKeyConstraint(["person_id"], ["persons.id"], name=op.f("fk_points_entries_person_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_points_entries")),
    )
    create_index("ix_points_entries_person_id_id", "points_entries", ["person_id", "id"])
