"""Dealers and stores; levels of codes; packaging, events and their imports."""

import sqlalchemy as sa
from alembic import op

from migrations import types
from migrations.steps import add_choice, create_index, create_table, set_check

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Create the tables of this step."""
    _places()
    add_choice("code_batches", "level", "ck_code_batches_level", ("item", "case", "pallet"))
    set_check(
        "scans",
        "ck_scans_outcome",
        "outcome IN ('ok', 'unknown', 'altered', 'inactive', 'frozen', 'not_shipped',"
        " 'drawn_by_me', 'drawn_by_another', 'package')",
    )
    _packaging()
    _events()
    _imports()


def _places() -> None:
    create_table(
        "dealers",
        sa.Column("id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("code", types.exact(32), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("created_at", types.moment(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dealers")),
        sa.UniqueConstraint("code", name=op.f("uq_dealers_code")),
    )
    create_table(
        "dealer_regions",
        sa.Column("dealer_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("region", types.exact(6), nullable=False),
        sa.ForeignKeyConstraint(["dealer_id"], ["dealers.id"], name=op.f("fk_dealer_regions_dealer_id")),
        sa.PrimaryKeyConstraint("dealer_id", "region", name=op.f("pk_dealer_regions")),
    )
    create_table(
        "stores",
        sa.Column("id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("dealer_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("code", types.exact(32), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("region", types.exact(6), nullable=False),
        sa.Column("created_at", types.moment(), nullable=False),
        sa.ForeignKeyConstraint(["dealer_id"], ["dealers.id"], name=op.f("fk_stores_dealer_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stores")),
        sa.UniqueConstraint("code", name=op.f("uq_stores_code")),
    )
    create_index(op.f("ix_stores_dealer_id"), "stores", ["dealer_id"])


def _packaging() -> None:
    create_table(
        "packaging_ranges",
        sa.Column("child_batch_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("child_first", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("child_last", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("parent_batch_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("parent_first", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("parent_last", sa.Integer(), autoincrement=False, nullable=False),
        sa.CheckConstraint(
            "child_first >= 0 AND child_first <= child_last AND parent_first >= 0"
            " AND parent_first <= parent_last",
            name=op.f("ck_packaging_ranges_indexes"),
        ),
        sa.ForeignKeyConstraint(
            ["child_batch_id"], ["code_batches.id"], name=op.f("fk_packaging_ranges_child_batch_id")
        ),
        sa.ForeignKeyConstraint(
            ["parent_batch_id"], ["code_batches.id"], name=op.f("fk_packaging_ranges_parent_batch_id")
        ),
        sa.PrimaryKeyConstraint("child_batch_id", "child_first", name=op.f("pk_packaging_ranges")),
    )
    create_index(
        op.f("ix_packaging_ranges_parent_batch_id_parent_first"),
        "packaging_ranges",
        ["parent_batch_id", "parent_first"],
    )
    create_table(
        "packaging_exceptions",
        sa.Column("child_batch_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("child_index", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("parent_batch_id", types.bigint(), autoincrement=False, nullable=True),
        sa.Column("parent_index", sa.Integer(), autoincrement=False, nullable=True),
        sa.PrimaryKeyConstraint("child_batch_id", "child_index", name=op.f("pk_packaging_exceptions")),
    )
    create_index(
        op.f("ix_packaging_exceptions_parent_batch_id_parent_index"),
        "packaging_exceptions",
        ["parent_batch_id", "parent_index"],
    )


def _events() -> None:
    create_table(
        "trace_events",
        sa.Column("id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("event_id", types.exact(160), nullable=False),
        sa.Column("content_sha256", types.exact(64), nullable=False),
        sa.Column("kind", sa.String(24), nullable=False),
        sa.Column("action", sa.String(24), nullable=False),
        sa.Column("step", sa.String(24), nullable=False),
        sa.Column("event_time", types.moment(), nullable=False),
        sa.Column("zone_minutes", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("record_time", types.moment(), nullable=False),
        sa.Column("read_point", types.exact(128), nullable=True),
        sa.Column("location", types.exact(128), nullable=True),
        sa.Column("dealer_id", types.bigint(), autoincrement=False, nullable=True),
        sa.Column("store_id", types.bigint(), autoincrement=False, nullable=True),
        sa.Column("region", types.exact(6), nullable=True),
        sa.Column("attributes", sa.JSON(), nullable=True),
        sa.Column("recorded_by", sa.String(64), nullable=False),
        sa.CheckConstraint("kind IN ('object', 'aggregation')", name=op.f("ck_trace_events_kind")),
        sa.CheckConstraint("action IN ('add', 'observe', 'delete')", name=op.f("ck_trace_events_action")),
        sa.CheckConstraint(
            "step IN ('commissioning', 'packing', 'unpacking', 'shipping', 'receiving', 'retail_selling')",
            name=op.f("ck_trace_events_step"),
        ),
        sa.ForeignKeyConstraint(["dealer_id"], ["dealers.id"], name=op.f("fk_trace_events_dealer_id")),
        sa.ForeignKeyConstraint(["store_id"], ["stores.id"], name=op.f("fk_trace_events_store_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_trace_events")),
        sa.UniqueConstraint("event_id", name=op.f("uq_trace_events_event_id")),
    )
    create_table(
        "trace_event_ranges",
        sa.Column("event_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("role", sa.String(24), nullable=False),
        sa.Column("batch_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("span_bits", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("first_index", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("last_index", sa.Integer(), autoincrement=False, nullable=False),
        sa.CheckConstraint(
            "role IN ('subject', 'parent', 'content')", name=op.f("ck_trace_event_ranges_role")
        ),
        sa.CheckConstraint(
            "first_index >= 0 AND first_index <= last_index", name=op.f("ck_trace_event_ranges_indexes")
        ),
        sa.ForeignKeyConstraint(
            ["event_id"], ["trace_events.id"], name=op.f("fk_trace_event_ranges_event_id")
        ),
        sa.PrimaryKeyConstraint("event_id", "number", name=op.f("pk_trace_event_ranges")),
    )
    create_index(
        op.f("ix_trace_event_ranges_batch_id_span_bits_first_index"),
        "trace_event_ranges",
        ["batch_id", "span_bits", "first_index"],
    )
    create_table(
        "trace_errors",
        sa.Column("event_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("reason", sa.String(200), nullable=False),
        sa.Column("corrected_by", sa.JSON(), nullable=False),
        sa.Column("declared_at", types.moment(), nullable=False),
        sa.Column("record_time", types.moment(), nullable=False),
        sa.Column("recorded_by", sa.String(64), nullable=False),
        sa.ForeignKeyConstraint(["event_id"], ["trace_events.id"], name=op.f("fk_trace_errors_event_id")),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_trace_errors")),
    )


def _imports() -> None:
    create_table(
        "trace_imports",
        sa.Column("id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("file_sha256", types.exact(64), nullable=False),
        sa.Column("file_name", sa.String(128), nullable=False),
        sa.Column("records", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("stored", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("known", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("faulty", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("started_at", types.moment(), nullable=False),
        sa.Column("ended_at", types.moment(), nullable=True),
        sa.Column("started_by", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_trace_imports")),
        sa.UniqueConstraint("file_sha256", name=op.f("uq_trace_imports_file_sha256")),
    )
    create_table(
        "trace_import_faults",
        sa.Column("id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("import_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("line", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("code", types.exact(48), nullable=False),
        sa.Column("detail", sa.String(300), nullable=False),
        sa.ForeignKeyConstraint(
            ["import_id"], ["trace_imports.id"], name=op.f("fk_trace_import_faults_import_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_trace_import_faults")),
    )
    create_index(op.f("ix_trace_import_faults_import_id_line"), "trace_import_faults", ["import_id", "line"])
