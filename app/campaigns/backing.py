"""Whether a campaign has what it promises: no invented prizes (Interim Provisions, art. 15)."""

from collections.abc import Mapping

from sqlalchemy.orm import Session

from app.campaigns.accounts import Accounts
from app.campaigns.errors import PromiseNotBacked
from app.campaigns.models import Purpose
from app.campaigns.reader import Fault
from app.campaigns.rules import Rules
from app.kernel.fen import format_yuan
from app.ledger.queries import balances, open_balance

_GUARDED = (Purpose.BUDGET, Purpose.POOL_BUDGET, Purpose.STOCK)


def require_backing(
    session: Session, accounts: Accounts, rules: Rules, *, moved: Mapping[int, int] | None = None
) -> None:
    """Raise PromiseNotBacked unless stock and budgets hold what is promised and not yet given away.

    Of each limited prize, stock must hold the published number less what was won. Each budget must hold, at
    the most that multipliers can make of them, all pieces in stock of every limited prize that may be won out
    of it, and once the dearest prize without a number. A piece above the published number counts too: it may
    be won, and would be paid out of what others were promised.

    Args: `moved` is what a movement would add to balances, by account; as if it had happened.
    """
    guarded = [account.id for (purpose, _), account in accounts.items() if purpose in _GUARDED]
    changes = moved or {}
    left = {key: held + changes.get(key, 0) for key, held in balances(session, guarded).items()}
    faults: list[Fault] = []
    pieces: dict[str, int] = {}
    for prize in rules.prizes:
        if prize.stock is None:
            continue
        awarded = open_balance(session, accounts[Purpose.AWARDED, prize.key].id)
        promised, held = max(prize.stock - awarded, 0), left[accounts[Purpose.STOCK, prize.key].id]
        pieces[prize.key] = max(promised, held)
        if held < promised:
            detail = f"{promised - held} more are promised"
            faults.append(Fault(f"prizes.{prize.key}.stock", "stock_missing", detail))
    for budget in rules.paid_out_of:
        place = (Purpose.POOL_BUDGET if budget else Purpose.BUDGET, budget)
        short_fen = owed_fen(rules, budget, pieces) - left[accounts[place].id]
        if short_fen > 0:
            path = f"pools.{budget}.budget" if budget else "budget"
            detail = f"{format_yuan(short_fen)} yuan more are promised than are there"
            faults.append(Fault(path, "budget_missing", detail))
    if faults:
        raise PromiseNotBacked(faults)


def owed_fen(rules: Rules, budget: str, pieces: Mapping[str, int]) -> int:
    """Return what a budget must hold for `pieces` of the limited prizes that it pays, and for the others."""
    prizes = [rules.prize_by_key[key] for key in rules.paid_out_of[budget]]
    limited = sum(pieces[key] * fen for key, fen in rules.kept_fen[budget].items())
    dearest = max((rules.most_fen(prize) for prize in prizes if prize.stock is None), default=0)
    return limited + dearest
