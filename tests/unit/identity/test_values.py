"""What may stand for somebody, and in which spelling."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.identity.values import (
    Claimed,
    IdentifierKind,
    mask,
    mask_phone,
    normalise_phone,
    openid_claim,
    phone_claim,
    sift,
)

BLOCKED = frozenset({"0", "-1", "null", "anonymous", "13800138000"})
mobiles = st.from_regex(r"1[3-9][0-9]{9}", fullmatch=True)


@pytest.mark.parametrize(
    "spelling",
    [
        "13812345678",
        "+8613812345678",
        "8613812345678",
        "008613812345678",
        "+86 138-1234-5678",
        "(138) 1234.5678",
    ],
)
def test_one_number_has_one_spelling(spelling: str) -> None:
    assert normalise_phone(spelling) == "+8613812345678"


@pytest.mark.parametrize(
    ("spelling", "number"),
    [
        ("021-6234-5678", "+862162345678"),
        ("+852 9123 4567", "+85291234567"),
        ("0085291234567", "+85291234567"),
        ("+1 (212) 555-0100", "+12125550100"),
    ],
)
def test_landlines_and_foreign_numbers_have_one_too(spelling: str, number: str) -> None:
    assert normalise_phone(spelling) == number


@pytest.mark.parametrize(
    "text",
    [
        "",
        "12345",
        "12812345678",
        "138123456789",
        "phone",
        "+86",
        "+0138123456",
        "１３８１２３４５６７８",
        "+8613812345678901",
    ],
)
def test_what_is_no_number_stands_for_nobody(text: str) -> None:
    assert normalise_phone(text) is None
    assert sift(phone_claim(text), BLOCKED) is None


@given(mobiles)
def test_a_spelling_is_its_own_spelling(number: str) -> None:
    spelled = normalise_phone(number)
    assert spelled is not None
    assert normalise_phone(spelled) == spelled


@pytest.mark.parametrize(
    "value", ["", " ", "0", "-1", "null", "NULL", " Anonymous ", "00000000000", "xxxxxxxx"]
)
@pytest.mark.parametrize("kind", list(IdentifierKind))
def test_blocked_values_stand_for_nobody(kind: IdentifierKind, value: str) -> None:
    assert sift(Claimed(kind, "", value), BLOCKED) is None


@pytest.mark.parametrize("value", ["13800138000", "+86 13800138000", "+8611111111111", "11111111111"])
def test_a_blocked_phone_is_blocked_in_every_spelling(value: str) -> None:
    assert sift(phone_claim(value), BLOCKED) is None


def test_an_overlong_value_stands_for_nobody() -> None:
    assert sift(openid_claim(1, "ab" * 65), BLOCKED) is None
    assert sift(openid_claim(1, "ab" * 64), BLOCKED) is not None


@given(mobiles.filter(lambda number: number != "13800138000" and len(set(number)) > 1))
def test_sifting_twice_changes_nothing(number: str) -> None:
    once = sift(phone_claim(number), BLOCKED)
    assert once is not None
    assert sift(once, BLOCKED) == once


@pytest.mark.parametrize(
    ("number", "shown"), [("+8613812345678", "+86 138****5678"), ("+85291234567", "+852****67")]
)
def test_a_phone_is_shown_to_its_owner_without_its_middle(number: str, shown: str) -> None:
    assert mask_phone(number) == shown


def test_a_claim_does_not_show_its_value_in_logs() -> None:
    assert "13812345678" not in repr(phone_claim("13812345678"))


@pytest.mark.parametrize(
    ("kind", "value", "shown"),
    [
        (IdentifierKind.PHONE, "+8613812345678", "+86 138****5678"),
        (IdentifierKind.OPENID, "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o", "oU…eS6o"),
        (IdentifierKind.MEMBER_CARD, "123456", "…56"),
    ],
)
def test_an_operator_can_tell_two_apart_and_read_neither(
    kind: IdentifierKind, value: str, shown: str
) -> None:
    assert mask(kind, value) == shown
