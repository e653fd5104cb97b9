"""Platform tokens: one access token per account, with the lease of whoever fetches the next."""

import sqlalchemy as sa
from alembic import op

from migrations import types
from migrations.steps import create_table

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Create the tables of this step."""
    create_table(
        "platform_tokens",
        sa.Column("account", types.exact(64), nullable=False),
        sa.Column("kind", sa.String(24), nullable=False),
        sa.Column("token", sa.LargeBinary(), nullable=True),
        sa.Column("refresh_at", types.moment(), nullable=True),
        sa.Column("expires_at", types.moment(), nullable=True),
        sa.Column("rejected_at", types.moment(), nullable=True),
        sa.Column("fence", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("lease_until", types.moment(), nullable=True),
        sa.Column("cooling_until", types.moment(), nullable=True),
        sa.Column("failure", sa.String(32), nullable=True),
        sa.Column("failure_errcode", sa.Integer(), autoincrement=False, nullable=True),
        sa.Column("forced_at", sa.JSON(), nullable=False),
        sa.CheckConstraint("kind IN ('stable')", name=op.f("ck_platform_tokens_kind")),
        sa.PrimaryKeyConstraint("account", "kind", name=op.f("pk_platform_tokens")),
    )
