"""Setting up brands and apps."""

import re
from datetime import datetime

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from app.db.once import insert_once
from app.kernel.ids import new_id
from app.organisation.errors import AppTaken, BrandExists, InvalidSlug
from app.organisation.models import App, AppKind, Brand

_SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
DEFAULT_OPEN_PLATFORM = "main"


def create_brand(session: Session, *, slug: str, name_zh: str, name_en: str, now: datetime) -> int:
    """Create a brand and return its id; raise InvalidSlug or BrandExists (CODE-10: brands share members)."""
    if not _SLUG.fullmatch(slug):
        raise InvalidSlug("a slug has 1 to 32 lower-case letters, digits and hyphens, such as tea-house")
    brand_id = new_id()
    row = {"id": brand_id, "slug": slug, "name_zh": name_zh, "name_en": name_en, "created_at": now}
    if not insert_once(session, insert(Brand), row):
        raise BrandExists("another brand has this slug; choose another one")
    return brand_id


def register_app(
    session: Session,
    *,
    appid: str,
    secret: str,
    now: datetime,
    brand_id: int | None = None,
    kind: AppKind = AppKind.MINIPROGRAM,
    open_platform: str = DEFAULT_OPEN_PLATFORM,
) -> int:
    """Register an app of ours, or give the one that has this appid a new secret; return its id.

    `brand_id` None means that the app serves every brand. Raises AppTaken when the appid is registered for
    another brand: a login would otherwise change hands.
    """
    app_id = new_id()
    row = {
        "id": app_id,
        "brand_id": brand_id,
        "kind": kind,
        "appid": appid,
        "open_platform": open_platform,
        "secret": secret,
        "created_at": now,
    }
    if insert_once(session, insert(App), row):
        return app_id
    known = session.scalars(select(App).where(App.appid == appid).with_for_update()).one()
    if known.brand_id != brand_id:
        raise AppTaken("this appid is registered for another brand")
    known.secret = secret
    session.flush()
    return known.id
