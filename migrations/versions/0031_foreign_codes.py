"""Codes that somebody else printed, from lists."""

import sqlalchemy as sa
from alembic import op

from migrations import types
from migrations.steps import create_table

revision = "0031"
down_revision = "0030"


def upgrade() -> None:
    """Create the tables of this step."""
    create_table(
        "foreign_lists",
        sa.Column("batch_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("file_sha256", types.exact(64), nullable=False),
        sa.Column("file_name", sa.String(128), nullable=False),
        sa.Column("codes", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("done", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("known", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("guessable_reason", sa.String(200), nullable=True),
        sa.Column("started_at", types.moment(), nullable=False),
        sa.Column("started_by", sa.String(64), nullable=False),
        sa.Column("ended_at", types.moment(), nullable=True),
        sa.ForeignKeyConstraint(["batch_id"], ["code_batches.id"], name=op.f("fk_foreign_lists_batch_id")),
        sa.PrimaryKeyConstraint("batch_id", name=op.f("pk_foreign_lists")),
        sa.UniqueConstraint("file_sha256", name=op.f("uq_foreign_lists_file_sha256")),
    )
    create_table(
        "foreign_codes",
        sa.Column("digest", types.blind(), nullable=False),
        sa.Column("batch_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("code_index", sa.Integer(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_foreign_codes")),
    )
