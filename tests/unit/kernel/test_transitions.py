"""One table decides which state follows which."""

from enum import StrEnum

import pytest

from app.kernel.transitions import TransitionRefused, TransitionTable


class Light(StrEnum):
    """Three states."""

    RED = "red"
    GREEN = "green"
    BROKEN = "broken"


TABLE = TransitionTable({Light.RED: {Light.GREEN, Light.BROKEN}, Light.GREEN: {Light.RED}, Light.BROKEN: ()})


def test_the_table_allows_and_refuses() -> None:
    TABLE.require(Light.RED, Light.GREEN)
    with pytest.raises(TransitionRefused) as refused:
        TABLE.require(Light.GREEN, Light.BROKEN)
    assert refused.value.code == "state_refused"
    assert refused.value.extra == {"state": "green"}


def test_sources_and_finality() -> None:
    assert TABLE.sources(Light.BROKEN) == {Light.RED}
    assert TABLE.final(Light.BROKEN)
    assert not TABLE.final(Light.RED)


def test_a_state_without_a_line_is_refused() -> None:
    with pytest.raises(ValueError, match="no line for broken"):
        TransitionTable({Light.RED: {Light.GREEN}, Light.GREEN: {Light.RED}})
