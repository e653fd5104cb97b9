"""A campaign's ledger accounts: its money, and the stock of each limited prize.

A draw moves money from the budget (or from the budget of a pool that has its own) to "committed", and a
piece from the prize's stock to "awarded"; the prize service moves them on or back. Budgets and stocks are
guarded accounts: they cannot go below zero, whatever is decided above them (DRAW-18, PAY-09).
"""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from app.campaigns.models import Campaign, CampaignAccount, Purpose
from app.campaigns.rules import Rules
from app.kernel.ids import new_id
from app.ledger.models import Account, AccountKind, Asset
from app.ledger.operations import AccountRef, ensure_account

Accounts = Mapping[tuple[Purpose, str], AccountRef]
"""Accounts by purpose and key: the key of a pool or a prize, "" for the campaign itself."""

_KINDS = {
    Purpose.FUNDING: (AccountKind.OPEN, Asset.FEN),
    Purpose.BUDGET: (AccountKind.GUARDED, Asset.FEN),
    Purpose.POOL_BUDGET: (AccountKind.GUARDED, Asset.FEN),
    Purpose.COMMITTED: (AccountKind.OPEN, Asset.FEN),
    Purpose.SUPPLY: (AccountKind.OPEN, Asset.STOCK),
    Purpose.STOCK: (AccountKind.GUARDED, Asset.STOCK),
    Purpose.AWARDED: (AccountKind.OPEN, Asset.STOCK),
    Purpose.GRANTED: (AccountKind.OPEN, Asset.STOCK),
}

_OF_CAMPAIGN = select(
    CampaignAccount.purpose, CampaignAccount.key, CampaignAccount.account_id, Account.kind, Account.asset
).join(Account, Account.id == CampaignAccount.account_id)


def find_accounts(session: Session, campaign_id: int) -> dict[tuple[Purpose, str], AccountRef]:
    """Return the accounts that a campaign has."""
    rows = session.connection().execute(_OF_CAMPAIGN.where(CampaignAccount.campaign_id == campaign_id))
    return {(row.purpose, row.key): AccountRef(row.account_id, row.kind, row.asset) for row in rows}


def needed(rules: Rules) -> list[tuple[Purpose, str]]:
    """Return the accounts that draws by these rules touch."""
    wanted = [(Purpose.FUNDING, ""), (Purpose.BUDGET, ""), (Purpose.COMMITTED, "")]
    wanted += [(Purpose.POOL_BUDGET, pool.key) for pool in rules.pools if pool.own_budget]
    for prize in rules.prizes:
        if prize.stock is not None:
            wanted += [(purpose, prize.key) for purpose in (Purpose.SUPPLY, Purpose.STOCK, Purpose.AWARDED)]
    return wanted


def open_accounts(
    session: Session, campaign: Campaign, wanted: list[tuple[Purpose, str]], *, now: datetime
) -> dict[tuple[Purpose, str], AccountRef]:
    """Return the accounts of a campaign with those in `wanted` opened. The campaign's row must be locked."""
    found = find_accounts(session, campaign.id)
    for purpose, key in wanted:
        if (purpose, key) in found:
            continue
        kind, asset = _KINDS[purpose]
        found[purpose, key] = ensure_account(
            session,
            kind=kind,
            asset=asset,
            purpose=f"campaign.{purpose}",
            # A pool or a prize has no row of its own; its accounts share nothing but this one number.
            owner_id=new_id() if key else campaign.id,
            brand_id=campaign.brand_id,
            now=now,
        )
        opened = {
            "campaign_id": campaign.id,
            "purpose": purpose,
            "key": key,
            "account_id": found[purpose, key].id,
        }
        session.connection().execute(insert(CampaignAccount), opened)
    return found
