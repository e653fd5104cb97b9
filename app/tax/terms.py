"""What tax a prize takes: a pure function of the campaign's published terms and the market's law.

Individual income tax on winnings (偶然所得) is a rate on what was won, without deduction, owed for each
receipt by itself and withheld by whoever pays (contract 14.4). Whether a draw after a purchase is such a
winning is disputed, so each campaign says how it is treated; this file only computes what that comes to.

Amounts are whole fen. Each division rounds once, half up, as tax returns are filled in; what is left over
is never lost, since of gross, tax and net one is always the sum or the difference of the other two.
"""

from dataclasses import dataclass
from enum import StrEnum

from app.kernel.json import Json

_ONE_BPS = 10_000


class TaxMode(StrEnum):
    """How a campaign's prizes are treated."""

    NONE_DISCOUNT = "none_discount"
    NONE_GIFT_WITH_PURCHASE = "none_gift_with_purchase"
    INCIDENTAL_WITHHOLD = "incidental_withhold"
    INCIDENTAL_COMPANY_BEARS = "incidental_company_bears"


class TaxBasis(StrEnum):
    """Of what the rate is taken when the brand bears the tax: two practices of tax offices."""

    GROSS = "gross"  # of the prize as it is: prize × rate
    NET_GROSSUP = "net_grossup"  # of the prize with the tax in it: prize ÷ (1 − rate) × rate


class TaxedKind(StrEnum):
    """What a prize is to the tax; points are not among them, they are taxed as what they are spent on."""

    MONEY = "money"
    GOODS = "goods"
    PHONE_CREDIT = "phone_credit"
    MEMBERSHIP = "membership"
    GIFT_CARD = "gift_card"
    COUPON = "coupon"


class TaxBearer(StrEnum):
    """Out of whose pocket the tax is paid."""

    WINNER = "winner"
    BRAND = "brand"


_TAXING = frozenset({TaxMode.INCIDENTAL_WITHHOLD, TaxMode.INCIDENTAL_COMPANY_BEARS})


@dataclass(frozen=True, slots=True)
class TaxLaw:
    """A market's rates in basis points: on winnings, and of the value added tax in what is bought."""

    rate_bps: int
    vat_bps: int


@dataclass(frozen=True, slots=True)
class TaxTerms:
    """What a campaign publishes about tax.

    kinds: which prizes are taxed, ascending. from_fen: a prize worth less is not. basis: for tax that the
    brand bears. vat_excluded: goods count without the value added tax in their worth. identity_over_fen: who
    collects taxed prizes worth more than this in a calendar year gives name and document number first.
    """

    mode: TaxMode
    kinds: tuple[TaxedKind, ...]
    from_fen: int
    basis: TaxBasis
    vat_excluded: bool
    identity_over_fen: int

    @property
    def taxes(self) -> bool:
        """Tell whether any prize is taxed at all."""
        return self.mode in _TAXING

    def bearer(self, kind: TaxedKind) -> TaxBearer:
        """Return who bears the tax on a prize: from what is no money nothing can be withheld."""
        if self.mode is TaxMode.INCIDENTAL_WITHHOLD and kind is TaxedKind.MONEY:
            return TaxBearer.WINNER
        return TaxBearer.BRAND

    def to_json(self) -> dict[str, Json]:
        """Return the terms in the normal form of published rules."""
        return {
            "mode": str(self.mode),
            "kinds": [str(kind) for kind in self.kinds],
            "from_fen": self.from_fen,
            "basis": str(self.basis),
            "vat_excluded": self.vat_excluded,
            "identity_over_fen": self.identity_over_fen,
        }


@dataclass(frozen=True, slots=True)
class Assessment:
    """The tax on one award, in fen: gross is what it costs the brand, net what its winner has of it.

    gross = net + tax, always. base is what the rate was taken of, which is what is reported as income.
    """

    mode: TaxMode
    bearer: TaxBearer
    kind: TaxedKind
    rate_bps: int
    gross_fen: int
    base_fen: int
    tax_fen: int
    net_fen: int
    identity_over_fen: int

    @property
    def withheld_fen(self) -> int:
        """Return what is taken out of the prize."""
        return self.tax_fen if self.bearer is TaxBearer.WINNER else 0

    @property
    def borne_fen(self) -> int:
        """Return what the brand pays on top of the prize."""
        return self.tax_fen if self.bearer is TaxBearer.BRAND else 0


def assess(terms: TaxTerms, law: TaxLaw, *, kind: TaxedKind, worth_fen: int) -> Assessment | None:
    """Return the tax on a prize worth `worth_fen`; None when none is owed (contract 14.4).

    None is owed in the modes that say so, on kinds that the terms leave out, below their threshold, and
    where the tax rounds to nothing.
    """
    if not terms.taxes or kind not in terms.kinds or worth_fen < terms.from_fen:
        return None
    bearer = terms.bearer(kind)
    worth = worth_fen
    if terms.vat_excluded and kind is TaxedKind.GOODS:
        worth = _share(worth_fen, _ONE_BPS, _ONE_BPS + law.vat_bps)
    if bearer is TaxBearer.BRAND and terms.basis is TaxBasis.NET_GROSSUP:
        tax = _share(worth, law.rate_bps, _ONE_BPS - law.rate_bps)
        base = worth + tax
    else:
        tax = _share(worth, law.rate_bps, _ONE_BPS)
        base = worth
    if tax == 0:
        return None
    net_fen = worth_fen - tax if bearer is TaxBearer.WINNER else worth_fen
    return Assessment(
        mode=terms.mode,
        bearer=bearer,
        kind=kind,
        rate_bps=law.rate_bps,
        gross_fen=net_fen + tax,
        base_fen=base,
        tax_fen=tax,
        net_fen=net_fen,
        identity_over_fen=terms.identity_over_fen,
    )


def _share(amount: int, numerator: int, denominator: int) -> int:
    """Return amount × numerator ÷ denominator, rounded half up."""
    return (2 * amount * numerator + denominator) // (2 * denominator)
