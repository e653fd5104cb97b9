"""Each code that a gateway calls refused comes with something that an operator can do."""

import pytest

from app.gateways.pay import v2
from app.gateways.pay.answers import OUTCOMES
from app.payouts.advice import advice
from app.payouts.interfaces import TransferAnswer, TransferOutcome

REFUSED = sorted(
    code
    for code, outcome in {**OUTCOMES, **v2.OUTCOMES}.items()
    if outcome is TransferOutcome.REFUSED or code == "SYSTEMERROR"
)


@pytest.mark.parametrize("code", REFUSED)
def test_every_refusal_has_its_own_words(code: str) -> None:
    said = advice(TransferAnswer(TransferOutcome.REFUSED, code=code, message="the platform's words"))
    assert said.startswith(f"{code} (the platform's words): ")
    assert not said.endswith("mend what the message says")


def test_a_refusal_without_a_code_has_words_too() -> None:
    assert advice(TransferAnswer(TransferOutcome.REFUSED)) == "refused: mend what the message says"
