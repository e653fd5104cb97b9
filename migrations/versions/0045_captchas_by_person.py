"""Tickets of captchas are counted by person and day."""

from migrations.steps import create_index

revision = "0045"
down_revision = "0044"


def upgrade() -> None:
    """Create the index."""
    create_index("ix_captcha_tickets_person_id_taken_at", "captcha_tickets", ["person_id", "taken_at"])
