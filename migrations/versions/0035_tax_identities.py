"""Names and document numbers for tax returns."""

import sqlalchemy as sa
from alembic import op

from migrations import types
from migrations.steps import create_table

revision = "0035"
down_revision = "0034"


def upgrade() -> None:
    """Create the table of this step."""
    create_table(
        "tax_identities",
        sa.Column("person_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("real_name", sa.LargeBinary(), nullable=False),
        sa.Column("document", sa.String(24), nullable=False),
        sa.Column("number", sa.LargeBinary(), nullable=False),
        sa.Column("notice_version", types.exact(16), nullable=False),
        sa.Column("given_at", types.moment(), nullable=False),
        sa.CheckConstraint(
            "document IN ('resident_id', 'passport', 'hong_kong_macau_permit', 'taiwan_permit',"
            " 'foreign_resident_card')",
            name=op.f("ck_tax_identities_document"),
        ),
        sa.ForeignKeyConstraint(["person_id"], ["persons.id"], name=op.f("fk_tax_identities_person_id")),
        sa.PrimaryKeyConstraint("person_id", name=op.f("pk_tax_identities")),
    )
