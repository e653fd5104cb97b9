"""What a prize is taxed with: nothing is lost between gross, tax and net, and each division rounds once."""

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.tax.terms import Assessment, TaxBasis, TaxBearer, TaxedKind, TaxLaw, TaxMode, TaxTerms, assess

LAW = TaxLaw(rate_bps=2_000, vat_bps=1_300)
WITHHOLD = TaxTerms(
    mode=TaxMode.INCIDENTAL_WITHHOLD,
    kinds=tuple(TaxedKind),
    from_fen=0,
    basis=TaxBasis.NET_GROSSUP,
    vat_excluded=False,
    identity_over_fen=80_000,
)
BRAND = replace(WITHHOLD, mode=TaxMode.INCIDENTAL_COMPANY_BEARS)
FLAT = replace(BRAND, basis=TaxBasis.GROSS)


def money(terms: TaxTerms, fen: int) -> Assessment:
    found = assess(terms, LAW, kind=TaxedKind.MONEY, worth_fen=fen)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("terms", "worth", "expected"),
    [
        (WITHHOLD, 100_00, (100_00, 100_00, 20_00, 80_00)),
        (WITHHOLD, 12, (12, 12, 2, 10)),
        (WITHHOLD, 13, (13, 13, 3, 10)),  # 2.6 fen
        (BRAND, 100_00, (125_00, 125_00, 25_00, 100_00)),
        (BRAND, 10, (13, 13, 3, 10)),  # 2.5 fen: a half goes up
        (FLAT, 100_00, (120_00, 100_00, 20_00, 100_00)),
    ],
)
def test_each_mode_and_basis(terms: TaxTerms, worth: int, expected: tuple[int, ...]) -> None:
    """Gross, base, tax and net."""
    found = money(terms, worth)
    assert (found.gross_fen, found.base_fen, found.tax_fen, found.net_fen) == expected


@given(
    worth=st.integers(10, 10**11),
    terms=st.builds(
        replace,
        st.sampled_from([WITHHOLD, BRAND, FLAT]),
        vat_excluded=st.booleans(),
    ),
    kind=st.sampled_from(TaxedKind),
    rate_bps=st.integers(1, 9_999),
)
def test_nothing_is_lost_and_the_rate_is_met_to_half_a_fen(
    worth: int, terms: TaxTerms, kind: TaxedKind, rate_bps: int
) -> None:
    found = assess(terms, replace(LAW, rate_bps=rate_bps), kind=kind, worth_fen=worth)
    if found is None:
        # Less than half a fen.
        assert Fraction(worth * rate_bps, 10_000) < 1
        return
    assert found.gross_fen == found.net_fen + found.tax_fen
    assert found.withheld_fen + found.borne_fen == found.tax_fen > 0
    assert abs(Fraction(found.base_fen * rate_bps, 10_000) - found.tax_fen) <= Fraction(1, 2)
    if found.bearer is TaxBearer.WINNER:
        assert (found.gross_fen, kind) == (worth, TaxedKind.MONEY)
    else:
        assert found.net_fen == worth


@given(low=st.integers(10, 10**9), more=st.integers(0, 10**9), terms=st.sampled_from([WITHHOLD, BRAND, FLAT]))
def test_a_dearer_prize_never_costs_less_nor_leaves_less(low: int, more: int, terms: TaxTerms) -> None:
    small, large = money(terms, low), money(terms, low + more)
    assert small.gross_fen <= large.gross_fen
    assert small.net_fen <= large.net_fen


@pytest.mark.parametrize("mode", [TaxMode.NONE_DISCOUNT, TaxMode.NONE_GIFT_WITH_PURCHASE])
def test_modes_that_tax_nothing(mode: TaxMode) -> None:
    terms = replace(WITHHOLD, mode=mode)
    assert not terms.taxes
    assert assess(terms, LAW, kind=TaxedKind.MONEY, worth_fen=10**9) is None


def test_the_threshold_is_of_each_prize_and_includes_itself() -> None:
    terms = replace(WITHHOLD, from_fen=80_000)
    assert assess(terms, LAW, kind=TaxedKind.MONEY, worth_fen=79_999) is None
    assert money(terms, 80_000).tax_fen == 16_000


def test_kinds_that_are_left_out_and_taxes_below_half_a_fen_are_none() -> None:
    terms = replace(WITHHOLD, kinds=(TaxedKind.MONEY,))
    assert assess(terms, LAW, kind=TaxedKind.GOODS, worth_fen=10_000) is None
    assert assess(WITHHOLD, LAW, kind=TaxedKind.GOODS, worth_fen=1) is None


@pytest.mark.parametrize("kind", sorted(set(TaxedKind) - {TaxedKind.MONEY}))
def test_from_a_thing_nothing_can_be_withheld(kind: TaxedKind) -> None:
    found = assess(WITHHOLD, LAW, kind=kind, worth_fen=400_00)
    assert found is not None
    assert (found.bearer, found.withheld_fen, found.borne_fen) == (TaxBearer.BRAND, 0, 100_00)


def test_goods_may_count_without_the_value_added_tax_in_them() -> None:
    terms = replace(FLAT, vat_excluded=True)
    found = assess(terms, LAW, kind=TaxedKind.GOODS, worth_fen=113_00)
    assert found is not None
    assert (found.base_fen, found.tax_fen, found.net_fen) == (100_00, 20_00, 113_00)
    assert money(terms, 113_00).base_fen == 113_00
