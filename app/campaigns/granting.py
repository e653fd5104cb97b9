"""Awards outside of a draw: for a complaint, a lost parcel, a mistake (DRAW-16, SEC-01).

One operator proposes, another one approves (`app.approving`). Nobody is promised less by it: what published
rules promise stays in the budget and in the stock, so money that is missing is added first, and pieces come
out of the reserve above the published number. It is no prize of the promotion: nobody could have won it, no
odds move, and it is not among the published winners.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from app.campaigns.accounts import Accounts, needed, open_accounts
from app.campaigns.backing import require_backing
from app.campaigns.errors import GrantedAlready, InvalidGrant, WrongState
from app.campaigns.funding import MAX_REFERENCE
from app.campaigns.models import AwardGrant, Campaign, CampaignState, Purpose
from app.campaigns.operations import read_reason, rules_of, take
from app.campaigns.rules import Prize, PrizeKind, Rules
from app.db.once import insert_once
from app.identity.clusters import lock_cluster
from app.identity.operations import require_real
from app.kernel.actor import Actor
from app.kernel.fen import format_yuan
from app.ledger.operations import AccountRef
from app.members.errors import NotAMember
from app.members.queries import membership
from app.payouts.limits import least_fen
from app.payouts.queries import payer
from app.rewards import operations as rewards
from app.rewards.models import Award, AwardKind, AwardState
from app.rewards.new_award import NewAward
from app.rewards.queries import AwardView

_DAYS = range(1, 366)
_MONEY = ("补偿红包", "Compensation")
_POINTS = ("补偿积分", "Compensation in points")
_MAX_REMARK = 32
_PIECES = {PrizeKind.VOUCHER: AwardKind.VOUCHER, PrizeKind.GOODS: AwardKind.GOODS}


@dataclass(frozen=True, slots=True)
class Grant:
    """What somebody is to get: `amount_fen` fen, `points` points, or a piece of `prize`; one of them.

    reference is the organiser's own number of the case, used once in a campaign; days is how long it can be
    collected.
    """

    campaign_id: int
    person_id: int
    reference: str
    amount_fen: int = 0
    points: int = 0
    prize: str = ""
    days: int = 30


def rehearse(session: Session, *, grant: Grant, now: datetime) -> None:
    """Do and undo all that granting would do: what could not be approved is not proposed.

    Raises InvalidGrant, GrantedAlready, UnknownCampaign, WrongState, UnknownPerson, VirtualPerson,
    NotAMember, PromiseNotBacked, InsufficientBalance.
    """
    used = select(AwardGrant.award_id).where(
        AwardGrant.campaign_id == grant.campaign_id, AwardGrant.reference == grant.reference
    )
    if session.connection().execute(used).first() is not None:
        raise _granted_already()
    with session.begin_nested() as rehearsal:
        _give(session, grant, now=now)
        rehearsal.rollback()


def grant_by_hand(
    session: Session,
    *,
    grant: Grant,
    approval_id: int,
    reason: str,
    proposed_by: str,
    now: datetime,
    actor: Actor,
) -> AwardView:
    """Grant what was proposed, once for its reference and once for its approval; `actor` approved it.

    The award, its money and the row that holds both keys stand or fall together. Raises what `rehearse`
    raises.
    """
    words = read_reason(reason)
    given = _give(session, grant, now=now)
    row = {
        "campaign_id": grant.campaign_id,
        "reference": grant.reference,
        "approval_id": approval_id,
        "award_id": given.id,
        "person_id": grant.person_id,
        "reason": words,
        "proposed_by": proposed_by[:64],
        "approved_by": actor.label[:64],
        "granted_at": now,
    }
    if not insert_once(session, insert(AwardGrant), row):
        raise _granted_already()
    return given


@dataclass(frozen=True, slots=True)
class GrantView:
    """What was given by hand, why, by whom, and where it stands; amount_fen in fen."""

    reference: str
    award_id: int
    person_id: int
    name_en: str
    amount_fen: int
    points: int
    state: AwardState
    granted_at: datetime
    proposed_by: str
    approved_by: str
    reason: str


def grants(session: Session, *, campaign_id: int, limit: int = 200) -> list[GrantView]:
    """Return what was given by hand at the cost of a campaign, the newest first."""
    row = AwardGrant
    wanted = (
        select(
            row.reference,
            row.award_id,
            row.person_id,
            Award.name_en,
            Award.amount_fen,
            Award.points,
            Award.state,
            row.granted_at,
            row.proposed_by,
            row.approved_by,
            row.reason,
        )
        .join(Award, Award.id == row.award_id)
        .where(row.campaign_id == campaign_id)
        .order_by(row.award_id.desc())
        .limit(limit)
    )
    return [GrantView(*found) for found in session.connection().execute(wanted)]


def _granted_already() -> GrantedAlready:
    return GrantedAlready("something has been granted under this reference; `saoma awards granted` shows it")


def _give(session: Session, grant: Grant, *, now: datetime) -> AwardView:
    """Grant the award: the person's cluster locked first, then the campaign, the hot accounts last."""
    cluster = lock_cluster(session, person_id=grant.person_id)
    require_real(session, person_id=grant.person_id)
    if membership(session, person_ids=cluster.person_ids) is None:
        raise NotAMember("only members are given something")
    campaign = take(session, grant.campaign_id)
    if not campaign.version:
        raise WrongState("the campaign has not been published; choose one that has")
    rules = rules_of(session, campaign.id, campaign.version)
    _require_sound(session, grant, campaign, rules)
    prize = _prize(rules, grant)
    pieces = [(Purpose.GRANTED, prize.key)] if prize is not None else []
    accounts = open_accounts(session, campaign, [*needed(rules), *pieces], now=now)
    if campaign.state is not CampaignState.ENDED:
        require_backing(session, accounts, rules, moved=_taken(grant, accounts, prize))
    return rewards.grant(session, award=_award(grant, campaign, rules, accounts, prize, now=now), now=now)


