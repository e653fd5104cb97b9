"""Who may become one person: the decision without a database (ID-07, ID-08)."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.identity.models import ConflictReason
from app.identity.rules import Holdings, Rule, Rules
from app.identity.values import Claimed, IdentifierKind, openid_claim, phone_claim

OPENID, UNIONID, PHONE, DEVICE = (
    IdentifierKind.OPENID,
    IdentifierKind.UNIONID,
    IdentifierKind.PHONE,
    IdentifierKind.DEVICE,
)


def _rule(kind: IdentifierKind, priority: int, confidence_bps: int, per_person: int | None) -> Rule:
    return Rule(kind, priority, confidence_bps, per_person, 5, timedelta(days=365), frozenset({"null"}))


RULES = Rules(
    [
        _rule(UNIONID, 1, 10_000, 1),
        _rule(OPENID, 2, 10_000, 1),
        _rule(PHONE, 5, 9_000, 2),
        _rule(DEVICE, 7, 3_000, None),
    ],
    threshold_bps=8_000,
)


def _held(*values: tuple[IdentifierKind, str, str]) -> Holdings:
    held: dict[tuple[IdentifierKind, str], frozenset[bytes]] = {}
    for kind, scope, value in values:
        held[kind, scope] = held.get((kind, scope), frozenset()) | {value.encode()}
    return held


def test_an_identifier_below_the_threshold_joins_nobody() -> None:
    assert RULES.joining_kinds() == [OPENID, PHONE, UNIONID]
    assert not RULES.joins(DEVICE)


def test_a_confidence_at_the_threshold_joins() -> None:
    assert Rules([_rule(PHONE, 1, 8_000, 1)], threshold_bps=8_000).joins(PHONE)


def test_two_values_of_a_kind_that_everybody_has_one_of_hold_two_persons_apart() -> None:
    objection = RULES.objection(
        _held((UNIONID, "main", "a")), _held((UNIONID, "main", "b")), kept_apart=False
    )
    assert objection is not None
    assert (objection.reason, objection.kind) == (ConflictReason.UNIQUE_DISAGREES, UNIONID)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (_held((UNIONID, "main", "a")), _held((UNIONID, "main", "a"))),
        (_held((UNIONID, "main", "a")), _held((UNIONID, "other", "b"))),
        (_held((OPENID, "1", "a")), _held((OPENID, "2", "b"))),
        (_held((UNIONID, "main", "a")), _held((PHONE, "", "p"))),
        (_held((PHONE, "", "p")), _held((PHONE, "", "q"))),
        (_held(), _held()),
    ],
)
def test_what_does_not_disagree_may_be_one(left: Holdings, right: Holdings) -> None:
    assert RULES.objection(left, right, kept_apart=False) is None


def test_more_of_a_kind_than_one_person_has_holds_two_apart() -> None:
    left = _held((PHONE, "", "p"), (PHONE, "", "q"))
    objection = RULES.objection(left, _held((PHONE, "", "r")), kept_apart=False)
    assert objection is not None
    assert (objection.reason, objection.kind) == (ConflictReason.LIMIT_EXCEEDED, PHONE)


def test_a_limit_that_an_operator_broke_does_not_hold_apart_what_adds_nothing() -> None:
    forced = _held((OPENID, "1", "a"), (OPENID, "1", "b"))
    assert RULES.objection(forced, _held((OPENID, "1", "a")), kept_apart=False) is None
    assert RULES.objection(forced, _held((OPENID, "1", "c")), kept_apart=False) is not None


def test_a_decision_to_keep_apart_holds_apart() -> None:
    objection = RULES.objection(_held(), _held(), kept_apart=True)
    assert objection is not None
    assert objection.reason is ConflictReason.KEPT_APART


holdings = st.dictionaries(
    st.tuples(st.sampled_from([UNIONID, OPENID, PHONE]), st.sampled_from(["1", "2"])),
    st.frozensets(st.binary(min_size=1, max_size=1), min_size=1, max_size=3),
)


@given(holdings, holdings, st.booleans())
def test_an_objection_is_the_same_from_both_sides(left: Holdings, right: Holdings, apart: bool) -> None:
    assert RULES.objection(left, right, kept_apart=apart) == RULES.objection(right, left, kept_apart=apart)


def test_claims_come_out_strongest_first_once_each_and_without_the_senseless() -> None:
    claims = [
        phone_claim("13812345678"),
        Claimed(DEVICE, "", "d-1"),
        phone_claim("+86 138 1234 5678"),
        Claimed(UNIONID, "main", "null"),
        openid_claim(1, "o-1"),
    ]
    assert RULES.sift(claims) == [
        openid_claim(1, "o-1"),
        phone_claim("+8613812345678"),
        Claimed(DEVICE, "", "d-1"),
    ]


def test_there_is_room_until_the_limit() -> None:
    held = _held((PHONE, "", "p"), (OPENID, "1", "a"))
    assert RULES.room(held, (PHONE, ""))
    assert not RULES.room(held, (OPENID, "1"))
    assert RULES.room(held, (OPENID, "2"))
    assert RULES.room(held, (DEVICE, ""))
