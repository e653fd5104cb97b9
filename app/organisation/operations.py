"""Setting up brands, apps, dealers and stores."""

import re
from collections.abc import Collection
from datetime import datetime

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from app.db.once import insert_once
from app.kernel.ids import new_id
from app.organisation.errors import (
    AppTaken,
    BrandExists,
    InvalidApp,
    InvalidPlace,
    InvalidSlug,
    StoreTaken,
    UnknownDealer,
)
from app.organisation.models import App, AppKind, Brand, Dealer, DealerRegion, Store
from app.organisation.regions import is_adcode

_SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_PLACE_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")
_AGENTID = re.compile(r"[0-9]{1,16}")
_MAX_NAME = 64
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
    agentid: str | None = None,
) -> int:
    """Register an app of ours, or give the one that has this appid a new secret; return its id.

    `brand_id` None means that the app serves every brand. Raises AppTaken when the appid is registered for
    another brand, or as another kind: a login would otherwise change hands. A corp, whose appid is its
    corpid, comes with the `agentid` of the application that the secret is of; else InvalidApp.
    """
    if (agentid is not None) != (kind is AppKind.CORP) or not _AGENTID.fullmatch(agentid or "0"):
        raise InvalidApp("a corp, and no other app, has the agentid of an application of its WeCom: digits")
    app_id = new_id()
    row = {
        "id": app_id,
        "brand_id": brand_id,
        "kind": kind,
        "appid": appid,
        "open_platform": open_platform,
        "secret": secret,
        "agentid": agentid,
        "created_at": now,
    }
    if insert_once(session, insert(App), row):
        return app_id
    known = session.scalars(select(App).where(App.appid == appid).with_for_update()).one()
    if known.brand_id != brand_id:
        raise AppTaken("this appid is registered for another brand")
    if known.kind is not kind:
        raise AppTaken(f"this appid is registered as a {known.kind}")
    known.secret, known.agentid = secret, agentid
    session.flush()
    return known.id


def save_dealer(session: Session, *, code: str, name: str, regions: Collection[str], now: datetime) -> int:
    """Make the dealer with `code`, or give it this name and these regions; return its id (CODE-06).

    `regions` are the adcodes that it may sell in. Raise InvalidPlace.
    """
    _require_place(code, name, regions)
    row = {"id": new_id(), "code": code, "name": name, "created_at": now}
    insert_once(session, insert(Dealer), row)
    dealer = session.scalars(select(Dealer).where(Dealer.code == code).with_for_update()).one()
    dealer.name = name
    session.flush()
    session.execute(delete(DealerRegion).where(DealerRegion.dealer_id == dealer.id))
    session.execute(
        insert(DealerRegion), [{"dealer_id": dealer.id, "region": region} for region in sorted(set(regions))]
    )
    return dealer.id


def save_store(
    session: Session, *, code: str, name: str, dealer_code: str, region: str, now: datetime
) -> int:
    """Make the store with `code` for a dealer, or give it this name and region; return its id.

    Raise InvalidPlace, UnknownDealer, or StoreTaken when it is another dealer's.
    """
    _require_place(code, name, [region])
    dealer_id = session.execute(select(Dealer.id).where(Dealer.code == dealer_code)).scalar()
    if dealer_id is None:
        raise UnknownDealer("there is no dealer with this code; `saoma dealers list` shows them")
    row = {"id": new_id(), "code": code, "name": name, "region": region, "created_at": now}
    insert_once(session, insert(Store), row | {"dealer_id": dealer_id})
    store = session.scalars(select(Store).where(Store.code == code).with_for_update()).one()
    if store.dealer_id != dealer_id:
        raise StoreTaken("this store belongs to another dealer")
    store.name, store.region = name, region
    session.flush()
    return store.id


def _require_place(code: str, name: str, regions: Collection[str]) -> None:
    if not _PLACE_CODE.fullmatch(code):
        raise InvalidPlace("a code has 1 to 32 letters, digits, dots, hyphens and underscores")
    if not 1 <= len(name) <= _MAX_NAME:
        raise InvalidPlace(f"a name has 1 to {_MAX_NAME} characters")
    if not regions or not all(map(is_adcode, regions)):
        raise InvalidPlace("a region is a six-digit code such as 310000, and there is at least one")
