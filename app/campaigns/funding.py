"""Money and stock of a campaign, in and out, each movement once per reference (DRAW-18, PAY-09).

A reference is the operator's own number of what happened (a purchase order, a delivery note). Using it twice
is refused with `already_posted`: the second click moves nothing.

While its rules are published and the campaign has not ended, its budget is what they promise prizes from:
money leaves it, or changes from one pool to another, only with a reason and a second operator's approval.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import insert
from sqlalchemy.orm import Session

from app.campaigns.accounts import Accounts, needed, open_accounts
from app.campaigns.backing import require_backing, require_money_for
from app.campaigns.errors import InvalidCampaign, NothingToChange, UnknownOutflow, WrongState
from app.campaigns.models import (
    OUTFLOW_TRANSITIONS,
    Action,
    Campaign,
    CampaignOutflow,
    CampaignState,
    CampaignVersion,
    OutflowState,
    Purpose,
)
from app.campaigns.operations import log, read_reason, require_second, rules_of, take
from app.campaigns.parser import parse_rules
from app.campaigns.rules import PrizeKind, Rules
from app.db.once import insert_once
from app.kernel.actor import Actor
from app.kernel.json import Json
from app.ledger.errors import AlreadyPosted
from app.ledger.operations import Transfer, post

MAX_REFERENCE = 40
_RUNNING = (CampaignState.PUBLISHED, CampaignState.STOPPED)


def fund(
    session: Session, *, campaign_id: int, amount_fen: int, reference: str, now: datetime, actor: Actor
) -> None:
    """Add money to a campaign's budget, after its end for what is owed still (`app.campaigns.granting`).

    Raises AlreadyPosted, InvalidCampaign.
    """
    way = _Way(Action.FUNDED, (Purpose.FUNDING, ""), (Purpose.BUDGET, ""))
    _move(session, campaign_id, way, amount_fen, reference, now=now, actor=actor)


def defund(
    session: Session,
    *,
    campaign_id: int,
    amount_fen: int,
    reference: str,
    now: datetime,
    actor: Actor,
    reason: str | None = None,
) -> bool:
    """Take money out of the budget: what is promised must stay while the campaign runs.

    Returns whether it was done: from a campaign that runs it waits for a second operator
    (`approve_outflow`). Raises InsufficientBalance, PromiseNotBacked, AlreadyPosted, InvalidCampaign (no
    reason, too).
    """
    way = _outward(Action.DEFUNDED, "", amount_fen)
    return _move_out(session, campaign_id, way, amount_fen, reference, now=now, actor=actor, reason=reason)


def set_aside(
    session: Session,
    *,
    campaign_id: int,
    pool: str,
    amount_fen: int,
    reference: str,
    now: datetime,
    actor: Actor,
    reason: str | None = None,
) -> bool:
    """Move money from the campaign's budget to that of a pool with its own; below zero, back again.

    Returns whether it was done: in a campaign that runs it waits for a second operator (`approve_outflow`).
    Raises InsufficientBalance, PromiseNotBacked, AlreadyPosted, InvalidCampaign (no such pool, it has no
    budget of its own, no reason).
    """
    way = _outward(Action.BUDGET_MOVED, pool, amount_fen)
    return _move_out(session, campaign_id, way, amount_fen, reference, now=now, actor=actor, reason=reason)


def approve_outflow(
    session: Session, *, campaign_id: int, reference: str, now: datetime, actor: Actor
) -> None:
    """Move the money that was proposed under `reference`, as an operator who did not propose it.

    Raises UnknownOutflow, TransitionRefused (decided already), SecondOperatorNeeded, InsufficientBalance,
    PromiseNotBacked, AlreadyPosted.
    """
    campaign = take(session, campaign_id)
    proposed = _proposed(session, campaign_id, reference)
    OUTFLOW_TRANSITIONS.require(proposed.state, OutflowState.APPROVED)
    require_second(actor, proposed.proposed_by)
    proposed.state, proposed.decided_at = OutflowState.APPROVED, now
    proposed.approved_by = actor.label[:64]
    session.flush()
    way = _outward(proposed.action, proposed.pool, proposed.amount_fen)
    movement = _Movement(campaign, way, abs(proposed.amount_fen), proposed.reference)
    _post(session, movement, now=now, actor=actor, reason=proposed.reason, proposed_by=proposed.proposed_by)


def withdraw_outflow(
    session: Session, *, campaign_id: int, reference: str, reason: str, now: datetime, actor: Actor
) -> None:
    """Take such a proposal back, or turn it down; its reference stays used.

    Raises UnknownOutflow, TransitionRefused (decided already), InvalidCampaign (no reason).
    """
    take(session, campaign_id)
    proposed = _proposed(session, campaign_id, reference)
    OUTFLOW_TRANSITIONS.require(proposed.state, OutflowState.WITHDRAWN)
    proposed.state, proposed.decided_at = OutflowState.WITHDRAWN, now
    session.flush()
    detail: dict[str, Json] = {"reference": proposed.reference}
    words = read_reason(reason)
    log(session, campaign_id, Action.WITHDRAWN, now=now, actor=actor, reason=words, detail=detail)


def stock_in(
    session: Session,
    *,
    campaign_id: int,
    prize: str,
    pieces: int,
    reference: str,
    now: datetime,
    actor: Actor,
    coded: bool = False,
) -> None:
    """Add pieces of a limited prize. More than the published number are a reserve that may be given too.

    So while the campaign runs, the budget must hold what they may cost; up to the promised number pieces
    come in whatever else is missing. `coded`: as many codes of a voucher prize are added with them
    (`app.campaigns.supplies`). Raises AlreadyPosted, InvalidCampaign (no such prize, it has no stock, its
    pieces are codes), WrongState, PromiseNotBacked.
    """
    way = _Way(Action.STOCKED, (Purpose.SUPPLY, prize), (Purpose.STOCK, prize), coded)
    _move(session, campaign_id, way, pieces, reference, now=now, actor=actor)


def stock_out(
    session: Session,
    *,
    campaign_id: int,
    prize: str,
    pieces: int,
    reference: str,
    now: datetime,
    actor: Actor,
    coded: bool = False,
) -> None:
    """Take pieces out of stock: what is promised must stay while the campaign runs.

    `coded`: as many codes are withdrawn with them. Raises InsufficientBalance, PromiseNotBacked,
    AlreadyPosted, InvalidCampaign.
    """
    way = _Way(Action.UNSTOCKED, (Purpose.STOCK, prize), (Purpose.SUPPLY, prize), coded)
    _move(session, campaign_id, way, pieces, reference, now=now, actor=actor)


@dataclass(frozen=True, slots=True)
class _Way:
    """A movement: what it is called, from which account to which, and whether the pieces are codes."""

    action: Action
    source: tuple[Purpose, str]
    target: tuple[Purpose, str]
    coded: bool = False


def _outward(action: Action, pool: str, amount_fen: int) -> _Way:
    """Return the way of money that leaves a budget: for nowhere, or for or from a pool."""
    if action is Action.DEFUNDED:
        return _Way(action, (Purpose.BUDGET, ""), (Purpose.FUNDING, ""))
    ends = (Purpose.BUDGET, ""), (Purpose.POOL_BUDGET, pool)
    return _Way(action, *(ends if amount_fen > 0 else reversed(ends)))


@dataclass(frozen=True, slots=True)
class _Movement:
    """So much of a campaign on its way, under the operator's reference. The campaign's row is locked."""

    campaign: Campaign
    way: _Way
    amount: int
    reference: str

    def detail(self) -> dict[str, Json]:
        """Return what history keeps of it."""
        source, target = self.way.source, self.way.target
        return {
            "amount": self.amount,
            "reference": self.reference,
            "from": f"{source[0]}:{source[1]}",
            "to": f"{target[0]}:{target[1]}",
        }


def _read(session: Session, campaign_id: int, way: _Way, amount: int, reference: str) -> _Movement:
    """Return a movement as somebody typed it; raise InvalidCampaign, UnknownCampaign."""
    reference = reference.strip()
    if not 1 <= len(reference) <= MAX_REFERENCE:
        raise InvalidCampaign(f"a reference has 1 to {MAX_REFERENCE} characters, such as PO-2026-17")
    if amount <= 0:
        raise InvalidCampaign("a movement has an amount above zero")
    return _Movement(take(session, campaign_id), way, amount, reference)


def _move(
    session: Session,
    campaign_id: int,
    way: _Way,
    amount: int,
    reference: str,
    *,
    now: datetime,
    actor: Actor,
) -> None:
    _post(session, _read(session, campaign_id, way, amount, reference), now=now, actor=actor)


def _move_out(
    session: Session,
    campaign_id: int,
    way: _Way,
    amount_fen: int,
    reference: str,
    *,
    now: datetime,
    actor: Actor,
    reason: str | None,
) -> bool:
    amount = amount_fen if way.action is Action.DEFUNDED else abs(amount_fen)
    movement = _read(session, campaign_id, way, amount, reference)
    if movement.campaign.state not in _RUNNING:
        _post(session, movement, now=now, actor=actor, reason=reason)
        return True
    words = read_reason(reason)
    rules = rules_of(session, campaign_id, movement.campaign.version)
    accounts = _accounts(session, movement, now=now)
    # What could not be approved is not proposed.
    moved = {accounts[way.source].id: -amount, accounts[way.target].id: amount}
    require_backing(session, accounts, rules, moved=moved)
    row = {
        "campaign_id": campaign_id,
        "reference": movement.reference,
        "action": way.action,
        "pool": (way.source[1] or way.target[1]),
        "amount_fen": amount_fen,
        "state": OutflowState.PROPOSED,
        "reason": words,
        "proposed_by": actor.label[:64],
        "proposed_at": now,
    }
    if not insert_once(session, insert(CampaignOutflow), row):
        raise AlreadyPosted("this reference has been used; give the movement one of its own")
    log(session, campaign_id, Action.PROPOSED, now=now, actor=actor, reason=words, detail=movement.detail())
    return False


def _proposed(session: Session, campaign_id: int, reference: str) -> CampaignOutflow:
    found = session.get(CampaignOutflow, (campaign_id, reference.strip()), populate_existing=True)
    if found is None:
        raise UnknownOutflow("`saoma campaigns outflows` lists what waits for approval")
    return found


def _accounts(session: Session, movement: _Movement, *, now: datetime) -> Accounts:
    """Return the campaign's accounts, those at both ends included; raise InvalidCampaign without them."""
    campaign, way = movement.campaign, movement.way
    rules = latest_rules(session, campaign)
    prize = rules.prize_by_key.get(way.source[1])
    if prize is not None and (prize.kind is PrizeKind.VOUCHER) is not way.coded:
        raise InvalidCampaign("the pieces of this prize are codes: `saoma vouchers import` or `withdraw`")
    accounts = open_accounts(session, campaign, needed(rules), now=now)
    if way.source not in accounts or way.target not in accounts:
        raise InvalidCampaign("the rules have no limited prize, or no pool with its own budget, of this key")
    return accounts


