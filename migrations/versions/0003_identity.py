"""Persons, identifiers, merges, sessions."""

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create the tables of this step."""
