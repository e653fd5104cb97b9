"""A tea brand that packs 24 bottles in a case and 10 cases on a pallet, and ships them to two dealers."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.orm import Session

from app.catalogue.operations import create_product
from app.codes import operations as codes
from app.codes.book import CodeBook
from app.codes.format import CodeKeys
from app.codes.links import CodeLink
from app.codes.outcome import CodeLevel, Placement
from app.codes.queries import code_facts, print_pack
from app.kernel.actor import Actor, ActorKind
from app.kernel.clock import ManualClock
from app.organisation.operations import create_brand, save_dealer, save_store
from app.trace import operations
from app.trace.events import Action, Event, EventKind, Run, Step

OPERATOR = Actor(ActorKind.OPERATOR, "olga")
PER_CASE, PER_PALLET = 24, 10
MORNING = datetime(2026, 5, 4, 8, 0, tzinfo=UTC)


@dataclass
class Factory:
    """The brand's batches on one session: 2,400 items, 100 cases, 10 pallets."""

    session: Session
    clock: ManualClock
    brand_id: int
    items: int
    cases: int
    pallets: int
    book: CodeBook = field(
        default_factory=lambda: CodeBook(CodeKeys(b"c" * 32), CodeLink("https://codes.example.com/q/"))
    )

    def code(self, batch_id: int, index: int) -> str:
        pack = print_pack(self.session, book=self.book, batch_id=batch_id, now=self.clock.now())
        return pack.code(index)

    def record(self, event: Event) -> operations.Recorded:
        (read,) = operations.read_codes(self.session, book=self.book, events=[event])
        assert isinstance(read, Event)
        with self.session.begin_nested():
            return operations.record(self.session, event=read, actor=OPERATOR, now=self.clock.now())

    def pack(self, parent: Run, child: Run, **facts: Any) -> None:
        self.record(aggregation(Step.PACKING, Action.ADD, parents=(parent,), runs=(child,), **facts))

    def ship(self, *runs: Run, hours: float = 1, **facts: Any) -> None:
        at = MORNING + timedelta(hours=hours)
        self.record(thing(Step.SHIPPING, Action.OBSERVE, runs=runs, event_time=at, **facts))

    def shipped_to(self, batch_id: int, index: int) -> tuple[str | None, str | None]:
        found = code_facts(self.session, batch_id=batch_id, code_index=index)
        return found.region, found.attributes.get("dealer")


def thing(step: Step, action: Action, **facts: Any) -> Event:
    """An object event."""
    return Event(EventKind.OBJECT, action, step, **{"event_time": MORNING, "zone_minutes": 480, **facts})


def aggregation(step: Step, action: Action, **facts: Any) -> Event:
    """An aggregation event."""
    return Event(EventKind.AGGREGATION, action, step, **{"event_time": MORNING, "zone_minutes": 480, **facts})


def build(session: Session, clock: ManualClock) -> Factory:
    """Make the brand, its batches, its dealers and a store."""
    now = clock.now()
    brand_id = create_brand(session, slug="tea", name_zh="茶", name_en="Tea", now=now)
    product_id = create_product(
        session, brand_id=brand_id, sku="T-330", line="tea", name_zh="绿茶", name_en="Green tea", now=now
    )
    save_dealer(session, code="EAST", name="华东", regions=["310000"], now=now)
    save_dealer(session, code="SOUTH", name="华南", regions=["440100", "440300"], now=now)
    save_store(session, code="S-1", name="南京路", dealer_code="EAST", region="310101", now=now)

    def batch(size: int, level: CodeLevel) -> int:
        batch_id = codes.create_batch(
            session,
            product_id=product_id,
            lot="L-1",
            size=size,
            placement=Placement.OUTSIDE,
            level=level,
            actor=OPERATOR,
            now=now,
        )
        codes.activate(session, batch_id=batch_id, actor=OPERATOR, now=now)
        return batch_id

    sizes: Iterable[tuple[int, CodeLevel]] = (
        (100 * PER_CASE, CodeLevel.ITEM),
        (100, CodeLevel.CASE),
        (10, CodeLevel.PALLET),
    )
    return Factory(session, clock, brand_id, *(batch(size, level) for size, level in sizes))


@pytest.fixture
def factory(session: Session, clock: ManualClock) -> Factory:
    return build(session, clock)
