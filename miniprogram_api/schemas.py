"""What goes in and out, documented by the same classes that check it."""

from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from app.campaigns.models import CampaignState
from app.codes.links import MAX_LINK
from app.codes.outcome import ScanOutcome
from app.goods.models import DeliveryState
from app.http.paging import PageAnswer
from app.http.schemas import BaseSchema, Decimal, Moment, Pattern, PublicId, Text, Yes
from app.incentives.operations import CaseOutcome
from app.members.member_code import Purpose
from app.members.models import AgeBand
from app.rewards.models import AwardKind, AwardState, DeliveryWay
from app.tax.documents import Document


def _one_of(*values: str, nullable: bool = False) -> fields.String:
    allowed = [*values, None] if nullable else list(values)
    return fields.String(required=True, allow_none=nullable, validate=validate.OneOf(allowed))


def _note(text: str) -> dict[str, str]:
    return {"description": text}


class SessionBody(BaseSchema):
    """A login."""

    app_id = Pattern("[A-Za-z0-9]{4,32}", 32, required=True, metadata=_note("the mini-program's appid"))
    js_code = Text(128, required=True, metadata=_note("what wx.login gave; good for one use"))


class OpenidLinkBody(BaseSchema):
    """Which service account or corp is to know the caller."""

    app_id = Pattern("[A-Za-z0-9]{4,32}", 32, required=True, metadata=_note("its appid"))


class OpenidLinkAnswer(BaseSchema):
    """A link to be opened in WeChat, in a web-view or a chat; good once."""

    url = fields.String(required=True)
    expires_at = Moment(required=True)


class PersonAnswer(BaseSchema):
    """Who is logged in."""

    id = PublicId("pe", required=True)
    member = Yes(required=True, metadata=_note("joined, with consent to the current privacy policy"))
    virtual = Yes(
        required=True, metadata=_note("a snapshot visit of WeChat: nobody, who is never awarded anything")
    )


class SessionAnswer(BaseSchema):
    """A session: send the token as `Authorization: Bearer …`."""

    token = fields.String(required=True)
    expires_at = Moment(required=True)
    person = fields.Nested(PersonAnswer, required=True)


class PolicyAnswer(BaseSchema):
    """The privacy policy that holds now."""

    version = fields.String(required=True)
    text_zh = fields.String(required=True)
    text_en = fields.String(required=True)
    sha256 = fields.String(required=True)


class PhoneBody(BaseSchema):
    """A phone number, chosen by its owner."""

    code = Text(128, required=True, metadata=_note("what the phone-number button gave; good for one use"))


class PhoneAnswer(BaseSchema):
    """The phone number as its owner is shown it."""

    phone_masked = fields.String(required=True, allow_none=True)


class MemberBody(BaseSchema):
    """Joining, with consent."""

    policy_version = Text(32, required=True, metadata=_note("the version that was shown and agreed to"))
    age_band = _one_of(*AgeBand)
    guardian_consent = Yes(load_default=False, metadata=_note("needed under 14"))
    placement = Pattern(
        "[a-z2-7]{8}", 8, metadata=_note("key of the placement that was scanned; a closed one is ignored")
    )
    inviter_code = Pattern(
        "[A-Z0-9]{10,64}",
        64,
        metadata=_note("of a friend, or of somebody in a store; an outlived one is ignored"),
    )
    scan = PublicId("sc", metadata=_note("the scan that led here"))


class MemberAnswer(BaseSchema):
    """A membership."""

    id = PublicId("me", required=True)
    member_no = fields.String(required=True)
    joined_at = Moment(required=True)
    tier = fields.String(required=True, allow_none=True)
    consent_is_current = Yes(required=True)


class JoinedAnswer(BaseSchema):
    """The membership; whoever had joined before gets the same one."""

    member = fields.Nested(MemberAnswer, required=True)


class MeAnswer(BaseSchema):
    """What the caller may know of themselves."""

    person = fields.Nested(PersonAnswer, required=True)
    member = fields.Nested(MemberAnswer, required=True, allow_none=True)
    phone_masked = fields.String(required=True, allow_none=True)
    points = fields.Integer(required=True)
    marketing_consent = Yes(required=True, metadata=_note("agrees to marketing by phone, of some brand"))


class CodeQuery(BaseSchema):
    """What the code is for."""

    purpose = fields.String(
        load_default=Purpose.IDENTIFY.value,
        validate=validate.OneOf(list(Purpose)),
        metadata=_note(
            "identify: for the till, a minute; invite: for a friend, thirty days; recruit: for customers of"
            " the store that one works in, twelve hours"
        ),
    )


