"""What every surface gets from the kit: problems, sessions, limits, headers, logs, checks."""

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select

from app.db.engine import Database
from app.http import limits
from app.http.intake import MAX_BODY_BYTES
from app.http.kit import build_app
from app.identity.models import LoginSession
from app.kernel.ids import new_id
from app.outbox.operations import enqueue
from tests.integration.http.conftest import World
from tests.support.log_lines import log_lines

PHONE = "13800138000"


def _problem(answer: Any, status: int, code: str) -> dict[str, Any]:
    assert (answer.status_code, answer.json["code"]) == (status, code)
    assert answer.content_type == "application/problem+json"
    assert set(answer.json) - {"errors"} == {"type", "title", "status", "code", "detail", "request_id"}
    assert answer.json["status"] == status
    assert answer.json["type"] == f"urn:saoma:problem:{code}"
    found: dict[str, Any] = answer.json
    return found


def test_no_route_and_no_method(world: World) -> None:
    _problem(world.client.get("/nowhere"), 404, "no_such_route")
    answer = world.client.put("/notes")
    _problem(answer, 405, "method_not_allowed")
    assert answer.headers["Allow"] == "POST"
    _problem(world.client.options("/notes"), 405, "method_not_allowed")


@pytest.mark.parametrize(
    ("body", "paths"),
    [
        ({}, ["body.text"]),
        ({"text": "x" * 21}, ["body.text"]),
        ({"text": 1}, ["body.text"]),
        ({"text": "a", "times": True}, ["body.times"]),
        ({"text": "a", "more": 1}, ["body.more"]),
        ({"text": "", "times": "1"}, ["body.text", "body.times"]),
        ([], ["body"]),
    ],
)
def test_input_that_does_not_fit_is_named_by_path(world: World, body: object, paths: list[str]) -> None:
    problem = _problem(world.client.post("/notes", json=body, headers=world.headers()), 422, "invalid_input")

    assert sorted(error["path"] for error in problem["errors"]) == paths


def test_what_was_sent_is_not_repeated(world: World) -> None:
    answer = world.client.post("/notes", json={"text": PHONE * 5, "times": PHONE}, headers=world.headers())

    assert answer.status_code == 422
    assert PHONE not in answer.text


def test_bodies_that_are_not_json(world: World) -> None:
    client, headers = world.client, world.headers()

    _problem(client.post("/notes", data="text=a", headers=headers), 415, "unsupported_media_type")
    plain = client.post("/notes", data='{"text":"a"}', content_type="text/plain", headers=headers)
    _problem(plain, 415, "unsupported_media_type")
    broken = client.post("/notes", data="{", content_type="application/json", headers=headers)
    _problem(broken, 422, "bad_json")
    deep = client.post("/notes", data="[" * 30_000, content_type="application/json", headers=headers)
    _problem(deep, 422, "bad_json")
    large = b'{"text": "' + b"x" * MAX_BODY_BYTES + b'"}'
    _problem(
        client.post("/notes", data=large, content_type="application/json", headers=headers), 413, "too_large"
    )
    assert world.written() == []


class _MalformedChunk(Exception):
    """As gunicorn says it: an error of its own class."""


class _Chunks(io.BytesIO):
    """A body that comes in chunks; the last one may be malformed, as web servers tell it."""

    def __init__(self, content: bytes, *, malformed: bool = False) -> None:
        super().__init__(content)
        self._malformed = malformed

    def readinto(self, buffer: Any) -> int:
        count = super().readinto(buffer)
        if self._malformed and not count:
            raise _MalformedChunk("zz")
        return count


@pytest.mark.parametrize(
    ("chunks", "status", "code"),
    [
        (_Chunks(b'{"text": "a"}'), 201, None),
        (_Chunks(b'{"text": "a"}', malformed=True), 400, "bad_request"),
        # Its beginning alone would be a note.
        (_Chunks(b'{"text": "a"}' + b" " * MAX_BODY_BYTES + b"!"), 413, "too_large"),
    ],
    ids=["whole", "malformed", "too long"],
)
def test_bodies_in_chunks(world: World, chunks: _Chunks, status: int, code: str | None) -> None:
    answer = world.client.post(
        "/notes",
        content_type="application/json",
        headers=world.headers(),
        environ_overrides={"wsgi.input": chunks, "wsgi.input_terminated": True},
    )
    if code is None:
        assert answer.status_code == status
    else:
        _problem(answer, status, code)
    assert world.written() == ([] if code else ["a"])


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer ", "Bearer s1.nonsense", "Basic dXNlcjpwYXNz", "Bearer " + "x" * 5000],
)
def test_without_a_genuine_token_nothing_is_asked_of_the_database(world: World, authorization: str) -> None:
    world.kit.db.dispose()
    app = build_app(replace(world.kit, db=Database("mysql+pymysql://nobody@127.0.0.1:9/none")))
    app.add_url_rule("/closed", view_func=lambda: "never")
    headers = {"Authorization": authorization} if authorization else {}

    answer = app.test_client().get("/closed", headers=headers)
    _problem(answer, 401, "unauthenticated")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_an_outlived_token_is_refused(world: World) -> None:
    headers = {"Authorization": f"Bearer {world.token(hours=1)}"}
    world.kit.clock.advance(timedelta(hours=1))

    _problem(world.client.get("/notes/1", headers=headers), 401, "unauthenticated")


