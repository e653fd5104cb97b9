"""How often the platform is asked about a captcha's ticket is counted."""

import sqlalchemy as sa

from migrations.steps import add_column

revision = "0047"
down_revision = "0046"


def upgrade() -> None:
    """Add the column; tickets of before were asked about once."""
    asks = sa.Column("asks", sa.Integer(), autoincrement=False, nullable=False, server_default="1")
    add_column("captcha_tickets", asks)