def _post(
    session: Session,
    movement: _Movement,
    *,
    now: datetime,
    actor: Actor,
    reason: str | None = None,
    proposed_by: str | None = None,
) -> None:
    campaign, way = movement.campaign, movement.way
    if campaign.state is CampaignState.ENDED and way.action is Action.STOCKED:
        raise WrongState("the campaign has ended; no prizes can be added to it")
    accounts = _accounts(session, movement, now=now)
    transfer = Transfer(
        key=f"campaign:{campaign.id}:{way.action}:{movement.reference}",
        debit=accounts[way.source],
        credit=accounts[way.target],
        amount=movement.amount,
        reason=f"campaign.{way.action}",
        ref_id=campaign.id,
    )
    post(session, [transfer], now=now)
    if campaign.state in _RUNNING and way.action is not Action.FUNDED:
        rules = rules_of(session, campaign.id, campaign.version)
        if way.action is Action.STOCKED:
            require_money_for(session, accounts, rules, prize=way.target[1])
        else:
            require_backing(session, accounts, rules)
    detail = movement.detail()
    if proposed_by is not None:
        detail["proposed_by"] = proposed_by
    words = read_reason(reason) if reason else None
    log(session, campaign.id, way.action, now=now, actor=actor, reason=words, detail=detail)


def latest_rules(session: Session, campaign: Campaign) -> Rules:
    """Return the rules to come, or those in force where none are: stock arrives before it is promised."""
    for version in (campaign.version + 1, campaign.version):
        row = session.get(CampaignVersion, (campaign.id, version))
        if row is not None:
            return parse_rules(row.rules)
    raise NothingToChange("save the rules first: they say which prizes and pools there are")
