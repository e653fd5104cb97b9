"""An award may be unlocked by further draws."""

import sqlalchemy as sa

from migrations.steps import add_column, set_check

revision = "0030"
down_revision = "0029"


def upgrade() -> None:
    """Add the column; what was won before is not locked."""
    add_column(
        "awards",
        sa.Column("unlock_draws", sa.Integer(), autoincrement=False, nullable=False, server_default="0"),
    )
    set_check("awards", "ck_awards_unlock_draws", "unlock_draws >= 0")
