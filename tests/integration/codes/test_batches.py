"""Batches and what is done to ranges of them."""

import json
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from app.catalogue.errors import UnknownProduct
from app.codes import operations, queries
from app.codes.book import CodeBook
from app.codes.errors import InvalidBatch, InvalidRange, NoBatchLeft, UnknownBatch
from app.codes.format import MAX_BATCH_ID, MAX_BATCH_SIZE
from app.codes.models import CodeBatch, CodeRange, RangeAspect
from app.codes.outcome import Placement
from app.codes.packs import write_csv
from app.db import secrets
from app.db.engine import Database
from app.kernel.errors import DomainError

WHOLE = (0, None)


def ranges(session: Session, batch_id: int, aspect: RangeAspect) -> list[tuple[int, int]]:
    wanted = (
        select(CodeRange.first_index, CodeRange.last_index)
        .where(CodeRange.batch_id == batch_id, CodeRange.aspect == aspect)
        .order_by(CodeRange.first_index)
    )
    return [(first, last) for first, last in session.execute(wanted)]


def test_batches_are_numbered_and_have_keys_of_their_own(shop, session: Session) -> None:
    first, second = shop.batch(), shop.batch(lot="L-2")
    assert second == first + 1
    view = queries.batch(session, batch_id=second)
    assert (view.lot, view.size, view.placement) == ("L-2", 1000, Placement.UNDER_CAP)
    assert (view.created_by, view.created_at) == ("olga", shop.clock.now())
    assert shop.code(first, 0) != shop.code(second, 0)
    keys = session.scalars(select(CodeBatch.key)).all()
    assert len(set(keys)) == 2
    assert all(len(bytes.fromhex(key)) == 32 for key in keys)


def test_the_key_of_a_batch_is_not_readable_in_the_database(shop, session: Session) -> None:
    batch_id = shop.batch()
    key = session.scalars(select(CodeBatch.key)).one()
    sealed = session.execute(text("SELECT `key` FROM code_batches")).scalar_one()
    assert key.encode() not in sealed
    assert secrets.ring().open("code_batches.key", sealed).decode() == key
    assert batch_id == 1


@pytest.mark.parametrize(
    ("placement", "asked", "needed"),
    [
        (Placement.OUTSIDE, None, True),
        (Placement.UNDER_CAP, None, False),
        (Placement.OUTSIDE, False, False),
        (Placement.UNDER_CAP, True, True),
    ],
)
def test_codes_printed_outside_need_shipping_unless_told_otherwise(
    shop, session: Session, placement: Placement, asked: bool | None, needed: bool
) -> None:
    batch_id = shop.batch(placement=placement, needs_shipping=asked)
    assert queries.batch(session, batch_id=batch_id).needs_shipping is needed


@pytest.mark.parametrize("facts", [{"size": 0}, {"size": MAX_BATCH_SIZE + 1}, {"lot": ""}, {"lot": "L" * 65}])
def test_a_batch_that_cannot_be_is_refused(shop, facts: dict[str, object]) -> None:
    with pytest.raises(InvalidBatch):
        shop.batch(**facts)


def test_a_batch_needs_a_product(shop) -> None:
    with pytest.raises(UnknownProduct):
        shop.batch(product_id=1)


def test_after_the_last_number_there_is_no_batch(shop, session: Session) -> None:
    session.execute(
        text("UPDATE code_batches SET id = :last WHERE id = :id"),
        {"id": shop.batch(activated=False), "last": MAX_BATCH_ID},
    )
    with pytest.raises(NoBatchLeft):
        shop.batch()


@pytest.mark.parametrize(
    "broken", ["size = 0", "size = 134217729", "id = 0", "id = 16777216", "placement = 'inside'"]
)
def test_the_database_refuses_a_batch_that_cannot_be(shop, session: Session, broken: str) -> None:
    shop.batch(activated=False)
    with pytest.raises(DBAPIError, match="ck_code_batches"):
        session.execute(text(f"UPDATE code_batches SET {broken}"))


@pytest.mark.parametrize("broken", ["first_index = -1", "last_index = first_index - 1", "aspect = 'melted'"])
def test_the_database_refuses_a_range_that_cannot_be(shop, session: Session, broken: str) -> None:
    shop.batch()
    with pytest.raises(DBAPIError, match="ck_code_ranges"):
        session.execute(text(f"UPDATE code_ranges SET {broken}"))


