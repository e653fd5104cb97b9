"""One transaction per request, and one answer per idempotency key."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import select, update

from app.http.idempotency import purge
from app.http.models import IdempotencyKey
from app.identity.models import LoginSession
from tests.integration.http.conftest import World, add_session, barriers
from tests.support.statements import statements


def test_work_is_committed_with_its_answer(world: World) -> None:
    answer = world.post("hello", "key-0001")

    assert (answer.status_code, answer.json) == (201, {"text": "hello"})
    assert world.written() == ["hello"]


def test_a_repeat_gets_the_stored_answer_and_does_nothing(world: World) -> None:
    first = world.post("hello", "key-0001")
    again = world.post("hello", "key-0001")

    assert (again.status_code, again.json) == (first.status_code, first.json)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first.headers
    assert world.written() == ["hello"]


def test_without_a_key_every_request_is_new(world: World) -> None:
    world.post("hello")
    world.post("hello")

    assert world.written() == ["hello", "hello"]


def test_the_same_key_with_another_body_is_a_conflict(world: World) -> None:
    world.post("hello", "key-0001")
    other = world.post("other", "key-0001")

    assert (other.status_code, other.json["code"]) == (409, "idempotency_key_reused")
    assert world.post("hello", "key-0001").status_code == 201
    assert world.written() == ["hello"]


def test_the_same_body_written_otherwise_is_the_same_request(world: World) -> None:
    body = b'{ "times": 2,"text":"hello"}'
    first = world.client.post("/notes", json={"text": "hello", "times": 2}, headers=world.headers("key-0001"))
    again = world.client.post(
        "/notes", data=body, content_type="application/json", headers=world.headers("key-0001")
    )

    assert (again.status_code, again.json) == (201, first.json)
    assert again.headers["Idempotency-Replayed"] == "true"


def test_keys_of_two_persons_have_nothing_to_do_with_each_other(world: World) -> None:
    world.post("hello", "key-0001")
    _, other = add_session(world.kit)
    headers = {"Authorization": f"Bearer {world.token(other)}", "Idempotency-Key": "key-0001"}
    answer = world.client.post("/notes", json={"text": "mine"}, headers=headers)

    assert (answer.status_code, answer.json) == (201, {"text": "mine"})


def test_a_refusal_undoes_the_work_and_is_the_answer_from_then_on(world: World) -> None:
    refused = world.post("no", "key-0001")
    again = world.post("no", "key-0001")

    assert (refused.status_code, refused.json["code"]) == (409, "not_today")
    assert refused.content_type == again.content_type == "application/problem+json"
    assert {**again.json, "request_id": ""} == {**refused.json, "request_id": ""}
    assert again.json["request_id"] == again.headers["X-Request-Id"] != refused.json["request_id"]
    assert again.headers["Idempotency-Replayed"] == "true"
    assert world.written() == []


def test_a_refusal_without_a_key_undoes_everything(world: World) -> None:
    assert world.post("no").status_code == 409
    assert world.written() == []
    assert _stored(world) == []


@pytest.mark.parametrize(("text", "status"), [("down", 503), ("bug", 500)])
def test_an_outage_is_not_an_answer(world: World, text: str, status: int) -> None:
    assert world.post(text, "key-0001").status_code == status
    assert world.written() == []
    assert _stored(world) == []


@pytest.mark.parametrize("key", ["short", "x" * 65, "with blank", "ümlaut-12", "a;b'c\"d8"])
def test_an_unusable_key_is_refused_before_anything_is_done(world: World, key: str) -> None:
    answer = world.post("hello", key)

    assert answer.status_code == 422
    assert answer.json["errors"][0]["path"] == "header.Idempotency-Key"
    assert world.written() == []


def test_where_a_key_is_needed_its_lack_is_refused(world: World) -> None:
    answer = world.client.post("/notes/needed", headers=world.headers())

    assert (answer.status_code, answer.json["code"]) == (422, "invalid_input")
    first = world.client.post("/notes/needed", headers=world.headers("key-0001"))
    again = world.client.post("/notes/needed", headers=world.headers("key-0001"))
    assert (first.status_code, first.data) == (again.status_code, again.data) == (204, b"")


def test_of_many_at_once_one_does_it_and_all_get_its_answer(world: World) -> None:
    at_once = 8
    barriers.append(Barrier(at_once, action=barriers.clear))
    with ThreadPoolExecutor(at_once) as pool:
        answers = list(pool.map(lambda _: world.post("hello", "key-0001"), range(at_once)))

    assert [(answer.status_code, answer.json) for answer in answers] == [(201, {"text": "hello"})] * at_once
    replayed = [answer.headers.get("Idempotency-Replayed") for answer in answers]
    assert sorted(replayed, key=str) == [None] + ["true"] * (at_once - 1)
    assert world.written() == ["hello"]


def test_a_revoked_session_ends_every_request_at_once(world: World) -> None:
    headers = world.headers()
    with world.kit.db.unit_of_work() as session:
        session.execute(update(LoginSession).values(revoked_at=world.kit.clock.now()))

    for answer in (
        world.client.get("/notes/1", headers=headers),
        world.client.post("/notes", json={"text": "hello"}, headers=headers),
        world.client.post(
            "/notes", json={"text": "hello"}, headers={**headers, "Idempotency-Key": "key-0001"}
        ),
    ):
        assert (answer.status_code, answer.json["code"]) == (401, "session_ended")
    assert world.written() == []


def test_a_session_ends_with_its_row_even_if_the_token_runs_on(world: World) -> None:
    _, session_id = add_session(world.kit, expires_in=timedelta(minutes=5))
    headers = {"Authorization": f"Bearer {world.token(session_id, hours=9)}"}
    assert world.client.get("/notes/1", headers=headers).status_code == 200
    world.kit.clock.advance(timedelta(minutes=5))

    assert world.client.get("/notes/1", headers=headers).status_code == 401


def test_a_keyed_write_costs_one_look_up_and_one_insert(world: World) -> None:
    bare = _statements(world, lambda: world.post("bare"))
    keyed = _statements(world, lambda: world.post("keyed", "key-0001"))
    replayed = _statements(world, lambda: world.post("keyed", "key-0001"))

    assert len(keyed) - len(bare) == 1
    assert len(replayed) == 1
    assert "idempotency_keys" in keyed[0]
    assert "login_sessions" in keyed[0]


def test_answers_without_money_are_purged_when_they_are_old(world: World) -> None:
    person_id, session_id = add_session(world.kit, expires_in=timedelta(days=30))
    world = replace(world, person_id=person_id, session_id=session_id)
    world.post("hello", "key-0001")
    world.post("other", "key-0002")
    with world.kit.db.unit_of_work() as session:
        for row in session.scalars(select(IdempotencyKey)):
            row.permanent = row.answer == {"text": "other"}
    world.kit.clock.advance(timedelta(days=8))
    world.post("young", "key-0003")

    with world.kit.db.unit_of_work() as session:
        assert purge(session, now=world.kit.clock.now(), keep=timedelta(days=7)) == 1
    assert sorted(answer["text"] for answer in _stored(world)) == ["other", "young"]


def _stored(world: World) -> list[Any]:
    with world.kit.db.read() as session:
        return list(session.scalars(select(IdempotencyKey.answer)))


def _statements(world: World, act: Callable[[], object]) -> list[str]:
    with statements(world.kit.db.engine, framing=False) as seen:
        act()
    return seen
