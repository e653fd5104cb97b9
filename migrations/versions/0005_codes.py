"""Code batches, ranges, scans, claims."""

import sqlalchemy as sa
from alembic import op

from migrations import types
from migrations.steps import create_index, create_table

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Create the tables of this step."""
    _batches()
    _ranges()
    _scans()


def _batches() -> None:
    create_table(
        "code_batches",
        sa.Column("id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("brand_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("product_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("lot", types.exact(64), nullable=False),
        sa.Column("size", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("placement", sa.String(24), nullable=False),
        sa.Column("needs_shipping", sa.Boolean(), nullable=False),
        sa.Column("created_at", types.moment(), nullable=False),
        sa.Column("created_by", sa.String(64), nullable=False),
        sa.CheckConstraint("placement IN ('outside', 'under_cap')", name=op.f("ck_code_batches_placement")),
        sa.CheckConstraint("id >= 1 AND id <= 16777215", name=op.f("ck_code_batches_id")),
        sa.CheckConstraint("size >= 1 AND size <= 134217728", name=op.f("ck_code_batches_size")),
        sa.ForeignKeyConstraint(["brand_id"], ["brands.id"], name=op.f("fk_code_batches_brand_id")),
        sa.ForeignKeyConstraint(["product_id"], ["products.id"], name=op.f("fk_code_batches_product_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_code_batches")),
    )
    create_index(op.f("ix_code_batches_brand_id_id"), "code_batches", ["brand_id", "id"])
    create_index(op.f("ix_code_batches_product_id"), "code_batches", ["product_id"])


def _ranges() -> None:
    create_table(
        "code_ranges",
        sa.Column("batch_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("aspect", sa.String(24), nullable=False),
        sa.Column("first_index", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("last_index", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("region", types.exact(6), nullable=True),
        sa.Column("attributes", sa.JSON(), nullable=True),
        sa.CheckConstraint(
            "aspect IN ('activated', 'frozen', 'shipped')", name=op.f("ck_code_ranges_aspect")
        ),
        sa.CheckConstraint(
            "first_index >= 0 AND first_index <= last_index", name=op.f("ck_code_ranges_indexes")
        ),
        sa.ForeignKeyConstraint(["batch_id"], ["code_batches.id"], name=op.f("fk_code_ranges_batch_id")),
        sa.PrimaryKeyConstraint("batch_id", "aspect", "first_index", name=op.f("pk_code_ranges")),
    )
    create_table(
        "code_range_events",
        sa.Column("id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("batch_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(24), nullable=False),
        sa.Column("first_index", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("last_index", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("region", types.exact(6), nullable=True),
        sa.Column("attributes", sa.JSON(), nullable=True),
        sa.Column("reason", sa.String(200), nullable=True),
        sa.Column("at", types.moment(), nullable=False),
        sa.Column("actor", sa.String(64), nullable=False),
        sa.CheckConstraint(
            "kind IN ('activated', 'frozen', 'unfrozen', 'shipped')", name=op.f("ck_code_range_events_kind")
        ),
        sa.ForeignKeyConstraint(
            ["batch_id"], ["code_batches.id"], name=op.f("fk_code_range_events_batch_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_code_range_events")),
    )
    create_index(op.f("ix_code_range_events_batch_id_id"), "code_range_events", ["batch_id", "id"])


def _scans() -> None:
    create_table(
        "scans",
        sa.Column("id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("person_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("batch_id", types.bigint(), autoincrement=False, nullable=True),
        sa.Column("code_index", sa.Integer(), autoincrement=False, nullable=True),
        sa.Column("outcome", sa.String(24), nullable=False),
        sa.Column("region", types.exact(6), nullable=True),
        sa.Column("at", types.moment(), nullable=False),
        sa.Column("counted_scans", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("first_at", types.moment(), nullable=True),
        sa.Column("first_person_id", types.bigint(), autoincrement=False, nullable=True),
        sa.CheckConstraint(
            "outcome IN ('ok', 'unknown', 'altered', 'inactive', 'frozen', 'not_shipped',"
            " 'drawn_by_me', 'drawn_by_another')",
            name=op.f("ck_scans_outcome"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_scans")),
    )
    create_index(op.f("ix_scans_batch_id_code_index_id"), "scans", ["batch_id", "code_index", "id"])
    create_index(op.f("ix_scans_person_id_id"), "scans", ["person_id", "id"])
    create_table(
        "code_claims",
        sa.Column("batch_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("code_index", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("draw_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("person_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("at", types.moment(), nullable=False),
        sa.PrimaryKeyConstraint("batch_id", "code_index", name=op.f("pk_code_claims")),
    )