def test_batches_are_listed_newest_first_and_by_brand(shop, session: Session) -> None:
    numbers = [shop.batch(activated=False) for _ in range(4)]
    listed = queries.batches(session, limit=2)
    assert [batch.id for batch in listed] == [numbers[3], numbers[2]]
    assert [batch.id for batch in queries.batches(session, before=numbers[2])] == [numbers[1], numbers[0]]
    brand_id = listed[0].brand_id
    assert len(queries.batches(session, brand_id=brand_id)) == 4
    assert queries.batches(session, brand_id=brand_id + 1) == []


def test_an_unknown_batch_is_told(shop, session: Session) -> None:
    with pytest.raises(UnknownBatch):
        queries.batch(session, batch_id=77)
    with pytest.raises(UnknownBatch):
        queries.print_pack(session, book=shop.book, batch_id=77, now=shop.clock.now())
    with pytest.raises(UnknownBatch):
        shop.mark(operations.activate, 77)


def test_marking_twice_changes_nothing(shop, session: Session) -> None:
    batch_id = shop.batch(activated=False)
    shop.mark(operations.activate, batch_id, first_index=10, last_index=19)
    shop.mark(operations.activate, batch_id, first_index=10, last_index=19)
    assert ranges(session, batch_id, RangeAspect.ACTIVATED) == [(10, 19)]
    assert queries.range_totals(session, batch_id=batch_id) == {
        RangeAspect.ACTIVATED: 10,
        RangeAspect.FROZEN: 0,
        RangeAspect.SHIPPED: 0,
    }


def test_unfreezing_the_middle_leaves_both_ends_frozen(shop, session: Session) -> None:
    batch_id = shop.batch()
    shop.mark(operations.freeze, batch_id, reason="stolen pallet")
    shop.mark(operations.unfreeze, batch_id, reason="found again", first_index=100, last_index=199)
    assert ranges(session, batch_id, RangeAspect.FROZEN) == [(0, 99), (200, 999)]


def test_the_latest_shipment_counts_and_the_rest_of_an_earlier_one_stays(shop, session: Session) -> None:
    batch_id = shop.batch()
    shop.mark(operations.ship, batch_id, region="310000", attributes={"channel": "KA"}, last_index=99)
    shop.mark(operations.ship, batch_id, region="330100", first_index=40, last_index=59)
    seen = [
        queries.code_facts(session, batch_id=batch_id, code_index=index) for index in (39, 40, 59, 60, 100)
    ]
    assert [facts.region for facts in seen] == ["310000", "330100", "330100", "310000", None]
    assert [facts.attributes for facts in seen] == [{"channel": "KA"}, {}, {}, {"channel": "KA"}, {}]
    assert [facts.shipped for facts in seen] == [True, True, True, True, False]


@pytest.mark.parametrize(
    "facts",
    [
        {"region": "Shanghai"},
        {"region": "900000"},
        {"region": None, "attributes": {"colour": "7"}},
        {"region": None, "attributes": {"case": ""}},
        {"region": None, "attributes": {"case": "c" * 65}},
        {"region": None, "first_index": -1},
        {"region": None, "last_index": 1000},
        {"region": None, "first_index": 5, "last_index": 4},
    ],
)
def test_a_shipment_that_cannot_be_is_refused(shop, session: Session, facts: dict[str, object]) -> None:
    batch_id = shop.batch()
    with pytest.raises(InvalidRange):
        shop.mark(operations.ship, batch_id, **facts)
    assert ranges(session, batch_id, RangeAspect.SHIPPED) == []


@pytest.mark.parametrize("reason", ["", "  ", "r" * 201])
def test_freezing_needs_a_reason(shop, reason: str) -> None:
    with pytest.raises(InvalidRange, match="reason"):
        shop.mark(operations.freeze, shop.batch(), reason=reason)


def test_what_was_done_is_kept_with_who_when_and_why(shop, session: Session) -> None:
    batch_id = shop.batch()
    shop.mark(operations.ship, batch_id, region="310000", attributes={"case": "C-1"}, last_index=23)
    shop.clock.advance(timedelta(hours=1))
    shop.mark(operations.freeze, batch_id, reason="pallet missing", first_index=10, last_index=20)
    shop.mark(operations.unfreeze, batch_id, reason="found", first_index=10, last_index=20)
    events = queries.range_events(session, batch_id=batch_id)
    assert [event.kind.value for event in events] == ["unfrozen", "frozen", "shipped", "activated"]
    frozen, shipped = events[1], events[2]
    assert (frozen.first_index, frozen.last_index, frozen.reason) == (10, 20, "pallet missing")
    assert (frozen.actor, frozen.at) == ("olga", shop.clock.now())
    assert (shipped.region, shipped.attributes) == ("310000", {"case": "C-1"})
    assert [event.kind.value for event in queries.range_events(session, batch_id=batch_id, limit=1)] == [
        "unfrozen"
    ]
    assert len(queries.range_events(session, batch_id=batch_id, before=frozen.id)) == 2


