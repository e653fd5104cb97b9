"""Alerts remember whether they were in a letter; those from before count as told."""

import sqlalchemy as sa
from alembic import op

from migrations import types
from migrations.steps import add_column, create_index

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    """Add the column and its index."""
    add_column("alerts", sa.Column("told_at", types.moment(), nullable=True))
    op.execute("UPDATE alerts SET told_at = last_at WHERE told_at IS NULL")
    create_index("ix_alerts_told_at", "alerts", ["told_at"])
