"""Console accounts, their roles and sessions, and the audit trail."""

import sqlalchemy as sa
from alembic import op

from migrations import types
from migrations.steps import create_index, create_table

revision = "0019"
down_revision = "0018"

_ROLES = (
    "role IN ('administrator', 'auditor', 'engineer', 'marketing', 'factory', 'finance', 'approver',"
    " 'risk', 'service')"
)


def upgrade() -> None:
    """Create the tables of this step."""
    _accounts()
    _audit()


def _accounts() -> None:
    create_table(
        "console_accounts",
        sa.Column("id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("login", types.exact(32), nullable=False),
        sa.Column("display_name", sa.LargeBinary(), nullable=False),
        sa.Column("password_hash", sa.LargeBinary(), nullable=False),
        sa.Column("password_lent", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(24), nullable=False),
        sa.Column("failures", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("wait_until", types.moment(), nullable=True),
        sa.Column("created_at", types.moment(), nullable=False),
        sa.CheckConstraint("state IN ('active', 'locked', 'closed')", name=op.f("ck_console_accounts_state")),
        sa.CheckConstraint("failures >= 0", name=op.f("ck_console_accounts_failures")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_console_accounts")),
        sa.UniqueConstraint("login", name=op.f("uq_console_accounts_login")),
    )
    create_table(
        "console_account_roles",
        sa.Column("account_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("role", sa.String(24), nullable=False),
        sa.CheckConstraint(_ROLES, name=op.f("ck_console_account_roles_role")),
        sa.ForeignKeyConstraint(
            ["account_id"], ["console_accounts.id"], name=op.f("fk_console_account_roles_account_id")
        ),
        sa.PrimaryKeyConstraint("account_id", "role", name=op.f("pk_console_account_roles")),
    )
    create_table(
        "console_sessions",
        sa.Column("id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("account_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("token_hash", types.blind(), nullable=False),
        sa.Column("opened_at", types.moment(), nullable=False),
        sa.Column("expires_at", types.moment(), nullable=False),
        sa.Column("revoked_at", types.moment(), nullable=True),
        sa.ForeignKeyConstraint(
            ["account_id"], ["console_accounts.id"], name=op.f("fk_console_sessions_account_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_console_sessions")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_console_sessions_token_hash")),
    )
    create_index("ix_console_sessions_account_id", "console_sessions", ["account_id"])
    create_table(
        "access_book",
        sa.Column("id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("administrators", sa.Integer(), autoincrement=False, nullable=False),
        sa.CheckConstraint("administrators >= 0", name=op.f("ck_access_book_administrators")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_book")),
    )


def _audit() -> None:
    create_table(
        "audit_entries",
        sa.Column("sequence", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("at", types.moment(), nullable=False),
        sa.Column("account_id", types.bigint(), autoincrement=False, nullable=True),
        sa.Column("by", types.exact(64), nullable=False),
        sa.Column("action", types.exact(64), nullable=False),
        sa.Column("subject", types.exact(160), nullable=False),
        sa.Column("detail", types.long_text(), nullable=False),
        sa.Column("previous", types.blind(), nullable=False),
        sa.Column("hash", types.blind(), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_audit_entries")),
    )
    create_table(
        "audit_head",
        sa.Column("id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("entries", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("hash", types.blind(), nullable=False),
        sa.Column("seal", types.blind(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_head")),
    )
