"""Tickets of captchas: each for one person's draw of one scan."""

import sqlalchemy as sa
from alembic import op

from migrations import types
from migrations.steps import create_index, create_table

revision = "0040"
down_revision = "0039"


def upgrade() -> None:
    """Create the table of this step."""
    create_table(
        "captcha_tickets",
        sa.Column("digest", types.blind(), nullable=False),
        sa.Column("person_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("scan_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("state", sa.String(24), nullable=False),
        sa.Column("taken_at", types.moment(), nullable=False),
        sa.Column("asked_at", types.moment(), nullable=False),
        sa.Column("passed_at", types.moment(), nullable=True),
        sa.CheckConstraint(
            "state IN ('asked', 'open', 'passed', 'refused')", name=op.f("ck_captcha_tickets_state")
        ),
        sa.CheckConstraint(
            "(state = 'passed') = (passed_at IS NOT NULL)", name=op.f("ck_captcha_tickets_passed")
        ),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_captcha_tickets")),
    )
    create_index("ix_captcha_tickets_taken_at", "captcha_tickets", ["taken_at"])
