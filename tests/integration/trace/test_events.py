"""What happened to codes is recorded once, in the terms of EPCIS, and moves the one truth about shipments."""

from datetime import timedelta

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.organisation.errors import UnknownDealer
from app.trace import operations, queries
from app.trace.errors import AlreadyDeclared, EventIdTaken, InvalidEvent, UnknownEvent
from app.trace.events import Action, Declaration, Run, Step
from app.trace.models import TraceEvent
from app.trace.operations import Recorded
from tests.integration.trace.conftest import MORNING, OPERATOR, aggregation, thing


def life(factory, index: int) -> list[str]:
    events = queries.events_of(factory.session, batch_id=factory.items, index=index)
    return [event.step.value for event in events]


def test_the_life_of_a_bottle_is_told_in_the_order_of_events(factory) -> None:
    factory.ship(Run(factory.items, 0, 99), hours=5, dealer="EAST")
    factory.record(thing(Step.COMMISSIONING, Action.ADD, runs=(Run(factory.items, 0, 2399),)))
    factory.record(
        thing(
            Step.RETAIL_SELLING,
            Action.OBSERVE,
            codes=(factory.code(factory.items, 7),),
            store="S-1",
            event_time=MORNING + timedelta(days=9),
        )
    )
    assert life(factory, 7) == ["commissioning", "shipping", "retail_selling"]
    assert life(factory, 8) == ["commissioning", "shipping"]
    assert life(factory, 100) == ["commissioning"]
    sold = queries.events_of(factory.session, batch_id=factory.items, index=7)[-1]
    assert (sold.store, sold.dealer, sold.zone_minutes) == ("S-1", "EAST", 480)
    assert sold.record_time == factory.clock.now()


def test_a_shipped_pallet_ships_all_that_lies_in_it(factory) -> None:
    factory.pack(Run(factory.cases, 0, 99), Run(factory.items, 0, 2399))
    factory.pack(Run(factory.pallets, 0, 9), Run(factory.cases, 0, 99))
    factory.ship(Run(factory.pallets, 3, 3), dealer="EAST", attributes={"order": "PO-1"})
    assert factory.shipped_to(factory.cases, 30) == ("310000", "EAST")
    assert factory.shipped_to(factory.items, 39 * 24 + 23) == ("310000", "EAST")
    assert factory.shipped_to(factory.items, 40 * 24) == (None, None)
    # Taken out of its case later, the bottle was still shipped.
    factory.record(
        aggregation(Step.UNPACKING, Action.DELETE, parents=(Run(factory.cases, 30, 30),), event_time=MORNING)
    )
    assert "shipping" in life(factory, 30 * 24)
    assert queries.parent_of(factory.session, batch_id=factory.items, index=30 * 24) is None


def test_a_late_report_of_an_early_shipment_does_not_move_the_goods_back(factory) -> None:
    factory.ship(Run(factory.items, 10, 19), hours=8, dealer="SOUTH", region="440300")
    factory.ship(Run(factory.items, 0, 99), hours=2, dealer="EAST")
    assert factory.shipped_to(factory.items, 9) == ("310000", "EAST")
    assert factory.shipped_to(factory.items, 10) == ("440300", "SOUTH")
    assert factory.shipped_to(factory.items, 19) == ("440300", "SOUTH")
    assert factory.shipped_to(factory.items, 20) == ("310000", "EAST")


def test_the_region_follows_from_store_or_dealer_when_it_is_not_said(factory) -> None:
    factory.ship(Run(factory.items, 0, 0), store="S-1")
    factory.ship(Run(factory.items, 1, 1), dealer="SOUTH")
    assert factory.shipped_to(factory.items, 0) == ("310101", "EAST")
    assert factory.shipped_to(factory.items, 1) == (None, "SOUTH"), "which of its two regions?"


