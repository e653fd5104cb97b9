"""Refusals of the ledger."""

from app.kernel.errors import Conflict


class InsufficientBalance(Conflict):
    """A guarded or personal account does not hold enough."""

    code = "insufficient_balance"
    title = "Not enough left"

    def __init__(self, accounts: tuple[int, ...]) -> None:
        super().__init__("the account does not hold enough for this")
        self.accounts = accounts


class AlreadyPosted(Conflict):
    """A transfer with this key exists: the movement has happened. Roll back; nothing is to be done."""

    code = "already_posted"
    title = "This has been booked already"
