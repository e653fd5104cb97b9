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
    changes = moved or {}
    left = {account: held + changes.get(account, 0) for account, held in _held(session, accounts).items()}
    faults: list[Fault] = []
    pieces: dict[str, int] = {}
    for key, promised in _promised(session, accounts, rules).items():
        held = left[accounts[Purpose.STOCK, key].id]
        pieces[key] = max(promised, held)
        if held < promised:
            detail = f"{promised - held} more are promised"
            faults.append(Fault(f"prizes.{key}.stock", "stock_missing", detail))
    for budget in rules.paid_out_of:
        short_fen = owed_fen(rules, budget, pieces) - left[_account(accounts, budget)]
        if short_fen > 0:
            faults.append(_budget_missing(budget, short_fen))
    if faults:
        raise PromiseNotBacked(faults)


def require_money_for(session: Session, accounts: Accounts, rules: Rules, *, prize: str) -> None:
    """Raise PromiseNotBacked when a prize's pieces above what is promised may cost more than a budget holds.

    For pieces that have just come in. What else is short, of stock or of money, is no reason to refuse them,
    nor is the money of those that were promised already: else what mends a part of it could not come in.
    """
    budgets = [budget for budget, kept in rules.kept_fen.items() if prize in kept]
    if not budgets:
        return
    left, promised = _held(session, accounts), _promised(session, accounts, rules)
    pieces = {key: max(number, left[accounts[Purpose.STOCK, key].id]) for key, number in promised.items()}
    if pieces[prize] == promised[prize]:
        return
    faults = []
    for budget in budgets:
        kept = sum(pieces[key] * fen for key, fen in rules.kept_fen[budget].items())
        short_fen = kept - left[_account(accounts, budget)]
        if short_fen > 0:
            faults.append(_budget_missing(budget, short_fen))
    if faults:
        raise PromiseNotBacked(faults)


def owed_fen(rules: Rules, budget: str, pieces: Mapping[str, int]) -> int:
    """Return what a budget must hold for `pieces` of the limited prizes that it pays, and for the others."""
    prizes = [rules.prize_by_key[key] for key in rules.paid_out_of[budget]]
    dearest = max((rules.most_fen(prize) for prize in prizes if prize.stock is None), default=0)
    return sum(pieces[key] * fen for key, fen in rules.kept_fen[budget].items()) + dearest


def _held(session: Session, accounts: Accounts) -> dict[int, int]:
    """Return what budgets and stocks hold, by account."""
    return balances(
        session, [account.id for (purpose, _), account in accounts.items() if purpose in _GUARDED]
    )


def _promised(session: Session, accounts: Accounts, rules: Rules) -> dict[str, int]:
    """Return how many pieces of each limited prize are promised and not yet won."""
    return {
        prize.key: max(prize.stock - open_balance(session, accounts[Purpose.AWARDED, prize.key].id), 0)
        for prize in rules.prizes
        if prize.stock is not None
    }


def _account(accounts: Accounts, budget: str) -> int:
    """Return the account of a budget: a pool's own by its key, the campaign's by ""."""
    return accounts[Purpose.POOL_BUDGET if budget else Purpose.BUDGET, budget].id


def _budget_missing(budget: str, short_fen: int) -> Fault:
    path = f"pools.{budget}.budget" if budget else "budget"
    return Fault(path, "budget_missing", f"{format_yuan(short_fen)} yuan more are promised than are there")
