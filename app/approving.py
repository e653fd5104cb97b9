"""Where a proposal becomes an act: what each kind does when another account approves it, or does not.

The access room keeps proposals and does not know what they are about; the rooms do what is asked of them and
keep their own guards. Every edge proposes, approves and refuses through here, so that there is one way, and
each act follows from its approval in the same transaction.
"""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime

from sqlalchemy.orm import Session

from app.access import approvals
from app.access.approvals import Proposal
from app.access.errors import PayloadChanged
from app.access.roles import ApprovalKind
from app.campaigns import funding, granting
from app.campaigns import operations as campaigns
from app.campaigns.granting import Grant
from app.campaigns.operations import InForce
from app.kernel.actor import Actor
from app.outbox.registry import Registry
from app.payouts import closing
from app.payouts import operations as payouts

CarryOut = Callable[[Session, Proposal, datetime, Actor, Registry], None]


def propose_start(
    session: Session, *, campaign_id: int, subject: str, reason: str | None, now: datetime, actor: Actor
) -> tuple[InForce, Proposal]:
    """Propose that a campaign starts with its saved rules (DRAW-16).

    It is published in rehearsal, so that what could not be approved is not proposed. Raises what
    `campaigns.publish` and `approvals.propose` raise.
    """
    with session.begin_nested() as rehearsal:
        done = campaigns.publish(
            session,
            campaign_id=campaign_id,
            now=now,
            actor=actor,
            random_bytes=secrets.token_bytes,
            reason=reason,
        )
        if done.published:
            rehearsal.rollback()
    kind = ApprovalKind.CAMPAIGN_START
    return done, _propose_version(session, kind, done, subject, reason, now=now, actor=actor)


def propose_change(
    session: Session, *, campaign_id: int, subject: str, reason: str | None, now: datetime, actor: Actor
) -> tuple[InForce, Proposal | None]:
    """Change a campaign that runs: at once where it favours shoppers in every point, else as a proposal.

    Raises what `campaigns.change` and `approvals.propose` raise.
    """
    done = campaigns.change(session, campaign_id=campaign_id, now=now, actor=actor, reason=reason)
    if done.published:
        return done, None
    kind = ApprovalKind.CAMPAIGN_CHANGE
    return done, _propose_version(session, kind, done, subject, reason, now=now, actor=actor)


def propose_funds(
    session: Session,
    *,
    campaign_id: int,
    amount_fen: int,
    reference: str,
    subject: str,
    reason: str | None,
    now: datetime,
    actor: Actor,
) -> Proposal:
    """Propose more money for a campaign that runs.

    Raises what `funding.fund` and `approvals.propose` raise.
    """
    with session.begin_nested() as rehearsal:
        funding.fund(
            session, campaign_id=campaign_id, amount_fen=amount_fen, reference=reference, now=now, actor=actor
        )
        rehearsal.rollback()
    return approvals.propose(
        session,
        kind=ApprovalKind.BUDGET_IN,
        subject=f"{subject} {reference}",
        payload={"campaign_id": campaign_id, "amount_fen": amount_fen, "reference": reference},
        reason=reason,
        now=now,
        actor=actor,
    )


def propose_outflow(
    session: Session,
    *,
    campaign_id: int,
    amount_fen: int,
    pool: str | None,
    reference: str,
    subject: str,
    reason: str | None,
    now: datetime,
    actor: Actor,
) -> Proposal | None:
    """Take money out of a budget, or to a pool's: at once before the start, else as a proposal.

    Raises what `funding.defund`, `funding.set_aside` and `approvals.propose` raise.
    """
    if pool is None:
        is_done = funding.defund(
            session,
            campaign_id=campaign_id,
            amount_fen=amount_fen,
            reference=reference,
            now=now,
            actor=actor,
            reason=reason,
        )
    else:
        is_done = funding.set_aside(
            session,
            campaign_id=campaign_id,
            pool=pool,
            amount_fen=amount_fen,
            reference=reference,
            now=now,
            actor=actor,
            reason=reason,
        )
    if is_done:
        return None
    return approvals.propose(
        session,
        kind=ApprovalKind.BUDGET_OUT,
        subject=f"{subject} {reference}",
        payload={
            "campaign_id": campaign_id,
            "amount_fen": amount_fen,
            "pool": pool,
            "reference": reference.strip(),
        },
        reason=reason,
        now=now,
        actor=actor,
    )


