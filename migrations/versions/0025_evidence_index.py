"""Evidence of diversion is found by its group; the index by case only made keeping it dearer."""

from alembic import op

from migrations.steps import drop_index

revision = "0025"
down_revision = "0024"


def upgrade() -> None:
    """Drop the index."""
    drop_index(op.f("ix_diversion_evidence_diversion_id_scan_id"), "diversion_evidence")
