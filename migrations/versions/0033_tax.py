"""The tax on awards, and what of it was paid to the tax office."""

import sqlalchemy as sa
from alembic import op

from migrations import types
from migrations.steps import add_column, create_index, create_table, set_check

revision = "0033"
down_revision = "0032"


def _fen(name: str) -> sa.Column[int]:
    return sa.Column(name, types.bigint(), autoincrement=False, nullable=False)


def upgrade() -> None:
    """Add the columns and the tables; what was won before is not taxed."""
    for name in ("withheld_fen", "borne_fen"):
        column = sa.Column(name, types.bigint(), autoincrement=False, nullable=False, server_default="0")
        add_column("awards", column)
    set_check("awards", "ck_awards_tax", "withheld_fen >= 0 AND borne_fen >= 0")
    set_check("awards", "ck_awards_withheld_fen", "withheld_fen = 0 OR withheld_fen < amount_fen")
    _taxes()
    create_index("ix_award_taxes_person_id_counted_at", "award_taxes", ["person_id", "counted_at"])
    create_index("ix_award_taxes_brand_id_due_at_award_id", "award_taxes", ["brand_id", "due_at", "award_id"])
    create_table(
        "tax_remittances",
        sa.Column("id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("brand_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("month", types.exact(7), nullable=False),
        sa.Column("part", sa.Integer(), autoincrement=False, nullable=False),
        _fen("amount_fen"),
        sa.Column("reference", types.exact(40), nullable=False),
        sa.Column("remitted_by", sa.String(64), nullable=False),
        sa.Column("remitted_at", types.moment(), nullable=False),
        sa.CheckConstraint("amount_fen > 0", name=op.f("ck_tax_remittances_amount_fen")),
        sa.ForeignKeyConstraint(["brand_id"], ["brands.id"], name=op.f("fk_tax_remittances_brand_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tax_remittances")),
        sa.UniqueConstraint("brand_id", "month", "part", name=op.f("uq_tax_remittances_brand_id_month_part")),
        sa.UniqueConstraint("brand_id", "reference", name=op.f("uq_tax_remittances_brand_id_reference")),
    )


def _taxes() -> None:
    create_table(
        "award_taxes",
        sa.Column("award_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("brand_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("campaign_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("person_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("mode", sa.String(24), nullable=False),
        sa.Column("bearer", sa.String(24), nullable=False),
        sa.Column("kind", sa.String(24), nullable=False),
        sa.Column("rate_bps", sa.Integer(), autoincrement=False, nullable=False),
        *[_fen(f"{name}_fen") for name in ("gross", "base", "tax", "net", "identity_over")],
        sa.Column("state", sa.String(24), nullable=False),
        sa.Column("granted_at", types.moment(), nullable=False),
        sa.Column("counted_at", types.moment(), nullable=True),
        sa.Column("due_at", types.moment(), nullable=True),
        sa.CheckConstraint(
            "mode IN ('none_discount', 'none_gift_with_purchase', 'incidental_withhold',"
            " 'incidental_company_bears')",
            name=op.f("ck_award_taxes_mode"),
        ),
        sa.CheckConstraint("bearer IN ('winner', 'brand')", name=op.f("ck_award_taxes_bearer")),
        sa.CheckConstraint(
            "kind IN ('money', 'goods', 'phone_credit', 'membership', 'gift_card', 'coupon')",
            name=op.f("ck_award_taxes_kind"),
        ),
        sa.CheckConstraint("state IN ('promised', 'due', 'void')", name=op.f("ck_award_taxes_state")),
        sa.CheckConstraint("gross_fen = net_fen + tax_fen", name=op.f("ck_award_taxes_gross_fen")),
        sa.CheckConstraint("tax_fen > 0 AND net_fen > 0", name=op.f("ck_award_taxes_tax_fen")),
        sa.CheckConstraint("base_fen >= tax_fen", name=op.f("ck_award_taxes_base_fen")),
        sa.CheckConstraint("(state = 'due') = (due_at IS NOT NULL)", name=op.f("ck_award_taxes_due_at")),
        sa.ForeignKeyConstraint(["brand_id"], ["brands.id"], name=op.f("fk_award_taxes_brand_id")),
        sa.ForeignKeyConstraint(["person_id"], ["persons.id"], name=op.f("fk_award_taxes_person_id")),
        sa.PrimaryKeyConstraint("award_id", name=op.f("pk_award_taxes")),
    )
