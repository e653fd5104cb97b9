"""What identity needs from WeChat: who logs in or visits a page, and which phone number they chose.

And from the rooms above: what they know against a merge.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Protocol

from sqlalchemy.orm import Session

from app.kernel.errors import Forbidden, Refused, TooMany, Unauthenticated, Unavailable


@dataclass(frozen=True, slots=True)
class AppCredentials:
    """One app of ours; of a corp `appid` is the corpid, and `agentid` the application whose secret it is."""

    appid: str
    secret: str = field(repr=False)
    agentid: str = ""


@dataclass(frozen=True, slots=True)
class PlatformSession:
    """What a login code stands for. `session_key` never leaves the server; `unionid` may stay unknown
    for ever; a `virtual` identity belongs to nobody and is never awarded anything."""

    openid: str = field(repr=False)
    unionid: str | None = field(repr=False)
    session_key: str = field(repr=False)
    virtual: bool


@dataclass(frozen=True, slots=True)
class Visitor:
    """Whom the code of a page's authorisation stands for (12.8, 3.6). `unionid` is seldom told; a `virtual`
    identity belongs to nobody and is never stored. A WeCom corp tells the `external_userid` of customers."""

    openid: str = field(repr=False)
    unionid: str | None = field(repr=False)
    virtual: bool
    external_userid: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class PhoneNumber:
    """A phone number chosen by its owner: `pure` without the country code, e.g. "86"."""

    pure: str = field(repr=False)
    country_code: str


class InvalidLoginCode(Unauthenticated):
    """The login code is wrong, used or too old (40029, 40163): the client calls wx.login again."""

    code = "invalid_login_code"
    title = "The login code is not valid"


class InvalidPhoneCode(Refused):
    """The phone code is wrong, used, too old or of another app: the shopper taps the button again."""

    code = "invalid_phone_code"
    title = "The phone code is not valid"


class HighRiskUser(Forbidden):
    """WeChat blocks this user's login (40226)."""

    code = "high_risk_user"
    title = "WeChat does not allow this login"


class PlatformBusy(Unavailable):
    """WeChat did not answer, or answered that it is busy. The call may have taken effect."""

    code = "platform_busy"
    title = "WeChat does not answer at the moment"


class PhoneQuotaExhausted(Unavailable):
    """The mini-program's paid phone-number look-ups are used up; the walk goes on without a phone."""

    code = "phone_quota_exhausted"
    title = "Phone numbers cannot be looked up at the moment"


class TooFrequent(TooMany):
    """WeChat's own limit is reached (45009, 45011)."""

    code = "platform_too_frequent"
    title = "Too many requests to WeChat"


class PlatformRefused(Refused):
    """WeChat refuses for a reason that an operator must look at; `errcode` is in the extra members."""

    code = "platform_refused"
    title = "WeChat refused the request"


class StaffNotKnown(Refused):
    """A member of the corp's staff whom the corp cannot pay: not signed in to WeCom with WeChat (43004), or
    outside the application's visible range (60011, 60111). Trying again does not help."""

    code = "staff_not_known"
    title = "The company's WeCom cannot tell this member of its staff"


class MiniProgramGateway(Protocol):
    """Server side of the mini-program API. Never call it inside a transaction.

    Both codes are good for one use, so no call is repeated by itself after it may have taken effect.
    """

    def code_to_session(self, app: AppCredentials, js_code: str) -> PlatformSession:
        """Exchange the code of wx.login (platform contracts 1.1).

        Raises InvalidLoginCode, HighRiskUser, TooFrequent, PlatformBusy or PlatformRefused.
        """

    def phone_number(self, app: AppCredentials, code: str) -> PhoneNumber:
        """Exchange the code of the phone-number button (1.4); each success is paid for.

        Raises InvalidPhoneCode, PhoneQuotaExhausted, TooFrequent, PlatformBusy or PlatformRefused.
        """

    def check(self, app: AppCredentials) -> None:
        """Show that the platform knows the app and its secret; raises as `phone_number` does."""


class ServiceAccountGateway(Protocol):
    """Server side of a service account's web authorisation. Never call it inside a transaction."""

    def code_to_visitor(self, app: AppCredentials, code: str) -> Visitor:
        """Exchange the code that the browser brought back (platform contracts 12.8); it is good for one use.

        Raises InvalidLoginCode, TooFrequent, PlatformBusy or PlatformRefused.
        """


class CorpGateway(Protocol):
    """Server side of the web authorisation of a WeCom corp. Never call it inside a transaction."""

    def code_to_visitor(self, app: AppCredentials, code: str) -> Visitor:
        """Exchange the code that the browser brought back (platform contracts 3.6); it is good for one use.

        Staff of the corp are told with the openid by which the corp pays them. Raises as
        ServiceAccountGateway does, and StaffNotKnown.
        """

    def check(self, app: AppCredentials) -> None:
        """Show that the platform knows the corp and the secret; raises as `code_to_visitor` does."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a room above knows of two clusters: the name of each thing that speaks against making them one,
    and the ids of what it shows of them, so that a later look can tell whether it is still the same."""

    against: Collection[str]
    shown: Collection[int] = ()


class Witness(Protocol):
    """A room above that may know what speaks against making two clusters one by an operator's hand."""

    def __call__(self, session: Session, *, left: Collection[int], right: Collection[int]) -> Evidence:
        """Say what speaks against it; `left` and `right` are the persons of each."""