def test_an_event_is_stored_once_by_its_id(factory) -> None:
    event = thing(Step.COMMISSIONING, Action.ADD, runs=(Run(factory.items, 0, 9),), event_id="urn:uuid:1")
    assert factory.record(event) is Recorded.STORED
    assert factory.record(event) is Recorded.KNOWN
    other = thing(Step.COMMISSIONING, Action.ADD, runs=(Run(factory.items, 0, 8),), event_id="urn:uuid:1")
    with pytest.raises(EventIdTaken):
        factory.record(other)
    nameless = thing(Step.COMMISSIONING, Action.ADD, runs=(Run(factory.items, 20, 29),))
    assert factory.record(nameless) is Recorded.STORED
    assert factory.record(nameless) is Recorded.KNOWN
    assert factory.session.execute(select(func.count()).select_from(TraceEvent)).scalar_one() == 2


def test_a_wrong_event_stays_and_says_so(factory) -> None:
    factory.ship(Run(factory.items, 0, 9), dealer="SOUTH", region="440300", event_id="urn:uuid:wrong")
    factory.ship(Run(factory.items, 0, 9), hours=2, dealer="EAST", event_id="urn:uuid:right")
    error = Declaration("wrong dealer", MORNING, ("urn:uuid:right",))
    declare = {"event_id": "urn:uuid:wrong", "actor": OPERATOR, "now": factory.clock.now()}
    for _ in range(2):
        operations.declare_error(factory.session, error=error, **declare)
    wrong, right = queries.events_of(factory.session, batch_id=factory.items, index=0)
    assert (wrong.wrong, wrong.corrected_by, right.wrong) == ("wrong dealer", ("urn:uuid:right",), None)
    assert factory.shipped_to(factory.items, 0) == ("310000", "EAST")
    with pytest.raises(AlreadyDeclared):
        operations.declare_error(factory.session, error=Declaration("other", MORNING), **declare)
    with pytest.raises(UnknownEvent):
        operations.declare_error(factory.session, error=error, **{**declare, "event_id": "urn:uuid:nothing"})


def test_an_event_that_arrives_as_wrong_moves_nothing(factory) -> None:
    factory.ship(
        Run(factory.items, 0, 9),
        dealer="EAST",
        event_id="urn:uuid:wrong",
        error=Declaration("never left", MORNING),
    )
    assert factory.shipped_to(factory.items, 0) == (None, None)
    assert queries.events_of(factory.session, batch_id=factory.items, index=0)[0].wrong == "never left"


def test_what_is_refused_stores_nothing(factory) -> None:
    run = Run(factory.items, 0, 9)
    with pytest.raises(UnknownDealer):
        factory.ship(run, dealer="NORTH")
    with pytest.raises(InvalidEvent, match="another dealer"):
        factory.ship(run, dealer="SOUTH", store="S-1")
    with pytest.raises(InvalidEvent):
        factory.record(thing(Step.SHIPPING, Action.ADD, runs=(run,)))
    with pytest.raises(InvalidEvent):
        factory.record(aggregation(Step.PACKING, Action.ADD, runs=(run,)))
    with pytest.raises(InvalidEvent):
        factory.ship(run, region="31")
    strange = thing(Step.SHIPPING, Action.OBSERVE, codes=("N9P4JWSJFGD7A6P0",))
    (read,) = operations.read_codes(factory.session, book=factory.book, events=[strange])
    assert isinstance(read, InvalidEvent)
    assert factory.session.execute(select(func.count()).select_from(TraceEvent)).scalar_one() == 0


def test_events_are_found_by_short_look_ups_however_their_ranges_overlap(factory, session: Session) -> None:
    batch = factory.items
    told = ((0, 2399), (0, 0), (5, 5), (3, 6), (4, 131), (5, 2399), (6, 6), (0, 4), (0, 5))
    for first, last in told:
        factory.record(thing(Step.COMMISSIONING, Action.ADD, runs=(Run(batch, first, last),)))
    for index in (0, 4, 5, 6, 131, 132, 2399):
        found = queries.events_of(session, batch_id=batch, index=index)
        ranges = [queries.event_ranges(session, event_id=event.id)[0][1] for event in found]
        assert all(run.first <= index <= run.last for run in ranges)
        assert len(found) == sum(first <= index <= last for first, last in told)
