"""Alerts reach phones by a signed call, a few a day, and a text that may have left is not sent again."""

import base64
import json
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import requests
from sqlalchemy import select

from app.alerts.models import Severity
from app.alerts.operations import raise_alert
from app.config import BadSettings
from app.factory import Container
from app.gateways.sms import NullTexter, WebhookTexter, sign
from app.kernel.clock import ManualClock
from app.notices.interfaces import NotSent
from app.notices.operations import TEXT_TOPIC
from app.outbox.models import MessageState, OutboxMessage
from jobs import schedule
from tests.support.loopback import LoopbackServer
from tests.support.product import product_by, settings

KEY = bytes(range(32))
PHONES = ["13800138000", "+8613900139000"]


@pytest.fixture
def supplier() -> Iterator[LoopbackServer]:
    with LoopbackServer() as server:
        server.reply(200, b"{}")
        yield server


@pytest.fixture
def container(
    sqlite_url: str, tmp_path: Path, clock: ManualClock, supplier: LoopbackServer
) -> Iterator[Container]:
    more = {
        "SAOMA_SMS_URL": f"{supplier.url}/send",
        "SAOMA_SMS_KEY": base64.b64encode(KEY).decode(),
        "SAOMA_SMS_TO": ", ".join(PHONES),
        "SAOMA_SMS_PER_DAY": "2",
    }
    with product_by(settings(sqlite_url, tmp_path, **more), clock=clock) as found:
        yield found


def _alarm(container: Container, subject: str) -> None:
    now = container.clock.now()
    container.db.transact(
        lambda session: raise_alert(
            session, kind="risk.batch", subject=subject, severity=Severity.CRITICAL, detail="Look.", now=now
        )
    )
    schedule.tell(container)
    schedule.drain(container)


def test_a_text_is_signed_and_says_how_much_is_open(container: Container, supplier: LoopbackServer) -> None:
    _alarm(container, "7")
    (seen,) = supplier.seen
    said = json.loads(seen.body)
    assert (seen.target, said["phones"]) == ("/send", PHONES)
    assert "1 open, 1 new" in said["text"]
    headers = {name.lower(): value for name, value in seen.headers.items()}
    assert abs(int(headers["x-saoma-timestamp"]) - time.time()) < 60
    assert headers["x-saoma-signature"] == sign(KEY, headers["x-saoma-timestamp"], seen.body)


def test_so_many_a_day_and_no_more(
    container: Container, clock: ManualClock, supplier: LoopbackServer
) -> None:
    for number in range(4):
        _alarm(container, str(number))
        clock.advance(timedelta(minutes=20))
    assert len(supplier.seen) == 2
    clock.advance(timedelta(days=1))
    _alarm(container, "tomorrow")
    assert len(supplier.seen) == 3


def test_what_may_have_left_is_not_sent_again(
    container: Container, clock: ManualClock, supplier: LoopbackServer
) -> None:
    supplier.reply(502, b"")
    _alarm(container, "7")
    parked = select(OutboxMessage.topic).where(OutboxMessage.state == MessageState.PARKED)
    with container.db.read() as session:
        assert session.scalars(parked).all() == [TEXT_TOPIC]
    clock.advance(timedelta(hours=1))
    schedule.drain(container)
    assert len(supplier.seen) == 1


def test_what_certainly_did_not_leave_is_sent_again(
    container: Container, clock: ManualClock, supplier: LoopbackServer
) -> None:
    supplier.reply(401, b"")
    _alarm(container, "7")
    supplier.reply(200, b"{}")
    clock.advance(timedelta(minutes=5))
    schedule.drain(container)
    numbers = [json.loads(seen.body)["id"] for seen in supplier.seen]
    assert len(numbers) == 2
    assert len(set(numbers)) == 1


def test_a_redirect_is_not_followed(supplier: LoopbackServer) -> None:
    supplier.reply(302, b"", {"Location": "http://127.0.0.1:9/"})
    with pytest.raises(NotSent):
        WebhookTexter(f"{supplier.url}/send", KEY).send("text", PHONES, number="1")
    supplier.reply(500, b"")
    with pytest.raises(requests.ConnectionError):
        WebhookTexter(f"{supplier.url}/send", KEY).send("text", PHONES, number="1")
    with pytest.raises(NotSent):
        NullTexter().send("text", PHONES, number="1")


@pytest.mark.parametrize(
    "wrong",
    [
        {"SAOMA_SMS_URL": "http://sms.example.com/send"},
        {"SAOMA_SMS_URL": "https://sms.example.com/send"},
        {"SAOMA_SMS_TO": "call me"},
        {"SAOMA_SMS_KEY": "c2hvcnQ="},
        {"SAOMA_SMS_PER_DAY": "0"},
    ],
)
def test_settings_that_cannot_work_are_refused(tmp_path: Path, wrong: dict[str, str]) -> None:
    with pytest.raises(BadSettings):
        settings("sqlite:///x.db", tmp_path, **wrong)
