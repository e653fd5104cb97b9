"""Reconciliation: statements, closed days, differences, carries; the indexes that finding bills needs."""

import sqlalchemy as sa
from alembic import op

from migrations import types
from migrations.steps import create_index, create_table

revision = "0017"
down_revision = "0016"

_ACCOUNTS = "account IN ('BASIC', 'OPERATION')"
_KINDS = (
    "kind IN ('missing', 'unknown', 'amount', 'doubled', 'other_bill', 'refunded', 'not_returned', 'late',"
    " 'still_open', 'posted_later')"
)


def _big(name: str, *, nullable: bool = False) -> sa.Column:  # type: ignore[type-arg]
    return sa.Column(name, types.bigint(), autoincrement=False, nullable=nullable)


def upgrade() -> None:
    """Create the tables and indexes of this step."""
    create_table(
        "statement_payers",
        _big("payer_id"),
        sa.Column("shared", sa.Boolean(), nullable=False),
        sa.Column("set_by", sa.String(64), nullable=False),
        sa.Column("set_at", types.moment(), nullable=False),
        sa.ForeignKeyConstraint(["payer_id"], ["payers.id"], name=op.f("fk_statement_payers_payer_id")),
        sa.PrimaryKeyConstraint("payer_id", name=op.f("pk_statement_payers")),
    )
    create_table(
        "statements",
        _big("id"),
        _big("payer_id"),
        sa.Column("day", types.exact(10), nullable=False),
        sa.Column("account", sa.String(24), nullable=False),
        sa.Column("state", sa.String(24), nullable=False),
        _big("message_id"),
        sa.Column("sha1", types.exact(40), nullable=True),
        _big("size_bytes", nullable=True),
        _big("closing_fen", nullable=True),
        sa.Column("gaps", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("asked_at", types.moment(), nullable=False),
        sa.Column("fetched_at", types.moment(), nullable=True),
        sa.CheckConstraint(_ACCOUNTS, name=op.f("ck_statements_account")),
        sa.CheckConstraint(
            "state IN ('pending', 'creating', 'empty', 'loaded')", name=op.f("ck_statements_state")
        ),
        sa.ForeignKeyConstraint(["payer_id"], ["payers.id"], name=op.f("fk_statements_payer_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_statements")),
        sa.UniqueConstraint("payer_id", "day", "account", name=op.f("uq_statements_payer_id_day_account")),
    )
    create_table(
        "reconciled_days",
        _big("id"),
        _big("payer_id"),
        sa.Column("day", types.exact(10), nullable=False),
        _big("lines"),
        _big("out_fen"),
        _big("in_fen"),
        _big("other_out_fen"),
        _big("other_in_fen"),
        _big("paid_bills"),
        _big("paid_fen"),
        _big("carried_fen"),
        _big("bill_closing_fen"),
        _big("book_closing_fen"),
        _big("unexplained_fen"),
        _big("differences"),
        sa.Column("digest", types.exact(64), nullable=False),
        _big("ledger_mark"),
        sa.Column("closed_by", sa.String(64), nullable=False),
        sa.Column("closed_at", types.moment(), nullable=False),
        sa.ForeignKeyConstraint(["payer_id"], ["payers.id"], name=op.f("fk_reconciled_days_payer_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reconciled_days")),
        sa.UniqueConstraint("payer_id", "day", name=op.f("uq_reconciled_days_payer_id_day")),
    )
    create_table(
        "statement_differences",
        _big("id"),
        _big("payer_id"),
        sa.Column("day", types.exact(10), nullable=False),
        sa.Column("kind", sa.String(24), nullable=False),
        sa.Column("state", sa.String(24), nullable=False),
        sa.Column("number", types.exact(128), nullable=False),
        _big("bill_id", nullable=True),
        sa.Column("platform_no", types.exact(128), nullable=False),
        _big("expected_fen"),
        _big("out_count"),
        _big("out_fen"),
        _big("in_count"),
        _big("in_fen"),
        sa.Column("found_on", types.exact(10), nullable=True),
        sa.Column("reason", sa.String(200), nullable=True),
        sa.Column("resolved_by", sa.String(64), nullable=True),
        sa.Column("resolved_at", types.moment(), nullable=True),
        sa.Column("created_at", types.moment(), nullable=False),
        sa.CheckConstraint(_KINDS, name=op.f("ck_statement_differences_kind")),
        sa.CheckConstraint("state IN ('open', 'resolved')", name=op.f("ck_statement_differences_state")),
        sa.ForeignKeyConstraint(["bill_id"], ["bills.id"], name=op.f("fk_statement_differences_bill_id")),
        sa.ForeignKeyConstraint(["payer_id"], ["payers.id"], name=op.f("fk_statement_differences_payer_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_statement_differences")),
        sa.UniqueConstraint(
            "payer_id", "day", "number", name=op.f("uq_statement_differences_payer_id_day_number")
        ),
    )
    for column in ("number", "state"):
        create_index(
            f"ix_statement_differences_payer_id_{column}", "statement_differences", ["payer_id", column]
        )
    create_table(
        "statement_carries",
        _big("payer_id"),
        sa.Column("bill_no", types.exact(28), nullable=False),
        sa.Column("first_day", types.exact(10), nullable=False),
        sa.Column("platform_no", types.exact(128), nullable=False),
        _big("out_count"),
        _big("out_fen"),
        _big("in_count"),
        _big("in_fen"),
        sa.ForeignKeyConstraint(["payer_id"], ["payers.id"], name=op.f("fk_statement_carries_payer_id")),
        sa.PrimaryKeyConstraint("payer_id", "bill_no", name=op.f("pk_statement_carries")),
    )
    create_index("ix_statement_carries_payer_id_first_day", "statement_carries", ["payer_id", "first_day"])
    create_index("ix_bills_payer_id_ended_at", "bills", ["payer_id", "ended_at"])
    create_index("ix_bills_transfer_bill_no", "bills", ["transfer_bill_no"])
