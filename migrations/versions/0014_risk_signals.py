"""Risk signals: counters, rules and their switches, hits and marks."""

import sqlalchemy as sa
from alembic import op

from migrations import types
from migrations.steps import create_index, create_table

revision = "0014"
down_revision = "0013"

_LEVELS = "level IN ('pass', 'verify', 'hold', 'abnormal', 'refuse')"
_KINDS = "subject_kind IN ('person', 'phone', 'address', 'batch')"


def _id(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, types.bigint(), autoincrement=False, nullable=nullable)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), autoincrement=False, nullable=False)


def upgrade() -> None:
    """Create the tables of this step."""
    create_table(
        "risk_counters",
        _number("bucket"),
        sa.Column("subject", types.blind(), nullable=False),
        _id("events"),
        _id("persons"),
        sa.PrimaryKeyConstraint("bucket", "subject", name=op.f("pk_risk_counters")),
    )
    create_table(
        "risk_policies",
        _id("id"),
        _id("brand_id"),
        _id("campaign_id"),
        _number("version"),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.Column("sha256", types.exact(64), nullable=False),
        sa.Column("saved_at", types.moment(), nullable=False),
        sa.Column("saved_by", sa.String(64), nullable=False),
        sa.ForeignKeyConstraint(["brand_id"], ["brands.id"], name=op.f("fk_risk_policies_brand_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_risk_policies")),
        sa.UniqueConstraint(
            "brand_id", "campaign_id", "version", name=op.f("uq_risk_policies_brand_id_campaign_id_version")
        ),
    )
    create_table(
        "risk_switches",
        _id("id"),
        _id("brand_id"),
        _id("campaign_id"),
        _id("policy_id", nullable=True),
        sa.Column("mode", sa.String(24), nullable=False),
        sa.Column("reason", sa.String(200), nullable=False),
        sa.Column("at", types.moment(), nullable=False),
        sa.Column("by", sa.String(64), nullable=False),
        sa.CheckConstraint("mode IN ('off', 'observe', 'enforce')", name=op.f("ck_risk_switches_mode")),
        sa.CheckConstraint(
            "mode <> 'enforce' OR policy_id IS NOT NULL", name=op.f("ck_risk_switches_policy")
        ),
        sa.ForeignKeyConstraint(["brand_id"], ["brands.id"], name=op.f("fk_risk_switches_brand_id")),
        sa.ForeignKeyConstraint(["policy_id"], ["risk_policies.id"], name=op.f("fk_risk_switches_policy_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_risk_switches")),
    )
    create_index("ix_risk_switches_brand_id_id", "risk_switches", ["brand_id", "id"])
    create_table(
        "risk_hits",
        _id("id"),
        _id("brand_id"),
        _id("campaign_id"),
        _id("policy_id"),
        _id("scan_id"),
        _id("person_id"),
        _id("batch_id"),
        _number("code_index"),
        sa.Column("level", sa.String(24), nullable=False),
        sa.Column("enforced", sa.Boolean(), nullable=False),
        sa.Column("reasons", sa.JSON(), nullable=False),
        sa.Column("signals", sa.JSON(), nullable=False),
        sa.Column("at", types.moment(), nullable=False),
        sa.Column("swept_at", types.moment(), nullable=True),
        sa.CheckConstraint(_LEVELS, name=op.f("ck_risk_hits_level")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_risk_hits")),
        sa.UniqueConstraint("scan_id", "level", name=op.f("uq_risk_hits_scan_id_level")),
    )
    create_index("ix_risk_hits_swept_at_id", "risk_hits", ["swept_at", "id"])
    create_index("ix_risk_hits_person_id_id", "risk_hits", ["person_id", "id"])
    create_table(
        "risk_marks",
        sa.Column("subject_kind", sa.String(24), nullable=False),
        _id("subject_id"),
        _id("brand_id"),
        _id("hits"),
        sa.Column("reasons", sa.JSON(), nullable=False),
        sa.Column("first_at", types.moment(), nullable=False),
        sa.Column("last_at", types.moment(), nullable=False),
        sa.CheckConstraint(_KINDS, name=op.f("ck_risk_marks_subject_kind")),
        sa.PrimaryKeyConstraint("subject_kind", "subject_id", name=op.f("pk_risk_marks")),
    )
