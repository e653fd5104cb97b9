"""Payers: set up, changed, paused and resumed; their secrets sealed."""

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.alerts.queries import open_alerts
from app.db.engine import Database
from app.kernel.clock import ManualClock
from app.kernel.transitions import TransitionRefused
from app.ledger.queries import open_balance
from app.organisation.errors import InvalidApp
from app.organisation.models import AppKind
from app.organisation.operations import create_brand, register_app
from app.payouts import operations, queries
from app.payouts.errors import BadPayer, UnknownPayer
from app.payouts.interfaces import PayMethod, ReportInfo
from app.payouts.limits import PACKET_TEXTS
from app.payouts.models import PayerApp, PayerOldKeys
from app.payouts.old_keys import OVERLAP, former_credentials
from app.payouts.states import PayerState
from tests.factories.prizes import MCHID, OPERATOR, PrizeWorld, payer_details


def bound_apps(world: PrizeWorld) -> set[int]:
    return world.read(lambda session: set(session.scalars(select(PayerApp.app_id))))


def test_saving_it_again_changes_the_details_and_keeps_the_state(world: PrizeWorld) -> None:
    world.do(operations.pause, payer_id=world.payer_id, reason="audit", actor=OPERATOR)
    other_app = world.do(register_app, appid="wx2222222222222222", secret="s")
    changed = payer_details((other_app,), name="Renamed", private_key="new", product_max_fen=20_000)
    assert world.do(operations.save_payer, payer=changed, actor=OPERATOR) == world.payer_id
    payer = world.payer()
    assert (payer.name, payer.private_key, payer.product_max_fen) == ("Renamed", "new", 20_000)
    assert payer.state is PayerState.PAUSED_OPERATOR
    assert bound_apps(world) == {other_app}


def test_its_keys_are_not_readable_in_the_database_nor_in_its_words(world: PrizeWorld) -> None:
    row = world.read(lambda session: session.execute(text("SELECT private_key, apiv3_key FROM payers")).one())
    assert b"private" not in bytes(row[0])
    assert b"apiv3" not in bytes(row[1])
    credentials = world.read(lambda session: queries.credentials(queries.payer_of(session, MCHID)))
    assert (credentials.mchid, credentials.private_key_pem, credentials.apiv3_key) == (
        MCHID,
        "private",
        "apiv3",
    )
    assert "private'" not in repr(credentials) + repr(payer_details(()))


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"scene_id": "9999"}, "the scene is none of"),
        ({"report_infos": (ReportInfo("活动名称", "扫码有奖"),)}, "demands exactly"),
        ({"report_infos": (ReportInfo("活动名称", "x" * 33), ReportInfo("奖励说明", "y"))}, "32 characters"),
        ({"recv_style": "CASH"}, "CONFIRM_PAGE or RED_PACKET"),
        ({"notify_url": "http://saoma.example/x"}, "https"),
        ({"notify_url": "https://saoma.example/x?y=1"}, "without a query"),
        ({"product_max_fen": 9}, "at least 10 fen"),
    ],
)
def test_what_the_platform_would_refuse_is_refused_here(
    world: PrizeWorld, changes: dict[str, Any], word: str
) -> None:
    with pytest.raises(BadPayer, match=word):
        world.do(operations.save_payer, payer=replace(payer_details(()), **changes), actor=OPERATOR)


def test_a_payer_does_not_change_its_brand(world: PrizeWorld) -> None:
    brand = world.do(create_brand, slug="coffee", name_zh="咖啡", name_en="Coffee")
    with pytest.raises(BadPayer, match="another brand"):
        world.do(operations.save_payer, payer=payer_details((), brand_id=brand), actor=OPERATOR)


def test_pausing_and_resuming_follow_the_table(world: PrizeWorld) -> None:
    with pytest.raises(TransitionRefused):
        world.do(operations.resume, payer_id=world.payer_id, actor=OPERATOR)
    world.do(operations.pause, payer_id=world.payer_id, reason="audit", actor=OPERATOR)
    payer = world.payer()
    assert (payer.state_reason, payer.state_by, payer.state_at) == ("audit", "olga", world.clock.now())
    with pytest.raises(TransitionRefused):
        world.do(operations.pause, payer_id=world.payer_id, reason="again", actor=OPERATOR)
    assert world.do(operations.resume, payer_id=world.payer_id, actor=OPERATOR) == 0
    assert (world.payer().state, world.payer().state_reason) == (PayerState.ACTIVE, None)
    with pytest.raises(UnknownPayer):
        world.do(operations.pause, payer_id=1, reason="audit", actor=OPERATOR)
    with pytest.raises(UnknownPayer):
        world.read(queries.payer_of, mchid="1900000009")


