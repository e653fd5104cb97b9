"""The master keys that a database has been written with."""

import sqlalchemy as sa
from alembic import op

from migrations import types
from migrations.steps import create_table

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    """Create the table; processes fill it when they start."""
    create_table(
        "key_versions",
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("proof", types.blind(), nullable=False),
        sa.Column("known_at", types.moment(), nullable=False),
        sa.Column("retired_at", types.moment(), nullable=True),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_key_versions")),
    )
