"""Balances at the end of a day: which payers ask for them, what the platform said, and what differs."""

import sqlalchemy as sa
from alembic import op

from migrations import types
from migrations.steps import add_choice, create_table, set_check

revision = "0043"
down_revision = "0042"

_KINDS = (
    "missing",
    "unknown",
    "amount",
    "doubled",
    "other_bill",
    "refunded",
    "not_returned",
    "late",
    "still_open",
    "posted_later",
    "balance",
)


def upgrade() -> None:
    """Add the switch, create the table, widen what can differ."""
    add_choice("statement_payers", "balance", "ck_statement_payers_balance", ("off", "on", "refused"))
    create_table(
        "day_balances",
        sa.Column("id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("payer_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("day", types.exact(10), nullable=False),
        sa.Column("account", sa.String(24), nullable=False),
        sa.Column("state", sa.String(24), nullable=False),
        sa.Column("message_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("available_fen", types.bigint(), autoincrement=False, nullable=True),
        sa.Column("pending_fen", types.bigint(), autoincrement=False, nullable=True),
        sa.Column("asked_at", types.moment(), nullable=False),
        sa.Column("answered_at", types.moment(), nullable=True),
        sa.CheckConstraint("account IN ('BASIC', 'OPERATION')", name=op.f("ck_day_balances_account")),
        sa.CheckConstraint(
            "state IN ('pending', 'known', 'absent', 'forbidden')", name=op.f("ck_day_balances_state")
        ),
        sa.CheckConstraint(
            "(state = 'known') = (available_fen IS NOT NULL)", name=op.f("ck_day_balances_known")
        ),
        sa.ForeignKeyConstraint(["payer_id"], ["payers.id"], name=op.f("fk_day_balances_payer_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_day_balances")),
        sa.UniqueConstraint("payer_id", "day", "account", name=op.f("uq_day_balances_payer_id_day_account")),
    )
    kinds = ", ".join(repr(kind) for kind in _KINDS)
    set_check("statement_differences", "ck_statement_differences_kind", f"kind IN ({kinds})")
