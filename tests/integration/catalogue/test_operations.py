"""Products of brands, with what draws may ask about them."""

import pytest
from sqlalchemy.orm import Session

from app.catalogue import queries
from app.catalogue.errors import ProductExists, UnknownProduct
from app.catalogue.operations import create_product
from app.kernel.clock import ManualClock
from app.organisation.operations import create_brand


@pytest.fixture
def brands(session: Session, clock: ManualClock) -> tuple[int, int]:
    first = create_brand(session, slug="tea", name_zh="茶", name_en="Tea", now=clock.now())
    return first, create_brand(session, slug="milk", name_zh="奶", name_en="Milk", now=clock.now())


def _product(session: Session, clock: ManualClock, brand_id: int, sku: str) -> int:
    return create_product(
        session,
        brand_id=brand_id,
        sku=sku,
        line="premium",
        name_zh="乌龙",
        name_en="Oolong",
        now=clock.now(),
        category="tea",
        tags=["new", "gift", "new"],
        origin="350000",
    )


def test_a_product_comes_back_as_it_was_added(
    session: Session, clock: ManualClock, brands: tuple[int, int]
) -> None:
    product_id = _product(session, clock, brands[0], "T-1")
    assert queries.product(session, product_id=product_id) == queries.ProductView(
        id=product_id,
        brand_id=brands[0],
        sku="T-1",
        line="premium",
        name_zh="乌龙",
        name_en="Oolong",
        category="tea",
        spec=None,
        tags=("gift", "new"),
        origin="350000",
    )


def test_a_sku_is_a_brands_own(session: Session, clock: ManualClock, brands: tuple[int, int]) -> None:
    _product(session, clock, brands[0], "T-1")
    _product(session, clock, brands[1], "T-1")
    _product(session, clock, brands[0], "t-1")
    with pytest.raises(ProductExists):
        _product(session, clock, brands[0], "T-1")
    assert [it.sku for it in queries.products(session, brand_id=brands[0])] == ["T-1", "t-1"]
    assert [it.sku for it in queries.products(session, brand_id=brands[1])] == ["T-1"]


def test_an_unknown_product_is_refused(session: Session) -> None:
    with pytest.raises(UnknownProduct):
        queries.product(session, product_id=1)
