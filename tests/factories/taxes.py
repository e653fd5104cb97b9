"""Assessments for awards that are granted without a campaign."""

from app.tax.terms import Assessment, TaxBasis, TaxedKind, TaxLaw, TaxMode, TaxTerms, assess

LAW = TaxLaw(rate_bps=2_000, vat_bps=1_300)
NEVER_ASKED = 100_000_000


def taxed(
    fen: int,
    *,
    kind: TaxedKind = TaxedKind.MONEY,
    mode: TaxMode = TaxMode.INCIDENTAL_WITHHOLD,
    basis: TaxBasis = TaxBasis.NET_GROSSUP,
    over: int = NEVER_ASKED,
) -> Assessment:
    """The tax on a prize worth `fen`; identity is asked for above `over` fen a year."""
    terms = TaxTerms(
        mode=mode,
        kinds=tuple(TaxedKind),
        from_fen=0,
        basis=basis,
        vat_excluded=False,
        identity_over_fen=over,
    )
    found = assess(terms, LAW, kind=kind, worth_fen=fen)
    assert found is not None
    return found
