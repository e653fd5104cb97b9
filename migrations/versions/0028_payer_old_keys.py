"""Keys that a payer had until lately."""

import sqlalchemy as sa
from alembic import op

from migrations import types
from migrations.steps import create_index, create_table

revision = "0028"
down_revision = "0027"


def upgrade() -> None:
    """Create the table and its index."""
    create_table(
        "payer_old_keys",
        sa.Column("id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("payer_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("apiv3_key", sa.LargeBinary(), nullable=False),
        sa.Column("public_key_id", types.exact(64), nullable=False),
        sa.Column("public_key", types.long_text(), nullable=False),
        sa.Column("until", types.moment(), nullable=False),
        sa.ForeignKeyConstraint(["payer_id"], ["payers.id"], name=op.f("fk_payer_old_keys_payer_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payer_old_keys")),
    )
    create_index("ix_payer_old_keys_payer_id", "payer_old_keys", ["payer_id"])
