"""One code, one winner, however many tap at once."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from sqlalchemy import func, select

from app.codes.errors import CodeAlreadyDrawn
from app.codes.models import CodeClaim
from app.codes.operations import claim
from app.db.engine import Database
from tests.support.racing import CONNECTIONS, race

pytestmark = pytest.mark.race(seeds=5)

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def _claim_all(db: Database, runners: int, seed: int) -> tuple[int, list[Exception], int]:
    """Let everybody draw code 7 of batch 1; return winners, refusals and rows."""

    def take(number: int) -> None:
        db.transact(
            lambda session: claim(
                session, batch_id=1, code_index=7, draw_id=1000 + number, person_id=number, now=NOW
            )
        )

    result = race(db, [lambda number=number: take(number) for number in range(1, runners + 1)], seed=seed)
    with db.read() as session:
        rows = session.execute(select(func.count()).select_from(CodeClaim)).scalar_one()
    return len(result.values), result.errors, int(rows)


def test_one_code_has_one_winner(wide_db: Database, race_seed: int) -> None:
    winners, refusals, rows = _claim_all(wide_db, CONNECTIONS, race_seed)
    assert (winners, rows) == (1, 1)
    assert {type(error) for error in refusals} == {CodeAlreadyDrawn}
    assert len(refusals) == CONNECTIONS - 1


def test_without_the_primary_key_everybody_wins(without_key: Callable[..., Database]) -> None:
    db = without_key("code_claims", "DROP PRIMARY KEY")
    winners, _refusals, rows = _claim_all(db, 16, seed=0)
    assert winners == rows == 16
