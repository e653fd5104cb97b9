"""What the organisation room needs from outside."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol


class AddressRegions(Protocol):
    """Knows the region of a client's address, roughly (DRAW-03: WHERE works without GPS)."""

    def region(self, address: str) -> str | None:
        """Return the six-digit adcode of `address` (IPv4 or IPv6 text), or None when it is not known.

        Anything may come in, since proxies forward what clients say; what is no address has no region.
        """


@dataclass(frozen=True, slots=True)
class MessageKeys:
    """What proves that a message was pushed to an app of ours: token and EncodingAESKey of its console."""

    app_id: int
    appid: str
    token: str = field(repr=False)
    encoding_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class AppMessage:
    """A genuine message of the platform: `event` names what happened, "" for none.

    `key` is the same for each repeat of it.
    """

    appid: str
    event: str
    key: str
    content: Mapping[str, Any] = field(repr=False)


class MessageReader(Protocol):
    """Proves and opens what the platform pushes (platform contracts 2.1 to 2.3)."""

    def echo(self, keys: MessageKeys, query: Mapping[str, str]) -> str:
        """Return what answers the platform's check of our address; raise ForgedMessage."""

    def read(self, keys: MessageKeys, query: Mapping[str, str], body: bytes, *, now: datetime) -> AppMessage:
        """Return the message in `body`; raise ForgedMessage, UnexpectedMessage."""
