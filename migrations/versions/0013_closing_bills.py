"""Closing a bill that can get no further: who asked, why, and since when the platform does not know it."""

import sqlalchemy as sa

from migrations import types
from migrations.steps import add_column

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Add the columns of this step."""
    add_column("bills", sa.Column("closing_at", types.moment(), nullable=True))
    add_column("bills", sa.Column("closing_by", sa.String(64), nullable=True))
    add_column("bills", sa.Column("closing_reason", sa.String(200), nullable=True))
    add_column("bills", sa.Column("absent_at", types.moment(), nullable=True))
