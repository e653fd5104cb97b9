"""Idempotency keys."""

import sqlalchemy as sa
from alembic import op

from migrations import types
from migrations.steps import create_index, create_table

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Create the tables of this step."""
    create_table(
        "idempotency_keys",
        sa.Column("person_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("key_hash", types.blind(), nullable=False),
        sa.Column("request_hash", types.blind(), nullable=False),
        sa.Column("operation", types.exact(64), nullable=False),
        sa.Column("status", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("answer", sa.JSON(), nullable=True),
        sa.Column("permanent", sa.Boolean(), nullable=False),
        sa.Column("created_at", types.moment(), nullable=False),
        sa.PrimaryKeyConstraint("person_id", "key_hash", name=op.f("pk_idempotency_keys")),
    )
    create_index("ix_idempotency_keys_permanent_created_at", "idempotency_keys", ["permanent", "created_at"])
