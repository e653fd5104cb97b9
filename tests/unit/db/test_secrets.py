"""What is sealed opens only in its place and with its key; keys rotate without stopping."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.db.secrets import KeyRing, SealBroken

OLD, NEW = bytes(range(32)), bytes(range(32, 64))


@given(st.binary(max_size=200))
def test_sealed_comes_back(plaintext: bytes) -> None:
    ring = KeyRing({1: OLD})
    assert ring.open("persons.phone", ring.seal("persons.phone", plaintext)) == plaintext


def test_equal_values_seal_differently() -> None:
    ring = KeyRing({1: OLD})
    assert ring.seal("a.b", b"13800138000") != ring.seal("a.b", b"13800138000")


def test_a_seal_holds_in_its_own_column_only() -> None:
    ring = KeyRing({1: OLD})
    sealed = ring.seal("persons.phone", b"13800138000")
    with pytest.raises(SealBroken):
        ring.open("persons.name", sealed)


@given(st.integers(min_value=0, max_value=300))
def test_one_changed_bit_is_noticed(position: int) -> None:
    ring = KeyRing({1: OLD})
    sealed = bytearray(ring.seal("a.b", b"13800138000"))
    sealed[position % len(sealed)] ^= 1
    with pytest.raises(SealBroken):
        ring.open("a.b", bytes(sealed))


@given(st.binary(max_size=60))
def test_rubbish_is_refused(blob: bytes) -> None:
    with pytest.raises(SealBroken):
        KeyRing({1: OLD}).open("a.b", blob)


def test_rotation_keeps_old_seals_blind_indexes_and_public_keys() -> None:
    before, after = KeyRing({1: OLD}), KeyRing({1: OLD, 2: NEW})
    sealed = before.seal("a.b", b"x")
    assert after.open("a.b", sealed) == b"x"
    assert after.seal("a.b", b"x")[:2] == (2).to_bytes(2)
    assert after.blind("phone", "13800138000") == before.blind("phone", "13800138000")
    assert after.derive("public-ids") == before.derive("public-ids")
    assert after.signing_keys("session")[1:] == before.signing_keys("session")
    with pytest.raises(SealBroken):
        before.open("a.b", after.seal("a.b", b"x"))


def test_a_key_is_learned_by_every_process_before_it_seals() -> None:
    learned, after = KeyRing({1: OLD, 2: NEW}, sealing=1), KeyRing({1: OLD, 2: NEW})
    assert learned.seal("a.b", b"x")[:2] == (1).to_bytes(2)
    assert learned.open("a.b", after.seal("a.b", b"x")) == b"x"
    assert learned.signing_keys("session") == after.signing_keys("session")[::-1]
    assert learned.proof(1) == KeyRing({1: OLD}).proof(1) != learned.proof(2)
    with pytest.raises(ValueError, match="one of the ring"):
        KeyRing({1: OLD}, sealing=2)


def test_bad_keys_are_refused() -> None:
    for masters in ({}, {1: b"short"}, {0: OLD}, {1 << 16: OLD}):
        with pytest.raises(ValueError, match="key"):
            KeyRing(masters)
