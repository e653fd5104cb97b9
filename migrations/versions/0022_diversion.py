"""Cases of diversion, their evidence, and how far the scans were read."""

import sqlalchemy as sa
from alembic import op

from migrations import types
from migrations.steps import add_column, create_index, create_table

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    """Create the tables of this step, and let a scan keep where its code had been shipped."""
    add_column("scans", sa.Column("shipped_first", sa.Integer(), autoincrement=False, nullable=True))
    add_column("scans", sa.Column("shipped_region", types.exact(6), nullable=True))
    create_table(
        "trace_watermarks",
        sa.Column("name", types.exact(32), nullable=False),
        sa.Column("scan_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("at", types.moment(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_trace_watermarks")),
    )
    _evidence()
    _cases()


def _evidence() -> None:
    create_table(
        "diversion_evidence",
        sa.Column("scan_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("batch_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("first_index", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("shipped_region", types.exact(6), nullable=False),
        sa.Column("found_region", types.exact(6), nullable=False),
        sa.Column("person_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("code_index", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", types.moment(), nullable=False),
        sa.Column("diversion_id", types.bigint(), autoincrement=False, nullable=True),
        sa.PrimaryKeyConstraint("scan_id", name=op.f("pk_diversion_evidence")),
    )
    create_index(
        op.f("ix_diversion_evidence_batch_id_first_index_found_region_at"),
        "diversion_evidence",
        ["batch_id", "first_index", "found_region", "at"],
    )
    create_index(
        op.f("ix_diversion_evidence_diversion_id_scan_id"), "diversion_evidence", ["diversion_id", "scan_id"]
    )


def _cases() -> None:
    create_table(
        "diversions",
        sa.Column("id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("batch_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("first_index", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("last_index", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("shipped_region", types.exact(6), nullable=False),
        sa.Column("found_region", types.exact(6), nullable=False),
        sa.Column("dealer", types.exact(32), nullable=True),
        sa.Column("state", sa.String(24), nullable=False),
        sa.Column("open_key", types.exact(64), nullable=True),
        sa.Column("persons", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("codes", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("scans", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("first_at", types.moment(), nullable=False),
        sa.Column("last_at", types.moment(), nullable=False),
        sa.Column("rules", sa.JSON(), nullable=False),
        sa.Column("opened_at", types.moment(), nullable=False),
        sa.Column("decided_at", types.moment(), nullable=True),
        sa.Column("decided_by", sa.String(64), nullable=True),
        sa.Column("reason", sa.String(200), nullable=True),
        sa.CheckConstraint("state IN ('open', 'confirmed', 'dismissed')", name=op.f("ck_diversions_state")),
        sa.CheckConstraint(
            "first_index >= 0 AND first_index <= last_index", name=op.f("ck_diversions_indexes")
        ),
        sa.ForeignKeyConstraint(["batch_id"], ["code_batches.id"], name=op.f("fk_diversions_batch_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_diversions")),
        sa.UniqueConstraint("open_key", name=op.f("uq_diversions_open_key")),
    )
    create_index(op.f("ix_diversions_state_id"), "diversions", ["state", "id"])
