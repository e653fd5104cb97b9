"""Which store has which case, as its staff scanned it."""

import sqlalchemy as sa
from alembic import op

from migrations import types
from migrations.steps import create_index, create_table

revision = "0039"
down_revision = "0038"


def upgrade() -> None:
    """Create the table."""
    create_table(
        "store_case_scans",
        sa.Column("batch_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("code_index", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("store_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("person_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("shipped_to", types.exact(64), nullable=True),
        sa.Column("at", types.moment(), nullable=False),
        sa.ForeignKeyConstraint(["store_id"], ["stores.id"], name=op.f("fk_store_case_scans_store_id")),
        sa.PrimaryKeyConstraint("batch_id", "code_index", "store_id", name=op.f("pk_store_case_scans")),
    )
    create_index(op.f("ix_store_case_scans_store_id_at"), "store_case_scans", ["store_id", "at"])
    create_index(op.f("ix_store_case_scans_at"), "store_case_scans", ["at"])
