"""One captcha, many draws at once: its ticket is good for one scan, and the platform is asked once."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from unittest import mock

import pytest
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from app.db.engine import Database
from app.risk import captchas
from app.risk.captchas import settle_ticket, take_ticket
from app.risk.interfaces import Check, Finding
from app.risk.models import CaptchaTicket, TicketState
from tests.conftest import NOON
from tests.race.conftest import FEWER
from tests.support.racing import CONNECTIONS, RaceResult, race

pytestmark = pytest.mark.race

TICKET = "tr03ticket*"


def _take(session: Session, scan_id: int) -> TicketState | None:
    return take_ticket(session, ticket=TICKET, person_id=7, scan_id=scan_id, now=NOON)


def _draw(db: Database, scan_id: int) -> TicketState | None:
    """What a draw does about its ticket, with a platform that passes whatever it is asked about."""
    state = db.transact(lambda session: _take(session, scan_id))
    if state is not None:
        return state
    passed = Check(Finding.PASSED)
    return db.transact(lambda session: settle_ticket(session, ticket=TICKET, check=passed, now=NOON))


def _race_for_scans(db: Database, runners: int, seed: int) -> RaceResult:
    return race(db, [lambda scan=scan: _draw(db, scan) for scan in range(runners)], seed=seed)


def test_a_ticket_lets_one_scan_pass(wide_db: Database, race_seed: int) -> None:
    """Two draws with one ticket: one of them has solved the captcha, and the others are asked again."""
    result = _race_for_scans(wide_db, CONNECTIONS, race_seed)
    assert result.lock_waits > 0, "nobody waited for anybody: this was no race"
    assert not result.errors
    assert result.values.count(TicketState.PASSED) == 1
    assert result.values.count(TicketState.REFUSED) == CONNECTIONS - 1


def test_without_the_key_it_lets_more_pass(without_key: Any) -> None:
    db = without_key("captcha_tickets", "DROP PRIMARY KEY")
    for seed in range(10):
        if _race_for_scans(db, FEWER, seed).values.count(TicketState.PASSED) > 1:
            return
        db.transact(lambda session: session.execute(delete(CaptchaTicket)))
    raise AssertionError("the race does not show what the key is for")


def _ask_together(db: Database, runners: int, seed: int) -> int:
    """One scan, a ticket without an answer, everybody at once; return how many ask the platform."""

    def opened(session: Session) -> None:
        _take(session, 70)
        session.execute(update(CaptchaTicket).values(state=TicketState.OPEN))

    def ask() -> TicketState | None:
        return db.transact(lambda session: _take(session, 70))

    db.transact(lambda session: session.execute(delete(CaptchaTicket)))
    db.transact(opened)
    result = race(db, [ask] * runners, seed=seed)
    assert result.lock_waits > 0, "nobody waited for anybody: this was no race"
    assert not result.errors
    return result.answers.count(None)


def test_one_of_many_asks_the_platform_again(wide_db: Database, race_seed: int) -> None:
    assert _ask_together(wide_db, CONNECTIONS, race_seed) == 1


@contextmanager
def _reading_first() -> Iterator[None]:
    """Without the guard: whether somebody is asking is read, and written afterwards."""

    def ask_again(session: Session, digest: bytes, now: datetime) -> bool:
        this = CaptchaTicket.digest == digest
        free = session.scalar(select(CaptchaTicket.state).where(this)) is TicketState.OPEN
        if free:
            session.execute(update(CaptchaTicket).where(this).values(state=TicketState.ASKED))
        return free

    with mock.patch.object(captchas, "_ask_again", ask_again):
        yield


def test_without_the_guard_several_ask(wide_db: Database) -> None:
    with _reading_first():
        assert any(_ask_together(wide_db, FEWER, seed) > 1 for seed in range(10))
