"""Many draws at once of a prize without a number: what limited prizes were promised is still there."""

import pytest

from app.campaigns import play
from app.campaigns.models import Purpose
from tests.factories.campaigns import money, nothing, pool
from tests.race.conftest import FEWER
from tests.race.crowd import Crowd

pytestmark = pytest.mark.race

PROMISED_FEN = 2 * 500
FREE_FEN = 1000


def _two_large_ones(crowd: Crowd) -> int:
    """Two large prizes that nobody here wins, and ten yuan for the others: one each, until it is gone."""
    return crowd.campaign(
        fen=PROMISED_FEN + FREE_FEN,
        prizes=[money("big", 500, stock=2), money("yuan", 100), nothing()],
        pools=[
            pool("gold", 1, {"big": 1}, conditions={"who": {"tiers": ["gold"]}}),
            pool("everybody", 0, {"yuan": 1}, fallback=["thanks"]),
        ],
    )


def test_what_is_promised_is_not_paid_to_others(crowd: Crowd, race_seed: int) -> None:
    campaign = _two_large_ones(crowd)
    result = crowd.draw_all(crowd.members[:FEWER], seed=race_seed)
    assert result.errors == []
    assert result.lock_waits > 0, "nobody waited for anybody: this was no race"
    won = [played.award for played in result.values if played.award is not None]
    assert len(won) == FREE_FEN // 100 < FEWER
    left = crowd.world.left(campaign)
    assert (left[Purpose.BUDGET], left["stock:big"]) == (PROMISED_FEN, 2)


def test_without_the_guard_it_is(crowd: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each draw saw enough when it read; together they took what was kept."""
    campaign = _two_large_ones(crowd)
    monkeypatch.setattr(play, "_keep_promises", lambda *_: None)
    crowd.draw_all(crowd.members[:FEWER], seed=0)
    assert crowd.world.left(campaign)["budget"] < PROMISED_FEN
