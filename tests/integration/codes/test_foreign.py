"""Codes that somebody else printed work like our own once they are taken in, and tell nothing before."""

import random
from collections.abc import Callable

import pytest
from sqlalchemy import func, select

from app.codes import foreign
from app.codes.errors import ForeignBatch, GuessableCodes, ImportRuns, InvalidForeignList, NotACode
from app.codes.foreign_list import Strength
from app.codes.models import ForeignCode, Scan
from app.codes.outcome import ScanOutcome
from app.codes.queries import check
from tests.integration.codes.conftest import OPERATOR, Shop

RANDOM = random.Random(3)
CODES = [f"https://old.example.com/{RANDOM.getrandbits(80):020x}" for _ in range(60)]


def begin(shop: Shop, codes: list[str], *, sha: str = "a" * 64, reason: str | None = None):
    return foreign.begin(
        shop.session,
        batch_id=shop.batch(size=len(codes)),
        file_sha256=sha,
        file_name="old.txt",
        strength=foreign.measure(codes, book=shop.book),
        guessable_reason=reason,
        actor=OPERATOR,
        now=shop.clock.now(),
    )


def add(shop: Shop, batch_id: int, done: int, texts: list[str]) -> int:
    now = shop.clock.now()
    return foreign.add_portion(shop.session, batch_id=batch_id, done=done, texts=texts, now=now)


def test_a_list_is_read_portion_by_portion_and_its_codes_work(shop: Shop) -> None:
    batch_id = begin(shop, CODES).batch_id
    assert add(shop, batch_id, 0, CODES[:40]) == 0
    for again in (0, 20):
        with pytest.raises(ImportRuns):
            add(shop, batch_id, again, CODES[:40])
    found = foreign.list_of_file(shop.session, file_sha256="a" * 64)
    assert found is not None
    assert (found.done, found.ended_at) == (40, None)
    assert add(shop, batch_id, 40, CODES[40:]) == 0
    found = foreign.list_of_file(shop.session, file_sha256="a" * 64)
    assert found is not None
    assert (found.done, found.ended_at) == (60, shop.clock.now())
    scanned = shop.scan(CODES[41])
    assert scanned.outcome is ScanOutcome.OK
    assert scanned.code is not None
    assert (scanned.code.batch_id, scanned.code.code_index) == (batch_id, 41)
    assert shop.scan(CODES[41].replace("https://", "https%3A%2F%2F")).earlier_scans == 1
    told = check(shop.session, book=shop.book, text=CODES[0])
    assert told is not None
    assert told.code_index == 0
    with pytest.raises(ForeignBatch):
        shop.code(batch_id, 0)


def test_an_unknown_text_is_one_look_up_and_leaves_no_trace(
    shop: Shop, count_statements: Callable[[], list[str]]
) -> None:
    sent = count_statements()
    with pytest.raises(NotACode):
        shop.scan("https://old.example.com/nothing")
    assert len(sent) == 1
    with pytest.raises(NotACode):
        check(shop.session, book=shop.book, text="x")
    assert shop.session.execute(select(func.count()).select_from(Scan)).scalar_one() == 0


def test_a_code_of_two_lists_stays_where_it_was(shop: Shop) -> None:
    first, second = begin(shop, CODES), begin(shop, CODES, sha="b" * 64)
    add(shop, first.batch_id, 0, CODES[:3])
    assert add(shop, second.batch_id, 0, [CODES[2], CODES[3], CODES[3]]) == 2
    places = shop.session.execute(select(ForeignCode.batch_id, ForeignCode.code_index)).all()
    expected = {(first.batch_id, 0), (first.batch_id, 1), (first.batch_id, 2), (second.batch_id, 1)}
    assert {tuple(place) for place in places} == expected


def test_what_can_be_guessed_takes_a_reason_and_what_looks_like_ours_is_refused(shop: Shop) -> None:
    weak = [f"T{number:09d}" for number in range(50)]
    with pytest.raises(GuessableCodes):
        begin(shop, weak)
    with pytest.raises(InvalidForeignList):
        begin(shop, weak, reason=" ")
    assert begin(shop, weak, reason="sold out soon").guessable_reason == "sold out soon"
    assert begin(shop, CODES, sha="c" * 64, reason="no need").guessable_reason is None
    with pytest.raises(ImportRuns):
        begin(shop, CODES, sha="c" * 64)
    ours = shop.code(shop.batch(), 5)
    for text in (ours, ours[:-1] + "Z", "1234-5678-9012-3456"):
        with pytest.raises(InvalidForeignList):
            foreign.measure([*CODES, text], book=shop.book)
    with pytest.raises(InvalidForeignList):
        foreign.require_strong(Strength(), reason=None)
