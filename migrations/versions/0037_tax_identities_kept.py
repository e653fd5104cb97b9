"""Names given for tax returns know until when they are kept."""

import sqlalchemy as sa

from migrations import types
from migrations.steps import add_column, create_index

revision = "0037"
down_revision = "0036"


def upgrade() -> None:
    """Add the column; what was given before it stays until it is withdrawn, or used and aged."""
    add_column("tax_identities", sa.Column("kept_until", types.moment(), nullable=True))
    create_index("ix_tax_identities_kept_until", "tax_identities", ["kept_until"])
