"""What can be measured about a draw before it happens: whole numbers with names, and how they are said.

Nothing here is personal data: a measure counts or ranks, and names nobody. They are stored with the draw, so
that every hit explains itself and other limits can be tried on what was seen (RISK-01 to RISK-08).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Measure(StrEnum):
    """One number about a draw; "hour" is this clock hour and the one before, "day" the day in UTC."""

    CONSECUTIVE_CODES = "consecutive_codes"
    HASTY_SCANS = "hasty_scans"
    PERSON_HOUR = "person_hour"
    PERSON_DAY = "person_day"
    PHONE_DAY = "phone_day"
    PHONE_PERSONS = "phone_persons"
    PHONE_VIRTUAL = "phone_virtual"
    PHONE_FRESH = "phone_fresh"
    CAPTCHA_PASSED = "captcha_passed"
    ADDRESS_HOUR = "address_hour"
    ADDRESS_PERSONS_HOUR = "address_persons_hour"
    ADDRESS_DAY = "address_day"
    RANGE_HOUR = "range_hour"
    RANGE_PERSONS_HOUR = "range_persons_hour"
    RANGE_DAY = "range_day"
    RANGE_PERSONS_DAY = "range_persons_day"
    FAR_FROM_SHIPMENT = "far_from_shipment"
    WECHAT_RANK = "wechat_rank"
    WECHAT_RANK_UNKNOWN = "wechat_rank_unknown"


Signals = Mapping[Measure, int]
"""What was measured; a measure that is absent is 0."""

RANK_MEASURES = frozenset({Measure.WECHAT_RANK, Measure.WECHAT_RANK_UNKNOWN})
"""What takes a call to WeChat, before the draw's transaction."""


@dataclass(frozen=True, slots=True)
class Phrase:
    """One text in Chinese and English; `{}` stands for the number."""

    zh: str
    en: str

    def about(self, number: int) -> "Phrase":
        """Return the phrase about a number."""
        return Phrase(self.zh.format(number), self.en.format(number))


PHRASES: Mapping[Measure, Phrase] = {
    Measure.CONSECUTIVE_CODES: Phrase("同一人连续扫描相邻码 {} 个", "{} neighbouring codes by one person"),
    Measure.HASTY_SCANS: Phrase(
        "一小时内 {} 次扫码与上一次相隔不足 3 秒", "{} scans in an hour less than 3 seconds after the last"
    ),
    Measure.PERSON_HOUR: Phrase("本人一小时内扫码 {} 次", "{} scans by this person within an hour"),
    Measure.PERSON_DAY: Phrase("本人当日抽奖 {} 次", "{} draws by this person today"),
    Measure.PHONE_DAY: Phrase("同一手机号当日扫码 {} 次", "{} scans with the same phone today"),
    Measure.PHONE_PERSONS: Phrase("同一手机号对应 {} 人", "{} persons with the same phone"),
    Measure.PHONE_VIRTUAL: Phrase("虚拟运营商号段(是=1):{}", "number of a virtual operator (1 = yes): {}"),
    Measure.PHONE_FRESH: Phrase("24 小时内验证过手机号(是=1):{}", "phone shown in 24 hours (1 = yes): {}"),
    Measure.CAPTCHA_PASSED: Phrase(
        "本次抽奖已通过图形验证码(是=1):{}", "captcha solved for this draw (1 = yes): {}"
    ),
    Measure.ADDRESS_HOUR: Phrase("同一网段近两小时内扫码 {} 次", "{} scans of this network in two hours"),
    Measure.ADDRESS_PERSONS_HOUR: Phrase(
        "同一网段近两小时内约 {} 人", "about {} persons from the same network in two hours"
    ),
    Measure.ADDRESS_DAY: Phrase("同一网段当日扫码 {} 次", "{} scans from the same network today"),
    Measure.RANGE_HOUR: Phrase("同一号段近两小时内扫码 {} 次", "{} scans of this code range in two hours"),
    Measure.RANGE_PERSONS_HOUR: Phrase(
        "同一号段近两小时内约 {} 人扫码", "about {} persons scanned the same code range in two hours"
    ),
    Measure.RANGE_DAY: Phrase("同一号段当日扫码 {} 次", "{} scans of the same code range today"),
    Measure.RANGE_PERSONS_DAY: Phrase(
        "同一号段当日约 {} 人扫码", "about {} persons scanned the same code range today"
    ),
    Measure.FAR_FROM_SHIPMENT: Phrase(
        "所在地与发货地不同(1 为异市,2 为异省):{}", "away from where it was shipped (1 city, 2 province): {}"
    ),
    Measure.WECHAT_RANK: Phrase("微信风险等级 {}", "WeChat's risk rank {}"),
    Measure.WECHAT_RANK_UNKNOWN: Phrase("微信风险等级未知(是=1):{}", "WeChat's rank unknown (1 = yes): {}"),
}
