"""Everything that takes two accounts: the same person is refused on every path, another one gets it done."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import update

from app import approving
from app.access import approvals
from app.access.approvals import Proposal
from app.access.errors import PayloadChanged, SecondAccountNeeded
from app.access.models import ApprovalState
from app.access.roles import ApprovalKind, Role
from app.campaigns import queries
from app.campaigns.errors import NothingToChange
from app.campaigns.granting import Grant
from app.campaigns.models import CampaignState, Purpose
from app.db.engine import Database
from app.kernel.actor import Actor, ActorKind
from app.kernel.clock import ManualClock
from app.outbox.registry import Registry
from app.payouts import closing
from app.payouts import operations as payouts
from app.payouts import queries as payouts_of
from app.payouts.models import Bill
from app.payouts.queries import payer
from app.payouts.states import BillState, PayerState
from app.rewards import operations as rewards
from app.rewards.handlers import SettleAwards, UnlockAwards
from app.rewards.models import AwardKind
from tests.factories.accounts import first, second
from tests.factories.campaign_world import CampaignWorld
from tests.factories.campaigns import document, money

NAME = "campaign tea/june"
BUDGET_FEN = 100_000


class Town:
    """A brand, a campaign with money and saved rules, and two accounts."""

    def __init__(self, db: Database, clock: ManualClock) -> None:
        self.world = CampaignWorld.build(db, clock)
        self.registry = Registry()
        self.registry.add(fact_handlers=[SettleAwards(), UnlockAwards()])
        self.olga: Actor = db.transact(first)
        self.peter: Actor = db.transact(lambda session: second(session, "peter", Role.APPROVER))
        self.campaign = self.world.create()
        self.world.save(self.campaign)
        self.world.fund(self.campaign, BUDGET_FEN)

    def do(self, operation: Callable[..., Any], actor: Actor, **arguments: Any) -> Any:
        return self.world.do(operation, actor=actor, **arguments)

    def ask(self, operation: Callable[..., Any], **more: Any) -> Any:
        said = {"campaign_id": self.campaign, "subject": NAME, "reason": "the plan"} | more
        return self.do(operation, self.olga, **said)

    def decide(self, found: Proposal, actor: Actor) -> None:
        self.do(approving.approve, actor, registry=self.registry, approval_id=found.id, sha256=found.sha256)

    def start(self) -> None:
        _, proposal = self.ask(approving.propose_start)
        self.decide(proposal, self.peter)

    def view(self) -> queries.CampaignView:
        (found,) = self.world.read(queries.campaigns)
        return found

    def budget_fen(self) -> int:
        left = self.world.read(queries.left, campaign_id=self.campaign)
        return next(item.amount for item in left if item.purpose is Purpose.BUDGET)

    def payer_state(self) -> PayerState:
        with self.world.db.read() as session:
            return payer(session, self.world.payer_id).state


@pytest.fixture(params=["mariadb", "sqlite"])
def town(request: pytest.FixtureRequest, clock: ManualClock) -> Town:
    db: Database = request.getfixturevalue("clean_db" if request.param == "mariadb" else "sqlite_db")
    return Town(db, clock)


def starts(town: Town) -> tuple[Proposal, Callable[[], bool]]:
    done, proposal = town.ask(approving.propose_start)
    assert done.published, "in rehearsal"
    return proposal, lambda: town.view().state is CampaignState.PUBLISHED


def changes(town: Town) -> tuple[Proposal, Callable[[], bool]]:
    town.start()
    worse = [money("yuan", 50), *town_prizes()[1:]]
    town.world.save(town.campaign, prizes=worse)
    _, proposal = town.ask(approving.propose_change)
    return proposal, lambda: town.view().version == 2


def adds(town: Town) -> tuple[Proposal, Callable[[], bool]]:
    town.start()
    proposal = town.ask(approving.propose_funds, amount_fen=500, reference="PO-2")
    return proposal, lambda: town.budget_fen() == BUDGET_FEN + 500


def takes(town: Town) -> tuple[Proposal, Callable[[], bool]]:
    town.start()
    proposal = town.ask(approving.propose_outflow, amount_fen=500, pool=None, reference="PO-3")
    return proposal, lambda: town.budget_fen() == BUDGET_FEN - 500


def releases(town: Town) -> tuple[Proposal, Callable[[], bool]]:
    town.do(payouts.pause, town.olga, payer_id=town.world.payer_id, reason="audit")
    said = {"payer_id": town.world.payer_id, "subject": "payer 1900000001", "reason": "audit is over"}
    proposal = town.do(approving.propose_release, town.olga, **said)
    return proposal, lambda: town.payer_state() is PayerState.ACTIVE


def concludes(town: Town) -> tuple[Proposal, Callable[[], bool]]:
    """A bill that WeChat Pay does not know, so long after it was opened that this proves nothing."""
    world = town.world
    town.start()
    winner = world.member()
    while (won := world.draw(winner).award) is None or won.kind is not AwardKind.MONEY:
        pass
    collected = world.do(
        rewards.collect,
        award_id=won.id,
        person_id=winner.person_id,
        cluster=winner.cluster,
        app_id=world.app_id,
        actor=Actor(ActorKind.PERSON, "shopper", winner.person_id),
    )
    number = collected.bill.bill_no
    town.do(closing.close_bill, town.olga, bill_no=number, reason="nothing comes")
    town.world.db.transact(lambda session: session.execute(update(Bill).values(absent_at=world.clock.now())))
    world.wait(days=30)
    said = {"bill_no": number, "paid": False, "subject": f"bill {number}", "evidence": "ticket 4711"}
    proposal = town.do(approving.propose_conclusion, town.olga, registry=town.registry, **said)

    def is_done() -> bool:
        bill = world.read(payouts_of.latest_bill, award_id=won.id)
        assert bill is not None
        return bill.state is BillState.CANCELLED

    return proposal, is_done


def grants(town: Town) -> tuple[Proposal, Callable[[], bool]]:
    town.start()
    who = town.world.member()
    wanted = Grant(town.campaign, who.person_id, "CASE-1", amount_fen=500)
    said = {"grant": wanted, "subject": f"{NAME} CASE-1", "reason": "parcel lost"}
    proposal = town.do(approving.propose_grant, town.olga, **said)
    return proposal, lambda: town.budget_fen() == BUDGET_FEN - 500


def town_prizes() -> list[Any]:
    prizes: list[Any] = document()["prizes"]
    return prizes


WAYS = {
    ApprovalKind.CAMPAIGN_START: starts,
    ApprovalKind.CAMPAIGN_CHANGE: changes,
    ApprovalKind.BUDGET_IN: adds,
    ApprovalKind.BUDGET_OUT: takes,
    ApprovalKind.PAYER_RELEASE: releases,
    ApprovalKind.BILL_CONCLUSION: concludes,
    ApprovalKind.AWARD_GRANT: grants,
}


def test_every_kind_is_walked() -> None:
    assert set(WAYS) == set(ApprovalKind)


@pytest.mark.parametrize("kind", list(ApprovalKind))
def test_the_same_person_is_refused_and_another_one_gets_it_done(town: Town, kind: ApprovalKind) -> None:
    proposal, is_done = WAYS[kind](town)
    assert proposal.kind is kind
    assert not is_done(), "nothing happens before the approval"
    with pytest.raises(SecondAccountNeeded):
        town.decide(proposal, town.olga)
    with pytest.raises(SecondAccountNeeded):
        town.do(approving.refuse, town.olga, approval_id=proposal.id, reason="mine")
    assert not is_done()
    town.decide(proposal, town.peter)
    assert is_done()
    assert town.world.read(approvals.proposal, approval_id=proposal.id).state is ApprovalState.APPROVED


@pytest.mark.parametrize("kind", list(ApprovalKind))
def test_what_is_refused_does_not_happen_and_can_be_proposed_again(town: Town, kind: ApprovalKind) -> None:
    proposal, is_done = WAYS[kind](town)
    town.do(approving.refuse, town.peter, approval_id=proposal.id, reason="not now")
    assert not is_done()
    assert town.world.do(lambda session, now: approvals.pending(session, now=now)) == []


def test_rules_saved_after_the_proposal_are_not_approved_with_it(town: Town) -> None:
    proposal, is_done = starts(town)
    town.world.save(town.campaign, name={"zh": "另一个", "en": "Another"})
    with pytest.raises(PayloadChanged):
        town.decide(proposal, town.peter)
    assert not is_done()
    assert town.world.read(approvals.proposal, approval_id=proposal.id).state is ApprovalState.PROPOSED


def test_a_change_saved_anew_waits_for_its_own_approval(town: Town) -> None:
    proposal, is_done = changes(town)
    town.world.save(town.campaign, prizes=[money("yuan", 40), *town_prizes()[1:]])
    with pytest.raises((PayloadChanged, NothingToChange)):
        town.decide(proposal, town.peter)
    assert not is_done()
