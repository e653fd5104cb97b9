"""Many accounts that open one link make one of them the member's, and leave no question.

And many members whose links tell of one customer of a corp: one of them is, and no openid pays another.
"""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, func, select
from sqlalchemy.orm import Session

from app.db.engine import Database
from app.identity import linking, operations, queries
from app.identity.errors import LinkOver
from app.identity.interfaces import Visitor
from app.identity.models import Identifier, IdentityConflict
from app.organisation.models import AppKind
from app.organisation.operations import register_app
from tests.race.conftest import FEWER
from tests.support.racing import RaceResult, race

pytestmark = pytest.mark.race

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def _open_all(db: Database, runners: int, seed: int) -> tuple[RaceResult, int, int]:
    """Let everybody come back at once; return the race, and how many openids and questions came of it."""

    def prepare(session: Session) -> tuple[int, int]:
        app = register_app(session, appid="wxrace0000000001", secret="s", now=NOW)
        service = register_app(session, appid="wxrace0000000002", secret="s", kind=AppKind.SERVICE, now=NOW)
        login = operations.login(
            session,
            app_id=app,
            openid="oMember",
            unionid=None,
            virtual=False,
            session_key="k",
            now=NOW,
        )
        caller = queries.principal(session, session_id=login.session_id, now=NOW)
        return linking.invite(session, principal=caller, app_id=service, now=NOW).id, service

    link_id, service = db.transact(prepare)

    def come_back(number: int) -> Callable[[], bool]:
        def work(session: Session) -> bool:
            visitor = Visitor(f"oVisitor{number:03d}", None, virtual=False)
            try:
                now = NOW + timedelta(seconds=number)
                return linking.complete(session, link_id=link_id, visitor=visitor, now=now)
            except LinkOver:
                return False

        return lambda: db.transact(work)

    result = race(db, [come_back(number) for number in range(runners)], seed=seed)
    with db.read() as session:
        openids = select(func.count()).where(Identifier.scope == str(service))
        questions = select(func.count()).select_from(IdentityConflict)
        return result, session.scalar(openids) or 0, session.scalar(questions) or 0


def test_one_link_makes_one_account_known(wide_db: Database, race_seed: int) -> None:
    result, openids, questions = _open_all(wide_db, FEWER, race_seed)
    assert result.errors == []
    assert sorted(result.values)[-2:] == [False, True]
    assert (openids, questions) == (1, 0)
    assert result.lock_waits > 0, "nobody waited for anybody: this was no race"


def test_without_the_guard_everybody_is_taken_for_the_member(
    wide_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linking, "_spend", lambda *_: True)
    result, openids, questions = _open_all(wide_db, FEWER, seed=0)
    assert result.errors == []
    assert openids > 1
    assert questions > 0


def _one_customer(db: Database, runners: int, seed: int) -> tuple[RaceResult, int, int]:
    """Let members come back whom the corp tells to be one customer; return openids and questions."""

    def prepare(session: Session) -> tuple[list[int], int]:
        app = register_app(session, appid=f"wxrace{seed:010d}", secret="s", now=NOW)
        corp = register_app(
            session, appid=f"wwrace{seed:010d}", secret="s", kind=AppKind.CORP, agentid="1", now=NOW
        )
        links = []
        for number in range(runners):
            login = operations.login(
                session,
                app_id=app,
                openid=f"oMember{number:03d}",
                unionid=None,
                virtual=False,
                session_key="k",
                now=NOW,
            )
            caller = queries.principal(session, session_id=login.session_id, now=NOW)
            links.append(linking.invite(session, principal=caller, app_id=corp, now=NOW).id)
        return links, corp

    links, corp = db.transact(prepare)

    def come_back(number: int) -> Callable[[], bool]:
        visitor = Visitor(f"oVisitor{number:03d}", None, virtual=False, external_userid="wm-customer")
        return lambda: db.transact(
            lambda session: linking.complete(session, link_id=links[number], visitor=visitor, now=NOW)
        )

    result = race(db, [come_back(number) for number in range(runners)], seed=seed)
    with db.read() as session:
        openids = select(func.count()).where(Identifier.scope == str(corp))
        questions = select(func.count()).select_from(IdentityConflict)
        return result, session.scalar(openids) or 0, session.scalar(questions) or 0


@pytest.fixture
def _all_judge_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody attaches anything before everybody has found that nobody has it.

    Then every other one goes on at once, and the rest when one of these has committed.
    """
    judged, somebody_is_done = threading.Barrier(FEWER), threading.Event()
    seen: set[int] = set()
    spend, complete = linking._spend, linking.complete

    def wait(session: Session, link_id: int, now: datetime) -> bool:
        if link_id not in seen:
            seen.add(link_id)
            if judged.wait(20) % 2:
                assert somebody_is_done.wait(20)
        return spend(session, link_id, now)

    def tell(session: Session, **given: Any) -> bool:
        event.listen(session, "after_commit", lambda _: somebody_is_done.set())
        return complete(session, **given)

    monkeypatch.setattr(linking, "_spend", wait)
    monkeypatch.setattr(linking, "complete", tell)


@pytest.mark.usefixtures("_all_judge_first")
def test_one_customer_is_one_member(wide_db: Database, race_seed: int) -> None:
    result, openids, questions = _one_customer(wide_db, FEWER, race_seed)
    assert result.errors == []
    assert sorted(result.values)[-2:] == [False, True]
    assert (openids, questions) == (1, FEWER - 1)
    assert result.lock_waits > 0, "nobody waited for anybody: this was no race"


@pytest.mark.usefixtures("_all_judge_first")
def test_without_the_second_look_rivals_openids_are_taken_too(
    wide_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How many is chance: whom the database makes play again has its second look by that."""
    monkeypatch.setattr(linking, "_require_judged", lambda *_: None)
    assert any(_one_customer(wide_db, FEWER, seed)[1] > 1 for seed in range(20))