def propose_release(
    session: Session, *, payer_id: int, subject: str, reason: str | None, now: datetime, actor: Actor
) -> Proposal:
    """Propose that a payer whom somebody paused pays again; raise what `payouts.resume` raises."""
    with session.begin_nested() as rehearsal:
        payouts.resume(session, payer_id=payer_id, now=now, actor=actor)
        rehearsal.rollback()
    return approvals.propose(
        session,
        kind=ApprovalKind.PAYER_RELEASE,
        subject=subject,
        payload={"payer_id": payer_id},
        reason=reason,
        now=now,
        actor=actor,
    )


def propose_conclusion(
    session: Session,
    registry: Registry,
    *,
    bill_no: str,
    paid: bool,
    subject: str,
    evidence: str,
    now: datetime,
    actor: Actor,
) -> Proposal:
    """Propose that a bill ends by a person's word, on `evidence`; raise what `closing.conclude` raises."""
    with session.begin_nested() as rehearsal:
        closing.conclude(
            session, registry, bill_no=bill_no, paid=paid, evidence=evidence, now=now, actor=actor
        )
        rehearsal.rollback()
    return approvals.propose(
        session,
        kind=ApprovalKind.BILL_CONCLUSION,
        subject=subject,
        payload={"bill": bill_no, "paid": paid},
        reason=evidence,
        now=now,
        actor=actor,
    )


def propose_grant(
    session: Session, *, grant: Grant, subject: str, reason: str | None, now: datetime, actor: Actor
) -> Proposal:
    """Propose an award outside of a draw; raise what `granting.rehearse` and `approvals.propose` raise."""
    granting.rehearse(session, grant=grant, now=now)
    return approvals.propose(
        session,
        kind=ApprovalKind.AWARD_GRANT,
        subject=subject,
        payload=asdict(grant),
        reason=reason,
        now=now,
        actor=actor,
    )


def approve(
    session: Session, registry: Registry, *, approval_id: int, sha256: str, now: datetime, actor: Actor
) -> Proposal:
    """Approve a proposal as another account, and do what it says; raise what either of the two raises.

    Args: registry takes the news of a bill that is concluded to whoever waits for it.
    """
    found = approvals.approve(session, approval_id=approval_id, sha256=sha256, now=now, actor=actor)
    _CARRY_OUT[found.kind](session, found, now, actor, registry)
    return found


def refuse(session: Session, *, approval_id: int, reason: str, now: datetime, actor: Actor) -> Proposal:
    """Turn a proposal down, as another account; what it would have changed stays as it is."""
    found = approvals.refuse(session, approval_id=approval_id, now=now, actor=actor)
    _drop(session, found, reason, now=now, actor=actor)
    return found


def withdraw(session: Session, *, approval_id: int, reason: str, now: datetime, actor: Actor) -> Proposal:
    """Take one's own proposal back."""
    found = approvals.withdraw(session, approval_id=approval_id, now=now, actor=actor)
    _drop(session, found, reason, now=now, actor=actor)
    return found


def _propose_version(
    session: Session,
    kind: ApprovalKind,
    done: InForce,
    subject: str,
    reason: str | None,
    *,
    now: datetime,
    actor: Actor,
) -> Proposal:
    return approvals.propose(
        session,
        kind=kind,
        subject=subject,
        payload={"campaign_id": done.campaign_id, "version": done.version, "sha256": done.sha256},
        reason=reason,
        now=now,
        actor=actor,
    )


