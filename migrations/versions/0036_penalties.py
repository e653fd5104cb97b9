"""What the platform pushes about an app, and the penalties among it."""

import sqlalchemy as sa
from alembic import op

from migrations import types
from migrations.steps import add_column, create_table

revision = "0036"
down_revision = "0035"


def upgrade() -> None:
    """Add the keys of messages and the table; an app without keys takes no messages."""
    for name in ("message_token", "message_key"):
        add_column("apps", sa.Column(name, sa.LargeBinary(), nullable=True))
    create_table(
        "app_penalties",
        sa.Column("id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("app_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("punish_id", types.exact(64), nullable=False),
        sa.Column("kind", sa.String(24), nullable=False),
        sa.Column("reason", sa.String(200), nullable=False),
        sa.Column("rule", sa.String(200), nullable=False),
        sa.Column("rectify_by", types.moment(), nullable=True),
        sa.Column("received_at", types.moment(), nullable=False),
        sa.Column("resumed_at", types.moment(), nullable=True),
        sa.Column("resumed_by", sa.String(64), nullable=True),
        sa.Column("resume_reason", sa.String(500), nullable=True),
        sa.CheckConstraint(
            "kind IN ('warning', 'functions_blocked', 'taken_down', 'banned', 'page_blocked', 'unknown')",
            name=op.f("ck_app_penalties_kind"),
        ),
        sa.ForeignKeyConstraint(["app_id"], ["apps.id"], name=op.f("fk_app_penalties_app_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_app_penalties")),
        sa.UniqueConstraint(
            "app_id", "punish_id", "kind", name=op.f("uq_app_penalties_app_id_punish_id_kind")
        ),
    )
