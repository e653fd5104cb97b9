"""Scans: what they come to, that they burn nothing, and that their cost does not grow."""

from collections.abc import Callable
from datetime import timedelta
from urllib.parse import quote

import pytest
from sqlalchemy import func, insert, select, text
from sqlalchemy.orm import Session

from app.codes import operations, queries
from app.codes.errors import CodeAlreadyDrawn, NotACode, UnknownBatch, UnknownScan
from app.codes.format import BatchKey
from app.codes.models import CodeClaim, CodeRange, RangeAspect, Scan
from app.codes.outcome import Placement, ScanOutcome
from app.db.engine import Database
from app.kernel.ids import new_id

ME, ANOTHER, MY_OTHER_SELF = 1, 2, 3


def rows_of(session: Session, table: type) -> int:
    return session.scalar(select(func.count()).select_from(table)) or 0


def test_a_good_code_is_ok_and_says_what_it_is_on(shop, session: Session) -> None:
    batch_id = shop.batch()
    shop.mark(operations.ship, batch_id, region="310000", attributes={"case": "C-1", "channel": "KA"})
    result = shop.scan(shop.code(batch_id, 7), region_hint="310115")
    assert result.outcome is ScanOutcome.OK
    assert (result.code.batch_id, result.code.code_index, result.code.lot) == (batch_id, 7, "L-1")
    assert (result.code.product_id, result.code.region) == (shop.product_id, "310000")
    assert result.code.attributes == {"case": "C-1", "channel": "KA"}
    recorded = queries.scan(session, scan_id=result.scan_id)
    assert (recorded.batch_id, recorded.code_index) == (batch_id, 7)
    assert (recorded.person_id, recorded.outcome, recorded.region) == (ME, ScanOutcome.OK, "310115")
    assert recorded.at == shop.clock.now()


@pytest.mark.parametrize("write", [str.lower, lambda code: "-".join((code[:8], code[8:]))])
def test_a_code_may_come_in_any_way_that_wechat_or_people_write_it(shop, write) -> None:
    code = shop.code(shop.batch(), 1)
    link = shop.book.link.url(code)
    for given in (write(code), link, quote(link, safe="")):
        assert shop.scan(given).outcome is ScanOutcome.OK


def test_a_misread_code_is_altered(shop, session: Session) -> None:
    code = shop.code(shop.batch(), 1)
    wrong = ("0" if code[0] != "0" else "1") + code[1:]
    result = shop.scan(wrong)
    assert result.outcome is ScanOutcome.ALTERED
    assert result.code is None
    recorded = queries.scan(session, scan_id=result.scan_id)
    assert (recorded.batch_id, recorded.code_index, recorded.outcome) == (None, None, ScanOutcome.ALTERED)


def test_codes_that_nobody_issued_are_unknown_and_all_look_the_same(shop) -> None:
    """No such batch, no such index, a tag under another key: the answers do not differ."""
    batch_id = shop.batch(size=10)
    pack = queries.print_pack(shop.session, book=shop.book, batch_id=batch_id, now=shop.clock.now())
    made_up = [
        shop.book.keys.encode(batch_id + 1, 1, pack.batch_key),
        shop.book.keys.encode(batch_id, 10, pack.batch_key),
        shop.book.keys.encode(batch_id, 1, BatchKey(b"x" * 32)),
    ]
    results = [shop.scan(code) for code in made_up]
    assert {result.outcome for result in results} == {ScanOutcome.UNKNOWN}
    assert all(result.code is None and result.earlier_scans == 0 for result in results)
    assert all(result.first_scanned_at is None for result in results)


def test_what_is_no_code_is_refused_and_not_recorded(shop, session: Session) -> None:
    with pytest.raises(NotACode):
        shop.scan("https://evil.example.com/q/1BC3089MEPAVTQXC")
    assert rows_of(session, Scan) == 0


def test_an_inactive_code_waits_for_its_activation(shop) -> None:
    batch_id = shop.batch(activated=False)
    code = shop.code(batch_id, 5)
    assert shop.scan(code).outcome is ScanOutcome.INACTIVE
    shop.mark(operations.activate, batch_id, first_index=5, last_index=5)
    assert shop.scan(code).outcome is ScanOutcome.OK
    assert shop.scan(shop.code(batch_id, 6)).outcome is ScanOutcome.INACTIVE


