"""Granting, collecting, reviewing and lapsing awards: one service for every campaign (PAY-10).

Where the value of an award stands is the ledger's to say. A grant moves it from the campaign's budget to
"committed" (and one piece from the prize's stock to "awarded"); it leaves "committed" once, to "paid" or
back to the budget, and both ways carry the same key, so that whatever goes wrong above, never both.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session

from app.alerts.models import Severity
from app.alerts.operations import raise_alert, resolve_alert
from app.db.engine import Replay
from app.db.prepared import Prepared
from app.identity.clusters import lock_cluster
from app.identity.models import Person
from app.identity.queries import Cluster
from app.kernel.actor import Actor
from app.kernel.boundaries import reach
from app.kernel.errors import DomainError
from app.kernel.ids import new_id
from app.kernel.transitions import TransitionRefused
from app.ledger.operations import AccountRef, Transfer, post
from app.payouts import operations as payouts
from app.payouts import queries as bills
from app.payouts.queries import BillView
from app.points import operations as points
from app.points.models import PointsKind
from app.rewards import queries, taxing
from app.rewards.errors import (
    AlreadyAwarded,
    AlreadyFulfilled,
    AwardHeld,
    AwardLapsed,
    AwardRefused,
    DrawsWanted,
    HelpersWanted,
    NotDelivered,
    OpenElsewhere,
    PhoneWanted,
    UnknownAward,
    VirtualPerson,
)
from app.rewards.models import (
    AWARD_TRANSITIONS,
    TO_BE_COLLECTED,
    Award,
    AwardKind,
    AwardState,
    DeliveryWay,
)
from app.rewards.new_award import NewAward
from app.rewards.queries import AwardView
from app.rewards.standstill import NOWHERE, Standstill, keep
from app.rewards.terms import TERMS, Terms, lock, lock_all
from app.vouchers.interfaces import VoucherSupplier

HELD_ALERT = "awards.held_overdue"
UNEXPECTED_ALERT = "award.paid_unexpectedly"


_INSERT = Prepared(insert(Award))


def grant(session: Session, *, award: NewAward, now: datetime) -> AwardView:
    """Grant an award: collectible until its deadline, held for a review, or fulfilled at once (points).

    A voucher is promised a piece of the stock; which code it is, collecting decides.

    Three statements for money: the award, its transfers, the guarded hot rows last; one more where it is
    taxed. Raises
    InsufficientBalance when budget or stock do not hold enough (the award's row must then be rolled back
    with the savepoint or transaction), and AlreadyAwarded for a second award of one draw, as late as the
    transaction ends.
    """
    award_id = new_id()
    state = AwardState.FULFILLED
    if award.held_reason is not None:
        state = AwardState.HELD
    elif award.kind in TO_BE_COLLECTED:
        state = AwardState.COLLECTIBLE
    resolved_at = now if AWARD_TRANSITIONS.final(state) else None
    _INSERT.write_later(
        session,
        {
            "id": award_id,
            "brand_id": award.brand_id,
            "campaign_id": award.campaign_id,
            "draw_id": award.draw_id,
            "person_id": award.person_id,
            "kind": award.kind,
            "amount_fen": award.amount_fen,
            "points": award.points,
            "points_expire_at": award.points_expire_at,
            "delivery": award.delivery,
            "name_zh": award.name_zh,
            "name_en": award.name_en,
            "remark": award.remark,
            "payer_id": award.payer_id,
            "state": state,
            "reason": award.held_reason,
            "decided_by": None,
            "budget_account": award.budget.id if award.budget else None,
            "committed_account": award.committed.id if award.committed else None,
            "stock_account": award.stock.id if award.stock else None,
            "awarded_account": award.awarded.id if award.awarded else None,
            "unlock_draws": award.unlock_draws,
            "unlock_helpers": award.unlock_helpers,
            "granted_at": now,
            "deadline_at": award.deadline_at,
            "resolved_at": resolved_at,
            "withheld_fen": award.withheld_fen,
            "borne_fen": award.borne_fen,
        },
        lost=_awarded_before,
    )
    taxing.record(session, award_id, award, now=now)
    movements = _commitments(award_id, award)
    if award.kind is AwardKind.POINTS and state is AwardState.FULFILLED:
        _give_points(session, award_id, award, now=now, along=movements, source=award.points_source)
    elif movements:
        post(session, movements, now=now)
    return _granted(award_id, award, state, now, resolved_at)


def _awarded_before() -> AlreadyAwarded:
    return AlreadyAwarded("a draw has one award")


def _granted(
    award_id: int, award: NewAward, state: AwardState, now: datetime, resolved_at: datetime | None
) -> AwardView:
    return AwardView(
        id=award_id,
        brand_id=award.brand_id,
        campaign_id=award.campaign_id,
        draw_id=award.draw_id,
        person_id=award.person_id,
        kind=award.kind,
        amount_fen=award.amount_fen,
        points=award.points,
        delivery=award.delivery,
        name_zh=award.name_zh,
        name_en=award.name_en,
        state=state,
        reason=award.held_reason,
        unlock_draws=award.unlock_draws,
        unlock_helpers=award.unlock_helpers,
        granted_at=now,
        deadline_at=award.deadline_at,
        resolved_at=resolved_at,
        withheld_fen=award.withheld_fen,
        borne_fen=award.borne_fen,
    )


def _commitments(award_id: int, award: NewAward) -> list[Transfer]:
    movements = []
    if award.budget is not None and award.committed is not None:
        movements.append(
            Transfer(
                key=f"award:{award_id}:commit",
                debit=award.budget,
                credit=award.committed,
                amount=award.amount_fen + award.borne_fen,
                reason="award.commit",
                ref_id=award_id,
            )
        )
    if award.stock is not None and award.awarded is not None:
        movements.append(
            Transfer(
                key=f"award:{award_id}:stock",
                debit=award.stock,
                credit=award.awarded,
                amount=1,
                reason="award.stock",
                ref_id=award_id,
            )
        )
    return movements


def _give_points(
    session: Session,
    award_id: int,
    award: NewAward | Terms,
    *,
    now: datetime,
    along: Sequence[Transfer] = (),
    source: AccountRef | None = None,
) -> None:
    points.grant(
        session,
        person_id=award.person_id,
        brand_id=award.brand_id,
        points=award.points,
        kind=PointsKind.SPENDABLE,
        bearer=f"campaign:{award.campaign_id}",
        expires_at=award.points_expire_at,
        key=f"award:{award_id}:points",
        reason="award",
        ref_id=award_id,
        now=now,
        along=along,
        source=source,
    )


@dataclass(frozen=True, slots=True)
class CollectResult:
    """What a tap on Collect led to: the award, now locked, and its open bill.

    `message_id` is the outbox message of topic payouts.open; the edge may deliver it after the commit.
    """

    award: AwardView
    bill: BillView
    message_id: int


def collect(
    session: Session,
    *,
    award_id: int,
    person_id: int,
    cluster: Cluster,
    app_id: int,
    now: datetime,
    actor: Actor,
    phone_wanted: bool = False,
    draws_made: int = 0,
    helpers: int = 0,
    released: bool = False,
    user_name: str | None = None,
) -> CollectResult:
    """Open the bill of a money award, or return the one that is open already, however often it is tapped.

    `person_id` is the person of the session, `cluster` everybody they are, `app_id` the app in use.
    `phone_wanted`: the campaign asks for the phone number at this point and the shopper has neither given
    nor declined it; the decision is the caller's, since a prize must not hang on it (contract 13.2).
    `draws_made` is how often the cluster has drawn in the award's campaign since: draws are never taken back,
    so an award that is unlocked stays so; `helpers`, how many friends have helped with it. `released`: the
    campaign has ended, and nobody could unlock it any more. `user_name` is the verified name, needed from
    2,000 yuan.

    Raises UnknownAward, VirtualPerson, AwardHeld, AwardRefused, AwardLapsed, AlreadyFulfilled, DrawsWanted,
    HelpersWanted, OpenElsewhere, PhoneWanted, IdentityWanted, and what payouts.open_bill raises.
    """
    terms = _own(session, award_id, person_id, cluster)
    _require_collectible(terms, now)
    if terms.state is AwardState.COLLECTIBLE and not released:
        _require_unlocked(terms, draws_made, helpers)
    if terms.state is AwardState.COLLECTIBLE and phone_wanted:
        raise PhoneWanted("give your phone number, or go on without")
    if terms.state is AwardState.COLLECTIBLE:
        taxing.count(session, terms, now=now)
    bill = _bill(session, terms, cluster.person_ids, app_id, user_name, now=now, actor=actor)
    if bill.app_id != app_id and bill.method.taken_in_app:
        raise OpenElsewhere(
            "it was opened in another mini-program; confirm it there, or collect it here a day later",
            appid=bill.appid,
        )
    if terms.state is AwardState.COLLECTIBLE:
        _move(session, [award_id], AwardState.COLLECTIBLE, AwardState.LOCKED)
    award = queries.award(session, award_id=award_id, person_ids=cluster.person_ids)
    return CollectResult(award, bill, bill.message_id)


def _require_unlocked(terms: Terms, draws_made: int, helpers: int) -> None:
    missing = terms.unlock_draws - draws_made
    if missing > 0:
        raise DrawsWanted(f"draw {missing} more times in this campaign, then collect", missing=missing)
    friends = terms.unlock_helpers - helpers
    if friends > 0:
        raise HelpersWanted(f"{friends} more friends must help before it is paid", missing=friends)


def collect_voucher(
    session: Session,
    *,
    award_id: int,
    person_id: int,
    cluster: Cluster,
    supplier: VoucherSupplier,
    now: datetime,
    phone_wanted: bool = False,
) -> AwardView:
    """Allot the code of a voucher award, or find that it has one, however often it is tapped (PAY-03 to 05).

    The award's row is locked first, so two taps at once ask `supplier` for one code. Arguments as of
    `collect`. Raises UnknownAward, VirtualPerson, AwardHeld, AwardRefused, AwardLapsed, PhoneWanted,
    IdentityWanted, and VouchersOut when the codes that are left have expired: the award stays.
    """
    terms = _own(session, award_id, person_id, cluster)
    assert terms.stock_account is not None
    if terms.state is not AwardState.FULFILLED:
        _require_collectible(terms, now)
        if phone_wanted:
            raise PhoneWanted("give your phone number, or go on without")
        taxing.count(session, terms, now=now)
        supplier.allot(session, stock_account=terms.stock_account, award_id=award_id, now=now)
        _move(session, [award_id], AwardState.COLLECTIBLE, AwardState.FULFILLED, resolved_at=now)
        taxing.settle(session, terms, now=now)
    return queries.award(session, award_id=award_id, person_ids=cluster.person_ids)


def claim_goods(session: Session, *, award_id: int, person_id: int, cluster: Cluster, now: datetime) -> Terms:
    """Lock goods that are to be sent to their winner, who has just said where to, or says so again.

    From then on the deadline does not touch them. Raises UnknownAward, VirtualPerson, NotDelivered (no goods,
    or fetched in a store only), AwardHeld, AwardRefused, AwardLapsed, AlreadyFulfilled, IdentityWanted.
    """
    terms = _own(session, award_id, person_id, cluster)
    if terms.delivery not in (DeliveryWay.COURIER, DeliveryWay.EITHER):
        raise NotDelivered("this is not sent by courier")
    _require_collectible(terms, now)
    if terms.state is AwardState.COLLECTIBLE:
        taxing.count(session, terms, now=now)
        _move(session, [award_id], AwardState.COLLECTIBLE, AwardState.LOCKED)
    return terms


def hand_over(session: Session, *, award_id: int, now: datetime) -> Terms:
    """Fulfil goods that their winner fetches in a store, once; the row's lock makes a second one wait.

    Raises UnknownAward, NotDelivered (no goods, or sent by courier: only, or already asked for),
    AwardHeld, AwardRefused, AwardLapsed, AlreadyFulfilled, IdentityWanted.
    """
    taxing.lock_winner(session, award_id)
    terms = lock(session, award_id)
    if terms.delivery not in (DeliveryWay.STORE, DeliveryWay.EITHER):
        raise NotDelivered("this is not fetched in a store")
    _require_collectible(terms, now)
    if terms.state is AwardState.LOCKED:
        raise NotDelivered("it is being sent by courier; `saoma goods reopen` takes that back")
    taxing.count(session, terms, now=now)
    _move(session, [award_id], AwardState.COLLECTIBLE, AwardState.FULFILLED, resolved_at=now)
    taxing.settle(session, terms, now=now)
    return terms


def end_delivery(session: Session, *, award_id: int, sent: bool, now: datetime) -> Terms:
    """End the delivery of locked goods: fulfilled when `sent`, else to be claimed anew with all their time.

    Raises UnknownAward, NotDelivered (no goods), TransitionRefused (they are not locked).
    """
    terms = lock(session, award_id)
    if terms.delivery is None:
        raise NotDelivered("this award is no goods")
    if terms.state is not AwardState.LOCKED:
        raise TransitionRefused(f"it is {terms.state}; nothing is to be sent", state=str(terms.state))
    if sent:
        _move(session, [award_id], AwardState.LOCKED, AwardState.FULFILLED, resolved_at=now)
        taxing.settle(session, terms, now=now)
    else:
        deadline = now + (terms.deadline_at - terms.granted_at)
        _move(session, [award_id], AwardState.LOCKED, AwardState.COLLECTIBLE, deadline_at=deadline)
    return terms


def _own(session: Session, award_id: int, person_id: int, cluster: Cluster) -> Terms:
    """Lock an award of somebody with an identity of their own; raise VirtualPerson, UnknownAward."""
    who = (
        select(Person.virtual, Award.withheld_fen + Award.borne_fen)
        .outerjoin(Award, Award.id == award_id)
        .where(Person.id == person_id)
    )
    virtual, taxed = session.connection().execute(who).one()
    if virtual:
        raise VirtualPerson("this visit has no WeChat identity; open the mini-program and sign in")
    if taxed:
        # Another of their taxed awards must not be collected meanwhile; persons are locked before things.
        lock_cluster(session, person_id=person_id)
    terms = lock(session, award_id)
    if terms.person_id not in cluster.person_ids:
        raise UnknownAward("you have no award with this id")
    return terms


def _bill(
    session: Session,
    terms: Terms,
    person_ids: Sequence[int],
    app_id: int,
    user_name: str | None,
    *,
    now: datetime,
    actor: Actor,
) -> BillView:
    if terms.deadline_at <= now:
        # Only a bill that was opened in time keeps the award; after the deadline there is no other one.
        latest = bills.latest_bill(session, award_id=terms.id)
        assert latest is not None
        return latest
    assert terms.payer_id is not None
    return payouts.open_bill(
        session,
        award_id=terms.id,
        brand_id=terms.brand_id,
        person_id=terms.person_id,
        person_ids=person_ids,
        app_id=app_id,
        payer_id=terms.payer_id,
        amount_fen=terms.net_fen,
        remark=terms.remark,
        now=now,
        actor=actor,
        user_name=user_name,
    )


_REFUSALS: dict[AwardState, tuple[type[DomainError], str]] = {
    AwardState.HELD: (AwardHeld, "the organiser reviews it; come back later"),
    AwardState.REFUSED: (AwardRefused, "the organiser reviewed it and refused"),
    AwardState.LAPSED: (AwardLapsed, "the published time to collect it has ended"),
    AwardState.FULFILLED: (AlreadyFulfilled, "you have it already"),
}


def _require_collectible(terms: Terms, now: datetime) -> None:
    if terms.state in _REFUSALS:
        refusal, detail = _REFUSALS[terms.state]
        raise refusal(detail)
    if terms.state is AwardState.COLLECTIBLE and terms.deadline_at <= now:
        refusal, detail = _REFUSALS[AwardState.LAPSED]
        raise refusal(detail)


def _move(
    session: Session, award_ids: Sequence[int], old: AwardState, new: AwardState, **values: object
) -> None:
    """Move awards that this transaction has locked in state `old`."""
    AWARD_TRANSITIONS.require(old, new)
    moved = update(Award).where(Award.id.in_(award_ids), Award.state == old).values(state=new, **values)
    if session.connection().execute(moved).rowcount != len(award_ids):
        raise Replay


def lapse_due(session: Session, *, now: datetime, limit: int = 200, standstill: Standstill = NOWHERE) -> int:
    """Lapse at most `limit` awards whose deadline has passed, with budget and stock returned; say how many.

    An award whose bill is open is locked and stays; one that is being collected at this moment is left for
    the next round. Held awards wait for their reviewer, whom an alert reminds. What nobody can unlock now, by
    `standstill`, does not lapse; moving its deadline counts as one.
    """
    stands = bool(standstill.campaigns or standstill.brands)
    kept = keep(session, standstill, now=now, limit=limit) if stands else 0
    due = (
        TERMS.where(Award.state == AwardState.COLLECTIBLE, Award.deadline_at <= now)
        .order_by(Award.deadline_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    if stands:
        due = due.where(~standstill.holds())
    rows = [Terms._make(row) for row in session.connection().execute(due)]
    if rows:
        ids = [row.id for row in rows]
        _move(session, ids, AwardState.COLLECTIBLE, AwardState.LAPSED, resolved_at=now)
        taxing.void(session, rows)
        post(session, [movement for row in rows for movement in row.returned()], now=now)
    _remind_of_held(session, now)
    if rows:
        reach("rewards.lapsing")
    return len(rows) + kept


def _remind_of_held(session: Session, now: datetime) -> None:
    waiting = select(func.count()).where(Award.state == AwardState.HELD, Award.deadline_at <= now)
    number = session.connection().execute(waiting).scalar_one()
    if not number:
        resolve_alert(session, kind=HELD_ALERT, subject="all", by="system", now=now)
        return
    raise_alert(
        session,
        kind=HELD_ALERT,
        subject="all",
        severity=Severity.WARNING,
        detail=f"{number} awards are held past their deadline: `saoma awards held` lists them; release or"
        " refuse each.",
        now=now,
    )


def release(session: Session, *, award_id: int, reason: str, now: datetime, actor: Actor) -> AwardView:
    """Let a held award go to its winner; the time of the review is added to its deadline (points: at once).

    Raises UnknownAward, or TransitionRefused when it is not held.
    """
    terms = lock(session, award_id)
    if terms.state is not AwardState.HELD:
        raise TransitionRefused(f"it is {terms.state}; only a held award is released", state=str(terms.state))
    decided = {"reason": reason[:200], "decided_by": actor.label[:64]}
    if terms.kind in TO_BE_COLLECTED:
        deadline = now + (terms.deadline_at - terms.granted_at)
        _move(session, [award_id], AwardState.HELD, AwardState.COLLECTIBLE, deadline_at=deadline, **decided)
    else:
        _move(session, [award_id], AwardState.HELD, AwardState.FULFILLED, resolved_at=now, **decided)
    if terms.kind is AwardKind.POINTS:
        _give_points(session, award_id, terms, now=now)
    return queries.award(session, award_id=award_id, person_ids=[terms.person_id])


def refuse(session: Session, *, award_id: int, reason: str, now: datetime, actor: Actor) -> AwardView:
    """Refuse a held award for good, or one whose bill ended without money; budget and stock return.

    What nobody has tried to pay yet stays promised. Raises UnknownAward, TransitionRefused.
    """
    terms = lock(session, award_id)
    AWARD_TRANSITIONS.require(terms.state, AwardState.REFUSED)
    if terms.state is AwardState.COLLECTIBLE and bills.latest_bill(session, award_id=award_id) is None:
        raise TransitionRefused("it was neither held nor tried to be paid: it stays promised")
    decided = {"reason": reason[:200], "decided_by": actor.label[:64]}
    _move(session, [award_id], terms.state, AwardState.REFUSED, resolved_at=now, **decided)
    taxing.void(session, [terms])
    post(session, terms.returned(), now=now)
    return queries.award(session, award_id=award_id, person_ids=[terms.person_id])


def settle(session: Session, *, award_ids: Collection[int], now: datetime) -> None:
    """Book the money of awards as paid, once: their bills have ended well, whatever the awards' states say.

    Money that arrived cannot be taken back. If an award was not locked for it, something has gone wrong
    and a person must look; the alert says so.
    """
    paid = []
    for terms in lock_all(session, award_ids):
        if terms.state is AwardState.LOCKED:
            paid.append(terms)
        elif terms.state is not AwardState.FULFILLED:
            _warn_of_unexpected(session, terms, now)
    if not paid:
        return
    ids = [terms.id for terms in paid]
    _move(session, ids, AwardState.LOCKED, AwardState.FULFILLED, resolved_at=now, reason=None)
    accounts = {
        (payer_id, brand_id): bills.paid_account(session, payer_id=payer_id, brand_id=brand_id, now=now)
        for payer_id, brand_id in sorted({_paid_by(terms) for terms in paid})
    }
    post(session, [terms.paid_to(accounts[_paid_by(terms)]) for terms in paid], now=now)
    for terms in paid:
        taxing.settle(session, terms, now=now)


def _paid_by(terms: Terms) -> tuple[int, int]:
    assert terms.payer_id is not None
    return terms.payer_id, terms.brand_id


def _warn_of_unexpected(session: Session, terms: Terms, now: datetime) -> None:
    raise_alert(
        session,
        kind=UNEXPECTED_ALERT,
        subject=str(terms.id),
        severity=Severity.CRITICAL,
        detail=f"Money arrived for an award that is {terms.state}. Look at its bills and at the ledger.",
        now=now,
    )


def unlock(session: Session, *, award_id: int, bill_id: int, reason: str) -> None:
    """Make an award collectible again whose bill ended without money; its deadline stands.

    Does nothing when the award has moved on or a newer bill has been opened meanwhile.
    """
    terms = lock(session, award_id)
    bill = bills.latest_bill(session, award_id=award_id)
    if terms.state is AwardState.LOCKED and bill is not None and bill.bill_id == bill_id:
        _move(session, [award_id], AwardState.LOCKED, AwardState.COLLECTIBLE, reason=reason[:200])
