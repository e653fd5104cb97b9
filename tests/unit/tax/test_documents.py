"""Identity documents: made-up numbers that add up, and what is refused."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.tax.documents import NAMES, Document, Identity
from app.tax.errors import BadIdentity, GuardianWanted
from tests.factories.identities import card

TODAY = date(2026, 6, 1)
CARD = card(date(1990, 1, 1))


def checked(number: str, name: str = "张三", document: Document = Document.RESIDENT_ID) -> Identity:
    return Identity(name, document, number).checked(TODAY)


def test_the_example_of_the_standard_adds_up() -> None:
    assert checked("11010519491231002X").number == "11010519491231002X"


def test_numbers_and_names_get_one_spelling() -> None:
    spelt = checked(" 110105 19491231 002x ", "  欧阳  娜娜 ")
    assert (spelt.name, spelt.number) == ("欧阳 娜娜", "11010519491231002X")
    assert checked("g1234567", "Anne-Marie O'Neil", Document.PASSPORT).number == "G1234567"


@given(place=st.integers(0, 17), digit=st.sampled_from("0123456789"))
def test_one_wrong_digit_is_noticed(place: int, digit: str) -> None:
    wrong = CARD[:place] + digit + CARD[place + 1 :]
    if wrong == CARD:
        checked(wrong)
        return
    with pytest.raises(BadIdentity) as refused:
        checked(wrong)
    assert refused.value.extra == {"field": "number"}


@pytest.mark.parametrize(
    "number",
    ["", "123", CARD[:-1], CARD + "0", card(date(2026, 6, 2)), "1101051990023000", "110105199002300011"],
)
def test_what_no_card_can_be(number: str) -> None:
    with pytest.raises(BadIdentity):
        checked(number)


@pytest.mark.parametrize("name", ["张", "", "12", "张<三>", "a" * 51, "=cmd"])
def test_what_no_name_can_be(name: str) -> None:
    with pytest.raises(BadIdentity) as refused:
        checked(CARD, name)
    assert refused.value.extra == {"field": "name"}


@pytest.mark.parametrize("number", ["12345", "A" * 21, "A-12345", "护照123456"])
def test_what_no_other_document_can_be(number: str) -> None:
    with pytest.raises(BadIdentity):
        checked(number, document=Document.PASSPORT)


def test_a_child_under_14_is_sent_to_a_guardian() -> None:
    with pytest.raises(GuardianWanted):
        checked(card(date(2012, 6, 2)))
    assert checked(card(date(2012, 6, 1))).document is Document.RESIDENT_ID


def test_what_is_shown_again_is_no_use_to_anybody_else() -> None:
    masked = checked("11010519491231002X").masked()
    assert (masked.name, masked.number) == ("张*", "**************002X")
    assert "张三" not in repr(checked(CARD))
    assert CARD not in repr(checked(CARD))


def test_every_kind_of_document_has_a_name() -> None:
    assert set(NAMES) == set(Document)
