"""Tickets of captchas: one person's draw of one scan, asked about once, never a pass without an answer."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from app.alerts.models import Severity
from app.alerts.queries import open_alerts
from app.risk import captchas
from app.risk.captchas import (
    CAPTCHA_ALERT,
    GOOD_FOR,
    KEEP,
    LEASE,
    MOST_ASKS,
    MOST_FAILED,
    purge_captcha_tickets,
    settle_ticket,
    take_ticket,
)
from app.risk.errors import TooManyCaptchas
from app.risk.interfaces import Check, Finding
from app.risk.models import CaptchaTicket, TicketState
from tests.support.statements import listening

NOW = datetime(2026, 6, 1, 4, 0, tzinfo=UTC)
TICKET = "tr03ticket*"
SECOND = timedelta(seconds=1)


def take(session: Session, at: datetime = NOW, *, person: int = 7, scan: int = 70) -> TicketState | None:
    return take_ticket(session, ticket=TICKET, person_id=person, scan_id=scan, now=at)


def settle(session: Session, finding: Finding, at: datetime = NOW) -> TicketState:
    return settle_ticket(session, ticket=TICKET, check=Check(finding, "CaptchaCode 0"), now=at)


def test_a_ticket_that_passed_goes_on_passing_for_its_draw_alone(session: Session) -> None:
    """An answer that got lost is asked for again with the same ticket: nobody asks the platform twice."""
    assert take(session) is None
    assert settle(session, Finding.PASSED) is TicketState.PASSED
    assert take(session, NOW + SECOND) is TicketState.PASSED
    assert take(session, scan=71) is TicketState.REFUSED
    assert take(session, person=8) is TicketState.REFUSED
    assert take(session, NOW + GOOD_FOR - SECOND) is TicketState.PASSED
    assert take(session, NOW + GOOD_FOR) is TicketState.REFUSED


@pytest.mark.parametrize("finding", [Finding.REFUSED, Finding.DOUBTFUL])
def test_a_ticket_that_was_refused_stays_refused(session: Session, finding: Finding) -> None:
    assert take(session) is None
    assert settle(session, finding) is TicketState.REFUSED
    assert take(session, NOW + SECOND) is TicketState.REFUSED


@pytest.mark.parametrize("finding", [Finding.UNKNOWN, Finding.BROKEN])
def test_no_answer_is_asked_for_again(session: Session, finding: Finding) -> None:
    assert take(session) is None
    assert settle(session, finding) is TicketState.OPEN
    assert take(session, scan=71) is TicketState.REFUSED
    assert take(session, NOW + SECOND) is None
    assert take(session, NOW + SECOND) is TicketState.ASKED
    assert settle(session, Finding.PASSED, NOW + 2 * SECOND) is TicketState.PASSED
    assert take(session, NOW + 3 * SECOND) is TicketState.PASSED


def test_one_asks_at_a_time_and_who_is_gone_is_replaced(session: Session) -> None:
    assert take(session) is None
    assert take(session, NOW + LEASE - SECOND) is TicketState.ASKED
    assert take(session, NOW + LEASE) is None
    assert take(session, NOW + LEASE) is TicketState.ASKED


def test_of_two_answers_the_pass_counts(session: Session) -> None:
    """The second question is refused because the first, whose answer is late, has used the ticket up."""
    take(session)
    assert take(session, NOW + LEASE) is None
    assert settle(session, Finding.REFUSED, NOW + LEASE) is TicketState.REFUSED
    assert settle(session, Finding.UNKNOWN, NOW + LEASE) is TicketState.REFUSED
    assert settle(session, Finding.PASSED, NOW + LEASE) is TicketState.PASSED
    assert take(session, NOW + LEASE) is TicketState.PASSED
    for late in (Finding.REFUSED, Finding.UNKNOWN):
        assert settle(session, late, NOW + LEASE) is TicketState.PASSED
        assert take(session, NOW + LEASE) is TicketState.PASSED


def test_trouble_with_the_account_is_told_until_a_ticket_passes(session: Session) -> None:
    def told() -> list[tuple[str, Severity]]:
        return [(alert.kind, alert.severity) for alert in open_alerts(session)]

    take(session)
    settle(session, Finding.UNKNOWN)
    assert told() == []
    settle(session, Finding.DOUBTFUL)
    assert told() == [(CAPTCHA_ALERT, Severity.WARNING)]
    settle(session, Finding.BROKEN)
    assert told() == [(CAPTCHA_ALERT, Severity.CRITICAL)]
    assert TICKET not in open_alerts(session)[0].detail
    settle(session, Finding.PASSED)
    assert told() == []


def test_a_forged_ticket_is_no_news_where_others_pass(session: Session) -> None:
    """Otherwise whoever makes tickets up would write letters to the operators."""
    take(session)
    settle(session, Finding.PASSED)
    doubtful = Check(Finding.DOUBTFUL, "CaptchaCode 7")
    for day, alerts in ((timedelta(hours=23), 0), (timedelta(hours=25), 1)):
        take_ticket(session, ticket=f"{day}", person_id=7, scan_id=70, now=NOW + day)
        settle_ticket(session, ticket=f"{day}", check=doubtful, now=NOW + day)
        assert len(open_alerts(session)) == alerts


@pytest.mark.parametrize("dies", [False, True])
def test_a_ticket_without_an_answer_is_asked_about_some_times(session: Session, *, dies: bool) -> None:
    """Then another captcha is to be solved, also where whoever asked at last is gone."""
    at = NOW
    for _ in range(MOST_ASKS):
        assert take(session, at) is None
        assert take(session, at) is TicketState.ASKED
        if not dies:
            assert settle(session, Finding.UNKNOWN, at) is TicketState.OPEN
        at += LEASE
    assert take(session, at) is TicketState.REFUSED
    assert settle(session, Finding.PASSED, at) is TicketState.PASSED
    assert take(session, at) is TicketState.PASSED


def test_of_several_that_read_the_same_count_one_asks(session: Session) -> None:
    """The count is guarded where it is written: what was read before may be old."""
    take(session)
    session.execute(update(CaptchaTicket).values(state=TicketState.OPEN, asks=MOST_ASKS))
    digest = session.scalars(select(CaptchaTicket.digest)).one()
    assert not captchas._ask_again(session, digest, NOW)


def test_nobody_has_the_platform_asked_for_ever(session: Session) -> None:
    """Each question costs money; who passed or got no answer misuses nothing, and others may go on."""

    def show(number: int, finding: Finding, at: datetime = NOW, person: int = 7) -> None:
        ticket = f"tr03-{finding}-{number}-{person}"
        assert take_ticket(session, ticket=ticket, person_id=person, scan_id=number, now=at) is None
        settle_ticket(session, ticket=ticket, check=Check(finding), now=at)

    for number in range(MOST_FAILED):
        show(number, Finding.PASSED)
        show(number, Finding.UNKNOWN)
        show(number, Finding.REFUSED)
    with pytest.raises(TooManyCaptchas):
        show(99, Finding.PASSED)
    show(99, Finding.PASSED, person=8)
    show(99, Finding.PASSED, at=NOW + timedelta(days=1))


def test_old_tickets_go(session: Session) -> None:
    take(session)
    assert purge_captcha_tickets(session, now=NOW + KEEP) == 0
    assert purge_captcha_tickets(session, now=NOW + KEEP + SECOND) == 1
    assert session.scalar(select(func.count()).select_from(CaptchaTicket)) == 0


@pytest.mark.parametrize(
    ("state", "passed_at"), [("passed", None), ("open", "2026-06-01 04:00:00"), ("lost", None)]
)
def test_states_and_moments_agree(session: Session, state: str, passed_at: str | None) -> None:
    with pytest.raises(DBAPIError):
        session.execute(
            text(
                "INSERT INTO captcha_tickets"
                " (digest, person_id, scan_id, state, taken_at, asked_at, passed_at)"
                " VALUES (UNHEX(SHA2('x', 256)), 1, 1, :state, '2026-06-01', '2026-06-01', :passed_at)"
            ),
            {"state": state, "passed_at": passed_at},
        )


def test_the_ticket_itself_is_written_nowhere(session: Session) -> None:
    seen: list[str] = []

    with listening(session.get_bind(), lambda *statement: seen.append(str(statement))):
        take(session)
        settle(session, Finding.PASSED)
    assert seen
    assert TICKET not in "".join(seen)
