"""Codes in, each handed out once, and out again; the ledger counts them at every step."""

import random
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.alerts.queries import open_alerts
from app.campaigns import funding, supplies
from app.campaigns import operations as campaigns
from app.campaigns.errors import InvalidCampaign, PromiseNotBacked, WrongState
from app.campaigns.play import Played
from app.campaigns.supplies import SupplyView
from app.db.engine import Database
from app.identity.queries import Principal, cluster
from app.kernel.clock import ManualClock
from app.ledger.errors import InsufficientBalance
from app.rewards import operations as rewards
from app.rewards.errors import AwardHeld, AwardLapsed, PhoneWanted, UnknownAward, VirtualPerson
from app.rewards.models import AwardKind, AwardState
from app.rewards.queries import AwardView
from app.vouchers import operations as vouchers
from app.vouchers.errors import BatchKnown, TooFewVouchers, VouchersOut
from app.vouchers.models import NEVER, Voucher
from app.vouchers.operations import SHORT_ALERT, StockFile, TakenIn
from app.vouchers.queries import VoucherView, voucher_of
from app.vouchers.stock_file import NewVoucher
from tests.factories.campaign_world import OLGA, PETER, CampaignWorld
from tests.factories.campaigns import nothing, pool, voucher

SURE = {
    "prizes": [voucher("video", 1500, stock=4)],
    "pools": [pool("everybody", 0, {"video": 1})],
}


@pytest.fixture(params=["mariadb", "sqlite"])
def world(request: pytest.FixtureRequest, clock: ManualClock) -> CampaignWorld:
    name = "clean_db" if request.param == "mariadb" else "sqlite_db"
    database: Database = request.getfixturevalue(name)
    return CampaignWorld.build(database, clock)


def _codes(number: int, *, expires_at: datetime = NEVER, prefix: str = "CODE") -> list[NewVoucher]:
    return [NewVoucher(f"{prefix}-{n}", f"{n:04d}", expires_at) for n in range(number)]


def _take_in(world: CampaignWorld, campaign: int, codes: list[NewVoucher], **changes: Any) -> TakenIn:
    values: dict[str, Any] = {
        "campaign_id": campaign,
        "prize": "video",
        "reference": f"PO-{next(world.numbers)}",
        "codes": codes,
        "actor": OLGA,
        **changes,
    }
    return world.do(supplies.take_in, **values)


def _campaign(world: CampaignWorld, codes: list[NewVoucher], **rules: Any) -> int:
    """A published campaign whose draws win a voucher."""
    campaign = world.create()
    world.save(campaign, **(SURE | rules))
    _take_in(world, campaign, codes)
    world.publish(campaign)
    return campaign


def _won(played: Played) -> AwardView:
    assert played.award is not None
    return played.award


def _collect(world: CampaignWorld, who: Principal, won: AwardView, **changes: Any) -> AwardView:
    values: dict[str, Any] = {
        "award_id": won.id,
        "person_id": who.person_id,
        "cluster": world.read(cluster, person_id=who.person_id),
        "supplier": StockFile(),
        **changes,
    }
    return world.do(rewards.collect_voucher, **values)


def _code(world: CampaignWorld, won: AwardView) -> VoucherView | None:
    return world.read(voucher_of, award_id=won.id)


def _stand(world: CampaignWorld, campaign: int) -> SupplyView:
    """How the codes stand; asserts that codes and ledger agree."""
    world.left(campaign)
    (found,) = world.read(supplies.supplies, campaign_id=campaign)
    assert found.free == found.drawable + found.promised
    return found


def test_a_voucher_is_won_as_a_piece_and_collected_as_a_code(world: CampaignWorld) -> None:
    """PAY-04, PAY-05: uploaded as stock and allotted once each."""
    campaign = _campaign(world, _codes(5))
    who = world.member()
    played = world.draw(who)
    won = _won(played)
    assert (won.kind, won.state, won.amount_fen) == (AwardKind.VOUCHER, AwardState.COLLECTIBLE, 0)
    assert _code(world, won) is None
    assert _stand(world, campaign) == SupplyView("video", 4, 1, 5, 0, 0, 0)
    assert _collect(world, who, won).state is AwardState.FULFILLED
    shown = _code(world, won)
    assert shown == VoucherView("CODE-0", "0000", None)
    assert "CODE" not in repr(shown)
    _collect(world, who, won)
    assert _code(world, won) == shown
    assert _stand(world, campaign) == SupplyView("video", 4, 0, 4, 1, 0, 0)


