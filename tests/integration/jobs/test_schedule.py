"""What is due is done, all of it, however much has come together."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, insert, select

from app.factory import Container
from app.http.models import IdempotencyKey
from app.identity.models import LoginSession, Person
from app.kernel.clock import ManualClock
from app.kernel.ids import new_id
from app.organisation.operations import register_app
from jobs import schedule
from tests.support.product import product_by, settings


@pytest.fixture
def container(sqlite_url: str, tmp_path: Path, clock: ManualClock) -> Iterator[Container]:
    with product_by(settings(sqlite_url, tmp_path), clock=clock) as found:
        yield found


@pytest.fixture(autouse=True)
def _small_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule, "_PURGE_BATCH", 2)


def _run(container: Container, name: str) -> int:
    (job,) = [job for job in schedule.JOBS if job.name == name]
    return job.work(container)


def _count(container: Container, model: type[IdempotencyKey | LoginSession]) -> int:
    with container.db.read() as session:
        return int(session.execute(select(func.count()).select_from(model)).scalar_one())


def test_old_answers_go_but_those_with_money_stay(container: Container, clock: ManualClock) -> None:
    rows = [
        {
            "person_id": 1,
            "key_hash": bytes([number]) * 32,
            "request_hash": bytes(32),
            "operation": "join",
            "status": 201,
            "answer": None,
            "permanent": number == 0,
            "created_at": clock.now(),
        }
        for number in range(6)
    ]
    container.db.transact(lambda session: session.connection().execute(insert(IdempotencyKey), rows))
    clock.advance(schedule.KEEP_ANSWERS)
    assert _run(container, "purge") == 0
    clock.advance(timedelta(seconds=1))
    assert _run(container, "purge") == 5
    assert _count(container, IdempotencyKey) == 1


def test_ended_sessions_go_in_as_many_portions_as_it_takes(container: Container, clock: ManualClock) -> None:
    now = clock.now()
    app_id = container.db.transact(
        lambda session: register_app(session, appid="wx1111111111111111", secret="secret", now=now)
    )
    person = {"id": 1, "one_id": 1, "virtual": False, "created_at": now}
    rows = [
        {
            "id": new_id(),
            "person_id": 1,
            "app_id": app_id,
            "virtual": False,
            "created_at": now,
            "expires_at": now,
        }
        for _ in range(7)
    ]
    container.db.transact(lambda session: session.connection().execute(insert(Person), person))
    container.db.transact(lambda session: session.connection().execute(insert(LoginSession), rows))
    clock.advance(schedule.KEEP_SESSIONS + timedelta(seconds=1))
    assert _run(container, "end_sessions") == 7
    assert _count(container, LoginSession) == 0


def test_a_job_ends_when_its_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule, "_SECONDS", 0.0)
    assert schedule._portions(lambda: 3) == 3


def test_budgets_are_watched(container: Container) -> None:
    assert _run(container, "watch_campaigns") == 0
