"""Ids grow, differ between threads and forks, and leave the house in a form that tells nothing."""

import contextlib
import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.kernel import ids
from app.kernel.ids import IdMaker, PublicIds, UnknownPublicId, new_id

KEY = bytes(range(32))


def test_ids_grow_and_never_repeat_across_threads() -> None:
    maker = IdMaker(5)
    made: list[list[int]] = [[] for _ in range(4)]

    def work(mine: list[int]) -> None:
        mine.extend(maker.new() for _ in range(5000))

    threads = [threading.Thread(target=work, args=(mine,)) for mine in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(mine == sorted(mine) for mine in made)
    everything = [number for mine in made for number in mine]
    assert len(set(everything)) == 20000
    assert max(everything) < 1 << 63


def test_ids_do_not_go_back_with_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    maker = IdMaker(1)
    first = maker.new()
    monkeypatch.setattr(ids.time, "time_ns", lambda: 0)
    assert maker.new() > first


def test_a_forked_child_does_not_repeat_its_parent() -> None:
    ids.use_node(7)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, str((new_id() >> 10) & 0xFFF).encode())
        os._exit(0)
    os.waitpid(child, 0)
    node = int(os.read(reader, 10))
    os.close(reader)
    os.close(writer)
    # The child chose at random among 4,096; ours is one of them.
    assert ids._maker._node == 7
    assert 0 <= node < ids.NODE_COUNT


@given(st.integers(min_value=0, max_value=(1 << 63) - 1))
def test_public_ids_come_back(number: int) -> None:
    public = PublicIds(KEY)
    assert public.decode("aw", public.encode("aw", number)) == number


def test_a_public_id_is_of_one_kind_and_one_installation() -> None:
    text = PublicIds(KEY).encode("aw", 4711)
    with pytest.raises(UnknownPublicId):
        PublicIds(KEY).decode("dr", text)
    as_draw = "dr" + text[2:]
    other = [PublicIds(bytes(32)).encode("aw", 4711), as_draw]
    assert text not in other
    # Read as a draw it is either no id at all or an unrelated one.
    with contextlib.suppress(UnknownPublicId):
        assert PublicIds(KEY).decode("dr", as_draw) != 4711


def test_neighbours_look_unrelated() -> None:
    public = PublicIds(KEY)
    raw = [public.encode("aw", number)[3:] for number in range(1000, 1064)]
    assert len({text[:3] for text in raw}) > 50


def test_the_public_form_is_frozen() -> None:
    # Links with public ids live in members' chats: the permutation may never change.
    assert PublicIds(KEY).encode("aw", 123456789) == "aw_q4t4aykmlde26"


@given(st.text(max_size=40))
def test_rubbish_is_an_unknown_id(text: str) -> None:
    with pytest.raises(UnknownPublicId):
        PublicIds(KEY).decode("aw", text)
