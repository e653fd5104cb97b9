"""What notices need filled: a way to send a letter."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Letter:
    """A plain text for people of the house; no personal data in it."""

    subject: str
    body: str


class NotSent(Exception):
    """The letter certainly did not leave: it may be tried again. The message tells why."""


class Mailer(Protocol):
    """Sends letters to addresses of the house; a call must never happen inside a transaction."""

    def send(self, letter: Letter, recipients: Sequence[str]) -> None:
        """Hand the letter over; raise NotSent when it certainly was not accepted.

        Any other exception means that nobody knows.
        """


class Texter(Protocol):
    """Sends short texts to phones of the house; a call must never happen inside a transaction."""

    def send(self, text: str, phones: Sequence[str], *, number: str) -> None:
        """Hand the text over under our `number`; raise NotSent when it certainly was not accepted.

        Any other exception means that nobody knows.
        """
