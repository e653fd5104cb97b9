import pytest

from app.reconciliation.advice import advice
from app.reconciliation.judging import SEVERAL, Flows, Ours, assumed_before, booked, judge
from app.reconciliation.states import DifferenceKind

PAID = Ours(True, 100, "W1")
FAILED = Ours(False, 100, "W1")
OUT = Flows(1, 100, 0, 0, "W1")
BACK = Flows(0, 0, 1, 100, "")


@pytest.mark.parametrize(
    ("ours", "theirs", "kind"),
    [
        (PAID, OUT, None),
        (PAID, Flows(), DifferenceKind.MISSING),
        (PAID, OUT.plus(OUT), DifferenceKind.DOUBLED),
        (PAID, OUT.plus(OUT).plus(BACK), None),
        (PAID, OUT.plus(BACK), DifferenceKind.REFUNDED),
        (PAID, OUT._replace(out_fen=99), DifferenceKind.AMOUNT),
        (PAID, OUT._replace(platform_no="W2"), DifferenceKind.OTHER_BILL),
        (PAID, OUT.plus(OUT._replace(platform_no="W2")), DifferenceKind.OTHER_BILL),
        (PAID, BACK, DifferenceKind.AMOUNT),
        (Ours(True, 100, None), OUT, None),
        (FAILED, Flows(), None),
        (FAILED, OUT.plus(BACK), None),
        (FAILED, OUT, DifferenceKind.NOT_RETURNED),
        (FAILED, BACK, DifferenceKind.AMOUNT),
    ],
)
def test_a_bill_beside_its_lines(ours: Ours, theirs: Flows, kind: DifferenceKind | None) -> None:
    assert judge(ours, theirs) is kind


def test_lines_of_two_transfers_under_one_number_are_seen() -> None:
    assert OUT.plus(OUT._replace(platform_no="W2")).platform_no == SEVERAL
    assert Flows().plus(BACK).plus(OUT).platform_no == "W1"


@pytest.mark.parametrize("ours", [PAID, FAILED])
def test_what_was_booked_without_a_difference_is_none(ours: Ours) -> None:
    assert judge(ours, booked(ours)) is None


@pytest.mark.parametrize(
    ("ours", "theirs", "kind"),
    [(PAID, Flows(), None), (FAILED, BACK, None), (FAILED, Flows(), None), (PAID, OUT, None)],
)
def test_money_may_have_been_set_aside_before_the_first_day(
    ours: Ours, theirs: Flows, kind: DifferenceKind | None
) -> None:
    assert judge(ours, assumed_before(ours, theirs)) is kind


@pytest.mark.parametrize("kind", DifferenceKind)
def test_every_kind_says_what_to_do_in_both_languages(kind: DifferenceKind) -> None:
    said = advice(kind)
    assert said.zh.endswith("。")
    assert said.en.endswith(".")