STEPS = st.tuples(
    st.sampled_from(["activate", "freeze", "unfreeze", "ship"]), st.integers(0, 29), st.integers(0, 29)
)


@given(st.lists(STEPS, max_size=12))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_ranges_say_what_was_done_last_to_each_code(shop, session: Session, steps) -> None:
    """Against a plain model, index by index; and no two ranges of an aspect overlap."""
    savepoint = session.begin_nested()
    batch_id = shop.batch(size=30, activated=False)
    model = {index: {"activated": False, "frozen": False, "region": None} for index in range(30)}
    for number, (step, one, other) in enumerate(steps):
        first, last = sorted((one, other))
        facts: dict[str, object] = {}
        region = f"{310000 + number}"
        if step == "ship":
            facts["region"] = region
        elif step != "activate":
            facts["reason"] = "because"
        shop.mark(getattr(operations, step), batch_id, first_index=first, last_index=last, **facts)
        for index in range(first, last + 1):
            if step == "ship":
                model[index]["region"] = region
            else:
                key, value = {"activate": ("activated", True), "freeze": ("frozen", True)}.get(
                    step, ("frozen", False)
                )
                model[index][key] = value
    for index, expected in model.items():
        seen = queries.code_facts(session, batch_id=batch_id, code_index=index)
        assert {"activated": seen.activated, "frozen": seen.frozen, "region": seen.region} == expected
        assert seen.shipped == (expected["region"] is not None)
    for aspect in RangeAspect:
        stored = ranges(session, batch_id, aspect)
        assert all(left[1] < right[0] for left, right in pairwise(stored))
    savepoint.rollback()


def test_freezing_a_batch_of_many_ranges_takes_as_many_statements_as_of_one(
    shop, session: Session, count_statements: Callable[[], list[str]]
) -> None:
    batch_id = shop.batch()
    for first in range(0, 1000, 10):
        shop.mark(operations.freeze, batch_id, reason="case", first_index=first, last_index=first + 9)
    statements = count_statements()
    shop.mark(operations.freeze, batch_id, reason="all of it")
    assert len(statements) <= 6
    assert ranges(session, batch_id, RangeAspect.FROZEN) == [(0, 999)]


def test_a_print_pack_has_codes_that_scan(shop, session: Session, tmp_path) -> None:
    batch_id = shop.batch(size=50)
    pack = queries.print_pack(
        session, book=shop.book, batch_id=batch_id, now=shop.clock.now(), first_index=30, count=10
    )
    manifest = write_csv(pack, tmp_path)
    lines = (tmp_path / manifest.files[0].name).read_text().splitlines()[1:]
    assert len(lines) == 10
    for index, line in enumerate(lines, start=30):
        assert shop.scan(line.split(",")[2]).code.code_index == index
    told = json.loads(manifest.path(tmp_path).read_text())["batch"]
    assert told == {
        "number": batch_id,
        "brand": "tea",
        "sku": "T-330",
        "name_zh": "绿茶",
        "name_en": "Green tea",
        "lot": "L-1",
    }


@pytest.mark.parametrize(("first", "count"), [(-1, 5), (0, 0), (0, 51), (50, None), (49, 2)])
def test_a_print_pack_lies_in_its_batch(shop, session: Session, first: int, count: int | None) -> None:
    batch_id = shop.batch(size=50)
    with pytest.raises(InvalidRange, match="50 codes"):
        queries.print_pack(
            session,
            book=shop.book,
            batch_id=batch_id,
            now=shop.clock.now(),
            first_index=first,
            count=count,
        )


def test_it_all_works_on_sqlite(sqlite_db: Database, make_shop, book: CodeBook) -> None:
    with sqlite_db.unit_of_work() as session:
        shop = make_shop(session)
        batch_id = shop.batch(placement=Placement.OUTSIDE)
        assert shop.scan(shop.code(batch_id, 3)).outcome.value == "not_shipped"
        shop.mark(operations.ship, batch_id, region="310000", attributes={"case": "C"})
        result = shop.scan(shop.code(batch_id, 3))
        assert (result.outcome.value, result.earlier_scans) == ("ok", 0)
        shop.claim(batch_id, 3)
        assert shop.scan(shop.code(batch_id, 3)).outcome.value == "drawn_by_me"
        with pytest.raises(DomainError, match="used for a draw"), session.begin_nested():
            shop.claim(batch_id, 3)