def test_a_frozen_range_is_stopped_until_it_is_freed(shop) -> None:
    """CODE-12: abnormal code packages stop as an emergency act."""
    batch_id = shop.batch()
    shop.mark(operations.freeze, batch_id, reason="stolen", first_index=100, last_index=199)
    assert shop.scan(shop.code(batch_id, 100)).outcome is ScanOutcome.FROZEN
    assert shop.scan(shop.code(batch_id, 199)).outcome is ScanOutcome.FROZEN
    assert shop.scan(shop.code(batch_id, 99)).outcome is ScanOutcome.OK
    assert shop.scan(shop.code(batch_id, 200)).outcome is ScanOutcome.OK
    shop.mark(operations.unfreeze, batch_id, reason="found a box", first_index=150, last_index=159)
    assert [shop.scan(shop.code(batch_id, index)).outcome for index in (149, 150, 159, 160)] == [
        ScanOutcome.FROZEN,
        ScanOutcome.OK,
        ScanOutcome.OK,
        ScanOutcome.FROZEN,
    ]
    shop.mark(operations.unfreeze, batch_id, reason="found")
    assert shop.scan(shop.code(batch_id, 149)).outcome is ScanOutcome.OK


def test_a_code_printed_outside_waits_for_its_shipment(shop) -> None:
    batch_id = shop.batch(placement=Placement.OUTSIDE)
    code = shop.code(batch_id, 5)
    assert shop.scan(code).outcome is ScanOutcome.NOT_SHIPPED
    shop.mark(operations.ship, batch_id, region=None, first_index=0, last_index=23)
    assert shop.scan(code).outcome is ScanOutcome.OK


def test_a_scan_burns_nothing(shop, session: Session) -> None:
    """CODE-08: factory, warehouse, shop and shopper may scan as often as they like."""
    code = shop.code(shop.batch(), 5)
    for person in range(1, 20):
        assert shop.scan(code, person).outcome is ScanOutcome.OK
    assert rows_of(session, CodeClaim) == 0


def test_a_drawn_code_is_mine_or_anothers(shop) -> None:
    batch_id = shop.batch()
    code = shop.code(batch_id, 5)
    shop.claim(batch_id, 5, draw_id=4711, person=ME)
    mine, others = shop.scan(code, ME), shop.scan(code, ANOTHER)
    assert (mine.outcome, mine.drawn_draw_id) == (ScanOutcome.DRAWN_BY_ME, 4711)
    assert others.outcome is ScanOutcome.DRAWN_BY_ANOTHER
    assert shop.scan(code, MY_OTHER_SELF, ME).outcome is ScanOutcome.DRAWN_BY_ME


def test_a_code_is_claimed_once(shop, session: Session) -> None:
    """CODE-11: replaying the same code never yields a second prize."""
    batch_id = shop.batch()
    shop.claim(batch_id, 5, draw_id=1, person=ME)
    for person in (ME, ANOTHER):
        with pytest.raises(CodeAlreadyDrawn) as refusal:
            shop.claim(batch_id, 5, draw_id=2, person=person)
        assert (refusal.value.code, refusal.value.status) == ("code_already_drawn", 409)
    assert session.execute(select(CodeClaim.draw_id)).scalars().all() == [1]
    shop.claim(batch_id, 6, draw_id=2, person=ME)


def test_a_refused_claim_leaves_the_transaction_usable(shop, session: Session) -> None:
    batch_id = shop.batch()
    shop.claim(batch_id, 5)
    with pytest.raises(CodeAlreadyDrawn):
        shop.claim(batch_id, 5)
    assert shop.scan(shop.code(batch_id, 5)).outcome is ScanOutcome.DRAWN_BY_ME


def test_scanned_before_and_when_first(shop) -> None:
    """CODE-08: a scan tells whether the code was scanned before."""
    code = shop.code(shop.batch(), 5)
    began = shop.clock.now()
    first = shop.scan(code, ANOTHER)
    assert (first.earlier_scans, first.first_scanned_at, first.first_scanned_by_me) == (0, began, True)
    shop.clock.advance(timedelta(days=3))
    second = shop.scan(code, ME)
    assert (second.earlier_scans, second.first_scanned_at, second.first_scanned_by_me) == (1, began, False)
    third = shop.scan(code, MY_OTHER_SELF, ANOTHER)
    assert (third.earlier_scans, third.first_scanned_at, third.first_scanned_by_me) == (2, began, True)


def test_scans_in_the_factory_and_the_warehouse_are_no_earlier_scans(shop) -> None:
    batch_id = shop.batch(placement=Placement.OUTSIDE, activated=False)
    code = shop.code(batch_id, 5)
    factory = shop.scan(code, ANOTHER)
    assert (factory.outcome, factory.earlier_scans, factory.first_scanned_at) == (
        ScanOutcome.INACTIVE,
        0,
        None,
    )
    shop.mark(operations.activate, batch_id)
    assert shop.scan(code, ANOTHER).outcome is ScanOutcome.NOT_SHIPPED
    shop.mark(operations.ship, batch_id, region="310000")
    shop.clock.advance(timedelta(days=9))
    shopper = shop.scan(code, ME)
    assert (shopper.earlier_scans, shopper.first_scanned_at) == (0, shop.clock.now())
    assert shop.scan(code, ME).earlier_scans == 1


