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
    the most that multipliers can make of them, these pieces of every limited prize that may be won out of
    it, and once the dearest prize without a number. A prize that two budgets pay for must be backed by both:
    which one its pieces will be won out of, nobody knows.

    Args: `moved` is what a movement would add to balances, by account; as if it had happened.
    """
    guarded = [account.id for (purpose, _), account in accounts.items() if purpose in _GUARDED]
    changes = moved or {}
    left = {key: held + changes.get(key, 0) for key, held in balances(session, guarded).items()}
    faults: list[Fault] = []
    promised: dict[str, int] = {}
    for prize in rules.prizes:
        if prize.stock is None:
            continue
        awarded = open_balance(session, accounts[Purpose.AWARDED, prize.key].id)
        promised[prize.key] = max(prize.stock - awarded, 0)
        missing = promised[prize.key] - left[accounts[Purpose.STOCK, prize.key].id]
        if missing > 0:
            faults.append(Fault(f"prizes.{prize.key}.stock", "stock_missing", f"{missing} more are promised"))
    for place, keys in paid_out_of(rules).items():
        short_fen = owed_fen(rules, keys, promised) - left[accounts[place].id]
        if short_fen > 0:
            path = f"pools.{place[1]}.budget" if place[1] else "budget"
            detail = f"{format_yuan(short_fen)} yuan more are promised than are there"
            faults.append(Fault(path, "budget_missing", detail))
    if faults:
        raise PromiseNotBacked(faults)


def paid_out_of(rules: Rules) -> dict[tuple[Purpose, str], set[str]]:
    """Return which prizes may be won out of which budget, by the budget's purpose and key."""
    found: dict[tuple[Purpose, str], set[str]] = {(Purpose.BUDGET, ""): set()}
    for pool in rules.pools:
        place = (Purpose.POOL_BUDGET, pool.key) if pool.own_budget else (Purpose.BUDGET, "")
        for entry in pool.weights:
            found.setdefault(place, set()).update(rules.chain(pool, entry.prize))
    return found


def owed_fen(rules: Rules, keys: set[str], promised: Mapping[str, int]) -> int:
    """Return what a budget must hold for the prizes `keys`, of the limited ones `promised` pieces each."""
    prizes = [rules.prize_by_key[key] for key in keys]
    limited = sum(promised[prize.key] * rules.most_fen(prize) for prize in prizes if prize.stock is not None)
    dearest = max((rules.most_fen(prize) for prize in prizes if prize.stock is None), default=0)
    return limited + dearest
