"""Token and EncodingAESKey that an app had until lately."""

import sqlalchemy as sa
from alembic import op

from migrations import types
from migrations.steps import create_index, create_table

revision = "0044"
down_revision = "0043"


def upgrade() -> None:
    """Create the table of this step."""
    create_table(
        "app_old_message_keys",
        sa.Column("id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("app_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("token", sa.LargeBinary(), nullable=False),
        sa.Column("encoding_key", sa.LargeBinary(), nullable=False),
        sa.Column("until", types.moment(), nullable=False),
        sa.ForeignKeyConstraint(["app_id"], ["apps.id"], name=op.f("fk_app_old_message_keys_app_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_app_old_message_keys")),
    )
    create_index("ix_app_old_message_keys_app_id", "app_old_message_keys", ["app_id"])
    create_index("ix_app_old_message_keys_until", "app_old_message_keys", ["until"])
