import hashlib
import hmac
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.campaigns.seed import Chance, Commitment, DrawStream, commit, make_commitment, seal
from tests.factories.campaigns import SEED, stream


def test_a_commitment_is_the_hash_of_seed_and_salt() -> None:
    drawn = iter([b"\x01" * 32, b"\x02" * 32])
    made = make_commitment(lambda count: next(drawn))
    assert made == Commitment(
        b"\x01" * 32, b"\x02" * 32, hashlib.sha256(b"\x01" * 32 + b"\x02" * 32).hexdigest()
    )
    assert made.holds


@pytest.mark.parametrize("place", ["seed", "salt", "sha256"])
def test_another_seed_salt_or_hash_does_not_hold(place: str) -> None:
    parts = {"seed": SEED, "salt": b"s" * 32, "sha256": commit(SEED, b"s" * 32)}
    parts[place] = "0" * 64 if place == "sha256" else b"x" * 32
    assert not Commitment(**parts).holds  # type: ignore[arg-type]


def test_seed_and_salt_cannot_be_shifted_into_each_other() -> None:
    sha256 = commit(SEED, b"s" * 32)
    assert not Commitment(SEED + b"s", b"s" * 31, sha256).holds


def test_frozen_vectors() -> None:
    """Third parties check draws by these formats: a change here breaks every published promise."""
    assert commit(SEED, bytes(32)) == "5576ce645abbf23973c63a02b3cdb0efc8ed3c9bd7dac3845f6b9ad6820b4bde"
    rolls = [stream(index).roll("prize", 1000).value for index in range(5)]
    assert rolls == [655, 731, 64, 13, 177]
    assert stream().roll("amount:lucky", 401).value == 27
    assert seal(SEED, b"record") == "0c6c975b03266a069b947c0c36f3525d8b93661f24f029649d5651a0467a80c5"


def test_a_roll_can_be_recomputed_from_the_published_description() -> None:
    digest = hmac.new(SEED, b"saoma.draw.v1|7|3|41|1|prize|0", hashlib.sha256).digest()
    assert stream(41).roll("prize", 1000).value == int.from_bytes(digest[:8], "big") % 1000


def test_rolls_depend_on_the_chance_and_the_purpose_and_on_nothing_else() -> None:
    base = DrawStream(SEED, Chance(7, 3, 41))
    bound = 1 << 64
    value = base.roll("prize", bound).value
    assert value == DrawStream(SEED, Chance(7, 3, 41)).roll("prize", bound).value
    others = [
        DrawStream(SEED, Chance(8, 3, 41)),
        DrawStream(SEED, Chance(7, 4, 41)),
        DrawStream(SEED, Chance(7, 3, 42)),
        DrawStream(SEED, Chance(7, 3, 41, 2)),
        DrawStream(b"x" * 32, Chance(7, 3, 41)),
    ]
    assert value not in [other.roll("prize", bound).value for other in others]
    assert value != base.roll("amount:a", bound).value


def test_chances_whose_digits_run_together_are_not_confused() -> None:
    assert Chance(1, 11, 1).text != Chance(11, 1, 1).text


@given(bound=st.integers(1, 1 << 64), index=st.integers(0, 1 << 27))
def test_a_roll_lies_below_its_bound(bound: int, index: int) -> None:
    roll = stream(index).roll("prize", bound)
    assert 0 <= roll.value < bound
    assert roll.bound == bound


@pytest.mark.parametrize("bound", [0, -1, (1 << 64) + 1])
def test_a_bound_outside_the_space_is_refused(bound: int) -> None:
    with pytest.raises(ValueError, match="bound"):
        stream().roll("prize", bound)


def test_numbers_in_the_incomplete_stretch_are_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    space = 1 << 64
    limit = space - space % 1000
    numbers = {0: space - 1, 1: limit, 2: limit - 1}
    monkeypatch.setattr(DrawStream, "_number", lambda self, purpose, attempt: numbers[attempt])
    assert stream().roll("prize", 1000).value == 999


def test_with_a_bound_just_over_half_the_space_modulo_bias_would_show() -> None:
    """With a plain modulo by 3 · 2^62, values below 2^62 would come twice as often as the others."""
    bound = 3 << 62
    thirds = Counter(stream(index).roll("prize", bound).value >> 62 for index in range(6000))
    assert sorted(thirds) == [0, 1, 2]
    # 6,000 draws over three values: standard deviation 36.5; a bias would give 3,000 and twice 1,500.
    assert all(abs(count - 2000) < 150 for count in thirds.values())


def test_both_ends_of_a_small_range_come() -> None:
    assert {stream(index).roll("prize", 3).value for index in range(100)} == {0, 1, 2}


def test_a_seal_depends_on_seed_and_record() -> None:
    assert seal(SEED, b"a") == seal(SEED, b"a")
    assert len({seal(SEED, b"a"), seal(SEED, b"b"), seal(b"x" * 32, b"a")}) == 3