def test_each_campaigns_payer_pays_and_keeps_its_own_account(world: PrizeWorld) -> None:
    second = payer_details((world.app_id,), mchid="1900000002", name="Brand's own", brand_id=world.brand_id)
    second_id = world.do(operations.save_payer, payer=second, actor=OPERATOR)
    for payer_id in (world.payer_id, second_id, second_id):
        won = world.grant(world.person(), payer_id=payer_id)
        number = world.collect(won).bill.bill_no
        world.drain()
        world.pay.confirm(number)
        world.call_back(number)
        world.drain()
    mchids = [bill.request.payer.mchid for bill in world.pay.bills.values()]
    assert mchids == [MCHID, "1900000002", "1900000002"]

    def paid(payer_id: int) -> int:
        def look(session: Any) -> int:
            account = queries.paid_account(
                session, payer_id=payer_id, brand_id=world.brand_id, now=world.clock.now()
            )
            return open_balance(session, account.id)

        return world.read(look)

    assert (paid(world.payer_id), paid(second_id)) == (100, 200)
    assert world.books()["paid"] == 300
    names = world.read(lambda session: [payer.name for payer in queries.payers(session)])
    assert names == ["Main payer", "Brand's own"]


def test_the_whole_way_works_on_sqlite_too(sqlite_db: Database, clock: ManualClock) -> None:
    world = PrizeWorld.build(sqlite_db, clock)
    world.pay.balance_fen = 100
    awards = [world.grant(world.person()) for _ in range(2)]
    for won in awards:
        world.collect(won)
    world.drain()
    assert world.payer().state is PayerState.PAUSED_BALANCE
    world.pay.balance_fen += 100
    world.do(operations.resume, payer_id=world.payer_id, actor=OPERATOR)
    world.drain()
    for won in awards:
        number = world.bill(won).bill_no
        world.pay.confirm(number)
        world.call_back(number)
    world.drain()
    assert world.books()["paid"] == sum(world.pay.paid().values()) == 200
    assert world.read(open_alerts) == []


def test_a_payer_keeps_its_method(world: PrizeWorld) -> None:
    """Open bills are asked about by it."""
    packets = payer_details(
        (world.app_id,),
        method=PayMethod.RED_PACKET,
        apiv2_key="0" * 32,
        client_certificate="-----BEGIN CERTIFICATE-----",
        scene_id="",
        report_infos=tuple(ReportInfo(name, "1.2.3.4") for name in PACKET_TEXTS),
        notify_url=None,
        product_max_fen=20_000,
    )
    with pytest.raises(BadPayer, match="so it stays"):
        world.do(operations.save_payer, payer=packets, actor=OPERATOR)
    with pytest.raises(BadPayer, match="neither a callback address"):
        world.do(operations.save_payer, payer=replace(packets, notify_url="https://x.cn/c"), actor=OPERATOR)
    other = replace(packets, mchid="1900000002")
    payer_id = world.do(operations.save_payer, payer=other, actor=OPERATOR)
    stored = world.read(
        lambda session: session.execute(
            text("SELECT apiv2_key FROM payers WHERE apiv2_key > ''")
        ).scalar_one()
    )
    assert b"0" * 32 not in bytes(stored)
    assert world.do(operations.save_payer, payer=replace(other, name="Renamed"), actor=OPERATOR) == payer_id


def test_only_a_service_account_sends_into_its_chat(world: PrizeWorld) -> None:
    packets = payer_details(
        (world.app_id,),
        mchid="1900000003",
        method=PayMethod.SERVICE_RED_PACKET,
        apiv2_key="0" * 32,
        client_certificate="-----BEGIN CERTIFICATE-----",
        scene_id="",
        report_infos=tuple(ReportInfo(name, "1.2.3.4") for name in PACKET_TEXTS),
        notify_url=None,
        product_max_fen=20_000,
    )
    one, two = (
        world.do(register_app, appid=appid, secret="s", kind=AppKind.SERVICE) for appid in ("wxone", "wxtwo")
    )
    for wrong in ((), (world.app_id,), (one, world.app_id), (one, two)):
        with pytest.raises(BadPayer, match="one service account"):
            world.do(operations.save_payer, payer=replace(packets, app_ids=wrong), actor=OPERATOR)
    payer = world.do(operations.save_payer, payer=replace(packets, app_ids=(one,)), actor=OPERATOR)
    assert world.read(queries.closed_to_new, payer_id=payer)
    for method in (PayMethod.TRANSFER, PayMethod.RED_PACKET):
        other = payer_details((one,)) if method is PayMethod.TRANSFER else replace(packets, app_ids=(one,))
        with pytest.raises(BadPayer, match="mini-programs"):
            world.do(operations.save_payer, payer=replace(other, method=method), actor=OPERATOR)


