"""Awards by hand under many connections: approved by everybody at once, and while draws empty the budget."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from sqlalchemy import bindparam, func, select, text, update
from sqlalchemy.orm import Session

from app import approving
from app.access import approvals
from app.access.approvals import Proposal
from app.access.models import Approval, ApprovalState, ConsoleAccount
from app.access.roles import Role
from app.campaigns import granting
from app.campaigns.errors import GrantedAlready, PromiseNotBacked, SoldOut
from app.campaigns.granting import Grant
from app.identity.queries import Principal
from app.kernel.actor import Actor, ActorKind
from app.kernel.transitions import TransitionRefused
from app.ledger import operations as ledger
from app.ledger.errors import InsufficientBalance
from app.ledger.models import Account
from app.outbox.registry import Registry
from app.rewards.models import Award
from tests.factories.accounts import first, second
from tests.factories.campaigns import money, pool
from tests.race.crowd import Crowd
from tests.support.racing import RaceResult, race

pytestmark = pytest.mark.race

TAPS = 16
HALF = 16
BUDGET_FEN = 100 * HALF
PLENTY_FEN = 200 * TAPS
RULES: dict[str, Any] = {
    "prizes": [money("yuan", 100)],
    "pools": [pool("everybody", 0, {"yuan": 1}, hundred_percent_win=True)],
}


@pytest.fixture
def accounts(crowd: Crowd) -> list[Actor]:
    """Olga, who proposes, and two who approve, made once in the crowd's database."""
    db = crowd.world.db
    wanted = select(ConsoleAccount.login, ConsoleAccount.id).order_by(ConsoleAccount.id)
    known = [
        Actor(ActorKind.OPERATOR, row.login, account_id=row.id)
        for row in crowd.world.read(lambda session: session.execute(wanted).all())
    ]
    return known or [
        db.transact(first),
        *[db.transact(lambda s, login=login: second(s, login, Role.APPROVER)) for login in ("mary", "peter")],
    ]


def _propose(crowd: Crowd, campaign: int, who: Principal, by: Actor) -> Proposal:
    """Propose one yuan for a case of its own."""
    reference = f"CASE-{next(crowd.world.numbers)}"
    return crowd.world.do(
        approving.propose_grant,
        grant=Grant(campaign, who.person_id, reference, amount_fen=100),
        subject=reference,
        reason="parcel lost",
        actor=by,
    )


def _approving(crowd: Crowd, found: Proposal, by: Actor) -> Callable[[], Proposal]:
    world = crowd.world
    return lambda: world.db.transact(
        lambda session: approving.approve(
            session,
            Registry(),
            approval_id=found.id,
            sha256=found.sha256,
            now=world.clock.now(),
            actor=by,
        )
    )


def _given(crowd: Crowd, campaign: int) -> int:
    counted = select(func.count()).where(Award.campaign_id == campaign, Award.draw_id.is_(None))
    return crowd.world.read(lambda session: session.scalar(counted)) or 0


