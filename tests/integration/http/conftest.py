"""A small surface on the kit: an operation that writes a row, one that refuses, one that lists."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from flask import Flask, Response, current_app
from flask.testing import FlaskClient
from marshmallow import fields
from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from app.alerts.models import Alert, Severity
from app.alerts.operations import raise_alert
from app.config import Settings
from app.db.engine import Database
from app.db.secrets import KeyRing
from app.http.api import Api, Blueprint
from app.http.edge import Edge, respond, respond_json
from app.http.idempotency import Answer
from app.http.kit import build_app
from app.http.schemas import BaseSchema, Text, Whole
from app.identity import session_token
from app.identity.models import LoginSession, Person
from app.identity.queries import Principal
from app.kernel.clock import ManualClock
from app.kernel.errors import Refused, Unavailable
from app.kernel.ids import PublicIds, new_id
from app.organisation.operations import register_app

SETTINGS = Settings(
    data=Path("var"),
    port=8000,
    sandbox_port=8001,
    database_url="sqlite://",
    master_keys={1: bytes(32)},
    sealing_version=None,
    code_key=bytes(32),
    link_prefix="https://codes.example.com/q/",
    public_url="https://m.example.com",
    wechat_api_url="http://127.0.0.1:1",
    wechat_open_url="http://127.0.0.1:1",
    wecom_api_url="http://127.0.0.1:1",
    pay_api_url="http://127.0.0.1:1",
    redis_url=None,
    trusted_proxies=0,
    fast_driver=True,
    log_level="INFO",
    demo=False,
    location=False,
    address_regions=None,
    session_hours=24,
    verification_file=None,
    risk_rank=False,
    smtp_url=None,
    alert_from="saoma@localhost",
    alert_to=(),
    sms_url=None,
    sms_key=b"",
    sms_to=(),
    sms_per_day=10,
    alert_minutes=15,
)


class NotToday(Refused):
    """The refusal of these tests."""

    code = "not_today"
    title = "Not today"


@dataclass
class Kit:
    """What the kit needs of a container."""

    db: Database
    clock: ManualClock
    keyring: KeyRing
    settings: Settings = SETTINGS
    public_ids: PublicIds = field(default_factory=lambda: PublicIds(bytes(32)))


class NoteBody(BaseSchema):
    """A note to be written down."""

    text = Text(20, required=True)
    times = Whole()


class NoteAnswer(BaseSchema):
    """The note."""

    text = fields.String(required=True)


notes = Blueprint("notes", __name__, url_prefix="/notes", description="Notes of the tests")
barriers: list[Barrier] = []


def _write(work: Callable[[Session, Principal, datetime], Answer]) -> Response:
    edge: Edge = current_app.extensions["saoma.edge"]
    return respond(edge.write(work, operation="write_note"))


@notes.route("", methods=["POST"])
@notes.operation(body=NoteBody, answers={201: NoteAnswer}, refusals=[NotToday], idempotency="offered")
def write_note(body: dict[str, Any]) -> Response:
    """Write a note; refuse "no", break on "bug"."""

    def work(session: Session, caller: Principal, now: datetime) -> Answer:
        if barriers:
            barriers[0].wait(10)
        raise_alert(
            session,
            kind="note",
            subject=body["text"],
            severity=Severity.NOTICE,
            detail=str(caller.person_id),
            now=now,
        )
        if body["text"] == "no":
            raise NotToday("come back tomorrow")
        if body["text"] == "down":
            raise Unavailable("the neighbour sleeps")
        if body["text"] == "bug":
            raise RuntimeError("13800138000")
        return Answer(201, {"text": body["text"]})

    return _write(work)


@notes.route("/needed", methods=["POST"])
@notes.operation(answers={204: None}, idempotency="needed")
def write_keyed() -> Response:
    """Write without a body."""
    return _write(lambda _session, _caller, _now: Answer(204, None))


@notes.route("/<id>")
@notes.operation(answers={200: NoteAnswer})
def read_note(id: str) -> Response:
    """Read a note."""
    edge: Edge = current_app.extensions["saoma.edge"]
    return respond_json(200, {"text": edge.read(lambda _session, caller, _now: f"{id} {caller.virtual}")})


@notes.route("/rare", methods=["POST"])
@notes.operation(answers={204: None}, per_person="3/minute")
def write_rarely() -> Response:
    """Write now and then."""
    return _write(lambda _session, _caller, _now: Answer(204, None))


@notes.route("/public", methods=["POST"])
@notes.operation(answers={200: None}, public="a test asks", per_address="3/minute")
def open_note() -> Response:
    """Answer anybody."""
    return Response(status=200)


@dataclass
class World:
    """An application, a person and their session."""

    app: Flask
    kit: Kit
    person_id: int
    session_id: int

    @property
    def client(self) -> FlaskClient:
        """A new client without cookies."""
        return self.app.test_client()

    def token(self, session_id: int | None = None, *, hours: float = 1) -> str:
        """Return a token of the person's session."""
        return session_token.sign(
            self.kit.keyring.signing_keys(session_token.PURPOSE),
            session_id=session_id or self.session_id,
            expires_at=self.kit.clock.now() + timedelta(hours=hours),
        )

    def headers(self, key: str | None = None) -> dict[str, str]:
        """Return the headers of the person's requests."""
        keyed = {} if key is None else {"Idempotency-Key": key}
        return {"Authorization": f"Bearer {self.token()}", **keyed}

    def post(self, text: str, key: str | None = None) -> Any:
        """Write a note."""
        return self.client.post("/notes", json={"text": text}, headers=self.headers(key))

    def written(self) -> list[str]:
        """Return the notes that were committed, each as often as it was."""
        with self.kit.db.read() as session:
            rows = session.execute(select(Alert.subject, Alert.times).where(Alert.kind == "note")).all()
        return sorted(subject for subject, times in rows for _ in range(times))


def build(kit: Kit) -> Flask:
    """Return the application of these tests."""
    app = build_app(kit)
    api = Api(
        app,
        spec_kwargs={"title": "Notes", "version": "1", "openapi_version": "3.1.0"},
        config_prefix="NOTES_",
    )
    api.register_blueprint(notes)
    return app


def add_session(kit: Kit, *, expires_in: timedelta = timedelta(hours=24)) -> tuple[int, int]:
    """Insert a person with a session; return the ids of both."""
    now = kit.clock.now()

    def work(session: Session) -> tuple[int, int]:
        app_id = register_app(session, appid="wxtest000000000001", secret="s", now=now)
        person_id, session_id = new_id(), new_id()
        connection = session.connection()
        connection.execute(
            insert(Person), {"id": person_id, "one_id": person_id, "virtual": False, "created_at": now}
        )
        connection.execute(
            insert(LoginSession),
            {
                "id": session_id,
                "person_id": person_id,
                "app_id": app_id,
                "virtual": False,
                "created_at": now,
                "expires_at": now + expires_in,
            },
        )
        return person_id, session_id

    return kit.db.transact(work)


@pytest.fixture
def kit(clean_db: Database, clock: ManualClock, keyring: KeyRing) -> Kit:
    return Kit(clean_db, clock, keyring)


@pytest.fixture
def world(kit: Kit) -> Iterator[World]:
    person_id, session_id = add_session(kit)
    yield World(build(kit), kit, person_id, session_id)
    barriers.clear()


@pytest.fixture
def with_settings(world: World) -> Callable[..., World]:
    """Return the same world with other settings."""
    return lambda **changes: replace(
        world, app=build(replace(world.kit, settings=replace(world.kit.settings, **changes)))
    )
