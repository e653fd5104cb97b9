"""What is proposed, approved, refused and withdrawn, and by whom."""

from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from app.access import approvals
from app.access.approvals import Proposal
from app.access.errors import (
    ApprovalExpired,
    InvalidApproval,
    NotYourProposal,
    PayloadChanged,
    SecondAccountNeeded,
    UnknownApproval,
)
from app.access.models import ApprovalState
from app.access.roles import ApprovalKind, Role
from app.kernel.actor import SYSTEM, Actor
from app.kernel.transitions import TransitionRefused
from tests.factories.accounts import NOW, first, second


@pytest.fixture
def olga(session: Session) -> Actor:
    return first(session)


@pytest.fixture
def peter(session: Session, olga: Actor) -> Actor:
    return second(session, "peter", Role.APPROVER)


def propose(session: Session, actor: Actor, amount_fen: int = 1000, **more: object) -> Proposal:
    said = {
        "kind": ApprovalKind.BUDGET_IN,
        "subject": "campaign tea/june PO-1",
        "payload": {"amount_fen": amount_fen, "原因": "测试"},
        "reason": "more shops",
        "now": NOW,
    } | more
    return approvals.propose(session, actor=actor, **said)


def state(session: Session, found: Proposal) -> ApprovalState:
    return approvals.proposal(session, approval_id=found.id).state


def test_another_account_approves_once(session: Session, olga: Actor, peter: Actor) -> None:
    made = propose(session, olga)
    assert approvals.pending(session, now=NOW) == [made]
    asked = {"approval_id": made.id, "sha256": made.sha256, "now": NOW}
    assert approvals.approve(session, actor=peter, **asked).facts == {"amount_fen": 1000, "原因": "测试"}
    assert state(session, made) is ApprovalState.APPROVED
    assert approvals.pending(session, now=NOW) == []
    with pytest.raises(TransitionRefused):
        approvals.approve(session, actor=peter, **asked)
    with pytest.raises(TransitionRefused):
        approvals.refuse(session, approval_id=made.id, now=NOW, actor=peter)


def test_its_proposer_decides_nothing(session: Session, olga: Actor) -> None:
    made = propose(session, olga)
    with pytest.raises(SecondAccountNeeded):
        approvals.approve(session, approval_id=made.id, sha256=made.sha256, now=NOW, actor=olga)
    with pytest.raises(SecondAccountNeeded):
        approvals.refuse(session, approval_id=made.id, now=NOW, actor=olga)
    with pytest.raises(SecondAccountNeeded):
        approvals.approve(session, approval_id=made.id, sha256=made.sha256, now=NOW, actor=SYSTEM)
    with pytest.raises(SecondAccountNeeded):
        propose(session, SYSTEM)
    assert state(session, made) is ApprovalState.PROPOSED


@pytest.mark.parametrize("decided_by", [":by", "NULL"])
def test_the_database_refuses_it_too(session: Session, olga: Actor, decided_by: str) -> None:
    made = propose(session, olga)
    change = f"UPDATE approvals SET state = 'approved', open_subject = NULL, decided_by = {decided_by}"
    values = {"by": olga.account_id} if decided_by == ":by" else {}
    with pytest.raises(DBAPIError):
        session.execute(text(f"{change} WHERE id = {made.id}"), values)


@pytest.mark.parametrize("change", ["kind = 'lunch'", "state = 'asleep'", "open_subject = NULL"])
def test_the_database_refuses_what_cannot_be(session: Session, olga: Actor, change: str) -> None:
    propose(session, olga)
    with pytest.raises(DBAPIError):
        session.execute(text(f"UPDATE approvals SET {change}"))


def test_another_amount_is_another_proposal(session: Session, olga: Actor, peter: Actor) -> None:
    read = propose(session, olga)
    dearer = propose(session, olga, amount_fen=9000)
    assert state(session, read) is ApprovalState.WITHDRAWN
    asked = {"now": NOW, "actor": peter}
    with pytest.raises(TransitionRefused):
        approvals.approve(session, approval_id=read.id, sha256=read.sha256, **asked)
    with pytest.raises(PayloadChanged):
        approvals.approve(session, approval_id=dearer.id, sha256=read.sha256, **asked)
    other = propose(session, olga, subject="campaign tea/june PO-2")
    assert approvals.pending(session, now=NOW) == [dearer, other]


def test_a_payload_changed_in_the_database_is_seen(session: Session, olga: Actor, peter: Actor) -> None:
    made = propose(session, olga)
    session.execute(text("UPDATE approvals SET payload = REPLACE(payload, '1000', '9000')"))
    with pytest.raises(PayloadChanged):
        approvals.approve(session, approval_id=made.id, sha256=made.sha256, now=NOW, actor=peter)


def test_after_seven_days_it_is_proposed_again(session: Session, olga: Actor, peter: Actor) -> None:
    made = propose(session, olga)
    late = NOW + approvals.LIFE
    assert approvals.pending(session, now=late) == []
    with pytest.raises(ApprovalExpired):
        approvals.approve(session, approval_id=made.id, sha256=made.sha256, now=late, actor=peter)
    again = propose(session, olga, now=late)
    assert state(session, made) is ApprovalState.EXPIRED
    early = late + approvals.LIFE - timedelta(microseconds=1)
    approvals.approve(session, approval_id=again.id, sha256=again.sha256, now=early, actor=peter)


def test_refusing_and_withdrawing(session: Session, olga: Actor, peter: Actor) -> None:
    refused, withdrawn = propose(session, olga), propose(session, olga, subject="campaign tea/june PO-2")
    approvals.refuse(session, approval_id=refused.id, now=NOW, actor=peter)
    with pytest.raises(NotYourProposal):
        approvals.withdraw(session, approval_id=withdrawn.id, now=NOW, actor=peter)
    approvals.withdraw(session, approval_id=withdrawn.id, now=NOW, actor=olga)
    assert state(session, refused) is ApprovalState.REFUSED
    assert state(session, withdrawn) is ApprovalState.WITHDRAWN
    with pytest.raises(UnknownApproval):
        approvals.withdraw(session, approval_id=1, now=NOW, actor=olga)


@pytest.mark.parametrize("reason", [None, " ", "x" * 501])
def test_a_proposal_says_why(session: Session, olga: Actor, reason: str | None) -> None:
    with pytest.raises(InvalidApproval):
        propose(session, olga, reason=reason)
