"""Money and stock of a campaign, in and out, each movement once per reference (DRAW-18, PAY-09).

A reference is the operator's own number of what happened (a purchase order, a delivery note). Using it twice
is refused with `already_posted`: the second click moves nothing.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from app.campaigns.accounts import needed, open_accounts
from app.campaigns.backing import require_backing
from app.campaigns.errors import InvalidCampaign, NothingToChange, WrongState
from app.campaigns.models import Action, Campaign, CampaignState, CampaignVersion, Purpose
from app.campaigns.operations import log, rules_of, take
from app.campaigns.parser import parse_rules
from app.campaigns.rules import Rules
from app.kernel.actor import Actor
from app.kernel.json import Json
from app.ledger.operations import Transfer, post

_MAX_REFERENCE = 40
_RUNNING = (CampaignState.PUBLISHED, CampaignState.STOPPED)


def fund(
    session: Session, *, campaign_id: int, amount_fen: int, reference: str, now: datetime, actor: Actor
) -> None:
    """Add money to a campaign's budget. Raises AlreadyPosted, InvalidCampaign, WrongState."""
    way = _Way(Action.FUNDED, (Purpose.FUNDING, ""), (Purpose.BUDGET, ""))
    _move(session, campaign_id, way, amount_fen, reference, now=now, actor=actor)


def defund(
    session: Session, *, campaign_id: int, amount_fen: int, reference: str, now: datetime, actor: Actor
) -> None:
    """Take money out of the budget: what is promised must stay while the campaign runs.

    Raises InsufficientBalance, PromiseNotBacked, AlreadyPosted, InvalidCampaign.
    """
    way = _Way(Action.DEFUNDED, (Purpose.BUDGET, ""), (Purpose.FUNDING, ""))
    _move(session, campaign_id, way, amount_fen, reference, now=now, actor=actor)


def set_aside(
    session: Session,
    *,
    campaign_id: int,
    pool: str,
    amount_fen: int,
    reference: str,
    now: datetime,
    actor: Actor,
) -> None:
    """Move money from the campaign's budget to that of a pool with its own; below zero, back again.

    Raises InsufficientBalance, AlreadyPosted, InvalidCampaign (no such pool, or it has no budget of its own).
    """
    ends = (Purpose.BUDGET, ""), (Purpose.POOL_BUDGET, pool)
    way = _Way(Action.BUDGET_MOVED, *(ends if amount_fen > 0 else reversed(ends)))
    _move(session, campaign_id, way, abs(amount_fen), reference, now=now, actor=actor)


def stock_in(
    session: Session,
    *,
    campaign_id: int,
    prize: str,
    pieces: int,
    reference: str,
    now: datetime,
    actor: Actor,
) -> None:
    """Add pieces of a limited prize. More than the published number are a reserve that may be given too.

    Raises AlreadyPosted, InvalidCampaign (no such prize, or it has no stock), WrongState.
    """
    way = _Way(Action.STOCKED, (Purpose.SUPPLY, prize), (Purpose.STOCK, prize))
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
) -> None:
    """Take pieces out of stock: what is promised must stay while the campaign runs.

    Raises InsufficientBalance, PromiseNotBacked, AlreadyPosted, InvalidCampaign.
    """
    way = _Way(Action.UNSTOCKED, (Purpose.STOCK, prize), (Purpose.SUPPLY, prize))
    _move(session, campaign_id, way, pieces, reference, now=now, actor=actor)


@dataclass(frozen=True, slots=True)
class _Way:
    """A movement: what it is called, and from which account to which."""

    action: Action
    source: tuple[Purpose, str]
    target: tuple[Purpose, str]

    @property
    def adds(self) -> bool:
        """Tell whether it brings something to the campaign."""
        return self.action in (Action.FUNDED, Action.STOCKED)


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
    reference = reference.strip()
    if not 1 <= len(reference) <= _MAX_REFERENCE:
        raise InvalidCampaign(f"a reference has 1 to {_MAX_REFERENCE} characters, such as PO-2026-17")
    if amount <= 0:
        raise InvalidCampaign("a movement has an amount above zero")
    campaign = take(session, campaign_id)
    if campaign.state is CampaignState.ENDED and way.adds:
        raise WrongState("the campaign has ended; nothing can be added to it")
    accounts = open_accounts(session, campaign, needed(_latest_rules(session, campaign)), now=now)
    if way.source not in accounts or way.target not in accounts:
        raise InvalidCampaign("the rules have no limited prize, or no pool with its own budget, of this key")
    movement = Transfer(
        key=f"campaign:{campaign_id}:{way.action}:{reference}",
        debit=accounts[way.source],
        credit=accounts[way.target],
        amount=amount,
        reason=f"campaign.{way.action}",
        ref_id=campaign_id,
    )
    post(session, [movement], now=now)
    if campaign.state in _RUNNING and not way.adds:
        require_backing(session, accounts, rules_of(session, campaign_id, campaign.version))
    detail: dict[str, Json] = {
        "amount": amount,
        "reference": reference,
        "from": f"{way.source[0]}:{way.source[1]}",
        "to": f"{way.target[0]}:{way.target[1]}",
    }
    log(session, campaign_id, way.action, now=now, actor=actor, detail=detail)


def _latest_rules(session: Session, campaign: Campaign) -> Rules:
    """Return the rules to come, or those in force where none are: stock arrives before it is promised."""
    for version in (campaign.version + 1, campaign.version):
        row = session.get(CampaignVersion, (campaign.id, version))
        if row is not None:
            return parse_rules(row.rules)
    raise NothingToChange("save the rules first: they say which prizes and pools there are")
