"""A month for finance: what was due, the file for the return, paying it."""

import csv
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from openpyxl import load_workbook
from sqlalchemy.orm import Session

from app.alerts.queries import open_alerts
from app.identity.operations import merge
from app.ledger.queries import open_balance
from app.reconciliation.export import write_csv, write_xlsx
from app.rewards import operations as rewards
from app.rewards.models import AwardKind, DeliveryWay
from app.tax import notice, operations, queries
from app.tax.documents import Document, Identity
from app.tax.errors import BadMonth, BadReference, MonthNotOver, NothingOwed, ReferenceUsed
from app.tax.export import PERSON_COLUMNS, UNNAMED_COLUMNS, MonthBook
from app.tax.queries import Standing
from app.tax.terms import TaxBearer, TaxedKind
from tests.factories.identities import card
from tests.factories.people import EVERYTHING
from tests.factories.prizes import OPERATOR, PrizeWorld
from tests.factories.taxes import taxed

MONTH = "2026-10"


@pytest.fixture
def october(world: PrizeWorld) -> PrizeWorld:
    """Somebody with a name got 10 yuan and a cup, two others a cup each, one of them at the last moment."""
    world.clock.set(datetime(2026, 10, 5, 4, tzinfo=UTC))
    known = world.person()
    world.do(
        operations.give_identity,
        person_id=known,
        identity=Identity("张三", Document.RESIDENT_ID, card(date(1990, 1, 1))),
        notice_version=notice.VERSION,
    )
    won = world.grant(known, amount_fen=1_000, tax=taxed(1_000))
    number = world.collect(won).bill.bill_no
    world.drain()
    world.pay.confirm(number)
    world.call_back(number)
    world.drain()
    cup(world, known)
    cup(world, world.person())
    world.clock.set(datetime(2026, 10, 31, 15, 59, 59, 999999, tzinfo=UTC))
    cup(world, world.person())
    world.clock.advance(timedelta(microseconds=1))
    return world


def test_a_name_stands_for_everybody_who_somebody_is(october: PrizeWorld) -> None:
    known, other, third = october.people
    october.do(merge, person_id=other, other_id=known, reason="the same", actor=OPERATOR, although=EVERYTHING)
    found = october.read(queries.identities_of, person_ids=october.people)
    assert found[other] == found[known]
    assert third not in found


def cup(world: PrizeWorld, person: int) -> None:
    tax = taxed(4_000, kind=TaxedKind.GOODS)
    won = world.grant(person, kind=AwardKind.GOODS, delivery=DeliveryWay.STORE, tax=tax)
    world.do(rewards.hand_over, award_id=won.id)


def remit(world: PrizeWorld, reference: str = "R-1", month: str = MONTH) -> int:
    where = {"brand_id": world.brand_id, "month": month}
    return world.do(operations.remit, **where, reference=reference, actor=OPERATOR)


def standing(world: PrizeWorld) -> Standing:
    return world.read(queries.standing, brand_id=world.brand_id, month=MONTH)


def withheld_fen(world: PrizeWorld) -> int:
    def look(session: Session) -> int:
        account = queries.withheld_account_id(session, brand_id=world.brand_id)
        return 0 if account is None else open_balance(session, account)

    return world.read(look)


def test_a_month_is_added_up_by_campaign_and_bearer(october: PrizeWorld) -> None:
    lines = october.read(queries.report, brand_id=october.brand_id, month=MONTH)
    assert lines == [
        queries.Line(1, TaxBearer.BRAND, 3, 3, 15_000, 3_000, 12_000),
        queries.Line(1, TaxBearer.WINNER, 1, 1, 1_000, 200, 800),
    ]
    assert standing(october) == Standing(due_fen=3_200, remitted_fen=0, parts=0)
    assert withheld_fen(october) == 3_200
    assert october.read(queries.report, brand_id=october.brand_id, month="2026-11") == []
    assert october.read(queries.report, brand_id=october.brand_id + 1, month=MONTH) == []


def test_what_was_withheld_leaves_the_account_when_it_is_paid(october: PrizeWorld) -> None:
    assert remit(october) == 3_200
    assert (withheld_fen(october), standing(october)) == (0, Standing(3_200, 3_200, 1))
    assert october.books()["tax"] == 3_200
    with pytest.raises(NothingOwed):
        remit(october, "R-2")


