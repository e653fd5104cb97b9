"""The codes of a campaign's voucher prizes: in, out, and how they stand (PAY-03 to PAY-05).

The codes are the stock: each movement of pieces is one of codes, in one transaction, under one reference.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from sqlalchemy.orm import Session

from app.campaigns import funding
from app.campaigns.accounts import find_accounts, needed, open_accounts
from app.campaigns.errors import InvalidCampaign, UnknownCampaign
from app.campaigns.models import Campaign, Purpose
from app.campaigns.operations import take
from app.campaigns.rules import PrizeKind
from app.kernel.actor import Actor
from app.ledger.operations import AccountRef
from app.ledger.queries import balances, open_balance
from app.vouchers import operations as vouchers
from app.vouchers import queries
from app.vouchers.models import VoucherState
from app.vouchers.operations import TakenIn
from app.vouchers.queries import BatchView
from app.vouchers.stock_file import NewVoucher


def take_in(
    session: Session,
    *,
    campaign_id: int,
    prize: str,
    reference: str,
    codes: Iterable[NewVoucher],
    now: datetime,
    actor: Actor,
) -> TakenIn:
    """Take codes in for a voucher prize; those that the brand has already are counted and left out.

    Draws wait only for the last statements. Raises UnknownCampaign, InvalidCampaign (no such prize, it is no
    voucher, a bad reference), BatchKnown, WrongState, PromiseNotBacked (the budget does not hold the tax on
    pieces above the published number).
    """
    campaign, supply, stock = _accounts(session, campaign_id, prize, now)
    if not 1 <= len(reference) <= funding.MAX_REFERENCE:
        raise InvalidCampaign(f"a reference has 1 to {funding.MAX_REFERENCE} characters, such as PO-2026-17")
    taken = vouchers.take_in(
        session,
        brand_id=campaign.brand_id,
        supply_account=supply.id,
        stock_account=stock.id,
        reference=reference,
        codes=codes,
        now=now,
        actor=actor,
    )
    if taken.pieces:
        funding.stock_in(
            session,
            campaign_id=campaign_id,
            prize=prize,
            pieces=taken.pieces,
            reference=reference,
            now=now,
            actor=actor,
            coded=True,
        )
    return taken


def withdraw(
    session: Session,
    *,
    campaign_id: int,
    prize: str,
    pieces: int,
    reference: str,
    now: datetime,
    actor: Actor,
) -> None:
    """Take free codes out of use for good. What is promised must stay while the campaign runs.

    Raises UnknownCampaign, InvalidCampaign, TooFewVouchers, InsufficientBalance, PromiseNotBacked,
    AlreadyPosted.
    """
    _, _, stock = _accounts(session, campaign_id, prize, now)
    vouchers.withdraw(session, stock_account=stock.id, pieces=pieces)
    funding.stock_out(
        session,
        campaign_id=campaign_id,
        prize=prize,
        pieces=pieces,
        reference=reference,
        now=now,
        actor=actor,
        coded=True,
    )


def _accounts(
    session: Session, campaign_id: int, prize: str, now: datetime
) -> tuple[Campaign, AccountRef, AccountRef]:
    """Return the campaign with the prize's supply and stock; the campaign is locked only to open them."""
    campaign = session.get(Campaign, campaign_id)
    if campaign is None:
        raise UnknownCampaign("there is no campaign with this id; `saoma campaigns list` shows them")
    rules = funding.latest_rules(session, campaign)
    found = rules.prize_by_key.get(prize)
    if found is None or found.kind is not PrizeKind.VOUCHER:
        raise InvalidCampaign("the rules have no voucher prize of this key")
    places = (Purpose.SUPPLY, prize), (Purpose.STOCK, prize)
    accounts = find_accounts(session, campaign_id)
    if places[1] not in accounts:
        accounts = open_accounts(session, take(session, campaign_id), needed(rules), now=now)
    return campaign, accounts[places[0]], accounts[places[1]]


class SupplyView(NamedTuple):
    """How the codes of a prize stand: `promised` were won and not collected; `drawable` may be won now."""

    prize: str
    drawable: int
    promised: int
    free: int
    allotted: int
    expired: int
    withdrawn: int


def supplies(session: Session, *, campaign_id: int) -> list[SupplyView]:
    """Return how the codes of a campaign's voucher prizes stand, by the prize's key."""
    found = []
    for prize, account, awarded in _stocks(session, campaign_id):
        counts = queries.counts(session, stock_account=account)
        if not any(counts.values()):
            continue
        allotted = counts[VoucherState.ALLOTTED]
        found.append(
            SupplyView(
                prize=prize,
                drawable=balances(session, [account])[account],
                promised=open_balance(session, awarded) - allotted,
                free=counts[VoucherState.FREE],
                allotted=allotted,
                expired=counts[VoucherState.EXPIRED],
                withdrawn=counts[VoucherState.WITHDRAWN],
            )
        )
    return found


def files(session: Session, *, campaign_id: int) -> list[tuple[str, BatchView]]:
    """Return the files that were taken in, with the prize of each, the oldest first."""
    prizes = {account: prize for prize, account, _ in _stocks(session, campaign_id)}
    found = queries.batches(session, stock_accounts=list(prizes))
    return [(prizes[account], batch) for account, batch in found]


def _stocks(session: Session, campaign_id: int) -> list[tuple[str, int, int]]:
    """Return the prizes that have a stock, each with the accounts of its pieces left and awarded."""
    accounts = find_accounts(session, campaign_id)
    return sorted(
        (key, account.id, accounts[Purpose.AWARDED, key].id)
        for (purpose, key), account in accounts.items()
        if purpose is Purpose.STOCK
    )