def test_codes_are_sealed_at_rest_and_each_is_taken_in_once(world: CampaignWorld) -> None:
    campaign = _campaign(world, _codes(4))
    twice = [*_codes(6), *_codes(6), NewVoucher("CODE-9", None, NEVER)]
    assert _take_in(world, campaign, twice)[1:] == (3, 10)
    with world.db.engine.connect() as connection:
        raw = connection.execute(text("SELECT code, pin, code_hash FROM vouchers")).all()
    assert len({row[2] for row in raw}) == len(raw) == 7
    assert not any(b"CODE" in bytes(value) for row in raw for value in row if value is not None)
    assert _stand(world, campaign).free == 7
    files = world.read(supplies.files, campaign_id=campaign)
    assert [(prize, batch.pieces, batch.known, batch.free) for prize, batch in files] == [
        ("video", 4, 0, 4),
        ("video", 3, 10, 3),
    ]
    assert _take_in(world, campaign, _codes(2)).pieces == 0


def test_a_reference_is_used_once_and_a_broken_file_leaves_nothing(world: CampaignWorld) -> None:
    campaign = _campaign(world, _codes(4))
    _take_in(world, campaign, _codes(1, prefix="A"), reference="PO-X")
    with pytest.raises(BatchKnown):
        _take_in(world, campaign, _codes(1, prefix="B"), reference="PO-X")

    def broken() -> Any:
        yield from _codes(600, prefix="C")
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="disk"):
        _take_in(world, campaign, broken())
    assert _stand(world, campaign).free == 5


@pytest.mark.parametrize("changes", [{"prize": "other"}, {"prize": "thanks"}, {"reference": "x" * 41}])
def test_codes_are_for_voucher_prizes_only(world: CampaignWorld, changes: dict[str, str]) -> None:
    rules = {"prizes": [*SURE["prizes"], nothing()], "pools": [pool("all", 0, {"video": 1, "thanks": 1})]}
    campaign = _campaign(world, _codes(4), **rules)
    with pytest.raises(InvalidCampaign):
        _take_in(world, campaign, _codes(1, prefix="A"), **changes)


def test_the_stock_of_codes_moves_with_codes_only(world: CampaignWorld) -> None:
    campaign = _campaign(world, _codes(4))
    for move in (funding.stock_in, funding.stock_out):
        with pytest.raises(InvalidCampaign, match="vouchers"):
            world.do(move, campaign_id=campaign, prize="video", pieces=1, reference="S-1", actor=OLGA)
    assert _stand(world, campaign).drawable == 4


def test_more_pieces_than_codes_cannot_be_promised(world: CampaignWorld) -> None:
    campaign = world.create()
    world.save(campaign, **SURE)
    _take_in(world, campaign, _codes(3))
    with pytest.raises(PromiseNotBacked):
        world.publish(campaign)


def test_withdrawn_codes_leave_with_their_pieces_those_first_that_last_longest(world: CampaignWorld) -> None:
    soon = world.clock.now() + timedelta(days=90)
    campaign = _campaign(world, [*_codes(4, expires_at=soon), *_codes(2, prefix="LATE")])
    withdraw: dict[str, Any] = {"campaign_id": campaign, "prize": "video", "actor": OLGA}
    world.do(supplies.withdraw, pieces=2, reference="RET-1", **withdraw)
    assert _stand(world, campaign) == SupplyView("video", 4, 0, 4, 0, 0, 2)
    with pytest.raises(TooFewVouchers):
        world.do(supplies.withdraw, pieces=5, reference="RET-2", **withdraw)
    with pytest.raises(PromiseNotBacked):
        world.do(supplies.withdraw, pieces=1, reference="RET-3", **withdraw)
    who = world.member()
    for _ in range(4):
        world.draw(who)
    with pytest.raises(InsufficientBalance):
        world.do(supplies.withdraw, pieces=1, reference="RET-4", **withdraw)
    assert _stand(world, campaign) == SupplyView("video", 0, 4, 4, 0, 0, 2)


def test_an_ended_campaign_takes_no_codes(world: CampaignWorld) -> None:
    campaign = _campaign(world, _codes(4))
    world.wait(days=31)
    world.do(campaigns.end_due)
    with pytest.raises(WrongState):
        _take_in(world, campaign, _codes(1, prefix="A"))


def test_a_lapsed_voucher_returns_its_piece_and_no_code_is_touched(world: CampaignWorld) -> None:
    campaign = _campaign(world, _codes(4))
    who = world.member()
    won = _won(world.draw(who))
    world.wait(days=31)
    with pytest.raises(AwardLapsed):
        _collect(world, who, won)
    assert world.do(rewards.lapse_due) == 1
    assert _stand(world, campaign) == SupplyView("video", 4, 0, 4, 0, 0, 0)


