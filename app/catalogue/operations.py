"""Adding products."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import insert
from sqlalchemy.orm import Session

from app.catalogue.errors import ProductExists
from app.catalogue.models import Product
from app.db.once import insert_once
from app.kernel.ids import new_id


def create_product(
    session: Session,
    *,
    brand_id: int,
    sku: str,
    line: str,
    name_zh: str,
    name_en: str,
    now: datetime,
    category: str | None = None,
    spec: str | None = None,
    tags: Sequence[str] = (),
    origin: str | None = None,
) -> int:
    """Add a product to a brand and return its id; raise ProductExists when the brand has this SKU."""
    product_id = new_id()
    row = {
        "id": product_id,
        "brand_id": brand_id,
        "sku": sku,
        "line": line,
        "name_zh": name_zh,
        "name_en": name_en,
        "category": category,
        "spec": spec,
        "tags": sorted(set(tags)),
        "origin": origin,
        "created_at": now,
    }
    if not insert_once(session, insert(Product), row):
        raise ProductExists("the brand has a product with this SKU")
    return product_id