def test_a_bug_is_a_500_that_says_nothing(world: World, lines: io.StringIO) -> None:
    answer = world.post("bug")

    problem = _problem(answer, 500, "internal")
    assert PHONE not in answer.text
    recorded = [line for line in _read(lines) if line["event"] == "http.unexpected"]
    assert [line["exception"] for line in recorded] == [["RuntimeError"]]
    assert recorded[0]["request_id"] == problem["request_id"]
    assert PHONE not in lines.getvalue()


def test_an_unreachable_database_is_a_503(world: World) -> None:
    app = world.app
    app.extensions["saoma.edge"]._db = Database("mysql+pymysql://nobody@127.0.0.1:9/none")
    answer = app.test_client().get("/notes/1", headers=world.headers())

    _problem(answer, 503, "unavailable")
    assert int(answer.headers["Retry-After"]) > 0


def test_a_request_leaves_one_line_without_path_token_or_body(world: World, lines: io.StringIO) -> None:
    secret = "7ABCDEFGHJKLMNPQ"
    answer = world.client.get(f"/notes/{secret}?phone={PHONE}", headers=world.headers())

    (line,) = _read(lines)
    assert (line["event"], line["method"], line["route"]) == ("http.request", "GET", "/notes/<id>")
    assert (line["status"], line["problem"]) == (200, None)
    assert line["request_id"] == answer.headers["X-Request-Id"]
    assert line["person"] == world.kit.public_ids.encode("pe", world.person_id)
    for personal in (secret, PHONE, world.token(), str(world.person_id)):
        assert personal not in lines.getvalue()


def test_a_plain_request_id_is_taken_over(world: World, lines: io.StringIO) -> None:
    answer = world.client.get("/nowhere", headers={"X-Request-Id": "trace-0001"})

    assert answer.headers["X-Request-Id"] == answer.json["request_id"] == "trace-0001"
    assert _read(lines)[0]["request_id"] == "trace-0001"
    assert _read(lines)[0]["route"] == "unmatched"


def test_every_answer_carries_the_security_headers(world: World) -> None:
    for answer in (world.client.get("/nowhere"), world.post("hello"), world.post("bug")):
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Cache-Control"] == "no-store"
        assert "Strict-Transport-Security" not in answer.headers
    secure = world.client.get("/nowhere", base_url="https://localhost")
    assert secure.headers["Strict-Transport-Security"] == "max-age=31536000"


def test_a_person_is_limited_whatever_session_they_use(world: World, second_login: str) -> None:
    statuses = [world.client.post("/notes/rare", headers=world.headers()).status_code for _ in range(3)]
    fourth = world.client.post("/notes/rare", headers=world.headers())
    elsewhere = {"Authorization": f"Bearer {second_login}"}
    world.client.get("/notes/1", headers=elsewhere)

    assert statuses == [204, 204, 204]
    _problem(fourth, 429, "too_many_requests")
    assert 1 <= int(fourth.headers["Retry-After"]) <= 61
    assert world.client.post("/notes/rare", headers=elsewhere).status_code == 429
    assert world.client.get("/notes/1", headers=world.headers()).status_code == 200


@pytest.fixture
def second_login(world: World) -> str:
    """Return the token of another session of the same person."""
    session_id = new_id()
    with world.kit.db.unit_of_work() as session:
        row = dict(session.execute(select(LoginSession.__table__)).mappings().one())
        session.execute(insert(LoginSession), [row | {"id": session_id}])
    return world.token(session_id)


def _open(world: World, address: str, **headers: str) -> int:
    answer = world.client.post("/notes/public", environ_base={"REMOTE_ADDR": address}, headers=headers)
    return answer.status_code


def test_an_address_is_limited_and_its_neighbour_is_not(world: World) -> None:
    assert [_open(world, "192.0.2.1") for _ in range(4)] == [200, 200, 200, 429]
    assert _open(world, "192.0.2.2") == 200