def _publish_version(session: Session, found: Proposal, now: datetime, actor: Actor, _: Registry) -> None:
    """Put the proposed version in force. One that overlaps others waits in the campaigns room, too."""
    campaign_id, sha256 = int(found.facts["campaign_id"]), str(found.facts["sha256"])
    saved = campaigns.saved_version(session, campaign_id=campaign_id)
    if saved.sha256 != sha256:
        raise PayloadChanged("other rules have been saved since; propose them", sha256=saved.sha256)
    if saved.is_proposed:
        campaigns.approve(session, campaign_id=campaign_id, rules_sha256=sha256, now=now, actor=actor)
        return
    done = campaigns.publish(
        session,
        campaign_id=campaign_id,
        now=now,
        actor=actor,
        random_bytes=secrets.token_bytes,
        reason=found.reason,
    )
    if not done.published:
        raise PayloadChanged("it now overlaps another campaign, which was not proposed; propose it again")


def _fund(session: Session, found: Proposal, now: datetime, actor: Actor, _: Registry) -> None:
    facts = found.facts
    funding.fund(
        session,
        campaign_id=int(facts["campaign_id"]),
        amount_fen=int(facts["amount_fen"]),
        reference=str(facts["reference"]),
        now=now,
        actor=actor,
    )


def _move_out(session: Session, found: Proposal, now: datetime, actor: Actor, _: Registry) -> None:
    campaign_id, reference = int(found.facts["campaign_id"]), str(found.facts["reference"])
    funding.approve_outflow(session, campaign_id=campaign_id, reference=reference, now=now, actor=actor)


def _release(session: Session, found: Proposal, now: datetime, actor: Actor, _: Registry) -> None:
    payouts.resume(session, payer_id=int(found.facts["payer_id"]), now=now, actor=actor)


def _conclude(session: Session, found: Proposal, now: datetime, actor: Actor, registry: Registry) -> None:
    bill_no, paid = str(found.facts["bill"]), bool(found.facts["paid"])
    closing.conclude(
        session, registry, bill_no=bill_no, paid=paid, evidence=found.reason, now=now, actor=actor
    )


def _grant(session: Session, found: Proposal, now: datetime, actor: Actor, _: Registry) -> None:
    granting.grant_by_hand(
        session,
        grant=Grant(**found.facts),
        approval_id=found.id,
        reason=found.reason,
        proposed_by=found.proposed_label,
        now=now,
        actor=actor,
    )


_CARRY_OUT: Mapping[ApprovalKind, CarryOut] = {
    ApprovalKind.CAMPAIGN_START: _publish_version,
    ApprovalKind.CAMPAIGN_CHANGE: _publish_version,
    ApprovalKind.BUDGET_IN: _fund,
    ApprovalKind.BUDGET_OUT: _move_out,
    ApprovalKind.PAYER_RELEASE: _release,
    ApprovalKind.BILL_CONCLUSION: _conclude,
    ApprovalKind.AWARD_GRANT: _grant,
}


def _drop(session: Session, found: Proposal, reason: str, *, now: datetime, actor: Actor) -> None:
    """Let what waits in a room stop waiting."""
    if found.kind in (ApprovalKind.CAMPAIGN_START, ApprovalKind.CAMPAIGN_CHANGE):
        campaign_id = int(found.facts["campaign_id"])
        saved = campaigns.saved_version(session, campaign_id=campaign_id)
        if saved.is_proposed and saved.sha256 == found.facts["sha256"]:
            campaigns.withdraw(session, campaign_id=campaign_id, reason=reason, now=now, actor=actor)
    elif found.kind is ApprovalKind.BUDGET_OUT:
        funding.withdraw_outflow(
            session,
            campaign_id=int(found.facts["campaign_id"]),
            reference=str(found.facts["reference"]),
            reason=reason,
            now=now,
            actor=actor,
        )
