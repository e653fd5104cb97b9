"""What shoppers read is there for every outcome, in both languages, as the page about codes says."""

import pytest

from app.codes.outcome import ScanOutcome
from miniprogram_api.texts import OUTCOMES
from tests.support.source import ROOT


def test_every_outcome_has_words() -> None:
    assert set(OUTCOMES) == set(ScanOutcome)


# These two carry a number or a time in the table.
@pytest.mark.parametrize("outcome", sorted(set(ScanOutcome) - {ScanOutcome.OK, ScanOutcome.DRAWN_BY_ANOTHER}))
def test_the_words_are_those_of_the_documentation(outcome: ScanOutcome) -> None:
    table = (ROOT / "docs" / "codes.md").read_text(encoding="utf-8")
    (row,) = [line for line in table.splitlines() if line.startswith(f"| `{outcome}` |")]

    assert OUTCOMES[outcome].zh in row
    assert OUTCOMES[outcome].en in row
