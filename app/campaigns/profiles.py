"""The law of a market as switches. Every number names its source; a compliance officer reads this file.

China: Interim Provisions on Regulating Promotional Activities (SAMR Order 32) and the Anti-Unfair
Competition Law; articles below are those of the Provisions.
"""

from dataclasses import dataclass
from zoneinfo import ZoneInfo

from app.tax.terms import TaxBasis, TaxedKind, TaxLaw, TaxMode, TaxTerms


@dataclass(frozen=True, slots=True)
class MarketProfile:
    """What a market's law asks of a draw.

    zone: calendar rules (weekday, day of month, draws per day) are read in it.
    disclosure_required: nothing starts before every required field is filled and the text frozen (art. 13).
    immutable_after_start: a change favours shoppers, or needs a reason, a second approval and a newly
    published text (art. 13).
    max_prize_fen: what one draw may give at most, multipliers included and points valued (art. 17).
    weighting_must_be_stated: regions or times change prizes only if the published rules say so (art. 15).
    publicity_over_fen: winners above this are published while the campaign runs (art. 13).
    archive_years: rules and results are kept at least this long after the end (art. 19).
    min_transfer_fen: the least that WeChat transfers; a smaller money prize could never be paid.
    tax_law: the rates (Individual Income Tax Act, art. 3). tax: what holds for a campaign that says nothing
    about tax. Published rules are read by it for ever: another default is another profile.
    """

    key: str
    zone: ZoneInfo
    disclosure_required: bool
    immutable_after_start: bool
    max_prize_fen: int
    weighting_must_be_stated: bool
    publicity_over_fen: int
    archive_years: int
    min_transfer_fen: int
    tax_law: TaxLaw
    tax: TaxTerms


CHINA = MarketProfile(
    key="cn",
    zone=ZoneInfo("Asia/Shanghai"),
    disclosure_required=True,
    immutable_after_start=True,
    max_prize_fen=5_000_000,
    weighting_must_be_stated=True,
    publicity_over_fen=50_000,
    archive_years=2,
    min_transfer_fen=10,
    tax_law=TaxLaw(rate_bps=2_000, vat_bps=1_300),
    # Each draw comes with a product that was bought (Caishui 2011 No. 50). That is disputed for prizes of
    # chance, so the strictest terms are those of a campaign that chooses to be taxed: no threshold.
    tax=TaxTerms(
        mode=TaxMode.NONE_GIFT_WITH_PURCHASE,
        # Not vouchers with the nature of a discount (Announcement 2019 No. 74, art. 2).
        kinds=tuple(sorted(set(TaxedKind) - {TaxedKind.COUPON})),
        from_fen=0,
        basis=TaxBasis.NET_GROSSUP,
        vat_excluded=False,
        identity_over_fen=0,
    ),
)

PROFILES = {CHINA.key: CHINA}
