"""Refusals of payouts."""

from app.kernel.errors import Malformed, NotFound, Refused


class UnknownPayer(NotFound):
    """There is no such payer."""

    code = "unknown_payer"
    title = "There is no such payer"


class BadPayer(Malformed):
    """What was said about a payer cannot be right."""

    code = "bad_payer"
    title = "The payer cannot be saved like this"


class AppNotBound(Refused):
    """The merchant number cannot pay into this app."""

    code = "app_not_bound"
    title = "Collect it in another mini-program"


class NoOpenid(Refused):
    """WeChat does not know this person in the app in use."""

    code = "no_openid"
    title = "WeChat does not know you here yet"


class ServiceDeskWanted(Refused):
    """Whom WeChat knows in the app that pays is in doubt; the brand's service desk settles it. `appid` names
    the app."""

    code = "service_desk_wanted"
    title = "Ask the brand's service desk"


class ServiceAccountWanted(Refused):
    """The prize is sent by a service account, where this person is not known yet; `appid` names it."""

    code = "service_account_wanted"
    title = "Open the service account's link once"


class CorpWanted(Refused):
    """The prize is sent by a company's WeCom, where this person is not known yet; `appid` names the corp."""

    code = "corp_wanted"
    title = "Open the company's link once"


class AmountNotPayable(Refused):
    """The amount is outside what the platform or the payer's product transfers at once."""

    code = "amount_not_payable"
    title = "This amount cannot be transferred"


class RedPacketsOfToday(Refused):
    """The receiver has had as many red packets today as WeChat gives one person."""

    code = "red_packets_of_today"
    title = "No more red packets today"


class NameNeeded(Malformed):
    """WeChat Pay demands the receiver's real name from 2,000 yuan."""

    code = "name_needed"
    title = "Give the name that your WeChat account is verified with"


class AlreadyPaid(Refused):
    """The money for this award has arrived."""

    code = "already_paid"
    title = "This has been paid already"


class UnknownBill(NotFound):
    """There is no such bill."""

    code = "unknown_bill"
    title = "There is no such bill"


class BillEnded(Refused):
    """The platform has said how the bill ended."""

    code = "bill_ended"
    title = "The bill has ended"


class StillProvable(Refused):
    """The platform can still tell how the bill ends, so nobody's word takes its place."""

    code = "still_provable"
    title = "WeChat Pay can still tell"