class CodeAnswer(BaseSchema):
    """A code to be shown, and its QR picture."""

    code = fields.String(required=True)
    expires_at = Moment(required=True)
    svg = fields.String(required=True)


class LocationBody(BaseSchema):
    """A position that the shopper chose to share; used only where the installation allows it."""

    latitude = Decimal(required=True, validate=validate.Range(-90, 90))
    longitude = Decimal(required=True, validate=validate.Range(-180, 180))


class ScanBody(BaseSchema):
    """What was scanned: exactly one of `code`, `q`, `scene` and `code_ticket`."""

    code = Text(MAX_LINK, metadata=_note("a code as it was typed or read"))
    q = Text(MAX_LINK, metadata=_note("`options.q` as WeChat gave it: a link, URL-encoded"))
    scene = Text(MAX_LINK, metadata=_note("`options.scene` of a mini-program code"))
    code_ticket = Text(
        MAX_LINK,
        metadata=_note(
            "`options.query.code_ticket` of a code that WeChat made (entry scene 1124); good once"
        ),
    )

    @validates_schema
    def _one_source(self, data: dict[str, Any], **_: Any) -> None:
        if sum(name in data for name in ("code", "q", "scene", "code_ticket")) != 1:
            raise ValidationError("Send exactly one of code, q, scene and code_ticket.")


class ProductAnswer(BaseSchema):
    """The product behind a code."""

    sku = fields.String(required=True)
    name_zh = fields.String(required=True)
    name_en = fields.String(required=True)
    spec = fields.String(required=True, allow_none=True)
    lot = fields.String(required=True)


class ScanView(BaseSchema):
    """What a scan came to."""

    id = PublicId("sc", required=True)
    outcome = _one_of(*ScanOutcome)
    text_zh = fields.String(required=True)
    text_en = fields.String(required=True)
    first_scanned_at = Moment(required=True, allow_none=True)
    first_scanned_by_me = Yes(required=True)
    earlier_scans = fields.Integer(required=True, metadata=_note("since the code could be sold"))


class CampaignAnswer(BaseSchema):
    """The campaign that a code can be drawn in."""

    id = PublicId("ca", required=True)
    name_zh = fields.String(required=True)
    name_en = fields.String(required=True)
    ends_at = Moment(required=True)
    location_counts = Yes(required=True, metadata=_note("a position, if shared, may change the pool"))


class PrizeAnswer(BaseSchema):
    """What a draw gave."""

    kind = _one_of(*AwardKind)
    name_zh = fields.String(required=True)
    name_en = fields.String(required=True)
    amount_fen = fields.Integer(required=True)
    points = fields.Integer(required=True)


class DrawView(BaseSchema):
    """A draw."""

    id = PublicId("dr", required=True)
    campaign = PublicId("ca", required=True)
    at = Moment(required=True)
    rules_version = fields.Integer(required=True)
    pool = fields.String(required=True, metadata=_note("key of the pool in the published rules"))
    prize = fields.Nested(PrizeAnswer, required=True)


class AwardView(BaseSchema):
    """Something won."""

    id = PublicId("aw", required=True)
    draw = PublicId(
        "dr",
        required=True,
        allow_none=True,
        metadata=_note("null: the organiser granted it outside of any draw, as a compensation"),
    )
    kind = _one_of(*AwardKind)
    state = _one_of(*AwardState)
    name_zh = fields.String(required=True)
    name_en = fields.String(required=True)
    amount_fen = fields.Integer(required=True)
    points = fields.Integer(required=True)
    unlock_helpers = fields.Integer(
        required=True, metadata=_note("friends who must help to unlock it; 0 when it is not locked")
    )
    tax_withheld_fen = fields.Integer(
        required=True, metadata=_note("tax taken out of amount_fen: what is paid is the difference")
    )
    tax_borne_fen = fields.Integer(
        required=True, metadata=_note("tax that the organiser pays on top; the winner gets all of amount_fen")
    )
    delivery = _one_of(*DeliveryWay, nullable=True)
    unlock_draws = fields.Integer(
        required=True, metadata=_note("further draws in the campaign that unlock it; 0 when it is not locked")
    )
    granted_at = Moment(required=True)
    deadline_at = Moment(required=True, metadata=_note("until when it can be collected"))
    resolved_at = Moment(required=True, allow_none=True)


