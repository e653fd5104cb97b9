"""The ground floor: node counter, alerts, outbox, inbox, ledger."""

import sqlalchemy as sa
from alembic import op

from migrations import types
from migrations.steps import create_index, create_table

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the tables of this step."""
    create_table(
        "alerts",
        sa.Column("id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("kind", types.exact(64), nullable=False),
        sa.Column("subject", types.exact(128), nullable=False),
        sa.Column("open_key", types.exact(200), nullable=True),
        sa.Column("severity", sa.String(24), nullable=False),
        sa.Column("detail", sa.String(500), nullable=False),
        sa.Column("times", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("first_at", types.moment(), nullable=False),
        sa.Column("last_at", types.moment(), nullable=False),
        sa.Column("resolved_at", types.moment(), nullable=True),
        sa.Column("resolved_by", sa.String(64), nullable=True),
        sa.CheckConstraint("severity IN ('notice', 'warning', 'critical')", name=op.f("ck_alerts_severity")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alerts")),
        sa.UniqueConstraint("open_key", name=op.f("uq_alerts_open_key")),
    )
    create_index("ix_alerts_resolved_at_id", "alerts", ["resolved_at", "id"])
    create_table(
        "inbox_messages",
        sa.Column("id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("source", types.exact(64), nullable=False),
        sa.Column("dedupe_key", types.exact(128), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("received_at", types.moment(), nullable=False),
        sa.Column("processed_at", types.moment(), nullable=True),
        sa.Column("received_times", types.bigint(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_inbox_messages")),
        sa.UniqueConstraint("source", "dedupe_key", name=op.f("uq_inbox_messages_source_dedupe_key")),
    )
    create_index("ix_inbox_messages_received_at", "inbox_messages", ["received_at"])
    create_table(
        "ledger_accounts",
        sa.Column("id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("brand_id", types.bigint(), autoincrement=False, nullable=True),
        sa.Column("asset", sa.String(24), nullable=False),
        sa.Column("purpose", types.exact(32), nullable=False),
        sa.Column("owner_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(24), nullable=False),
        sa.Column("balance", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("sequence", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("created_at", types.moment(), nullable=False),
        sa.CheckConstraint("asset IN ('fen', 'points', 'stock')", name=op.f("ck_ledger_accounts_asset")),
        sa.CheckConstraint("kind IN ('personal', 'guarded', 'open')", name=op.f("ck_ledger_accounts_kind")),
        sa.CheckConstraint("balance >= 0", name=op.f("ck_ledger_accounts_balance")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_accounts")),
        sa.UniqueConstraint(
            "asset", "purpose", "owner_id", name=op.f("uq_ledger_accounts_asset_purpose_owner_id")
        ),
    )
    create_table(
        "ledger_transfers",
        sa.Column("id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("key", types.exact(96), nullable=False),
        sa.Column("asset", sa.String(24), nullable=False),
        sa.Column("debit_account", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("credit_account", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("amount", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("reason", types.exact(48), nullable=False),
        sa.Column("ref_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("debit_sequence", types.bigint(), autoincrement=False, nullable=True),
        sa.Column("debit_balance", types.bigint(), autoincrement=False, nullable=True),
        sa.Column("credit_sequence", types.bigint(), autoincrement=False, nullable=True),
        sa.Column("credit_balance", types.bigint(), autoincrement=False, nullable=True),
        sa.Column("at", types.moment(), nullable=False),
        sa.CheckConstraint("asset IN ('fen', 'points', 'stock')", name=op.f("ck_ledger_transfers_asset")),
        sa.CheckConstraint("amount > 0", name=op.f("ck_ledger_transfers_amount")),
        sa.CheckConstraint("debit_account <> credit_account", name=op.f("ck_ledger_transfers_accounts")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_transfers")),
        sa.UniqueConstraint("key", name=op.f("uq_ledger_transfers_key")),
    )
    create_index("ix_ledger_transfers_credit_account_id", "ledger_transfers", ["credit_account", "id"])
    create_index("ix_ledger_transfers_debit_account_id", "ledger_transfers", ["debit_account", "id"])
    create_table(
        "node_counter",
        sa.Column("id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("started", types.bigint(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_node_counter")),
    )
    create_table(
        "outbox_attempts",
        sa.Column("message_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("worker", types.exact(64), nullable=False),
        sa.Column("started_at", types.moment(), nullable=False),
        sa.Column("finished_at", types.moment(), nullable=True),
        sa.Column("outcome", sa.String(200), nullable=True),
        sa.PrimaryKeyConstraint("message_id", "number", name=op.f("pk_outbox_attempts")),
    )
    create_index("ix_outbox_attempts_started_at", "outbox_attempts", ["started_at"])
    create_table(
        "outbox_facts",
        sa.Column("id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("name", types.exact(64), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("brand_id", types.bigint(), autoincrement=False, nullable=True),
        sa.Column("person_id", types.bigint(), autoincrement=False, nullable=True),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.Column("occurred_at", types.moment(), nullable=False),
        sa.Column("recorded_at", types.moment(), nullable=False),
        sa.Column("cause", types.exact(96), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox_facts")),
    )
    create_index("ix_outbox_facts_recorded_at", "outbox_facts", ["recorded_at"])
    create_table(
        "outbox_finished",
        sa.Column("id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("topic", types.exact(64), nullable=False),
        sa.Column("key", types.exact(96), nullable=False),
        sa.Column("attempts", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("enqueued_at", types.moment(), nullable=False),
        sa.Column("finished_at", types.moment(), nullable=False),
        sa.Column("detail", sa.String(500), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox_finished")),
        sa.UniqueConstraint("topic", "key", name=op.f("uq_outbox_finished_topic_key")),
    )
    create_index("ix_outbox_finished_finished_at", "outbox_finished", ["finished_at"])
    create_table(
        "outbox_messages",
        sa.Column("id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("topic", types.exact(64), nullable=False),
        sa.Column("key", types.exact(96), nullable=False),
        sa.Column("group_key", types.exact(64), nullable=False),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(24), nullable=False),
        sa.Column("due_at", types.moment(), nullable=False),
        sa.Column("enqueued_at", types.moment(), nullable=False),
        sa.Column("attempts", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("failures", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("in_flight", sa.Boolean(), nullable=False),
        sa.Column("lease_owner", types.exact(64), nullable=True),
        sa.Column("lease_until", types.moment(), nullable=True),
        sa.Column("reason", sa.String(500), nullable=True),
        sa.CheckConstraint("state IN ('pending', 'parked')", name=op.f("ck_outbox_messages_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox_messages")),
        sa.UniqueConstraint("topic", "key", name=op.f("uq_outbox_messages_topic_key")),
    )
    create_index("ix_outbox_messages_group_key_state", "outbox_messages", ["group_key", "state"])
    create_index("ix_outbox_messages_topic_state_due_at", "outbox_messages", ["topic", "state", "due_at"])