def _require_sound(session: Session, grant: Grant, campaign: Campaign, rules: Rules) -> None:
    """Raise InvalidGrant for what the law, the payer or common sense does not allow."""
    if [grant.amount_fen > 0, grant.points > 0, bool(grant.prize)].count(True) != 1:
        raise InvalidGrant("say what is given: money, points, or a piece of a prize")
    if min(grant.amount_fen, grant.points) < 0 or grant.days not in _DAYS:
        raise InvalidGrant("nothing is below zero, and it can be collected for 1 to 365 days")
    if not 1 <= len(grant.reference) <= MAX_REFERENCE or grant.reference != grant.reference.strip():
        raise InvalidGrant(f"a reference has 1 to {MAX_REFERENCE} characters, such as CASE-2026-17")
    if grant.points and rules.points_terms is None:
        raise InvalidGrant("the campaign's rules do not say what points are worth; choose one whose rules do")
    most = rules.profile.max_prize_fen
    if max(grant.amount_fen, rules.points_worth_fen(grant.points)) > most:
        raise InvalidGrant(f"at most {format_yuan(most)} yuan, or points that are worth that")
    if not grant.amount_fen:
        return
    if campaign.payer_id is None:
        raise InvalidGrant("the campaign has no payer; `saoma campaigns payer` names one")
    paying = payer(session, campaign.payer_id)
    least = max(least_fen(paying.method, paying.scene_id), rules.profile.min_transfer_fen)
    if not least <= grant.amount_fen <= paying.product_max_fen:
        bounds = f"{format_yuan(least)} to {format_yuan(paying.product_max_fen)}"
        raise InvalidGrant(f"the campaign's payer pays {bounds} yuan at once")


def _prize(rules: Rules, grant: Grant) -> Prize | None:
    if not grant.prize:
        return None
    prize = rules.prize_by_key.get(grant.prize)
    if prize is None or prize.kind not in _PIECES:
        raise InvalidGrant("the rules have no voucher and no goods of this key; give money or points instead")
    return prize


def _taken(grant: Grant, accounts: Accounts, prize: Prize | None) -> dict[int, int]:
    """Return what leaves which account, as a change of its balance."""
    if prize is not None:
        return {accounts[Purpose.STOCK, prize.key].id: -1}
    return {accounts[Purpose.BUDGET, ""].id: -grant.amount_fen}


def _award(
    grant: Grant,
    campaign: Campaign,
    rules: Rules,
    accounts: Accounts,
    prize: Prize | None,
    *,
    now: datetime,
) -> NewAward:
    money = grant.amount_fen > 0
    name_zh, name_en = _MONEY if money else _POINTS
    kind = AwardKind.MONEY if money else AwardKind.POINTS
    stock: AccountRef | None = None
    if prize is not None:
        kind, name_zh, name_en = _PIECES[prize.kind], prize.name.zh, prize.name.en
        stock = accounts[Purpose.STOCK, prize.key]
    return NewAward(
        brand_id=campaign.brand_id,
        campaign_id=campaign.id,
        draw_id=None,
        person_id=grant.person_id,
        kind=kind,
        name_zh=name_zh,
        name_en=name_en,
        deadline_at=now + timedelta(days=grant.days),
        amount_fen=grant.amount_fen,
        points=grant.points,
        delivery=prize.delivery if prize is not None else None,
        payer_id=campaign.payer_id if money else None,
        remark=rules.name.zh[:_MAX_REMARK] if money else "",
        budget=accounts[Purpose.BUDGET, ""] if money else None,
        committed=accounts[Purpose.COMMITTED, ""] if money else None,
        stock=stock,
        awarded=accounts[Purpose.GRANTED, prize.key] if prize is not None else None,
    )