class StaffRewardView(BaseSchema):
    """What a case earned somebody who works in a store; `points` are theirs, 0 when they got none."""

    outcome = _one_of(*CaseOutcome)
    points = fields.Integer(required=True)
    text_zh = fields.String(required=True)
    text_en = fields.String(required=True)


class ScanAnswer(BaseSchema):
    """What the scan came to and what the page shows next."""

    scan = fields.Nested(ScanView, required=True)
    product = fields.Nested(ProductAnswer, required=True, allow_none=True)
    campaign = fields.Nested(CampaignAnswer, required=True, allow_none=True)
    next = _one_of("consent", "phone", "draw", "result", "none")
    draw = fields.Nested(DrawView, required=True, allow_none=True)
    award = fields.Nested(AwardView, required=True, allow_none=True)
    staff_reward = fields.Nested(StaffRewardView, required=True, allow_none=True)


class DrawBody(BaseSchema):
    """A draw for a scan."""

    scan = PublicId("sc", required=True)
    location = fields.Nested(LocationBody, allow_none=True)
    phone_declined = Yes(
        load_default=False, metadata=_note("the shopper was asked for a phone number and declined")
    )
    captcha_ticket = Pattern(
        r"[\x21-\x7e]+",
        1024,
        allow_none=True,
        metadata=_note("what the captcha plugin gave for this scan, after `captcha_needed`"),
    )


class DrawAnswer(BaseSchema):
    """A draw and what it was awarded with; null when it brought nothing to keep."""

    draw = fields.Nested(DrawView, required=True)
    award = fields.Nested(AwardView, required=True, allow_none=True)


class HelpLinkAnswer(BaseSchema):
    """What a winner sends to friends, and how far their help has come."""

    token = fields.String(required=True)
    expires_at = Moment(required=True)
    helpers = fields.Integer(required=True)
    wanted = fields.Integer(required=True)


class HelpBody(BaseSchema):
    """The token of a friend's link."""

    token = Text(64, required=True)


class HelpAnswer(BaseSchema):
    """The help counts."""

    helped = Yes(required=True)


class AwardsPage(PageAnswer):
    """The caller's awards, the newest first."""

    items = fields.List(fields.Nested(AwardView), required=True)


class VoucherAnswer(BaseSchema):
    """A code that was won."""

    code = fields.String(required=True)
    pin = fields.String(required=True, allow_none=True)
    expires_at = Moment(required=True, allow_none=True, metadata=_note("null when it never expires"))


class ParcelAnswer(BaseSchema):
    """Goods on their way."""

    state = _one_of(*DeliveryState)
    courier = fields.String(required=True, allow_none=True)
    tracking_no = fields.String(required=True, allow_none=True)


class AddressBody(BaseSchema):
    """Where goods are to be sent."""

    receiver = Text(40, required=True)
    phone = Text(32, required=True)
    region = Text(6, minimum=6, required=True, metadata=_note("six-digit adcode"))
    address = Text(200, required=True)


class AwardAnswer(BaseSchema):
    """One award; a voucher's code once it has been collected; goods once their winner has said where to."""

    award = fields.Nested(AwardView, required=True)
    voucher = fields.Nested(VoucherAnswer, required=True, allow_none=True)
    parcel = fields.Nested(ParcelAnswer, required=True, allow_none=True)


class CollectBody(BaseSchema):
    """How the award is collected."""

    phone_declined = Yes(
        load_default=False, metadata=_note("the shopper was asked for a phone number and declined")
    )
    marketing_consent = Yes(
        load_default=False,
        metadata=_note(
            "with a voucher: the shopper ticked, unasked for by default, that the brand may use the phone"
            " number for marketing; counts for adults who have given one, and nothing hangs on it"
        ),
    )
    user_name = Text(64, metadata=_note("the verified name, which WeChat Pay needs from 2,000 yuan"))


class TaxIdentityBody(BaseSchema):
    """Who the shopper is for tax returns, with consent to the notice that was shown."""

    name = Text(50, required=True, metadata=_note("as in the document"))
    document = fields.String(required=True, validate=validate.OneOf(list(Document)))
    number = Text(32, required=True)
    notice_version = Text(16, required=True, metadata=_note("of the notice that the shopper agreed to"))


class TaxYearAnswer(BaseSchema):
    """What was collected in the present calendar year that is taxed."""

    awards = fields.Integer(required=True)
    income_fen = fields.Integer(required=True)
    tax_fen = fields.Integer(required=True)


