"""Whether a campaign has what it promises: no invented prizes (Interim Provisions, art. 15)."""

from sqlalchemy.orm import Session

from app.campaigns.accounts import Accounts
from app.campaigns.errors import PromiseNotBacked
from app.campaigns.models import Purpose
from app.campaigns.reader import Fault
from app.campaigns.rules import ONE_BPS, Rules
from app.kernel.fen import format_yuan
from app.ledger.queries import balances, open_balance


def require_backing(session: Session, accounts: Accounts, rules: Rules) -> None:
    """Raise PromiseNotBacked unless stock and budget hold what is promised and not yet given away.

    Of each limited prize, stock must hold the published number less what was won. The budgets together must
    hold these pieces at their full amount, and the dearest prize without a number at least once, with
    multipliers.
    """
    guarded = [account.id for (purpose, _), account in accounts.items() if purpose in _GUARDED]
    left = balances(session, guarded)
    faults = []
    owed_fen = 0
    for prize in rules.prizes:
        if prize.stock is None:
            continue
        awarded = open_balance(session, accounts[Purpose.AWARDED, prize.key].id)
        promised = max(prize.stock - awarded, 0)
        owed_fen += promised * prize.max_fen
        missing = promised - left[accounts[Purpose.STOCK, prize.key].id]
        if missing > 0:
            faults.append(Fault(f"prizes.{prize.key}.stock", "stock_missing", f"{missing} more are promised"))
    dearest = max((prize.max_fen for prize in rules.prizes if prize.stock is None), default=0)
    owed_fen += dearest * rules.multiplier_cap_bps // ONE_BPS
    budgets = (Purpose.BUDGET, Purpose.POOL_BUDGET)
    held_fen = sum(left[account.id] for (purpose, _), account in accounts.items() if purpose in budgets)
    if held_fen < owed_fen:
        short = format_yuan(owed_fen - held_fen)
        faults.append(Fault("budget", "budget_missing", f"{short} yuan more are promised than are there"))
    if faults:
        raise PromiseNotBacked(faults)


_GUARDED = (Purpose.BUDGET, Purpose.POOL_BUDGET, Purpose.STOCK)
