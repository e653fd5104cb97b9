"""Reading brands, apps, dealers and stores."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from app.organisation.errors import UnknownApp, UnknownBrand, UnknownDealer, UnknownStore
from app.organisation.models import App, AppKind, Brand, Dealer, DealerRegion, Store


@dataclass(frozen=True, slots=True)
class BrandView:
    """A brand as others need to know it."""

    id: int
    slug: str
    name_zh: str
    name_en: str


@dataclass(frozen=True, slots=True)
class AppView:
    """An app with what a login through it needs; the secret is for the gateway only, `agentid` a corp's."""

    id: int
    brand_id: int | None
    kind: AppKind
    appid: str
    open_platform: str
    secret: str = field(repr=False)
    agentid: str | None = None


_BRAND = select(Brand.id, Brand.slug, Brand.name_zh, Brand.name_en)
_BRAND_BY_ID = _BRAND.where(Brand.id == bindparam("wanted"))
_BRAND_BY_SLUG = _BRAND.where(Brand.slug == bindparam("wanted"))
_APP = select(App.id, App.brand_id, App.kind, App.appid, App.open_platform, App.secret, App.agentid)
_APP_BY_ID = _APP.where(App.id == bindparam("wanted"))
_APP_BY_APPID = _APP.where(App.appid == bindparam("wanted"))
_OPEN_PLATFORM = select(App.open_platform).where(App.id == bindparam("wanted"))


def brand(session: Session, *, brand_id: int) -> BrandView:
    """Return a brand by id; raise UnknownBrand."""
    row = session.connection().execute(_BRAND_BY_ID, {"wanted": brand_id}).first()
    if row is None:
        raise UnknownBrand("there is no such brand")
    return BrandView(*row)


def brand_by_slug(session: Session, *, slug: str) -> BrandView:
    """Return a brand by slug; raise UnknownBrand."""
    row = session.connection().execute(_BRAND_BY_SLUG, {"wanted": slug}).first()
    if row is None:
        raise UnknownBrand("there is no brand with this slug; `saoma brands list` shows them")
    return BrandView(*row)


def brands(session: Session) -> Sequence[BrandView]:
    """Return all brands by slug."""
    return [BrandView(*row) for row in session.connection().execute(_BRAND.order_by(Brand.slug))]


def app(session: Session, *, app_id: int) -> AppView:
    """Return an app by id; raise UnknownApp."""
    row = session.connection().execute(_APP_BY_ID, {"wanted": app_id}).first()
    if row is None:
        raise UnknownApp("there is no such app")
    return AppView(*row)


def app_by_appid(session: Session, *, appid: str, kinds: Collection[AppKind] = tuple(AppKind)) -> AppView:
    """Return the app with WeChat's `appid`, of one of `kinds`; raise UnknownApp."""
    row = session.connection().execute(_APP_BY_APPID, {"wanted": appid}).first()
    if row is None or row.kind not in kinds:
        raise UnknownApp("no app of ours of this kind has this appid")
    return AppView(*row)


def apps(session: Session) -> Sequence[AppView]:
    """Return all apps by appid."""
    return [AppView(*row) for row in session.connection().execute(_APP.order_by(App.appid))]


def open_platform(session: Session, *, app_id: int) -> str:
    """Return the name of the Open Platform account that scopes the unionids of an app; raise UnknownApp."""
    found = session.connection().execute(_OPEN_PLATFORM, {"wanted": app_id}).scalar()
    if found is None:
        raise UnknownApp("there is no such app")
    return str(found)


@dataclass(frozen=True, slots=True)
class DealerView:
    """A dealer with the adcodes that it sells in, ascending."""

    id: int
    code: str
    name: str
    regions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StoreView:
    """A store with the code of its dealer; `region` is an adcode."""

    id: int
    code: str
    name: str
    region: str
    dealer_id: int
    dealer_code: str


_STORE = select(Store.id, Store.code, Store.name, Store.region, Store.dealer_id, Dealer.code).join(
    Dealer, Dealer.id == Store.dealer_id
)


def dealers(session: Session) -> Sequence[DealerView]:
    """Return all dealers by code."""
    connection = session.connection()
    regions: dict[int, list[str]] = {}
    listed = select(DealerRegion.dealer_id, DealerRegion.region).order_by(DealerRegion.region)
    for dealer_id, region in connection.execute(listed):
        regions.setdefault(dealer_id, []).append(region)
    found = connection.execute(select(Dealer.id, Dealer.code, Dealer.name).order_by(Dealer.code))
    return [DealerView(*row, tuple(regions.get(row.id, ()))) for row in found]


def dealer_by_code(session: Session, *, code: str) -> DealerView:
    """Return a dealer by code; raise UnknownDealer."""
    connection = session.connection()
    row = connection.execute(select(Dealer.id, Dealer.code, Dealer.name).where(Dealer.code == code)).first()
    if row is None:
        raise UnknownDealer("there is no dealer with this code; `saoma dealers list` shows them")
    regions = select(DealerRegion.region).where(DealerRegion.dealer_id == row.id)
    return DealerView(*row, tuple(connection.execute(regions.order_by(DealerRegion.region)).scalars()))


def stores(session: Session) -> Sequence[StoreView]:
    """Return all stores by code."""
    return [StoreView(*row) for row in session.connection().execute(_STORE.order_by(Store.code))]


def store_by_code(session: Session, *, code: str) -> StoreView:
    """Return a store by code; raise UnknownStore."""
    row = session.connection().execute(_STORE.where(Store.code == code)).first()
    if row is None:
        raise UnknownStore("there is no store with this code; `saoma stores list` shows them")
    return StoreView(*row)
