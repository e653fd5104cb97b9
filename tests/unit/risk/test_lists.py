from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.risk.lists import Entry, Level, ListKind, Subject, SubjectKind, Verdict, judge

NOW = datetime(2026, 6, 1, 4, 0, tzinfo=UTC)
PERSON = Subject(SubjectKind.PERSON, b"p" * 32)
ADDRESS = Subject(SubjectKind.ADDRESS, b"a" * 32)
BATCH = Subject(SubjectKind.BATCH, b"b" * 32)
SUBJECTS = (PERSON, ADDRESS, BATCH)


def black(subject: Subject, effect: Level = Level.ABNORMAL, expires_at: datetime | None = None) -> Entry:
    return Entry(ListKind.BLACK, subject, effect, expires_at)


def white(subject: Subject, expires_at: datetime | None = None) -> Entry:
    return Entry(ListKind.WHITE, subject, Level.PASS, expires_at)


def test_who_is_on_no_list_passes() -> None:
    assert judge([], SUBJECTS, NOW) == Verdict(Level.PASS)
    stranger = Subject(SubjectKind.PERSON, b"x" * 32)
    assert judge([black(stranger)], SUBJECTS, NOW) == Verdict(Level.PASS)


def test_the_same_digest_of_another_kind_is_another_subject() -> None:
    assert judge([black(Subject(SubjectKind.PHONE, b"p" * 32))], SUBJECTS, NOW).level is Level.PASS


@pytest.mark.parametrize("effect", [Level.ABNORMAL, Level.REFUSE])
def test_the_black_list_stops_or_gives_the_abnormal_strategy(effect: Level) -> None:
    """RISK-03."""
    assert judge([black(PERSON, effect)], SUBJECTS, NOW) == Verdict(effect, ("black_person",))


def test_the_strictest_entry_counts_and_every_reason_is_told() -> None:
    entries = [black(PERSON), black(BATCH, Level.REFUSE), black(ADDRESS)]
    assert judge(entries, SUBJECTS, NOW) == Verdict(
        Level.REFUSE, ("black_address", "black_batch", "black_person")
    )


def test_an_entry_ends_at_its_expiry() -> None:
    assert judge([black(PERSON, expires_at=NOW)], SUBJECTS, NOW).level is Level.PASS
    later = NOW + timedelta(microseconds=1)
    assert judge([black(PERSON, expires_at=later)], SUBJECTS, NOW).level is Level.ABNORMAL
    assert judge([black(PERSON), white(PERSON, expires_at=NOW)], SUBJECTS, NOW).level is Level.ABNORMAL


def test_a_white_person_is_exempt_from_everything() -> None:
    entries = [white(PERSON), black(PERSON, Level.REFUSE), black(ADDRESS), black(BATCH)]
    assert judge(entries, SUBJECTS, NOW) == Verdict(Level.PASS, ("white_person",))


def test_a_white_address_does_not_clear_a_black_person_behind_it() -> None:
    entries = [white(ADDRESS), black(ADDRESS), black(PERSON)]
    assert judge(entries, SUBJECTS, NOW) == Verdict(Level.ABNORMAL, ("black_person", "white_address"))
    assert judge([white(ADDRESS), black(ADDRESS)], SUBJECTS, NOW).level is Level.PASS


_ENTRIES = st.builds(
    Entry,
    st.sampled_from(ListKind),
    st.sampled_from(SUBJECTS),
    st.sampled_from([Level.ABNORMAL, Level.REFUSE]),
    st.sampled_from([None, NOW, NOW + timedelta(days=1)]),
)


@given(entries=st.lists(_ENTRIES))
def test_the_order_of_entries_does_not_matter(entries: list[Entry]) -> None:
    assert judge(entries, SUBJECTS, NOW) == judge(list(reversed(entries)), SUBJECTS, NOW)


@given(entries=st.lists(_ENTRIES))
def test_a_verdict_other_than_pass_has_a_reason(entries: list[Entry]) -> None:
    verdict = judge(entries, SUBJECTS, NOW)
    assert verdict.level is Level.PASS or any(reason.startswith("black_") for reason in verdict.reasons)
