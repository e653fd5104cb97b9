"""The audit chain shows every change that is made to it from outside."""

import tracemalloc
from collections.abc import Iterator

import pytest
from sqlalchemy import insert, text
from sqlalchemy.orm import Session

from app.access import audit
from app.access.models import AuditEntry
from app.access.roles import Act
from app.db import secrets
from app.db.engine import Database
from app.kernel.actor import SYSTEM, Actor, ActorKind
from tests.factories.accounts import NOW

OLGA = Actor(ActorKind.OPERATOR, "olga", account_id=7)
ACTS = 5


@pytest.fixture(params=["mariadb", "sqlite"])
def chain(request: pytest.FixtureRequest) -> Iterator[Session]:
    """A session on each database, with five entries."""
    if request.param == "mariadb":
        session: Session = request.getfixturevalue("session")
        fill(session)
        yield session
        return
    db: Database = request.getfixturevalue("sqlite_db")
    with db.unit_of_work() as session:
        fill(session)
        yield session


def fill(session: Session) -> None:
    for number in range(ACTS):
        write(session, f"batch {number}")


def write(session: Session, subject: str, actor: Actor = OLGA) -> int:
    detail = {"first": 1, "last": None, "原因": "测试"}
    return audit.append(session, act=Act.CODES_FROZEN, subject=subject, actor=actor, now=NOW, detail=detail)


def fault_after(session: Session, change: str, **values: object) -> audit.Fault:
    session.execute(text(change), values)
    fault = audit.verify(session).fault
    assert fault is not None, "nobody saw it"
    return fault


def test_an_untouched_chain_is_whole_and_tells_its_head(chain: Session) -> None:
    found = audit.verify(chain)
    assert (found.entries, found.fault) == (ACTS, None)
    assert audit.verify(chain, kept={ACTS: found.head}).fault is None
    write(chain, "batch 9", SYSTEM)
    later = audit.verify(chain, kept={ACTS: found.head})
    assert (later.entries, later.fault) == (ACTS + 1, None)
    assert later.head != found.head
    assert [entry.sequence for entry in audit.entries(chain, limit=2, before=5)] == [4, 3]


def test_an_empty_chain_is_whole(session: Session) -> None:
    assert audit.verify(session) == audit.Finding(0, audit.GENESIS, None)


@pytest.mark.parametrize(
    "change",
    [
        "at = '2026-06-01 04:00:00.000001'",
        "account_id = 8",
        "account_id = NULL",
        "`by` = 'olgb'",
        "action = 'codes.frozem'",
        "subject = 'Batch 2'",
        "detail = REPLACE(detail, '1', '2')",
        "detail = REPLACE(detail, ',', ', ')",
    ],
)
def test_one_changed_byte_is_seen(chain: Session, change: str) -> None:
    """SEC-01: in every column that says what happened."""
    assert fault_after(chain, f"UPDATE audit_entries SET {change} WHERE sequence = 3").sequence == 3


@pytest.mark.parametrize("column", ["previous", "hash"])
def test_one_changed_byte_of_a_hash_is_seen(chain: Session, column: str) -> None:
    held = chain.execute(text(f"SELECT {column} FROM audit_entries WHERE sequence = 3")).scalar_one()
    flipped = held[:-1] + bytes([held[-1] ^ 1])
    fault = fault_after(chain, f"UPDATE audit_entries SET {column} = :v WHERE sequence = 3", v=flipped)
    assert fault.sequence == 3


@pytest.mark.parametrize("sequence", [1, 3, ACTS])
def test_a_removed_entry_is_seen(chain: Session, sequence: int) -> None:
    fault = fault_after(chain, f"DELETE FROM audit_entries WHERE sequence = {sequence}")
    assert (fault.sequence, fault.told) == (sequence, "the entry is missing")


def test_an_entry_moved_to_the_end_is_seen(chain: Session) -> None:
    assert fault_after(chain, "UPDATE audit_entries SET sequence = 6 WHERE sequence = 2").sequence == 6


def test_an_entry_before_the_first_is_seen(chain: Session) -> None:
    assert fault_after(chain, "UPDATE audit_entries SET sequence = 0 WHERE sequence = 5").sequence == 1


def test_an_entry_that_was_added_is_seen(chain: Session) -> None:
    last = chain.execute(text("SELECT * FROM audit_entries WHERE sequence = 5")).mappings().one()
    made = dict(last) | {"sequence": 6, "at": NOW, "previous": last["hash"]}
    chain.connection().execute(insert(AuditEntry), made)
    fault = audit.verify(chain).fault
    assert fault == audit.Fault(6, "there is an entry that the head does not know")


def test_two_entries_that_changed_places_are_seen(chain: Session) -> None:
    for old, new in ((2, 90), (3, 2), (90, 3)):
        chain.execute(text(f"UPDATE audit_entries SET sequence = {new} WHERE sequence = {old}"))
    fault = audit.verify(chain).fault
    assert fault is not None
    assert fault.sequence == 2


@pytest.mark.parametrize("change", ["entries = 4", "entries = 6"])
def test_a_head_that_was_moved_is_seen(chain: Session, change: str) -> None:
    assert fault_after(chain, f"UPDATE audit_head SET {change}").told == "the head is not one that we wrote"


def test_a_tail_that_was_cut_with_its_head_is_seen(chain: Session) -> None:
    """Whoever owns the database cannot seal the head of a shorter chain."""
    chain.execute(text("DELETE FROM audit_entries WHERE sequence > 3"))
    chain.execute(
        text("UPDATE audit_head SET entries = 3, hash = (SELECT hash FROM audit_entries WHERE sequence = 3)")
    )
    fault = audit.verify(chain).fault
    assert fault == audit.Fault(3, "the head is not one that we wrote")


def test_a_chain_written_anew_is_seen_by_whoever_kept_a_head(chain: Session) -> None:
    kept = {ACTS: audit.verify(chain).head}
    for table in ("audit_entries", "audit_head"):
        chain.execute(text(f"DELETE FROM {table}"))
    write(chain, "batch 0")
    assert audit.verify(chain).fault is None
    fault = audit.verify(chain, kept=kept).fault
    assert fault == audit.Fault(2, "the chain is shorter than when the hash was kept")
    for _ in range(ACTS):
        write(chain, "batch 1")
    fault = audit.verify(chain, kept=kept).fault
    assert fault == audit.Fault(ACTS, "the entry is not the one whose hash was kept")


def test_another_key_makes_no_link(chain: Session) -> None:
    ring = secrets.ring()
    secrets.bind(secrets.KeyRing({1: bytes(32)}))
    try:
        assert audit.verify(chain).fault is not None
    finally:
        secrets.bind(ring)


def test_a_long_chain_is_verified_in_constant_memory(sqlite_db: Database) -> None:
    def measured() -> int:
        tracemalloc.start()
        with sqlite_db.read() as session:
            assert audit.verify(session).fault is None
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return peak

    def more(session: Session) -> None:
        for number in range(1000):
            write(session, f"batch {number}")

    sqlite_db.transact(more)
    short = measured()
    for _ in range(3):
        sqlite_db.transact(more)
    assert measured() < short * 1.3