def _approve_at_once(crowd: Crowd, accounts: list[Actor], seed: int) -> tuple[int, RaceResult]:
    """Two people approve one proposal, sixteen times at once; return the campaign and the race."""
    campaign = crowd.campaign(**RULES, fen=PLENTY_FEN)
    olga, *others = accounts
    found = _propose(crowd, campaign, crowd.members[0], olga)
    taps = [_approving(crowd, found, other) for other in others] * (TAPS // 2)
    return campaign, race(crowd.world.db, taps, seed=seed)


def test_one_proposal_gives_once_however_often_it_is_approved(
    crowd: Crowd, accounts: list[Actor], race_seed: int
) -> None:
    campaign, result = _approve_at_once(crowd, accounts, race_seed)
    assert len(result.values) == 1
    assert {type(error) for error in result.errors} == {TransitionRefused}
    assert result.lock_waits > 0, "nobody waited for anybody: this was no race"
    assert _given(crowd, campaign) == 1
    left = crowd.world.left(campaign)
    assert (left["budget"], left["committed"]) == (PLENTY_FEN - 100, 100)


@pytest.fixture
def _approved_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first guard taken out: an approval does not look whether it was given before."""
    unguarded = (
        update(Approval)
        .where(Approval.id == bindparam("wanted"), Approval.proposed_by != bindparam("by"))
        .values(
            state=ApprovalState.APPROVED,
            decided_by=bindparam("by"),
            decided_at=bindparam("at"),
            open_subject=None,
        )
    )
    monkeypatch.setattr(approvals, "_APPROVE", unguarded)


@pytest.mark.usefixtures("_approved_again")
def test_the_reference_alone_gives_once_too(crowd: Crowd, accounts: list[Actor]) -> None:
    campaign, result = _approve_at_once(crowd, accounts, seed=0)
    assert _given(crowd, campaign) == 1
    assert {type(error) for error in result.errors} == {GrantedAlready}


@pytest.mark.usefixtures("_approved_again")
def test_without_either_guard_it_is_given_many_times(
    crowd: Crowd, accounts: list[Actor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(granting, "insert_once", lambda *_: True)
    campaign, _ = _approve_at_once(crowd, accounts, seed=0)
    assert _given(crowd, campaign) == TAPS


def _empty(crowd: Crowd, accounts: list[Actor], seed: int) -> tuple[int, RaceResult]:
    """Sixteen draw and sixteen are approved at once, out of money for half of them."""
    olga, mary, peter = accounts
    campaign = crowd.campaign(**RULES, fen=BUDGET_FEN)
    members = crowd.members
    proposals = [_propose(crowd, campaign, who, olga) for who in members[HALF : 2 * HALF]]
    scans = crowd.scan_all(members[:HALF])
    runners: list[Callable[[], Any]] = [
        crowd.drawing(who, scan) for who, scan in zip(members[:HALF], scans, strict=True)
    ]
    runners += [
        _approving(crowd, found, peter if number % 2 else mary) for number, found in enumerate(proposals)
    ]
    return campaign, race(crowd.world.db, runners, seed=seed)


def test_draws_and_approvals_together_never_pass_the_budget(
    crowd: Crowd, accounts: list[Actor], race_seed: int
) -> None:
    campaign, result = _empty(crowd, accounts, race_seed)
    refused = {type(error) for error in result.errors}
    assert refused <= {SoldOut, PromiseNotBacked, InsufficientBalance}
    assert result.lock_waits > 0, "nobody waited for anybody: this was no race"
    left = crowd.world.left(campaign)
    assert left["committed"] == 100 * len(result.values) == BUDGET_FEN - left["budget"]
    # The last yuan is promised to whoever draws: an approval alone leaves it.
    assert left["budget"] in (0, 100)
    waiting = {found.id for found in crowd.world.do(approvals.pending)}
    approved = len([found for found in result.values if isinstance(found, Proposal)])
    assert _given(crowd, campaign) == approved
    assert len(waiting) >= HALF - approved, "what could not be paid waits for another try"


def _check_then_write(session: Session, changes: Mapping[int, Any], *, lost: Callable[[], Exception]) -> None:
    """The guard taken out: a check in the program and a write of what it saw."""
    connection = session.connection()
    seen = select(Account.id, Account.balance).where(Account.id.in_(changes))
    left = {row.id: row.balance for row in connection.execute(seen)}
    if any(left[account] + change.amount < 0 for account, change in changes.items()):
        raise lost()
    connection.execute(text("SELECT SLEEP(0.002)"))
    for account, change in changes.items():
        written = update(Account).where(Account.id == account)
        connection.execute(written.values(balance=left[account] + change.amount))


def test_without_the_ledgers_guard_more_is_given_than_there_is(
    crowd: Crowd, accounts: list[Actor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "_apply", _check_then_write)
    campaign, result = _empty(crowd, accounts, seed=0)
    crowd.forget_money(campaign)
    assert 100 * len(result.values) > BUDGET_FEN
