"""Members, consents, placements."""

import sqlalchemy as sa
from alembic import op

from migrations import types
from migrations.steps import create_index, create_table

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Create the tables of this step."""
    create_table(
        "policies",
        sa.Column("id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("version", types.exact(32), nullable=False),
        sa.Column("text_zh", types.long_text(), nullable=False),
        sa.Column("text_en", types.long_text(), nullable=False),
        sa.Column("sha256", types.exact(64), nullable=False),
        sa.Column("published_at", types.moment(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_policies")),
        sa.UniqueConstraint("version", name=op.f("uq_policies_version")),
    )
    create_index("ix_policies_published_at_id", "policies", ["published_at", "id"])
    create_table(
        "consents",
        sa.Column("id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("person_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("policy_version", types.exact(32), nullable=False),
        sa.Column("age_band", sa.String(24), nullable=False),
        sa.Column("guardian", sa.Boolean(), nullable=False),
        sa.Column("given_at", types.moment(), nullable=False),
        sa.Column("withdrawn_at", types.moment(), nullable=True),
        sa.CheckConstraint(
            "age_band IN ('adult', 'teen_14_17', 'under_14')", name=op.f("ck_consents_age_band")
        ),
        sa.ForeignKeyConstraint(["person_id"], ["persons.id"], name=op.f("fk_consents_person_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_consents")),
    )
    create_index("ix_consents_person_id_policy_version", "consents", ["person_id", "policy_version"])
    create_table(
        "placements",
        sa.Column("id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("key", types.exact(16), nullable=False),
        sa.Column("kind", sa.String(24), nullable=False),
        sa.Column("brand_id", types.bigint(), autoincrement=False, nullable=True),
        sa.Column("label", sa.String(100), nullable=False),
        sa.Column("store_ref", types.exact(64), nullable=True),
        sa.Column("guide_ref", types.exact(64), nullable=True),
        sa.Column("created_at", types.moment(), nullable=False),
        sa.Column("closed_at", types.moment(), nullable=True),
        sa.CheckConstraint(
            "kind IN ('parking', 'indoor_navigation', 'till', 'e_receipt', 'wifi', 'beacon', "
            "'poster', 'other')",
            name=op.f("ck_placements_kind"),
        ),
        sa.ForeignKeyConstraint(["brand_id"], ["brands.id"], name=op.f("fk_placements_brand_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_placements")),
        sa.UniqueConstraint("key", name=op.f("uq_placements_key")),
    )
    create_index(op.f("ix_placements_brand_id"), "placements", ["brand_id"])
    create_table(
        "members",
        sa.Column("id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("person_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("member_no", types.exact(16), nullable=False),
        sa.Column("age_band", sa.String(24), nullable=False),
        sa.Column("tier", types.exact(32), nullable=True),
        sa.Column("tier_set_at", types.moment(), nullable=True),
        sa.Column("tier_set_by", sa.String(64), nullable=True),
        sa.Column("joined_at", types.moment(), nullable=False),
        sa.Column("channel", sa.String(24), nullable=False),
        sa.Column("manner", sa.String(24), nullable=False),
        sa.Column("placement_id", types.bigint(), autoincrement=False, nullable=True),
        sa.Column("inviter_person_id", types.bigint(), autoincrement=False, nullable=True),
        sa.Column("store_ref", types.exact(64), nullable=True),
        sa.Column("guide_ref", types.exact(64), nullable=True),
        sa.CheckConstraint(
            "age_band IN ('adult', 'teen_14_17', 'under_14')", name=op.f("ck_members_age_band")
        ),
        sa.CheckConstraint(
            "channel IN ('mini_program', 'official_account', 'website', 'app', 'douyin', 'store')",
            name=op.f("ck_members_channel"),
        ),
        sa.CheckConstraint(
            "manner IN ('scan', 'referral', 'activity', 'placement')", name=op.f("ck_members_manner")
        ),
        sa.ForeignKeyConstraint(
            ["inviter_person_id"], ["persons.id"], name=op.f("fk_members_inviter_person_id")
        ),
        sa.ForeignKeyConstraint(["person_id"], ["persons.id"], name=op.f("fk_members_person_id")),
        sa.ForeignKeyConstraint(["placement_id"], ["placements.id"], name=op.f("fk_members_placement_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_members")),
        sa.UniqueConstraint("member_no", name=op.f("uq_members_member_no")),
        sa.UniqueConstraint("person_id", name=op.f("uq_members_person_id")),
    )
    create_index("ix_members_inviter_person_id", "members", ["inviter_person_id"])
    create_index("ix_members_placement_id", "members", ["placement_id"])
