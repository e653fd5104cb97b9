from datetime import UTC, datetime, timedelta

import pytest

from app.goods import redemption
from app.goods.errors import BadRedemptionCode
from app.members import member_code

KEYS = [b"k" * 32, b"o" * 32]
NOW = datetime(2026, 6, 1, 4, 0, tzinfo=UTC)


def test_a_code_says_its_award_for_five_minutes() -> None:
    code = redemption.sign(KEYS, award_id=77, now=NOW)
    late = NOW + redemption.LIFETIME - timedelta(seconds=1)
    assert redemption.verify(KEYS, text=code, now=late) == 77
    assert redemption.verify([b"n" * 32, KEYS[0]], text=code, now=NOW) == 77
    with pytest.raises(BadRedemptionCode):
        redemption.verify(KEYS, text=code, now=NOW + redemption.LIFETIME)


def test_nothing_else_is_a_code() -> None:
    code = redemption.sign(KEYS, award_id=77, now=NOW)
    member = member_code.sign(KEYS, person_id=77, now=NOW)
    other = "A" if code[-2] != "A" else "B"
    wrong = [
        "",
        code[:-1],
        code.lower(),
        code[:-2] + other + code[-1],
        member,
        "R1" + member[2:],
        "R1" + "!" * 47,
    ]
    for text in wrong:
        with pytest.raises(BadRedemptionCode):
            redemption.verify(KEYS, text=text, now=NOW)
    with pytest.raises(BadRedemptionCode):
        redemption.verify([b"x" * 32], text=code, now=NOW)
