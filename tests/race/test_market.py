"""Ranges of WeChat's codes under many connections: what is asked of WeChat never overlaps."""

from itertools import pairwise
from unittest import mock

import pytest
from sqlalchemy import delete, select, text
from sqlalchemy.orm import Session

from app.catalogue.operations import create_product
from app.codes import market
from app.codes.errors import RangeTaken
from app.codes.interfaces import Opening, Stretch
from app.codes.models import MarketActivation, MarketOrder, OrderState
from app.codes.outcome import Placement
from app.db.engine import Database
from app.kernel.actor import SYSTEM
from app.organisation.models import AppKind
from app.organisation.operations import create_brand, register_app
from tests.race.conftest import FEWER
from tests.race.test_codes import NOW
from tests.support.racing import RaceResult, race

pytestmark = pytest.mark.race

OPENING = Opening("扫码有奖", "山泉", "绿茶", "6901234567892", "wxmini0001", "pages/index/index")


def _order(session: Session) -> int:
    brand = create_brand(session, slug="tea", name_zh="茶", name_en="Tea", now=NOW)
    product = create_product(
        session, brand_id=brand, sku="T", line="tea", name_zh="茶", name_en="Tea", now=NOW
    )
    app = register_app(session, appid=OPENING.appid, secret="s", now=NOW)
    register_app(session, appid="wxservice1", secret="s", kind=AppKind.SERVICE, now=NOW)
    market.save_account(session, app_id=app, appid="wxservice1", file_key="k" * 16, now=NOW)
    batch_id, _ = market.order(
        session,
        account_id=market.account_by_appid(session, appid="wxservice1").id,
        product_id=product,
        lot="L",
        codes=10_000,
        placement=Placement.UNDER_CAP,
        actor=SYSTEM,
        now=NOW,
    )
    session.get_one(MarketOrder, batch_id).state = OrderState.LOADED
    return batch_id


def _activate_all(db: Database, batch_id: int, seed: int) -> RaceResult:
    """Let sixteen operators ask for ranges of a hundred codes, each of which overlaps its neighbours."""

    def ask(first: int) -> int:
        def work(session: Session) -> int:
            market.activate_at_wechat(
                session,
                batch_id=batch_id,
                stretch=Stretch(first, first + 99),
                opening=OPENING,
                actor=SYSTEM,
                now=NOW,
            )
            session.execute(text("SELECT SLEEP(0.005)"))
            return first

        return db.transact(work)

    result = race(db, [lambda first=30 * number: ask(first) for number in range(FEWER)], seed=seed)
    assert all(isinstance(error, RangeTaken) for error in result.errors), result.errors
    return result


def _ranges(db: Database) -> list[tuple[int, int]]:
    wanted = select(MarketActivation.first_index, MarketActivation.last_index)
    with db.read() as session:
        rows = session.execute(wanted.order_by(MarketActivation.first_index))
        return [(first, last) for first, last in rows]


def _overlap(ranges: list[tuple[int, int]]) -> bool:
    return any(last >= first for (_, last), (first, _) in pairwise(ranges))


def test_ranges_never_overlap(wide_db: Database, race_seed: int) -> None:
    batch_id = wide_db.transact(_order)
    result = _activate_all(wide_db, batch_id, race_seed)
    assert result.lock_waits > 0, "nobody waited for anybody: this was no race"
    ranges = _ranges(wide_db)
    assert len(ranges) == len(result.values) > 1
    assert not _overlap(ranges)


def test_without_the_lock_they_do(wide_db: Database) -> None:
    batch_id = wide_db.transact(_order)
    with mock.patch.object(market, "lock_batches", return_value={}):
        for seed in range(10):
            _activate_all(wide_db, batch_id, seed)
            if _overlap(_ranges(wide_db)):
                return
            wide_db.transact(lambda session: session.execute(delete(MarketActivation)))
    raise AssertionError("the race does not show what the lock is for")
