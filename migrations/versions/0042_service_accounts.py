"""Service accounts: apps that pay by red packets in the chat, and links that tell whose openid it is."""

import sqlalchemy as sa
from alembic import op

from migrations import types
from migrations.steps import create_index, create_table, set_check

revision = "0042"
down_revision = "0041"

_SOURCES = (
    "source IN ('miniprogram_login', 'phone_button', 'service_account_follow', 'service_account_visit',"
    " 'join', 'guide_wecom', 'app_order', 'shop_order', 'offline_purchase', 'offline_activity',"
    " 'operator', 'imported')"
)


def upgrade() -> None:
    """Widen what an app, a payer and the sight of an identifier may be; create the table."""
    set_check("apps", "ck_apps_kind", "kind IN ('miniprogram', 'service')")
    set_check("payers", "ck_payers_method", "method IN ('transfer', 'red_packet', 'service_red_packet')")
    set_check("identifiers", "ck_identifiers_source", _SOURCES)
    set_check("identifier_sightings", "ck_identifier_sightings_source", _SOURCES)
    create_table(
        "openid_links",
        sa.Column("id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("person_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("session_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("app_id", types.bigint(), autoincrement=False, nullable=False),
        sa.Column("expires_at", types.moment(), nullable=False),
        sa.Column("used_at", types.moment(), nullable=True),
        sa.ForeignKeyConstraint(["app_id"], ["apps.id"], name=op.f("fk_openid_links_app_id")),
        sa.ForeignKeyConstraint(["person_id"], ["persons.id"], name=op.f("fk_openid_links_person_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_openid_links")),
    )
    create_index("ix_openid_links_expires_at", "openid_links", ["expires_at"])