def test_the_history_of_a_code_is_told_newest_first_and_bounded(shop, session: Session) -> None:
    batch_id = shop.batch()
    for person in range(1, 31):
        shop.scan(shop.code(batch_id, 5), person)
    shop.scan(shop.code(batch_id, 6), 99)
    told = queries.history(session, batch_id=batch_id, code_index=5)
    assert [scan.person_id for scan in told] == list(range(30, 10, -1))
    assert queries.history(session, batch_id=batch_id, code_index=7) == []


def test_checking_without_wechat_tells_and_records_nothing(shop, session: Session) -> None:
    batch_id = shop.batch()
    code = shop.code(batch_id, 5)
    shop.scan(code)
    facts = queries.check(session, book=shop.book, text=code)
    assert (facts.batch_id, facts.code_index) == (batch_id, 5)
    assert facts.earlier is not None
    assert (facts.earlier.scans, facts.earlier.first_at) == (1, shop.clock.now())
    altered = ("0" if code[0] != "0" else "1") + code[1:]
    assert queries.check(session, book=shop.book, text=altered) is None
    with pytest.raises(NotACode):
        queries.check(session, book=shop.book, text="hello")
    assert rows_of(session, Scan) == 1


def test_the_draw_sees_what_happened_since_the_scan(shop, session: Session) -> None:
    batch_id = shop.batch()
    shop.scan(shop.code(batch_id, 5))
    shop.mark(operations.freeze, batch_id, reason="stop")
    facts = queries.code_facts(session, batch_id=batch_id, code_index=5)
    assert facts.frozen
    with pytest.raises(UnknownBatch):
        queries.code_facts(session, batch_id=batch_id, code_index=1000)
    with pytest.raises(UnknownScan):
        queries.scan(session, scan_id=1)


def test_a_scan_is_two_statements_and_a_claim_is_one(shop, count_statements: Callable[[], list[str]]) -> None:
    batch_id = shop.batch()
    code = shop.code(batch_id, 5)
    statements = count_statements()
    shop.scan(code)
    assert [statement.split()[0] for statement in statements] == ["SELECT", "INSERT"]
    statements.clear()
    shop.claim(batch_id, 5)
    assert [statement.split()[0] for statement in statements] == ["INSERT"]
    statements.clear()
    queries.code_facts(shop.session, batch_id=batch_id, code_index=5)
    assert len(statements) == 1


def test_the_cost_of_a_scan_grows_with_nothing(clean_db: Database, make_shop) -> None:
    """Rows read by the server, for an empty history and for a full one: the same handful."""

    def rows_read(session: Session, batch_id: int, index: int) -> int:
        def total() -> int:
            status = session.execute(text("SHOW SESSION STATUS LIKE 'Handler_read%'"))
            return sum(int(value) for _, value in status)

        before = total()
        again = total()
        queries.code_facts(session, batch_id=batch_id, code_index=index)
        return total() - again - (again - before)

    with clean_db.unit_of_work() as session:
        shop = make_shop(session)
        batch_id = shop.batch(size=1_000_000)
        for _ in range(50):
            shop.batch(size=10)
        shop.scan(shop.code(batch_id, 500_001))
        few = rows_read(session, batch_id, 500_001)
        cases = [
            {
                "batch_id": batch_id,
                "aspect": RangeAspect.SHIPPED,
                "first_index": first,
                "last_index": first + 23,
                "region": "310000",
                "attributes": {"case": f"C-{first}"},
            }
            for first in range(0, 960_000, 48)
        ]
        session.execute(insert(CodeRange), cases)
        scan = {
            "person_id": ME,
            "batch_id": batch_id,
            "code_index": 500_001,
            "outcome": ScanOutcome.OK,
            "at": shop.clock.now(),
            "counted_scans": 1,
        }
        session.execute(insert(Scan), [{**scan, "id": new_id()} for _ in range(20_000)])
    with clean_db.unit_of_work() as session:
        session.execute(text("ANALYZE TABLE scans, code_ranges, code_batches, code_claims"))
        assert rows_read(session, batch_id, 500_001) <= few + 2 <= 12
        assert rows_read(session, batch_id, 999_999) <= 12
