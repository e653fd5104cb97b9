"""Brands and apps: one identity space, several brands, secrets sealed (CODE-10)."""

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.kernel.clock import ManualClock
from app.organisation import queries
from app.organisation.errors import AppTaken, BrandExists, InvalidSlug, UnknownApp, UnknownBrand
from app.organisation.operations import create_brand, register_app


def _brand(session: Session, clock: ManualClock, slug: str = "tea") -> int:
    return create_brand(session, slug=slug, name_zh="茶", name_en="Tea", now=clock.now())


def test_a_brand_is_found_by_id_and_by_slug(session: Session, clock: ManualClock) -> None:
    brand_id = _brand(session, clock)
    found = queries.brand(session, brand_id=brand_id)
    assert found == queries.BrandView(brand_id, "tea", "茶", "Tea")
    assert queries.brand_by_slug(session, slug="tea") == found


def test_brands_come_by_slug(session: Session, clock: ManualClock) -> None:
    for slug in ("wine", "tea", "milk"):
        _brand(session, clock, slug)
    assert [brand.slug for brand in queries.brands(session)] == ["milk", "tea", "wine"]


def test_a_slug_is_taken_once(session: Session, clock: ManualClock) -> None:
    _brand(session, clock)
    with pytest.raises(BrandExists):
        _brand(session, clock)


@pytest.mark.parametrize("slug", ["", "Tea", "-tea", "tea house", "茶", "t" * 33])
def test_a_slug_goes_into_a_link(session: Session, clock: ManualClock, slug: str) -> None:
    with pytest.raises(InvalidSlug):
        _brand(session, clock, slug)


def test_unknown_brands_and_apps_are_refused(session: Session) -> None:
    with pytest.raises(UnknownBrand):
        queries.brand(session, brand_id=1)
    with pytest.raises(UnknownBrand):
        queries.brand_by_slug(session, slug="tea")
    with pytest.raises(UnknownApp):
        queries.app(session, app_id=1)
    with pytest.raises(UnknownApp):
        queries.app_by_appid(session, appid="wx1")
    with pytest.raises(UnknownApp):
        queries.open_platform(session, app_id=1)


def test_an_app_keeps_its_id_when_its_secret_changes(session: Session, clock: ManualClock) -> None:
    first = register_app(session, appid="wx1", secret="old", now=clock.now())
    second = register_app(session, appid="wx1", secret="new", now=clock.now())

    assert first == second
    assert queries.app(session, app_id=first).secret == "new"
    assert queries.app_by_appid(session, appid="wx1") == queries.app(session, app_id=first)
    assert [app.id for app in queries.apps(session)] == [first]


def test_an_app_does_not_change_hands(session: Session, clock: ManualClock) -> None:
    brand_id = _brand(session, clock)
    register_app(session, appid="wx1", secret="s", now=clock.now())
    with pytest.raises(AppTaken):
        register_app(session, appid="wx1", secret="s", now=clock.now(), brand_id=brand_id)


def test_a_secret_is_neither_stored_nor_shown_in_clear(session: Session, clock: ManualClock) -> None:
    app_id = register_app(session, appid="wx1", secret="top-secret", now=clock.now())
    assert b"top-secret" not in session.execute(text("SELECT secret FROM apps")).scalar_one()
    assert "top-secret" not in repr(queries.app(session, app_id=app_id))
