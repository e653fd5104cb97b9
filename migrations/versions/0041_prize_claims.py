"""What claiming a voucher tells, and consent to marketing by phone."""

import sqlalchemy as sa
from alembic import op

from migrations import types
from migrations.steps import create_index, create_table

revision = "0041"
down_revision = "0040"


def upgrade() -> None:
    """Create the tables of this step."""
    create_table(
        "marketing_consents",
        sa.Column("id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("person_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("brand_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("policy_version", types.exact(32), nullable=False),
        sa.Column("origin", types.exact(32), nullable=False),
        sa.Column("given_at", types.moment(), nullable=False),
        sa.Column("withdrawn_at", types.moment(), nullable=True),
        sa.ForeignKeyConstraint(["person_id"], ["persons.id"], name=op.f("fk_marketing_consents_person_id")),
        sa.ForeignKeyConstraint(["brand_id"], ["brands.id"], name=op.f("fk_marketing_consents_brand_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_marketing_consents")),
    )
    create_index(op.f("ix_marketing_consents_person_id"), "marketing_consents", ["person_id"])
    create_table(
        "prize_claims",
        sa.Column("award_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("campaign_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("person_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("prize", types.exact(32), nullable=True),
        sa.Column("sku", types.exact(64), nullable=True),
        sa.Column("phone", sa.String(24), nullable=False),
        sa.Column("marketing", sa.Boolean(), nullable=False),
        sa.Column("claimed_at", types.moment(), nullable=False),
        sa.CheckConstraint("phone IN ('given', 'declined', 'not_asked')", name=op.f("ck_prize_claims_phone")),
        sa.PrimaryKeyConstraint("award_id", name=op.f("pk_prize_claims")),
    )
    create_index(
        op.f("ix_prize_claims_campaign_id_claimed_at"), "prize_claims", ["campaign_id", "claimed_at"]
    )
    create_index(op.f("ix_prize_claims_person_id"), "prize_claims", ["person_id"])