def test_only_a_corp_sends_by_its_wecom_and_its_secret_is_sealed(world: PrizeWorld) -> None:
    texts = {"wishing": "恭喜发财", "act_name": "扫码", "sender_name": "茶铺"}
    packets = payer_details(
        (world.app_id,),
        mchid="1900000004",
        method=PayMethod.WECOM_RED_PACKET,
        apiv2_key="0" * 32,
        client_certificate="-----BEGIN CERTIFICATE-----",
        workwx_secret="secret-of-the-payment-app",
        scene_id="",
        report_infos=tuple(ReportInfo(*pair) for pair in texts.items()),
        notify_url=None,
        product_max_fen=20_000,
    )
    service = world.do(register_app, appid="wxone", secret="s", kind=AppKind.SERVICE)
    corp = world.do(register_app, appid="wwone", secret="s", kind=AppKind.CORP, agentid="1000002")
    for wrong in ((), (world.app_id,), (service,), (corp, service)):
        with pytest.raises(BadPayer, match="one corp"):
            world.do(operations.save_payer, payer=replace(packets, app_ids=wrong), actor=OPERATOR)
    with pytest.raises(BadPayer, match="secret of the 企业支付 app"):
        world.do(operations.save_payer, payer=replace(packets, workwx_secret=None), actor=OPERATOR)
    payer = world.do(operations.save_payer, payer=replace(packets, app_ids=(corp,)), actor=OPERATOR)
    assert world.read(queries.closed_to_new, payer_id=payer)
    found = world.read(lambda session: queries.credentials(queries.payer(session, payer), "wwone"))
    assert (found.workwx_secret, found.appid) == ("secret-of-the-payment-app", "wwone")
    sealed = "SELECT workwx_secret FROM payers WHERE workwx_secret > ''"
    stored = world.read(lambda session: session.execute(text(sealed)).scalar_one())
    assert b"secret-of" not in bytes(stored)
    assert "secret-of" not in repr(found) + repr(packets)
    # A new one takes the place of the old at once: nothing comes in that was signed with it.
    renewed = replace(packets, app_ids=(corp,), workwx_secret="another")
    assert world.do(operations.save_payer, payer=renewed, actor=OPERATOR) == payer
    assert world.read(lambda session: queries.payer(session, payer).workwx_secret) == "another"
    # Its open bills name this corp, and no other one's secret signs them.
    second = world.do(register_app, appid="wwtwo", secret="s", kind=AppKind.CORP, agentid="1000002")
    with pytest.raises(BadPayer, match="WeCom of wwone here, and so it stays"):
        world.do(operations.save_payer, payer=replace(renewed, app_ids=(second,)), actor=OPERATOR)
    assert {corp} == bound_apps(world) - {world.app_id}
    with pytest.raises(BadPayer, match="mini-programs"):
        world.do(operations.save_payer, payer=payer_details((corp,)), actor=OPERATOR)


@pytest.mark.parametrize(("kind", "agentid"), [("corp", None), ("corp", "x"), ("service", "1")])
def test_a_corp_and_nothing_else_has_the_number_of_an_application(
    world: PrizeWorld, kind: str, agentid: str | None
) -> None:
    with pytest.raises(InvalidApp):
        world.do(register_app, appid="wwone", secret="s", kind=AppKind(kind), agentid=agentid)


def test_keys_that_were_replaced_are_kept_for_a_week(world: PrizeWorld) -> None:
    def former() -> list[tuple[str, str]]:
        def look(session: Session, now: datetime) -> list[tuple[str, str]]:
            present = queries.credentials(queries.payer_of(session, MCHID))
            found = former_credentials(session, world.payer_id, present, now=now)
            return [(one.public_key_id, one.apiv3_key) for one in found]

        return world.do(look)

    first = payer_details((world.app_id,))
    old = (first.public_key_id, first.apiv3_key)
    assert former() == []
    world.do(operations.save_payer, payer=first, actor=OPERATOR)
    assert former() == []

    second = replace(first, public_key_id="PUB_KEY_ID_2", public_key="second")
    world.do(operations.save_payer, payer=second, actor=OPERATOR)
    assert former() == [old]
    third = replace(second, apiv3_key="3" * 32)
    world.do(operations.save_payer, payer=third, actor=OPERATOR)
    assert set(former()) == {old, ("PUB_KEY_ID_2", old[1]), (old[0], "3" * 32)}
    world.clock.advance(OVERLAP)
    assert former() == []
    world.do(operations.save_payer, payer=third, actor=OPERATOR)
    assert world.read(lambda session: session.scalars(select(PayerOldKeys)).all()) == []