def test_only_the_winner_collects_and_a_phone_may_be_asked_for_first(world: CampaignWorld) -> None:
    _campaign(world, _codes(4))
    who, other, visitor = world.member(), world.member(), world.visitor(virtual=True)
    won = _won(world.draw(who))
    with pytest.raises(UnknownAward):
        _collect(world, other, won)
    with pytest.raises(VirtualPerson):
        _collect(world, visitor, won)
    with pytest.raises(PhoneWanted):
        _collect(world, who, won, phone_wanted=True)
    assert _code(world, won) is None


def test_a_held_voucher_waits_for_its_review_and_is_then_collected(world: CampaignWorld) -> None:
    campaign = _campaign(world, _codes(4))
    who = world.member()
    won = _won(world.draw(who))

    def hold(session: Session, now: datetime) -> None:
        session.execute(text("UPDATE awards SET state = 'held', reason = 'odd'"))

    world.do(hold)
    with pytest.raises(AwardHeld):
        _collect(world, who, won)
    released = world.do(rewards.release, award_id=won.id, reason="fine", actor=PETER)
    assert released.state is AwardState.COLLECTIBLE
    assert _collect(world, who, won).state is AwardState.FULFILLED
    assert _stand(world, campaign).allotted == 1


def test_the_code_that_expires_first_goes_first_and_expired_ones_leave(world: CampaignWorld) -> None:
    soon = world.clock.now() + timedelta(days=2)
    late = world.clock.now() + timedelta(days=200)
    campaign = _campaign(world, [*_codes(4, expires_at=late, prefix="LATE"), *_codes(3, expires_at=soon)])
    who = world.member()
    won = _won(world.draw(who))
    _collect(world, who, won)
    assert _code(world, won) == VoucherView("CODE-0", "0000", soon)
    world.wait(days=2)
    assert world.do(vouchers.expire_due) == 2
    assert world.do(vouchers.expire_due) == 0
    assert _stand(world, campaign) == SupplyView("video", 4, 0, 4, 1, 2, 0)
    assert world.read(open_alerts) == []


def test_promised_codes_that_expire_raise_an_alert_until_there_are_others(world: CampaignWorld) -> None:
    soon = world.clock.now() + timedelta(days=2)
    campaign = _campaign(world, _codes(4, expires_at=soon))
    who = world.member()
    won = [_won(world.draw(who)) for _ in range(3)]
    world.wait(days=2)
    assert world.do(vouchers.expire_due) == 1
    with pytest.raises(VouchersOut):
        _collect(world, who, won[0])
    (alert,) = world.read(open_alerts)
    assert (alert.kind, alert.detail[:7]) == (SHORT_ALERT, "3 codes")
    assert _stand(world, campaign) == SupplyView("video", 0, 3, 3, 0, 1, 0)
    _take_in(world, campaign, _codes(3, prefix="NEW"))
    assert world.do(vouchers.expire_due) == 3
    assert world.read(open_alerts) == []
    assert [_collect(world, who, award).state for award in won] == [AwardState.FULFILLED] * 3
    assert _stand(world, campaign) == SupplyView("video", 0, 0, 0, 3, 4, 0)


@pytest.mark.parametrize("seed", range(3))
def test_whatever_happens_codes_and_ledger_agree(world: CampaignWorld, seed: int) -> None:
    """Conservation: each code is free, allotted, expired or withdrawn, and the free ones are counted."""
    dice = random.Random(seed)
    campaign = _campaign(world, _codes(4), caps={"per_day": 1000})
    who, open_awards = world.member(), []
    for step in range(40):
        act = dice.choice(["draw", "draw", "draw", "collect", "collect", "in", "out", "wait"])
        try:
            if act == "draw":
                award = world.draw(who).award
                open_awards += [award] if award else []
            elif act == "collect" and open_awards:
                _collect(world, who, open_awards.pop(dice.randrange(len(open_awards))))
            elif act == "in":
                lasts = world.clock.now() + timedelta(days=dice.choice([2, 20, 400]))
                _take_in(world, campaign, _codes(dice.randrange(1, 4), expires_at=lasts, prefix=f"S{step}"))
            elif act == "out":
                withdrawn: dict[str, Any] = {"pieces": dice.randrange(1, 3), "reference": f"RET-{step}"}
                world.do(supplies.withdraw, campaign_id=campaign, prize="video", actor=OLGA, **withdrawn)
            elif act == "wait":
                world.wait(days=1)
        except (VouchersOut, AwardLapsed, TooFewVouchers, InsufficientBalance, PromiseNotBacked):
            pass
        world.do(vouchers.expire_due)
        world.do(rewards.lapse_due)
        _stand(world, campaign)
    allotted = world.read(
        lambda session: session.scalars(select(Voucher.award_id).where(Voucher.award_id.is_not(None))).all()
    )
    assert len(set(allotted)) == len(allotted) > 0