def test_an_ipv6_customer_is_one_address(world: World) -> None:
    addresses = ["2001:db8:0:ff00::1", "2001:db8:0:ff01::1", "2001:db8:0:ffff:1::", "2001:db8:0:ff88::"]

    assert [_open(world, address) for address in addresses] == [200, 200, 200, 429]
    assert _open(world, "2001:db8:1::1") == 200


def test_a_forwarded_address_counts_only_behind_a_trusted_proxy(
    world: World, with_settings: Callable[..., World]
) -> None:
    forwarded = [f"198.51.100.{number}" for number in range(5)]
    direct = [_open(world, "192.0.2.9", **{"X-Forwarded-For": address}) for address in forwarded]
    proxied_world = with_settings(trusted_proxies=1)
    proxied = [_open(proxied_world, "192.0.2.9", **{"X-Forwarded-For": address}) for address in forwarded]

    assert direct == [200, 200, 200, 429, 429]
    assert proxied == [200] * 5
    # What the caller itself wrote in front of the proxy's entry is not believed.
    forged = [
        _open(proxied_world, "192.0.2.9", **{"X-Forwarded-For": f"10.0.0.{n}, 203.0.113.7"}) for n in range(4)
    ]
    assert forged == [200, 200, 200, 429]


def test_an_address_has_an_allowance_for_all_routes_together(
    world: World, with_settings: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PER_ADDRESS", "4/minute")
    limited = with_settings()

    def ask(path: str, address: str) -> int:
        answer = limited.client.get(path, headers=world.headers(), environ_base={"REMOTE_ADDR": address})
        return answer.status_code

    paths = ("/notes/1", "/healthz", "/notes/2", "/readyz")
    assert [ask(path, "192.0.2.1") for path in paths] == [200] * 4
    assert ask("/notes/1", "192.0.2.1") == 429
    assert ask("/notes/1", "192.0.2.2") == 200


def test_limits_hold_while_redis_does_not_answer(with_settings: Callable[..., World]) -> None:
    alone = with_settings(redis_url="redis://127.0.0.1:9/0")

    assert [_open(alone, "192.0.2.77") for _ in range(4)] == [200, 200, 200, 429]


def test_health_and_readiness(world: World) -> None:
    assert world.client.get("/healthz").json == {"status": "ok"}
    ready = world.client.get("/readyz")
    assert (ready.status_code, ready.json["status"]) == (200, "ready")


def test_not_ready_without_a_database_or_its_migrations(world: World, tmp_path: Any) -> None:
    for url in ("mysql+pymysql://nobody@127.0.0.1:9/none", f"sqlite:///{tmp_path}/empty.db"):
        app = build_app(replace(world.kit, db=Database(url)))
        client = app.test_client()

        _problem(client.get("/readyz"), 503, "not_ready")
        assert client.get("/healthz").status_code == 200
        assert b"saoma_http_request_seconds" in client.get("/metrics").data


def test_metrics_know_routes_and_queues_and_are_not_for_strangers(world: World) -> None:
    with world.kit.db.unit_of_work() as session:
        enqueue(session, topic="test.topic", key="1", payload={}, now=world.kit.clock.now())
    world.client.get("/notes/1", headers=world.headers())
    world.kit.clock.advance(timedelta(seconds=30))

    text = world.client.get("/metrics").text
    assert 'route="/notes/<id>"' in text
    assert 'saoma_outbox_messages{state="pending",topic="test.topic"} 1.0' in text
    assert 'saoma_outbox_oldest_seconds{state="pending",topic="test.topic"} 30.0' in text
    _problem(world.client.get("/metrics", headers={"X-Forwarded-For": "192.0.2.1"}), 404, "no_such_route")


def test_the_operation_documents_itself(world: World) -> None:
    api = world.app.extensions["flask-smorest"]["apis"]["NOTES_"]["ext_obj"]
    paths = api.document()["paths"]

    write = paths["/notes"]["post"]
    assert list(write["responses"]) == ["201", "401", "409", "413", "415", "422", "429", "503"]
    assert "not_today" in write["responses"]["409"]["description"]
    assert list(write["responses"]["409"]["content"]) == ["application/problem+json"]
    assert write["security"] == [{"session": []}]
    assert [parameter["name"] for parameter in write["parameters"]] == ["Idempotency-Key"]
    assert paths["/notes/public"]["post"]["security"] == []


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """The log of this test from INFO on."""
    with log_lines() as stream:
        yield stream


def _read(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]
