"""Money and stock in and out: once per reference, and never below what is promised (DRAW-18, PAY-09)."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from app.campaigns import funding, queries, supplies
from app.campaigns import operations as campaigns
from app.campaigns.errors import (
    InvalidCampaign,
    NothingToChange,
    PromiseNotBacked,
    SecondOperatorNeeded,
    UnknownOutflow,
    WrongState,
)
from app.campaigns.models import Action
from app.kernel.actor import SYSTEM, Actor, ActorKind
from app.kernel.transitions import TransitionRefused
from app.ledger.errors import AlreadyPosted, InsufficientBalance
from app.vouchers.models import NEVER
from app.vouchers.operations import expire_due
from app.vouchers.stock_file import NewVoucher
from tests.factories.campaign_world import OLGA, PETER, CampaignWorld
from tests.factories.campaigns import goods, money, multiplier, nothing, pool, voucher

RULES: dict[str, Any] = {
    "prizes": [money("big", 1000, stock=2), money("yuan", 100), nothing()],
    "pools": [
        pool("gold", 1, {"big": 1}, conditions={"who": {"tiers": ["gold"]}}, own_budget=True),
        pool("everybody", 0, {"yuan": 1, "thanks": 1}),
    ],
}


def move(
    world: CampaignWorld, operation: Any, campaign: int, reference: str = "r-1", by: Actor = OLGA, **more: Any
) -> Any:
    return world.do(operation, campaign_id=campaign, reference=reference, actor=by, **more)


def take_out(world: CampaignWorld, campaign: int, amount_fen: int, reference: str = "out") -> None:
    """Olga proposes, Peter approves."""
    done = move(world, funding.defund, campaign, reference, amount_fen=amount_fen, reason="less is needed")
    assert not done
    move(world, funding.approve_outflow, campaign, reference, PETER)


@pytest.fixture
def draft(world: CampaignWorld) -> int:
    campaign = world.create()
    world.save(campaign, **RULES)
    return campaign


@pytest.fixture
def running(world: CampaignWorld, draft: int) -> int:
    """Promises two pieces of 10 yuan out of gold's budget, and once one yuan.

    For the yuan there are ten, and of the pieces there is one more, with its money.
    """
    world.fund(draft, 4000)
    world.set_aside(draft, "gold", 3000)
    world.stock(draft, "big", 3)
    world.publish(draft)
    return draft


def test_money_comes_and_goes(world: CampaignWorld, draft: int) -> None:
    move(world, funding.fund, draft, amount_fen=1000)
    move(world, funding.defund, draft, amount_fen=300)
    left = world.left(draft)
    assert (left["budget"], left["funding"]) == (700, -700)
    with pytest.raises(InsufficientBalance):
        move(world, funding.defund, draft, "r-2", amount_fen=701)


def test_a_reference_is_used_once(world: CampaignWorld, draft: int) -> None:
    move(world, funding.fund, draft, amount_fen=1000)
    with pytest.raises(AlreadyPosted):
        move(world, funding.fund, draft, amount_fen=1000)
    with pytest.raises(AlreadyPosted):
        move(world, funding.fund, draft, " r-1 ", amount_fen=5)
    assert world.left(draft)["budget"] == 1000


def test_a_pools_budget_is_set_aside_and_taken_back(world: CampaignWorld, draft: int) -> None:
    move(world, funding.fund, draft, amount_fen=1000)
    move(world, funding.set_aside, draft, pool="gold", amount_fen=400)
    move(world, funding.set_aside, draft, "r-2", pool="gold", amount_fen=-150)
    left = world.left(draft)
    assert (left["budget"], left["pool_budget:gold"]) == (750, 250)
    with pytest.raises(InsufficientBalance):
        move(world, funding.set_aside, draft, "r-3", pool="gold", amount_fen=-251)
    with pytest.raises(InvalidCampaign):
        move(world, funding.set_aside, draft, "r-4", pool="everybody", amount_fen=1)


def test_stock_comes_and_goes_with_its_history(world: CampaignWorld, running: int) -> None:
    """PAY-09."""
    gold = world.member(tier="gold")
    won = world.draw(gold)
    move(world, funding.stock_out, running, prize="big", pieces=1)
    assert won.award is not None
    lines = world.read(queries.stock_history, campaign_id=running, prize="big")
    assert [(line.amount, line.reason, line.ref_id) for line in lines] == [
        (-1, "campaign.unstocked", running),
        (-1, "award.stock", won.award.id),
        (3, "campaign.stocked", running),
    ]
    assert (
        world.read(queries.stock_history, campaign_id=running, prize="big", before=lines[1].id) == lines[2:]
    )
    assert world.read(queries.stock_history, campaign_id=running, prize="yuan") == []
    assert world.left(running)["stock:big"] == 1


def test_what_is_promised_stays_while_the_campaign_runs(world: CampaignWorld, running: int) -> None:
    move(world, funding.stock_out, running, prize="big", pieces=1)
    with pytest.raises(PromiseNotBacked):
        move(world, funding.stock_out, running, "r-2", prize="big", pieces=1)
    take_out(world, running, 900)
    with pytest.raises(PromiseNotBacked):
        move(world, funding.defund, running, "r-2", amount_fen=1, reason="for something else")
    with pytest.raises(PromiseNotBacked):
        move(world, funding.set_aside, running, "r-3", pool="gold", amount_fen=-1001, reason="for the yuan")
    left = world.left(running)
    assert (left["budget"], left["pool_budget:gold"], left["stock:big"]) == (100, 3000, 2)


def test_pieces_above_the_promise_need_their_money_first(world: CampaignWorld, running: int) -> None:
    """They can be won, and would be paid with what others were promised."""
    with pytest.raises(PromiseNotBacked) as refused:
        move(world, funding.stock_in, running, prize="big", pieces=1)
    assert [fault.path for fault in refused.value.faults] == ["pools.gold.budget"]
    world.set_aside(running, "gold", 900)
    with pytest.raises(PromiseNotBacked):
        move(world, funding.stock_in, running, prize="big", pieces=1)
    world.fund(running, 100)
    world.set_aside(running, "gold", 100)
    move(world, funding.stock_in, running, prize="big", pieces=1)
    assert world.left(running)["stock:big"] == 4


def test_what_mends_a_part_of_a_shortage_comes_in(world: CampaignWorld) -> None:
    """Codes of two prizes have expired, and prizes without a number have used the rest of the money up."""
    campaign = world.create()
    world.save(
        campaign,
        prizes=[
            voucher("video", 1500, stock=5),
            voucher("music", 900, stock=2),
            goods("cup", 900, stock=1),
            money("yuan", 100),
        ],
        pools=[
            pool("gold", 1, {"video": 1, "music": 1, "cup": 1}, conditions={"who": {"tiers": ["gold"]}}),
            pool("everybody", 0, {"yuan": 1}),
        ],
    )
    tomorrow = world.clock.now() + timedelta(days=1)
    take_codes_in(world, campaign, "video", 3, tomorrow)
    take_codes_in(world, campaign, "video", 2)
    take_codes_in(world, campaign, "music", 2, tomorrow)
    world.stock(campaign, "cup", 1)
    world.fund(campaign, 100)
    world.publish(campaign)
    world.draw(world.member())
    world.wait(days=2)
    world.do(expire_due)
    take_codes_in(world, campaign, "video", 1)
    world.stock(campaign, "cup", 1)
    left = world.left(campaign)
    assert [left[at] for at in ("budget", "stock:video", "stock:music", "stock:cup")] == [0, 3, 0, 2]


def take_codes_in(
    world: CampaignWorld, campaign: int, prize: str, pieces: int, expires_at: datetime = NEVER
) -> None:
    reference = f"PO-{next(world.numbers)}"
    codes = [NewVoucher(f"{reference}-{number}", None, expires_at) for number in range(pieces)]
    move(world, supplies.take_in, campaign, reference, prize=prize, codes=codes)


def test_pieces_above_the_promise_need_only_what_they_and_others_may_cost(world: CampaignWorld) -> None:
    """Not the money of prizes without a number, which may be used up."""
    campaign = world.run(
        prizes=[money("big", 1000, stock=1), money("yuan", 100)],
        pools=[
            pool("gold", 1, {"big": 1}, conditions={"who": {"tiers": ["gold"]}}),
            pool("everybody", 0, {"yuan": 1}),
        ],
        fen=1100,
    )
    world.draw(world.member())
    world.fund(campaign, 999)
    with pytest.raises(PromiseNotBacked) as refused:
        world.stock(campaign, "big", 1)
    assert [fault.detail for fault in refused.value.faults] == ["0.01 yuan more are promised than are there"]
    world.fund(campaign, 1)
    world.stock(campaign, "big", 1)
    assert world.left(campaign)["stock:big"] == 2


def test_what_was_won_is_promised_no_more(world: CampaignWorld, running: int) -> None:
    gold = world.member(tier="gold")
    world.draw(gold)
    world.draw(gold)
    move(world, funding.stock_out, running, prize="big", pieces=1)
    take_out(world, running, 900)
    assert world.left(running)["budget"] == 100


def test_after_the_end_the_rest_can_be_taken_out_and_only_money_added(
    world: CampaignWorld, running: int
) -> None:
    world.do(campaigns.stop, campaign_id=running, reason="x", actor=OLGA)
    world.do(campaigns.end, campaign_id=running, reason="x", actor=PETER)
    with pytest.raises(WrongState):
        move(world, funding.stock_in, running, prize="big", pieces=1)
    move(world, funding.fund, running, "r-1", amount_fen=10)
    assert move(world, funding.set_aside, running, "r-2", pool="gold", amount_fen=-3000)
    assert move(world, funding.defund, running, amount_fen=4010)
    move(world, funding.stock_out, running, prize="big", pieces=3)
    assert set(world.left(running).values()) == {0}


@pytest.mark.parametrize(
    ("operation", "more"),
    [
        (funding.fund, {"amount_fen": 0}),
        (funding.fund, {"amount_fen": -1}),
        (funding.fund, {"amount_fen": 1, "reference": " "}),
        (funding.fund, {"amount_fen": 1, "reference": "x" * 41}),
        (funding.set_aside, {"amount_fen": 0, "pool": "gold"}),
        (funding.stock_in, {"pieces": 1, "prize": "yuan"}),
        (funding.stock_in, {"pieces": 1, "prize": "gold"}),
        (funding.stock_in, {"pieces": 0, "prize": "big"}),
    ],
)
def test_what_is_no_movement_is_refused(
    world: CampaignWorld, draft: int, operation: Any, more: dict[str, Any]
) -> None:
    with pytest.raises(InvalidCampaign):
        move(world, operation, draft, **more)


def test_without_rules_there_is_nothing_to_fund(world: CampaignWorld) -> None:
    with pytest.raises(NothingToChange):
        world.fund(world.create(), 100)


# --- money that is to leave a running campaign ------------------------------

MOVES: list[tuple[Any, dict[str, Any], dict[str, int]]] = [
    (funding.defund, {"amount_fen": 300}, {"budget": 700, "pool_budget:gold": 3000}),
    (funding.set_aside, {"amount_fen": 300, "pool": "gold"}, {"budget": 700, "pool_budget:gold": 3300}),
]


@pytest.mark.parametrize("state", ["running", "stopped"])
@pytest.mark.parametrize("moving", MOVES, ids=["out", "aside"])
def test_what_leaves_a_budget_takes_a_reason_and_somebody_else(
    world: CampaignWorld, running: int, moving: tuple[Any, dict[str, Any], dict[str, int]], state: str
) -> None:
    operation, more, then = moving
    if state == "stopped":
        world.do(campaigns.stop, campaign_id=running, reason="wrong picture", actor=OLGA)
    before = world.left(running)
    for reason in (None, " "):
        with pytest.raises(InvalidCampaign, match="say why"):
            move(world, operation, running, reason=reason, **more)
    assert not move(world, operation, running, reason="prizes are cheaper now", **more)
    assert world.left(running) == before, "until somebody else has approved"
    robot = Actor(ActorKind.PLATFORM, "peter")
    for same in (OLGA, SYSTEM, robot):
        with pytest.raises(SecondOperatorNeeded):
            move(world, funding.approve_outflow, running, by=same)
    (waiting,) = world.read(queries.outflows, campaign_id=running)
    assert (waiting.reference, waiting.amount_fen, waiting.proposed_by) == ("r-1", 300, "olga")
    move(world, funding.approve_outflow, running, by=PETER)
    assert world.left(running).items() >= then.items()
    assert world.read(queries.outflows, campaign_id=running) == []
    with pytest.raises(TransitionRefused):
        move(world, funding.approve_outflow, running, by=PETER)
    assert world.left(running).items() >= then.items(), "moved once"
    last = world.read(queries.history, campaign_id=running)[:2]
    action = Action.DEFUNDED if operation is funding.defund else Action.BUDGET_MOVED
    assert [(event.action, event.by, event.reason) for event in last] == [
        (action, "peter", "prizes are cheaper now"),
        (Action.PROPOSED, "olga", "prizes are cheaper now"),
    ]
    assert last[0].detail["proposed_by"] == "olga"


def test_an_outflow_can_be_turned_down(world: CampaignWorld, running: int) -> None:
    move(world, funding.defund, running, amount_fen=300, reason="why not")
    move(world, funding.withdraw_outflow, running, by=PETER, reason="shoppers were promised it")
    with pytest.raises(TransitionRefused):
        move(world, funding.approve_outflow, running, by=PETER)
    with pytest.raises(AlreadyPosted):
        move(world, funding.defund, running, amount_fen=300, reason="once more")
    with pytest.raises(UnknownOutflow):
        move(world, funding.approve_outflow, running, "r-2", PETER)
    assert world.left(running)["budget"] == 1000


def test_an_approval_finds_what_is_left_then(world: CampaignWorld, running: int) -> None:
    """Backed when it was proposed; meanwhile shoppers have won."""
    move(world, funding.defund, running, amount_fen=900, reason="less is needed")
    shopper = world.member()
    while world.draw(shopper).draw.prize != "yuan":
        pass
    with pytest.raises(PromiseNotBacked):
        move(world, funding.approve_outflow, running, by=PETER)
    assert world.left(running)["budget"] == 900


def test_before_the_start_and_after_the_end_nobody_is_asked(world: CampaignWorld, draft: int) -> None:
    world.fund(draft, 1000)
    assert move(world, funding.set_aside, draft, pool="gold", amount_fen=400)
    assert move(world, funding.defund, draft, "r-2", amount_fen=600)


# --- what backs a promise ------------------------------


def test_a_pool_with_a_budget_of_its_own_must_hold_its_prizes(world: CampaignWorld, draft: int) -> None:
    """Money elsewhere pays nothing of it: the promise was an empty one."""
    world.fund(draft, 100_000)
    world.stock(draft, "big", 2)
    for aside, short in ((0, "20"), (1999, "0.01")):
        if aside:
            world.set_aside(draft, "gold", aside)
        with pytest.raises(PromiseNotBacked) as refused:
            world.publish(draft)
        (fault,) = refused.value.faults
        assert (fault.path, fault.detail.split()[0].removesuffix(".00")) == ("pools.gold.budget", short)
    world.set_aside(draft, "gold", 1)
    assert world.publish(draft).published


def test_a_limited_prize_is_backed_with_its_multipliers(world: CampaignWorld) -> None:
    """Two pieces of 10 yuan that may be tripled, up to two and a half times, take 50 yuan."""
    campaign = world.create()
    world.save(
        campaign,
        prizes=[money("big", 1000, stock=2), nothing()],
        pools=[pool("everybody", 0, {"big": 1, "thanks": 1})],
        multipliers=[multiplier("m", 30_000, "money"), multiplier("p", 30_000, "points")],
        multiplier_cap_bps=25_000,
    )
    world.stock(campaign, "big", 2)
    world.fund(campaign, 4999)
    with pytest.raises(PromiseNotBacked):
        world.publish(campaign)
    world.fund(campaign, 1)
    world.publish(campaign)
    who = world.member()
    won = [played.draw.amount_fen for played in (world.draw(who) for _ in range(12)) if played.award]
    assert won == [2500, 2500]
    assert world.left(campaign)["budget"] == 0


def test_a_prize_that_two_budgets_pay_is_backed_by_both(world: CampaignWorld) -> None:
    campaign = world.create()
    pools = [
        pool("gold", 1, {"big": 1}, conditions={"who": {"tiers": ["gold"]}}, own_budget=True),
        pool("everybody", 0, {"big": 1}),
    ]
    world.save(campaign, prizes=[money("big", 1000, stock=2)], pools=pools)
    world.stock(campaign, "big", 2)
    world.fund(campaign, 3999)
    world.set_aside(campaign, "gold", 2000)
    with pytest.raises(PromiseNotBacked) as refused:
        world.publish(campaign)
    assert [fault.path for fault in refused.value.faults] == ["budget"]
    world.fund(campaign, 1)
    world.publish(campaign)
