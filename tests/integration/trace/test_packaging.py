"""What lies in what: ranges with exceptions, held against a plain dictionary."""

import random

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.codes.errors import InvalidRange
from app.codes.operations import record_scan
from app.codes.outcome import ScanOutcome
from app.identity.queries import Cluster
from app.kernel.errors import DomainError
from app.trace import packaging, queries
from app.trace.errors import AlreadyPacked, NotPacked, UnevenPackaging, WrongLevel
from app.trace.events import Run
from app.trace.models import PackagingException, PackagingRange
from app.trace.queries import CodeRef

PER_CASE = 24


def rows(session: Session) -> tuple[int, int]:
    """How many ranges and exceptions are stored."""
    found = [select(func.count()).select_from(table) for table in (PackagingRange, PackagingException)]
    return tuple(session.execute(one).scalar_one() for one in found)


def test_a_line_that_packs_a_hundred_cases_is_one_row(factory, session: Session) -> None:
    packaging.pack(session, parent=Run(factory.cases, 0, 99), child=Run(factory.items, 0, 2399))
    packaging.pack(session, parent=Run(factory.pallets, 0, 9), child=Run(factory.cases, 0, 99))
    assert rows(session) == (2, 0)
    around = queries.packages_of(session, batch_id=factory.items, index=25 * PER_CASE + 3)
    assert around == [CodeRef(factory.cases, 25), CodeRef(factory.pallets, 2)]
    assert queries.contents(session, run=Run(factory.pallets, 2, 2)) == [Run(factory.cases, 20, 29)]
    assert queries.whole(session, runs=[Run(factory.pallets, 9, 9)]) == [
        Run(factory.pallets, 9, 9),
        Run(factory.cases, 90, 99),
        Run(factory.items, 90 * PER_CASE, 2399),
    ]


def test_cases_that_are_reported_one_by_one_stay_one_row(factory, session: Session) -> None:
    for case in range(50):
        first = case * PER_CASE
        packaging.pack(
            session, parent=Run(factory.cases, case, case), child=Run(factory.items, first, first + 23)
        )
    assert rows(session) == (1, 0)
    assert queries.parent_of(session, batch_id=factory.items, index=49 * PER_CASE) == (factory.cases, 49)
    assert queries.parent_of(session, batch_id=factory.items, index=50 * PER_CASE) is None


def test_a_bottle_that_was_put_into_another_case(factory, session: Session) -> None:
    packaging.pack(session, parent=Run(factory.cases, 0, 9), child=Run(factory.items, 0, 239))
    packaging.take_out(session, child=Run(factory.items, 5, 6))
    assert queries.parent_of(session, batch_id=factory.items, index=5) is None
    packaging.pack(session, parent=Run(factory.cases, 50, 50), child=Run(factory.items, 5, 5))
    assert queries.parent_of(session, batch_id=factory.items, index=5) == (factory.cases, 50)
    assert queries.contents(session, run=Run(factory.cases, 0, 0)) == [
        Run(factory.items, 0, 4),
        Run(factory.items, 7, 23),
    ]
    assert queries.contents(session, run=Run(factory.cases, 50, 50)) == [Run(factory.items, 5, 5)]
    assert rows(session) == (1, 2)


def test_what_is_refused(factory, session: Session) -> None:
    packaging.pack(session, parent=Run(factory.cases, 0, 9), child=Run(factory.items, 0, 239))
    cases, items, pallets = factory.cases, factory.items, factory.pallets
    refused = [
        (WrongLevel, Run(items, 300, 300), Run(cases, 20, 20)),
        (WrongLevel, Run(cases, 20, 20), Run(pallets, 0, 0)),
        (WrongLevel, Run(cases, 20, 20), Run(cases, 21, 21)),
        (UnevenPackaging, Run(cases, 20, 21), Run(items, 300, 302)),
        (AlreadyPacked, Run(cases, 20, 20), Run(items, 239, 262)),
        (AlreadyPacked, Run(cases, 9, 10), Run(items, 300, 347)),
        (InvalidRange, Run(cases, 99, 100), Run(items, 300, 347)),
        (InvalidRange, Run(cases, 20, 20), Run(items, 2390, 2400)),
    ]
    for error, parent, child in refused:
        with pytest.raises(error):
            packaging.pack(session, parent=parent, child=child)
    with pytest.raises(NotPacked):
        packaging.take_out(session, child=Run(items, 300, 300))
    with pytest.raises(InvalidRange):
        packaging.take_out(session, child=Run(items, 0, 1000))
    assert rows(session) == (1, 0)


@pytest.mark.parametrize("seed", range(2))
def test_against_a_plain_dictionary(factory, session: Session, seed: int) -> None:
    dice, plain = random.Random(seed), {}
    for step in range(120):
        kind = dice.choice(["pack", "pack", "pack", "unpack", "take_out"])
        case = dice.randrange(0, 12)
        cases = Run(factory.cases, case, min(case + dice.choice([0, 0, 1, 3]), 11))
        first = dice.randrange(0, 60)
        per_case = dice.choice([1, 2, 5])
        items = Run(factory.items, first, first + per_case * cases.length - 1)
        try:
            with session.begin_nested():
                if kind == "pack":
                    packaging.pack(session, parent=cases, child=items)
                elif kind == "unpack":
                    packaging.unpack(session, parent=cases)
                else:
                    packaging.take_out(session, child=Run(factory.items, first, first))
        except DomainError:
            continue
        if kind == "pack":
            for number in range(items.length):
                assert first + number not in plain, "a code lies in one package at a time"
                plain[first + number] = cases.first + number // per_case
        elif kind == "unpack":
            plain = {item: case for item, case in plain.items() if not cases.first <= case <= cases.last}
        else:
            del plain[first]
        if step % 10:
            continue
        seen = {item: queries.parent_of(session, batch_id=factory.items, index=item) for item in range(80)}
        assert {item: ref.code_index for item, ref in seen.items() if ref is not None} == plain
        for number in range(12):
            held = queries.contents(session, run=Run(factory.cases, number, number))
            inside = [index for run in held for index in range(run.first, run.last + 1)]
            assert sorted(inside) == sorted(item for item, case in plain.items() if case == number)


def test_the_scan_of_a_case_is_no_chance(factory, session: Session) -> None:
    result = record_scan(
        session,
        book=factory.book,
        text=factory.code(factory.cases, 3),
        person_id=1,
        cluster=Cluster(1, (1,)),
        now=factory.clock.now(),
    )
    assert result.outcome is ScanOutcome.PACKAGE
    assert result.first_scanned_at is None
