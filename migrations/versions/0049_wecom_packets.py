"""WeCom: corps as apps, their tokens, the payers of WeCom red packets, and openids that their page tells."""

import sqlalchemy as sa

from migrations import types
from migrations.steps import add_column, set_check

revision = "0049"
down_revision = "0048"

_SOURCES = (
    "source IN ('miniprogram_login', 'phone_button', 'service_account_follow', 'service_account_visit',"
    " 'corp_visit', 'join', 'guide_wecom', 'app_order', 'shop_order', 'offline_purchase',"
    " 'offline_activity', 'operator', 'imported')"
)


def upgrade() -> None:
    """Add the columns; widen what an app, a token, a payer and the sight of an identifier may be."""
    add_column("apps", sa.Column("agentid", types.exact(16), nullable=True))
    set_check("apps", "ck_apps_kind", "kind IN ('miniprogram', 'service', 'corp')")
    set_check("platform_tokens", "ck_platform_tokens_kind", "kind IN ('stable', 'corp')")
    add_column("payers", sa.Column("workwx_secret", sa.LargeBinary(), nullable=True))
    set_check(
        "payers",
        "ck_payers_method",
        "method IN ('transfer', 'red_packet', 'service_red_packet', 'wecom_red_packet')",
    )
    set_check("identifiers", "ck_identifiers_source", _SOURCES)
    set_check("identifier_sightings", "ck_identifier_sightings_source", _SOURCES)
