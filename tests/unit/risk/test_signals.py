"""What is measured about a draw."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.risk.measures import Measure, Signals
from app.risk.signals import (
    Circumstances,
    Count,
    Phone,
    Seen,
    address_block,
    address_subject,
    buckets_read,
    day_bucket,
    hour_bucket,
    is_virtual,
    measure,
    person_bit,
    persons_in,
    places_of,
    range_subject,
)

NOW = datetime(2026, 6, 1, 4, 30, tzinfo=UTC)
HERE = Circumstances(batch_id=7, code_index=5000, address="36.112.9.7")


def taken(
    about: Circumstances = HERE,
    counts: tuple[Count, ...] = (),
    scans: tuple[Seen, ...] = (),
    phones: tuple[Phone, ...] = (),
) -> Signals:
    return measure(about, places_of(about), counts=counts, scans=scans, phones=phones, now=NOW)


def scans(*indexes: int, batch: int = 7, seconds: int = 60) -> tuple[Seen, ...]:
    return tuple(
        Seen(batch, index, NOW - timedelta(seconds=seconds * number)) for number, index in enumerate(indexes)
    )


def test_an_ordinary_shopper_measures_nothing_but_their_own_scan() -> None:
    assert taken(scans=scans(5000)) == {Measure.PERSON_HOUR: 1}


def test_neighbouring_codes_of_one_person_are_a_run() -> None:
    """RISK-01."""
    found = taken(scans=scans(5002, 5000, 4999, 5001, 4000))
    assert found[Measure.CONSECUTIVE_CODES] == 4
    assert Measure.CONSECUTIVE_CODES not in taken(scans=scans(5000, 5002, 4998))
    other = scans(5001, 5002, batch=8)
    assert Measure.CONSECUTIVE_CODES not in taken(scans=(*scans(5000), *other))


def test_scans_that_follow_each_other_too_fast_are_hasty() -> None:
    """RISK-02."""
    assert taken(scans=scans(1, 2, 3, 4, seconds=2))[Measure.HASTY_SCANS] == 3
    assert Measure.HASTY_SCANS not in taken(scans=scans(1, 2, 3, seconds=3))
    old = tuple(Seen(7, 1, NOW - timedelta(hours=2, seconds=second)) for second in range(5))
    assert Measure.HASTY_SCANS not in taken(scans=old)


def test_the_hour_spans_two_clock_hours_and_the_day_is_counted_by_itself() -> None:
    here = range_subject(7, 5000)
    bits = person_bit(1) | person_bit(2)
    found = taken(
        counts=(
            Count(hour_bucket(NOW) - 2, here, 30, bits),
            Count(hour_bucket(NOW), here, 12, person_bit(3)),
            Count(day_bucket(NOW), here, 400, bits),
            Count(hour_bucket(NOW), address_subject("36.112.9.200") or b"", 5, person_bit(1)),
            Count(hour_bucket(NOW), b"somebody else's".ljust(32), 999, bits),
        )
    )
    assert (found[Measure.RANGE_HOUR], found[Measure.RANGE_DAY]) == (42, 400)
    assert found[Measure.RANGE_PERSONS_HOUR] == 3
    assert found[Measure.RANGE_PERSONS_DAY] == 2
    assert found[Measure.ADDRESS_HOUR] == 5
    assert Measure.ADDRESS_DAY not in found


def test_a_draw_reads_three_buckets_and_two_of_them_never_meet() -> None:
    assert buckets_read(NOW) == [hour_bucket(NOW) - 2, hour_bucket(NOW), day_bucket(NOW)]
    day = {day_bucket(NOW + timedelta(days=number)) for number in range(400)}
    hours = {hour_bucket(NOW + timedelta(hours=number)) for number in range(9600)}
    assert not day & hours


def test_a_neighbourhood_is_4096_codes_of_one_batch() -> None:
    assert range_subject(7, 4096) == range_subject(7, 8191) != range_subject(7, 8192)
    assert range_subject(7, 4096) != range_subject(8, 4096)


@given(st.sets(st.integers(1, 1 << 62), max_size=60))
def test_persons_are_counted_nearly(persons: set[int]) -> None:
    bits = 0
    for person in persons:
        bits |= person_bit(person)
    assert 0 <= bits < 1 << 60
    assert persons_in(bits) <= 246
    assert persons_in(bits) >= bits.bit_count()


def test_the_count_of_persons_is_good_where_rules_stand() -> None:
    for number in (12, 25, 60):
        for start in range(0, 1000, 100):
            bits = 0
            for person in range(start, start + number):
                bits |= person_bit(382_663_566_481_377_280 + (person * 977 << 22))
            assert abs(persons_in(bits) - number) <= number * 0.3 + 2


@pytest.mark.parametrize(
    ("address", "block"),
    [
        ("36.112.9.7", "36.112.9.0/24"),
        ("::ffff:36.112.9.7", "36.112.9.0/24"),
        ("2408:8406:1234:5678:9::1", "2408:8406:1234:5600::/56"),
        ("192.168.1.7", None),
        ("127.0.0.1", None),
        ("unix:", None),
        ("", None),
        (None, None),
    ],
)
def test_addresses_count_by_their_network(address: str | None, block: str | None) -> None:
    assert address_block(address) == block
    assert (address_subject(address) is None) is (block is None)


@pytest.mark.parametrize(
    ("shipped", "seen", "far"),
    [
        ("310000", "310115", 0),
        ("310115", "310000", 0),
        ("310115", "310104", 0),
        ("330100", "330200", 1),
        ("330100", "440100", 2),
        (None, "440100", 0),
        ("330100", None, 0),
    ],
)
def test_codes_away_from_where_they_were_shipped(shipped: str | None, seen: str | None, far: int) -> None:
    about = Circumstances(7, 5000, shipped_region=shipped, address_region=seen)
    assert taken(about).get(Measure.FAR_FROM_SHIPMENT, 0) == far


@pytest.mark.parametrize(
    ("number", "virtual"),
    [
        ("+8617012345678", True),
        ("+8617112345678", True),
        ("+8616212345678", True),
        ("+8616512345678", True),
        ("+8616712345678", True),
        ("+8613812345678", False),
        ("+8617212345678", False),
        ("+1701234567", False),
    ],
)
def test_virtual_segments(number: str, virtual: bool) -> None:
    """RISK-08."""
    assert is_virtual(number) is virtual


def test_of_several_phones_the_one_shown_last_tells() -> None:
    old = Phone("+8617012345678", 5, 2, NOW - timedelta(days=40))
    new = Phone("+8613812345678", 1, 9, NOW - timedelta(hours=1))
    found = taken(phones=(old, new))
    assert found[Measure.PHONE_PERSONS] == 5
    assert found[Measure.PHONE_DAY] == 9
    assert found[Measure.PHONE_FRESH] == 1
    assert Measure.PHONE_VIRTUAL not in found
    assert taken(phones=(old,)) == {Measure.PHONE_PERSONS: 5, Measure.PHONE_DAY: 2, Measure.PHONE_VIRTUAL: 1}


def test_an_unknown_rank_is_told_apart_from_one_that_was_not_asked() -> None:
    asked = Circumstances(7, 5000, rank=None, rank_asked=True)
    assert taken(asked) == {Measure.WECHAT_RANK_UNKNOWN: 1}
    assert taken(Circumstances(7, 5000, rank=3, rank_asked=True)) == {Measure.WECHAT_RANK: 3}
    assert taken() == {}
