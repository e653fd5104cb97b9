"""What codes need of WeChat's own 一物一码: codes that WeChat makes (platform contracts 1.11)."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from app.identity.interfaces import AppCredentials


class Stretch(NamedTuple):
    """Indexes of codes, both ends included, from 0."""

    first: int
    last: int

    @property
    def codes(self) -> int:
        """How many there are."""
        return self.last - self.first + 1


class MadeCodes(NamedTuple):
    """How far an order is: `files` are the ranges that it is downloaded in, once it is finished."""

    finished: bool
    files: tuple[Stretch, ...]


@dataclass(frozen=True, slots=True)
class Opening:
    """What a range of activated codes opens, and the product that WeChat is told.

    `product_code` is the EAN; `page_type` is 0 for the released mini-program, 1 for the one in development
    and 2 for the trial.
    """

    activity_name: str
    product_brand: str
    product_title: str
    product_code: str
    appid: str
    path: str
    page_type: int = 0


@dataclass(frozen=True, slots=True)
class ActiveCode:
    """An activated code as WeChat knows it: its nine characters, its order, the range it lies in."""

    code: str
    application_id: int
    stretch: Stretch
    opening: Opening


class MarketGateway(Protocol):
    """The API of a service account that may order codes. Never call it inside a transaction.

    No call is repeated by itself after it may have taken effect. Each raises PlatformBusy and TooFrequent
    when asking again may help, and PlatformRefused, with the `errcode`, when somebody has to look.
    """

    def apply(self, account: AppCredentials, *, order_no: str, codes: int) -> int:
        """Order codes and return WeChat's number of the order; the same `order_no` orders once."""

    def made(self, account: AppCredentials, *, application_id: int) -> MadeCodes:
        """Ask how far an order is."""

    def download(self, account: AppCredentials, *, application_id: int, stretch: Stretch) -> bytes:
        """Return one file of an order as it is sealed."""

    def activate(
        self, account: AppCredentials, *, application_id: int, stretch: Stretch, opening: Opening
    ) -> None:
        """Let a range of codes open a page."""

    def active(self, account: AppCredentials, *, application_id: int, index: int) -> ActiveCode:
        """Return what is known of an activated code; PlatformRefused also when it is not activated."""

    def redeem(self, account: AppCredentials, *, openid: str, ticket: str) -> ActiveCode:
        """Return the code behind the ticket of a scan, which is used up.

        Raises InvalidTicket for a ticket that is unknown, used, too old or somebody else's.
        """
