"""The table of products."""

from datetime import datetime

from sqlalchemy import UniqueConstraint
from sqlalchemy.orm import Mapped

from app.db.base import Base, DataClass, id_column, json_column, moment, ref, text_column
from app.organisation import models as _  # noqa: F401 - a foreign key needs its table


class Product(Base):
    """A product of a brand. Lines, categories, specifications and tags are the brand's own words.

    `origin` is where it is made: an adcode or the brand's own name for the place.
    """

    __tablename__ = "products"
    __table_args__ = (UniqueConstraint("brand_id", "sku"),)
    id: Mapped[int] = id_column()
    brand_id: Mapped[int] = ref("brands.id")
    sku: Mapped[str] = text_column(64, exact=True, data_class=DataClass.PUBLIC)
    line: Mapped[str] = text_column(64, exact=True, data_class=DataClass.PUBLIC)
    name_zh: Mapped[str] = text_column(128, data_class=DataClass.PUBLIC)
    name_en: Mapped[str] = text_column(128, data_class=DataClass.PUBLIC)
    category: Mapped[str | None] = text_column(64, exact=True, nullable=True, data_class=DataClass.PUBLIC)
    spec: Mapped[str | None] = text_column(64, exact=True, nullable=True, data_class=DataClass.PUBLIC)
    tags: Mapped[list[str]] = json_column(data_class=DataClass.PUBLIC)
    origin: Mapped[str | None] = text_column(64, exact=True, nullable=True, data_class=DataClass.PUBLIC)
    created_at: Mapped[datetime] = moment()
