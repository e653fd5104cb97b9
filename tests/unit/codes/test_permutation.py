"""The permutation of 75 bits: a bijection, the same for one number and for many, safe between threads."""

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.codes.blocks import Blocks, permute
from app.codes.permutation import LEFT_BITS, RIGHT_BITS, BlockCipher, Permutation

NUMBERS = st.integers(0, (1 << 75) - 1)
KEYS = st.binary(min_size=32, max_size=32)


@given(KEYS, NUMBERS)
def test_backward_undoes_forward_and_forward_undoes_backward(key: bytes, number: int) -> None:
    permutation = Permutation(key)
    assert permutation.backward(permutation.forward(number)) == number
    assert permutation.forward(permutation.backward(number)) == number
    assert 0 <= permutation.forward(number) < 1 << 75


@given(KEYS, st.lists(NUMBERS, min_size=1, max_size=40))
def test_many_at_once_are_what_each_is_alone(key: bytes, numbers: list[int]) -> None:
    permutation = Permutation(key)
    left = np.array([number >> RIGHT_BITS for number in numbers], dtype=np.uint64)
    right = np.array([number & ((1 << RIGHT_BITS) - 1) for number in numbers], dtype=np.uint64)
    permute(permutation, left, right)
    images = [int(high) << RIGHT_BITS | int(low) for high, low in zip(left, right, strict=True)]
    assert images == [permutation.forward(number) for number in numbers]


def test_no_two_numbers_share_an_image() -> None:
    """The half of the reachable numbers that differ least: one batch, running indexes, one tag."""
    permutation = Permutation(bytes(32))
    count = 1 << 18
    left = np.arange(count, dtype=np.uint64) >> np.uint64(13)
    right = (np.arange(count, dtype=np.uint64) & np.uint64(8191)) << np.uint64(24)
    permute(permutation, left, right)
    assert left.max() < 1 << LEFT_BITS
    assert right.max() < 1 << RIGHT_BITS
    together = np.stack([left, right], axis=1)
    assert len(np.unique(together, axis=0)) == count


def test_one_bit_in_changes_half_of_the_bits_out() -> None:
    permutation = Permutation(bytes(range(32)))
    changed = []
    for number in range(64):
        for bit in range(75):
            difference = permutation.forward(number) ^ permutation.forward(number ^ 1 << bit)
            changed.append(difference.bit_count())
    # 75 fair coins, 4,800 times: mean 37.5, and a mean off by 0.3 has a chance below one in a million.
    assert abs(sum(changed) / len(changed) - 37.5) < 0.3
    assert min(changed) > 10


def test_every_key_permutes_otherwise() -> None:
    images = {Permutation(bytes([byte]) * 32).forward(0) for byte in range(256)}
    assert len(images) == 256


def test_threads_share_a_permutation_while_large_blocks_run() -> None:
    """One context of the library would refuse: "Already borrowed"."""
    permutation = Permutation(bytes(32))
    expected = permutation.forward(1)
    left = np.zeros(1 << 16, dtype=np.uint64)

    def singles() -> bool:
        return all(permutation.forward(1) == expected for _ in range(2000))

    def many() -> bool:
        for _ in range(10):
            permute(permutation, left.copy(), left.copy())
        return True

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(4) as pool:
            jobs = [pool.submit(job) for job in (many, singles, many, singles)]
            assert all(job.result() for job in jobs)
    finally:
        sys.setswitchinterval(interval)


def test_blocks_encrypt_as_single_blocks_do() -> None:
    cipher = BlockCipher(bytes(32))
    blocks = Blocks(3)
    blocks.low[:] = [1, 2, 3]
    blocks.high[:] = 7
    expected = [
        int.from_bytes(cipher.encrypt((7 << 64 | low).to_bytes(16, "little")), "little") & ((1 << 64) - 1)
        for low in (1, 2, 3)
    ]
    assert blocks.encrypt(cipher).tolist() == expected


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_a_key_has_32_bytes(length: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Permutation(bytes(length))
