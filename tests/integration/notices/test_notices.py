"""Alerts leave as one letter now and then, through a real mail server of the test's own."""

import socket
from collections.abc import Iterator
from datetime import timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from sqlalchemy.orm import Session

from app.alerts.models import Severity
from app.alerts.operations import raise_alert, resolve_alert
from app.db.engine import Database
from app.factory import Container
from app.gateways.mail import MailServer, NullMailer, SmtpMailer, read_server
from app.kernel.clock import ManualClock
from app.notices.handlers import SendDigest
from app.notices.interfaces import Letter, NotSent
from app.notices.operations import queue_digest
from app.outbox.contracts import Done, Failed, Message, Park, RetryLater
from jobs import schedule
from tests.support.product import product_by, settings

LETTER = Letter("[Saoma] 紧急: 1", "批次 7 / batch 7\n")
TO = ("olga@example.com", "peter@example.com")


class Post:
    """A mail server that keeps what it gets, and refuses when told to."""

    def __init__(self) -> None:
        self.letters: list[tuple[list[str], EmailMessage]] = []
        self.answer = "250 kept"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd calls it so
        if self.answer.startswith("250"):
            letter = message_from_bytes(envelope.content, policy=policy.default)
            assert isinstance(letter, EmailMessage)
            self.letters.append((envelope.rcpt_tos, letter))
        return self.answer


@pytest.fixture
def post() -> Iterator[tuple[Post, int]]:
    handler = Post()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    controller = Controller(handler, hostname="127.0.0.1", port=port)
    controller.start()
    yield handler, port
    controller.stop()


def test_a_letter_arrives_in_both_languages(post: tuple[Post, int]) -> None:
    handler, port = post
    SmtpMailer(read_server(f"smtp://127.0.0.1:{port}"), "saoma@example.com").send(LETTER, TO)
    ((recipients, letter),) = handler.letters
    assert recipients == list(TO)
    assert (letter["Subject"], letter["From"]) == (LETTER.subject, "saoma@example.com")
    assert letter.get_content().replace("\r\n", "\n") == LETTER.body


def test_what_certainly_did_not_leave_may_be_tried_again(post: tuple[Post, int]) -> None:
    handler, port = post
    mailer = SmtpMailer(read_server(f"smtp://127.0.0.1:{port}"), "saoma@example.com")
    handler.answer = "554 no thanks"
    with pytest.raises(NotSent, match="SMTPDataError"):
        mailer.send(LETTER, TO)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nobody = SmtpMailer(MailServer("127.0.0.1", closed.getsockname()[1], secure=False), "s@example.com")
        with pytest.raises(NotSent, match="does not let us in"):
            nobody.send(LETTER, TO)
    with pytest.raises(NotSent, match="SAOMA_SMTP_URL"):
        NullMailer().send(LETTER, TO)


def test_a_password_is_never_sent_in_clear(post: tuple[Post, int]) -> None:
    handler, port = post
    mailer = SmtpMailer(read_server(f"smtp://olga:secret@127.0.0.1:{port}"), "saoma@example.com")
    with pytest.raises(NotSent):
        mailer.send(LETTER, TO)
    assert handler.letters == []


def test_servers_are_named_by_one_address() -> None:
    assert read_server("smtps://olga%40x:p%3Aw@mail.example.com") == MailServer(
        "mail.example.com", 465, secure=True, user="olga@x", password="p:w"
    )
    assert read_server("smtp://mail.example.com").port == 587
    assert "p:w" not in repr(read_server("smtps://olga:p%3Aw@mail.example.com"))


@pytest.fixture
def container(
    sqlite_url: str, tmp_path: Path, clock: ManualClock, post: tuple[Post, int]
) -> Iterator[Container]:
    more = {
        "SAOMA_SMTP_URL": f"smtp://127.0.0.1:{post[1]}",
        "SAOMA_ALERT_FROM": "saoma@example.com",
        "SAOMA_ALERT_TO": ", ".join(TO),
        "SAOMA_ALERT_MINUTES": "15",
    }
    with product_by(settings(sqlite_url, tmp_path, **more), clock=clock) as found:
        yield found


def _raise(container: Container, subject: str, severity: Severity = Severity.WARNING) -> None:
    now = container.clock.now()
    container.db.transact(
        lambda session: raise_alert(
            session, kind="risk.batch", subject=subject, severity=severity, detail="Look.", now=now
        )
    )


def _knock(container: Container) -> None:
    schedule.tell(container)
    schedule.drain(container)


def test_alerts_are_bundled_and_told_once(
    container: Container, clock: ManualClock, post: tuple[Post, int]
) -> None:
    """RISK-06: one letter an interval with all open alerts, not one each."""
    _knock(container)
    assert post[0].letters == []
    for number in range(5):
        _raise(container, str(number))
    _knock(container)
    _raise(container, "again", Severity.CRITICAL)
    _raise(container, "1")
    _knock(container)
    assert len(post[0].letters) == 1
    assert "5 open, 5 new" in post[0].letters[0][1]["Subject"]
    clock.advance(timedelta(minutes=15))
    container.db.transact(
        lambda session: resolve_alert(session, kind="risk.batch", subject="0", by="olga", now=clock.now())
    )
    _knock(container)
    assert "5 open, 1 new" in post[0].letters[1][1]["Subject"]
    clock.advance(timedelta(hours=5))
    _knock(container)
    assert len(post[0].letters) == 2  # nothing new: nobody is disturbed


def test_two_schedulers_queue_one_letter(clean_db: Database, clock: ManualClock) -> None:
    def work(session: Session) -> bool:
        return queue_digest(session, every=timedelta(minutes=15), now=clock.now())

    clean_db.transact(
        lambda session: raise_alert(
            session, kind="k", subject="s", severity=Severity.NOTICE, detail="d", now=clock.now()
        )
    )
    assert [clean_db.transact(work), clean_db.transact(work)] == [True, False]


def test_a_letter_that_may_have_left_is_not_sent_again(session: Session, clock: ManualClock) -> None:
    effect = SendDigest(NullMailer(), TO)
    message = Message(1, effect.topic, "1", "", {"fresh": 1}, 1, 0, interrupted=False)
    assert effect.prepare(session, [message], clock.now())[0].settlement == Done("nothing to tell")  # type: ignore[union-attr]
    unsent = effect.perform(LETTER)
    settled = effect.settle(
        session,
        [
            (message, None),
            (message, unsent),
            (message, Failed("lost", unknown=True)),
            (message, Failed("busy", unknown=False)),
        ],
        clock.now(),
    )
    assert [type(one) for one in settled] == [Done, RetryLater, Park, RetryLater]
