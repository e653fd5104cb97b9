"""Warning of budgets that hold less than they keep for the limited prizes in stock (art. 15).

Draws never bring that about. What raises what is kept may: a prize that was won with less than its piece may
cost, and lapses after others were paid out of the difference (ADR 17). Until somebody adds the money, a
limited prize may find too little of it.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.alerts.models import Severity
from app.alerts.operations import raise_alert, resolve_alert
from app.alerts.queries import open_of
from app.campaigns.book import CampaignBook, PublishedVersion
from app.campaigns.models import Campaign, CampaignState, Purpose
from app.kernel.fen import format_yuan
from app.ledger.queries import balances
from app.organisation.models import Brand

SHORT_ALERT = "campaign.budget_short"
_RUNNING = (CampaignState.PUBLISHED, CampaignState.STOPPED)


class _Keeping(NamedTuple):
    """A budget that keeps money: its account, and by stock account what each piece there may cost, in fen."""

    campaign: str
    pool: str
    account: int
    fen_by_stock: dict[int, int]

    @property
    def subject(self) -> str:
        return f"{self.campaign}:{self.pool}" if self.pool else self.campaign


def watch_budgets(session: Session, *, book: CampaignBook, now: datetime) -> int:
    """Raise an alert for each budget of a running campaign that lacks money; return how many there are.

    The alert is settled when the money is there, the pieces are gone or the campaign has ended.
    """
    running = (
        select(Brand.slug, Campaign.key, Campaign.id, Campaign.version)
        .join(Brand, Brand.id == Campaign.brand_id)
        .where(Campaign.state.in_(_RUNNING))
    )
    keeping = [
        budget
        for slug, key, campaign_id, number in session.connection().execute(running).all()
        for budget in _keeping(
            f"{slug}/{key}", book.version(session, campaign_id=campaign_id, version=number)
        )
    ]
    accounts = {account for budget in keeping for account in (budget.account, *budget.fen_by_stock)}
    # All in one statement: a draw in between would move money and pieces.
    held = balances(session, sorted(accounts))
    short: set[str] = set()
    for budget in keeping:
        kept_fen = sum(held[stock] * fen for stock, fen in budget.fen_by_stock.items())
        if held[budget.account] < kept_fen:
            short.add(budget.subject)
            _tell(session, budget, kept_fen - held[budget.account], now)
    for alert in open_of(session, kinds=[SHORT_ALERT], limit=1000):
        if alert.subject not in short:
            resolve_alert(session, kind=SHORT_ALERT, subject=alert.subject, by="system", now=now)
    return len(short)


def _keeping(campaign: str, version: PublishedVersion) -> Iterator[_Keeping]:
    accounts = version.accounts
    for pool, kept in version.rules.kept_fen.items():
        if kept:
            account = accounts[Purpose.POOL_BUDGET if pool else Purpose.BUDGET, pool].id
            stocks = {accounts[Purpose.STOCK, prize].id: fen for prize, fen in kept.items()}
            yield _Keeping(campaign, pool, account, stocks)


def _tell(session: Session, budget: _Keeping, short_fen: int, now: datetime) -> None:
    where = f"the budget of pool {budget.pool} of {budget.campaign}" if budget.pool else budget.campaign
    raise_alert(
        session,
        kind=SHORT_ALERT,
        subject=budget.subject,
        severity=Severity.CRITICAL,
        detail=f"{format_yuan(short_fen)} yuan are missing of what the prizes in stock may cost: fund {where}"
        " with them.",
        now=now,
    )
