"""Workers die while codes are ordered, fetched and activated at WeChat: nothing is done twice."""

import secrets

import pytest
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from app.catalogue.operations import create_product
from app.codes import market
from app.codes.interfaces import Opening, Stretch
from app.codes.market_handlers import POLL
from app.codes.models import ActivationState, CodeRangeEvent, ForeignCode, MarketOrder, OrderState
from app.codes.outcome import Placement
from app.organisation.models import AppKind
from app.organisation.operations import create_brand, register_app
from app.outbox.models import MessageState, OutboxMessage
from tests.crash.test_effects import PHASES
from tests.crash.town import Town
from tests.factories.prizes import APPID, OPERATOR

pytestmark = pytest.mark.crash

KEY = "Kf3-0kq9sVzP_x1Y"
CODES = 10_000


def _order(town: Town) -> int:
    """Ask for codes of a service account of the test's own; return the batch."""
    appid = f"wx{secrets.token_hex(8)}"
    town.sandbox.create_app(appid, "secret", kind="service")
    town.sandbox.grant_market(appid, KEY)
    now = town.world.clock.now()

    def work(session: Session) -> int:
        register_app(session, appid=appid, secret="secret", kind=AppKind.SERVICE, now=now)
        market.save_account(session, app_id=town.world.app_id, appid=appid, file_key=KEY, now=now)
        brand_id = create_brand(session, slug="market", name_zh="茶", name_en="Tea", now=now)
        product_id = create_product(
            session, brand_id=brand_id, sku="T", line="t", name_zh="茶", name_en="Tea", now=now
        )
        return market.order(
            session,
            account_id=market.account_by_appid(session, appid=appid).id,
            product_id=product_id,
            lot="L-9",
            codes=CODES,
            placement=Placement.UNDER_CAP,
            actor=OPERATOR,
            now=now,
        )[0]

    return town.container.db.transact(work)


def _view(town: Town, batch_id: int) -> market.OrderView:
    with town.container.db.read() as session:
        return market.order_of(session, batch_id=batch_id)


def _count(town: Town, model: type, batch_id: int) -> int:
    wanted = select(func.count()).select_from(model).where(model.batch_id == batch_id)  # type: ignore[attr-defined]
    with town.container.db.read() as session:
        return session.execute(wanted).scalar_one()


def _end(town: Town, batch_id: int) -> None:
    """What comes after the death, and what must be true then."""
    town.workers.let_leases_run_out()
    town.container.drainer.until_idle(seconds=20)
    town.sandbox.advance(61)
    town.drain()
    found = _view(town, batch_id)
    assert (found.state, found.loaded, found.files) == (OrderState.LOADED, 2, 2)
    assert _count(town, ForeignCode, batch_id) == CODES


@pytest.mark.parametrize("phase", PHASES)
def test_ordering(town: Town, phase: str) -> None:
    batch_id = _order(town)
    town.workers.die("drain", at=f"codes.market_order.{phase}")
    _end(town, batch_id)
    with town.container.db.read() as session:
        order_no = session.scalars(select(MarketOrder.order_no).where(MarketOrder.batch_id == batch_id)).one()
    placed = [
        it["response"]["application_id"]
        for it in town.sandbox.exchanges()
        if "/applycode?" in it["url"] + "?" and it["request"].get("isv_application_id") == order_no
    ]
    assert set(placed) == {_view(town, batch_id).application_id}


@pytest.mark.parametrize("phase", PHASES)
def test_fetching(town: Town, phase: str) -> None:
    batch_id = _order(town)
    town.container.drainer.until_idle(seconds=20)
    town.sandbox.advance(61)
    town.world.clock.advance(POLL)
    town.workers.die("drain", at=f"codes.market_file.{phase}")
    if phase != "settled":
        assert _count(town, ForeignCode, batch_id) == 0, "a file is taken in whole or not at all"
    _end(town, batch_id)


def _loaded(town: Town) -> int:
    """An order that WeChat has made; its files are taken for fetched, which is told of above."""
    batch_id = _order(town)
    town.container.drainer.until_idle(seconds=20)
    town.sandbox.advance(61)

    def work(session: Session) -> None:
        session.get_one(MarketOrder, batch_id).state = OrderState.LOADED
        session.execute(delete(OutboxMessage).where(OutboxMessage.state == MessageState.PENDING))

    town.container.db.transact(work)
    return batch_id


@pytest.mark.parametrize("phase", PHASES)
def test_activating(town: Town, phase: str) -> None:
    batch_id = _loaded(town)
    opening = Opening("扫码有奖", "山泉", "绿茶", "6901234567892", APPID, "pages/index/index")
    town.world.do(
        market.activate_at_wechat,
        batch_id=batch_id,
        stretch=Stretch(0, 99),
        opening=opening,
        actor=OPERATOR,
    )
    town.workers.die("drain", at=f"codes.market_activation.{phase}")
    town.drain()
    with town.container.db.read() as session:
        (found,) = market.activations(session, batch_id=batch_id)
    assert found.state is ActivationState.ACTIVE
    assert _count(town, CodeRangeEvent, batch_id) == 1
