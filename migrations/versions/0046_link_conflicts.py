"""A question of its own: whether a member's link was opened by the member, where nothing else says so."""

from migrations.steps import set_check

revision = "0046"
down_revision = "0045"


def upgrade() -> None:
    """Widen why two persons may be held apart."""
    set_check(
        "identity_conflicts",
        "ck_identity_conflicts_reason",
        "reason IN ('unique_disagrees', 'limit_exceeded', 'kept_apart', 'unmerged', 'link_alone')",
    )
