"""The sandbox's own double-entry book: what came in, what is locked, what was paid to whom, in fen.

Every entry moves an amount from one account to another, so the sum over all accounts is zero by construction;
``audit`` recomputes everything from the entries all the same, because a book is there to be checked. The
product's ledger is compared with this one fen by fen.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

OUTSIDE = "outside"


def available(mchid: str) -> str:
    """The account of a merchant's spendable money."""
    return f"merchant:{mchid}:available"


def frozen(mchid: str) -> str:
    """The account of a merchant's money that waits for shoppers to confirm."""
    return f"merchant:{mchid}:frozen"


def wallet(shopper_id: str) -> str:
    """The account of a shopper's WeChat balance."""
    return f"wallet:{shopper_id}"


@dataclass(frozen=True, slots=True)
class Entry:
    """``amount_fen`` moved from ``source`` to ``target``; ``key`` says why and is used once for ever."""

    key: str
    source: str
    target: str
    amount_fen: int


class BookError(Exception):
    """An entry that the book refuses; it always is a mistake in the sandbox itself."""


class Book:
    """Accounts and entries. Not locked: it only changes inside events, which hold the store's lock."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self._keys: set[str] = set()
        self._balances: defaultdict[str, int] = defaultdict(int)

    def move(self, entry: Entry) -> None:
        """Books ``entry``. Raises BookError for a used key, an amount below 1 or an account going below
        zero."""
        if entry.key in self._keys:
            raise BookError(f"the key {entry.key} is already in the book")
        if entry.amount_fen < 1:
            raise BookError(f"{entry.key} moves {entry.amount_fen} fen")
        if entry.source != OUTSIDE and self._balances[entry.source] < entry.amount_fen:
            raise BookError(f"{entry.key} would overdraw {entry.source}")
        self._keys.add(entry.key)
        self.entries.append(entry)
        self._balances[entry.source] -= entry.amount_fen
        self._balances[entry.target] += entry.amount_fen

    def balance(self, account: str) -> int:
        """The balance of ``account`` in fen; 0 for an account that nothing ever touched."""
        return self._balances.get(account, 0)

    def audit(self) -> list[str]:
        """What is wrong with the book: one sentence a fault, none when all is well."""
        faults: list[str] = []
        recomputed: defaultdict[str, int] = defaultdict(int)
        for entry in self.entries:
            recomputed[entry.source] -= entry.amount_fen
            recomputed[entry.target] += entry.amount_fen
        if len({entry.key for entry in self.entries}) != len(self.entries):
            faults.append("a key was used twice")
        if sum(self._balances.values()) != 0:
            faults.append("the balances do not add up to zero")
        for account in recomputed.keys() | self._balances.keys():
            if recomputed[account] != self._balances.get(account, 0):
                faults.append(
                    f"{account} shows {self._balances.get(account, 0)}, its entries say {recomputed[account]}"
                )
            if account != OUTSIDE and recomputed[account] < 0:
                faults.append(f"{account} is overdrawn")
        return faults
