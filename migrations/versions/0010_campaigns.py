"""Campaigns, versions, draws."""

import sqlalchemy as sa
from alembic import op

from migrations import types
from migrations.steps import create_index, create_table

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Create the tables of this step."""
    create_table(
        "campaigns",
        sa.Column("id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("brand_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("key", types.exact(32), nullable=False),
        sa.Column("payer_id", types.bigint(), autoincrement=False, nullable=True),
        sa.Column("state", sa.String(24), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("starts_at", types.moment(), nullable=True),
        sa.Column("ends_at", types.moment(), nullable=True),
        sa.Column("seed", sa.LargeBinary(), nullable=True),
        sa.Column("salt", sa.LargeBinary(), nullable=True),
        sa.Column("seed_sha256", types.exact(64), nullable=True),
        sa.Column("stopped_by", sa.String(64), nullable=True),
        sa.Column("ended_at", types.moment(), nullable=True),
        sa.Column("created_at", types.moment(), nullable=False),
        sa.CheckConstraint(
            "state = 'draft' OR (version > 0 AND seed IS NOT NULL AND starts_at < ends_at)",
            name=op.f("ck_campaigns_published"),
        ),
        sa.CheckConstraint(
            "state IN ('draft', 'published', 'stopped', 'ended')",
            name=op.f("ck_campaigns_state"),
        ),
        sa.CheckConstraint("version >= 0", name=op.f("ck_campaigns_version")),
        sa.ForeignKeyConstraint(["brand_id"], ["brands.id"], name=op.f("fk_campaigns_brand_id")),
        sa.ForeignKeyConstraint(["payer_id"], ["payers.id"], name=op.f("fk_campaigns_payer_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_campaigns")),
        sa.UniqueConstraint("brand_id", "key", name=op.f("uq_campaigns_brand_id_key")),
    )
    create_index("ix_campaigns_brand_id_state_starts_at", "campaigns", ["brand_id", "state", "starts_at"])
    create_table(
        "campaign_versions",
        sa.Column("campaign_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("state", sa.String(24), nullable=False),
        sa.Column("rules", sa.JSON(), nullable=False),
        sa.Column("sha256", types.exact(64), nullable=False),
        sa.Column("text_zh", types.long_text(), nullable=True),
        sa.Column("text_en", types.long_text(), nullable=True),
        sa.Column("text_sha256", types.exact(64), nullable=True),
        sa.Column("reason", sa.String(500), nullable=True),
        sa.Column("proposed_by", types.exact(64), nullable=True),
        sa.Column("approved_by", types.exact(64), nullable=True),
        sa.Column("saved_by", sa.String(64), nullable=False),
        sa.Column("saved_at", types.moment(), nullable=False),
        sa.Column("published_at", types.moment(), nullable=True),
        sa.CheckConstraint(
            "state <> 'published' OR published_at IS NOT NULL",
            name=op.f("ck_campaign_versions_published"),
        ),
        sa.CheckConstraint(
            "approved_by <> proposed_by",
            name=op.f("ck_campaign_versions_second_operator"),
        ),
        sa.CheckConstraint(
            "state IN ('draft', 'proposed', 'published')",
            name=op.f("ck_campaign_versions_state"),
        ),
        sa.CheckConstraint("version > 0", name=op.f("ck_campaign_versions_version")),
        sa.ForeignKeyConstraint(
            ["campaign_id"], ["campaigns.id"], name=op.f("fk_campaign_versions_campaign_id")
        ),
        sa.PrimaryKeyConstraint("campaign_id", "version", name=op.f("pk_campaign_versions")),
    )
    create_table(
        "campaign_accounts",
        sa.Column("campaign_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("purpose", sa.String(24), nullable=False),
        sa.Column("key", types.exact(32), nullable=False),
        sa.Column("account_id", types.bigint(), autoincrement=False, nullable=False),
        sa.CheckConstraint(
            "purpose IN ('funding', 'budget', 'pool_budget', 'committed', 'supply', 'stock', 'awarded')",
            name=op.f("ck_campaign_accounts_purpose"),
        ),
        sa.ForeignKeyConstraint(
            ["account_id"], ["ledger_accounts.id"], name=op.f("fk_campaign_accounts_account_id")
        ),
        sa.ForeignKeyConstraint(
            ["campaign_id"], ["campaigns.id"], name=op.f("fk_campaign_accounts_campaign_id")
        ),
        sa.PrimaryKeyConstraint("campaign_id", "purpose", "key", name=op.f("pk_campaign_accounts")),
        sa.UniqueConstraint("account_id", name=op.f("uq_campaign_accounts_account_id")),
    )
    create_table(
        "campaign_events",
        sa.Column("id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("campaign_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("action", sa.String(24), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=True),
        sa.Column("reason", sa.String(500), nullable=True),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.Column("at", types.moment(), nullable=False),
        sa.Column("by", sa.String(64), nullable=False),
        sa.CheckConstraint(
            "action IN ('created', 'payer_chosen', 'saved', 'funded', 'defunded', 'budget_moved', "
            "'stocked', 'unstocked', 'published', 'proposed', 'withdrawn', 'changed', 'stopped', "
            "'resumed', 'ended')",
            name=op.f("ck_campaign_events_action"),
        ),
        sa.ForeignKeyConstraint(
            ["campaign_id"], ["campaigns.id"], name=op.f("fk_campaign_events_campaign_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_campaign_events")),
    )
    create_index("ix_campaign_events_campaign_id_id", "campaign_events", ["campaign_id", "id"])
    create_table(
        "draws",
        sa.Column("id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("campaign_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("scan_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("batch_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("code_index", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("chance", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("person_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("result", sa.String(24), nullable=False),
        sa.Column("pool", types.exact(32), nullable=False),
        sa.Column("prize", types.exact(32), nullable=True),
        sa.Column("amount_fen", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("points", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("worth_fen", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("outcome", sa.JSON(), nullable=False),
        sa.Column("seal", types.exact(64), nullable=False),
        sa.Column("at", types.moment(), nullable=False),
        sa.CheckConstraint("amount_fen >= 0", name=op.f("ck_draws_amount_fen")),
        sa.CheckConstraint("points >= 0", name=op.f("ck_draws_points")),
        sa.CheckConstraint("result IN ('awarded', 'nothing', 'refused')", name=op.f("ck_draws_result")),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaigns.id"], name=op.f("fk_draws_campaign_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_draws")),
    )
    create_index("ix_draws_campaign_id_worth_fen_id", "draws", ["campaign_id", "worth_fen", "id"])
    create_index("ix_draws_person_id_campaign_id_at", "draws", ["person_id", "campaign_id", "at"])
