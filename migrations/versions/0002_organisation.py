"""Brands, apps and products."""

import sqlalchemy as sa
from alembic import op

from migrations import types
from migrations.steps import create_index, create_table

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create the tables of this step."""
    create_table(
        "brands",
        sa.Column("id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("slug", types.exact(32), nullable=False),
        sa.Column("name_zh", sa.String(64), nullable=False),
        sa.Column("name_en", sa.String(64), nullable=False),
        sa.Column("created_at", types.moment(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_brands")),
        sa.UniqueConstraint("slug", name=op.f("uq_brands_slug")),
    )
    create_table(
        "apps",
        sa.Column("id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("brand_id", types.bigint(), autoincrement=False, nullable=True),
        sa.Column("kind", sa.String(24), nullable=False),
        sa.Column("appid", types.exact(32), nullable=False),
        sa.Column("open_platform", types.exact(32), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", types.moment(), nullable=False),
        sa.CheckConstraint("kind IN ('miniprogram')", name=op.f("ck_apps_kind")),
        sa.ForeignKeyConstraint(["brand_id"], ["brands.id"], name=op.f("fk_apps_brand_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_apps")),
        sa.UniqueConstraint("appid", name=op.f("uq_apps_appid")),
    )
    create_index(op.f("ix_apps_brand_id"), "apps", ["brand_id"])
    create_table(
        "products",
        sa.Column("id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("brand_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("sku", types.exact(64), nullable=False),
        sa.Column("line", types.exact(64), nullable=False),
        sa.Column("name_zh", sa.String(128), nullable=False),
        sa.Column("name_en", sa.String(128), nullable=False),
        sa.Column("category", types.exact(64), nullable=True),
        sa.Column("spec", types.exact(64), nullable=True),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("origin", types.exact(64), nullable=True),
        sa.Column("created_at", types.moment(), nullable=False),
        sa.ForeignKeyConstraint(["brand_id"], ["brands.id"], name=op.f("fk_products_brand_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_products")),
        sa.UniqueConstraint("brand_id", "sku", name=op.f("uq_products_brand_id_sku")),
    )