def test_what_came_late_is_a_second_part(october: PrizeWorld) -> None:
    remit(october)
    october.clock.advance(timedelta(microseconds=-1))
    cup(october, october.person())
    october.clock.advance(timedelta(seconds=1))
    with pytest.raises(ReferenceUsed):
        remit(october)
    assert remit(october, "R-2") == 1_000
    assert (withheld_fen(october), standing(october).parts) == (0, 2)


def test_what_is_not_paid(october: PrizeWorld) -> None:
    with pytest.raises(MonthNotOver):
        remit(october, month="2026-11")
    with pytest.raises(NothingOwed):
        remit(october, month="2026-09")
    with pytest.raises(BadMonth):
        remit(october, month="October")
    for reference in ("", " ", "R" * 41, "R\n1"):
        with pytest.raises(BadReference):
            remit(october, reference)
    october.clock.advance(timedelta(microseconds=-1))
    with pytest.raises(MonthNotOver):
        remit(october)
    assert withheld_fen(october) == 3_200


def test_pages_follow_one_another_without_loss(october: PrizeWorld) -> None:
    where: dict[str, Any] = {"brand_id": october.brand_id, "month": MONTH}
    all_of_them = october.read(queries.receipts, **where)
    assert len(all_of_them) == 4
    found, after = [], None
    while page := october.read(queries.receipts, **where, after=after, limit=1):
        found += page
        after = (page[-1].due_at, page[-1].award_id)
    assert found == all_of_them


def book(world: PrizeWorld, session: Session) -> MonthBook:
    named = {1: "june"}
    return MonthBook(
        session, brand_id=world.brand_id, month=MONTH, campaigns=named, award=lambda n: f"aw_{n}"
    )


def test_the_file_names_who_is_known_and_adds_up_the_others(october: PrizeWorld, tmp_path: Path) -> None:
    into = tmp_path / "october.xlsx"

    def write(session: Session) -> int:
        made = book(october, session)
        return write_xlsx(
            into,
            {"persons": (PERSON_COLUMNS, made.persons()), "unnamed": (UNNAMED_COLUMNS, made.unnamed())},
        )

    assert october.read(write) == 3
    sheets = load_workbook(into)
    money, thing = ([cell.value for cell in row] for row in sheets["persons"].iter_rows(min_row=2))
    number = card(date(1990, 1, 1))
    assert money[:8] == ["张三", "居民身份证 resident identity card", number, *money[3:4], 10, 20, 2, 8]
    assert money[8:12] == ["中奖人 winner", "2026-10-05", "现金 money", "june"]
    assert (thing[4], thing[6], thing[8]) == (50, 10, "主办方 organiser")
    (row,) = ([cell.value for cell in row] for row in sheets["unnamed"].iter_rows(min_row=2))
    assert row[1:] == ["june", "实物 goods", "主办方 organiser", 2, 100, 20, 80]
    sheets.close()


def test_a_csv_holds_the_same_and_the_whole_month_is_in_either(october: PrizeWorld, tmp_path: Path) -> None:
    def write(session: Session) -> None:
        made = book(october, session)
        write_csv(tmp_path / "persons.csv", PERSON_COLUMNS, made.persons())
        write_csv(tmp_path / "unnamed.csv", UNNAMED_COLUMNS, made.unnamed())

    october.read(write)
    sums = 0.0
    for name, column in (("persons", 6), ("unnamed", 6)):
        with (tmp_path / f"{name}.csv").open(encoding="utf-8-sig", newline="") as file:
            sums += sum(float(row[column]) for row in list(csv.reader(file))[1:])
    assert round(sums * 100) == standing(october).due_fen


def unpaid(world: PrizeWorld) -> list[str]:
    return [one.subject for one in world.read(open_alerts) if one.kind == operations.UNPAID_ALERT]


def test_from_the_tenth_on_somebody_is_reminded_until_it_is_paid(october: PrizeWorld) -> None:
    october.clock.set(datetime(2026, 11, 9, 15, 59, tzinfo=UTC))
    assert october.do(operations.remind) == 0
    october.clock.set(datetime(2026, 11, 9, 16, 0, tzinfo=UTC))
    assert [october.do(operations.remind) for _ in range(2)] == [1, 1]
    assert unpaid(october) == ["tea:2026-10"]
    remit(october)
    assert (unpaid(october), october.do(operations.remind)) == ([], 0)
