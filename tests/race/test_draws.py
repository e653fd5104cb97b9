"""Draws under 64 connections: exactly the stock, never a fen more than the budget, one winner per code."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.dialects import mysql
from sqlalchemy.orm import Session

from app.campaigns.errors import CodeNotDrawable, SoldOut
from app.campaigns.models import Draw
from app.codes import operations as codes
from app.codes.errors import CodeAlreadyDrawn
from app.codes.models import CodeClaim
from app.ledger import operations as ledger
from app.ledger.models import Account
from tests.factories.campaigns import money, pool, random_money
from tests.race.conftest import FEWER
from tests.race.crowd import Crowd
from tests.support.racing import CONNECTIONS, RaceResult

pytestmark = pytest.mark.race(seeds=5)

PIECES = 10
BUDGET_FEN = 1000
PLENTY_FEN = 100 * CONNECTIONS


def _draws(crowd: Crowd, campaign: int) -> int:
    counted = select(func.count()).where(Draw.campaign_id == campaign)
    return crowd.world.read(lambda session: session.scalar(counted)) or 0


def _won(result: RaceResult) -> int:
    return sum(played.award is not None for played in result.values)


def _ten_pieces(crowd: Crowd) -> int:
    """Ten pieces of one yuan and money for all; whoever comes too late draws nothing."""
    prizes = [money("yuan", 100, stock=PIECES)]
    return crowd.campaign(fen=PLENTY_FEN, prizes=prizes, pools=[pool("everybody", 0, {"yuan": 1})])


def test_a_stock_of_ten_gives_exactly_ten(crowd: Crowd, race_seed: int) -> None:
    campaign = _ten_pieces(crowd)
    result = crowd.draw_all(crowd.members, seed=race_seed)
    assert result.errors == []
    assert result.lock_waits > 0, "nobody waited for anybody: this was no race"
    assert _won(result) == PIECES
    assert _draws(crowd, campaign) == CONNECTIONS
    left = crowd.world.left(campaign)
    assert (left["stock:yuan"], left["awarded:yuan"]) == (0, PIECES)
    assert (left["budget"], left["committed"]) == (PLENTY_FEN - BUDGET_FEN, BUDGET_FEN)


def _ten_yuan(crowd: Crowd) -> int:
    """A budget of ten yuan and a promise to win: whoever comes too late is refused and keeps the code."""
    pools = [pool("everybody", 0, {"yuan": 1}, hundred_percent_win=True)]
    return crowd.campaign(fen=BUDGET_FEN, prizes=[money("yuan", 100)], pools=pools)


def test_a_budget_of_ten_yuan_gives_not_a_fen_more(crowd: Crowd, race_seed: int) -> None:
    campaign = _ten_yuan(crowd)
    result = crowd.draw_all(crowd.members, seed=race_seed)
    assert {type(error) for error in result.errors} == {SoldOut}
    assert result.lock_waits > 0, "nobody waited for anybody: this was no race"
    assert _won(result) == _draws(crowd, campaign) == BUDGET_FEN // 100
    left = crowd.world.left(campaign)
    assert (left["budget"], left["committed"]) == (0, BUDGET_FEN)


def test_random_amounts_never_pass_the_budget(crowd: Crowd, race_seed: int) -> None:
    """Each amount is another one, so what is left at the end fits nobody's draw any more."""
    prizes = [random_money("luck", 30, 200)]
    campaign = crowd.campaign(fen=BUDGET_FEN, prizes=prizes, pools=[pool("everybody", 0, {"luck": 1})])
    result = crowd.draw_all(crowd.members[:FEWER], seed=race_seed)
    assert result.errors == []
    won = [played.award.amount_fen for played in result.values if played.award is not None]
    left = crowd.world.left(campaign)
    assert left["committed"] == sum(won) == BUDGET_FEN - left["budget"]
    assert left["budget"] >= 0
    # Whoever got nothing was offered more than there was.
    refused = FEWER - len(won)
    assert refused > 0
    assert left["budget"] < 200


def _check_then_write(session: Session, changes: Mapping[int, Any], *, lost: Callable[[], Exception]) -> None:
    """The guard taken out: what most systems do, a check in the program and a write of what it saw."""
    connection = session.connection()
    seen = select(Account.id, Account.balance).where(Account.id.in_(changes))
    left = {row.id: row.balance for row in connection.execute(seen)}
    if any(left[account] + change.amount < 0 for account, change in changes.items()):
        raise lost()
    connection.execute(text("SELECT SLEEP(0.002)"))
    for account, change in changes.items():
        written = update(Account).where(Account.id == account)
        connection.execute(written.values(balance=left[account] + change.amount))


@pytest.mark.parametrize("limit", ["stock", "budget"])
def test_without_the_guard_there_is_more_than_there_was(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    campaign = _ten_pieces(crowd) if limit == "stock" else _ten_yuan(crowd)
    monkeypatch.setattr(ledger, "_apply", _check_then_write)
    result = crowd.draw_all(crowd.members, seed=0)
    crowd.forget_money(campaign)
    assert _won(result) > PIECES


def test_one_code_has_one_winner(crowd: Crowd, race_seed: int) -> None:
    campaign = _ten_yuan(crowd)
    result = crowd.draw_all(crowd.members, seed=race_seed, same_code=True)
    assert _won(result) == _draws(crowd, campaign) == 1
    assert {type(error) for error in result.errors} <= {CodeAlreadyDrawn, CodeNotDrawable}
    assert result.lock_waits > 0, "nobody waited for anybody: this was no race"
    left = crowd.world.left(campaign)
    assert (left["budget"], left["committed"]) == (BUDGET_FEN - 100, 100)


class _LookThenWrite:
    """The guard taken out: look whether the code is free, then write."""

    @staticmethod
    def write_later(session: Session, row: dict[str, int], *, lost: Callable[[], Exception]) -> None:
        code = (CodeClaim.batch_id == row["batch_id"], CodeClaim.code_index == row["code_index"])
        if session.execute(select(CodeClaim.draw_id).where(*code)).first() is not None:
            raise lost()
        session.execute(mysql.insert(CodeClaim).values(row).on_duplicate_key_update(draw_id=row["draw_id"]))


def test_without_the_guard_one_code_has_several_winners(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = _ten_yuan(crowd)
    monkeypatch.setattr(codes, "_INSERT_CLAIM", _LookThenWrite)
    result = crowd.draw_all(crowd.members, seed=0, same_code=True)
    assert _won(result) > 1
    assert _draws(crowd, campaign) > 1