class TaxIdentityAnswer(BaseSchema):
    """Who the shopper is for tax returns, masked."""

    name_masked = fields.String(required=True)
    document = _one_of(*Document)
    number_masked = fields.String(required=True)
    given_at = Moment(required=True)


class TaxNoticeAnswer(BaseSchema):
    """What the shopper is told before giving name and number."""

    version = fields.String(required=True)
    text_zh = fields.String(required=True)
    text_en = fields.String(required=True)


class TaxAnswer(BaseSchema):
    """Tax on what was won; identity is null until it is given."""

    year = fields.Nested(TaxYearAnswer, required=True)
    identity = fields.Nested(TaxIdentityAnswer, required=True, allow_none=True)
    notice = fields.Nested(TaxNoticeAnswer, required=True)


class TransferAnswer(BaseSchema):
    """The arguments of wx.requestMerchantTransfer."""

    mch_id = fields.String(required=True)
    app_id = fields.String(required=True)
    package_info = fields.String(required=True)


class RedPacketAnswer(BaseSchema):
    """The arguments of wx.sendBizRedPacket."""

    time_stamp = fields.String(required=True, data_key="timeStamp", attribute="timeStamp")
    nonce_str = fields.String(required=True, data_key="nonceStr", attribute="nonceStr")
    package = fields.String(required=True)
    sign_type = fields.String(required=True, data_key="signType", attribute="signType")
    pay_sign = fields.String(required=True, data_key="paySign", attribute="paySign")


class ServicePacketAnswer(BaseSchema):
    """The service account that has sent the red packet: it is opened there, within 24 hours."""

    app_id = fields.String(required=True)


class WeComPacketAnswer(BaseSchema):
    """The company whose WeCom has sent the red packet: it is opened in WeChat, within 24 hours."""

    app_id = fields.String(required=True)


class CollectAnswer(BaseSchema):
    """The award, and what the shopper confirms the transfer or opens the red packet with, or which service
    account or company has sent one; all null while WeChat Pay prepares it.

    A voucher has its code instead, at once.
    """

    award = fields.Nested(AwardView, required=True)
    transfer = fields.Nested(TransferAnswer, required=True, allow_none=True)
    red_packet = fields.Nested(RedPacketAnswer, required=True, allow_none=True)
    service_red_packet = fields.Nested(ServicePacketAnswer, required=True, allow_none=True)
    wecom_red_packet = fields.Nested(WeComPacketAnswer, required=True, allow_none=True)
    voucher = fields.Nested(VoucherAnswer, required=True, allow_none=True)


class PointsAnswer(BaseSchema):
    """The points that can be spent."""

    points = fields.Integer(required=True)


class EntryView(BaseSchema):
    """One line of the points."""

    id = PublicId("pn", required=True)
    kind = fields.String(required=True)
    points = fields.Integer(required=True, metadata=_note("below zero when they left"))
    manner = fields.String(required=True)
    expires_at = Moment(required=True, allow_none=True)
    at = Moment(required=True)


class EntriesPage(PageAnswer):
    """The caller's points, line by line, the newest first."""

    items = fields.List(fields.Nested(EntryView), required=True)


class RulesAnswer(BaseSchema):
    """Published rules, and what a draw is verified with."""

    campaign = PublicId("ca", required=True)
    state = _one_of(*CampaignState)
    version = fields.Integer(required=True)
    published_at = Moment(required=True)
    text_zh = fields.String(required=True)
    text_en = fields.String(required=True)
    text_sha256 = fields.String(required=True)
    rules = fields.Dict(required=True, metadata=_note("the frozen rules that each draw reads"))
    rules_sha256 = fields.String(required=True)
    seed_sha256 = fields.String(required=True)
    seed = fields.String(required=True, allow_none=True, metadata=_note("hex; once the campaign has ended"))
    salt = fields.String(required=True, allow_none=True)


class WinnerView(BaseSchema):
    """A winner, masked."""

    at = Moment(required=True)
    member = fields.String(required=True, metadata=_note("the member number, its middle hidden"))
    prize_zh = fields.String(required=True)
    prize_en = fields.String(required=True)
    worth_fen = fields.Integer(required=True)


class WinnersPage(PageAnswer):
    """Winners above 500 yuan, the newest first."""

    items = fields.List(fields.Nested(WinnerView), required=True)
