"""What a draw holds on to while others draw, change and stop."""

from collections.abc import Callable
from dataclasses import replace
from threading import Timer
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.campaigns import operations as campaigns
from app.campaigns import play as playing
from app.campaigns.context import DrawContext
from app.campaigns.errors import (
    NoCampaign,
)
from app.codes.errors import CodeAlreadyDrawn
from app.db.engine import Replay
from app.db.prepared import Asked, send_waiting
from app.rewards.models import AwardKind
from tests.factories.campaign_world import OLGA, CampaignWorld
from tests.factories.campaigns import money, points, pool
from tests.integration.campaigns.drawing import ONE_YUAN, SURE, draws


def test_a_lost_race_for_the_last_of_the_budget_is_decided_again_on_fresh_facts(
    world: CampaignWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = world.run(
        prizes=[money("yuan", 100), points("ten", 10)],
        pools=[pool("everybody", 0, {"yuan": 1}, fallback=["ten"])],
        fen=100,
    )
    loser, winner = world.member(), world.member()
    lost_scan, won_scan = world.scan(loser), world.scan(winner)
    grant, calls = playing.grant, []

    def overtaken(session: Session, **arguments: Any) -> Any:
        calls.append(arguments["award"].kind)
        if len(calls) == 1:
            # Between the reading of the budget and its guard somebody else wins and commits.
            monkeypatch.setattr(playing, "grant", grant)
            assert world.play(winner, won_scan).draw.prize == "yuan"
            monkeypatch.setattr(playing, "grant", overtaken)
        return grant(session, **arguments)

    monkeypatch.setattr(playing, "grant", overtaken)
    played = world.play(loser, lost_scan)
    assert played.draw.prize == "ten"
    assert calls == [AwardKind.MONEY, AwardKind.POINTS]
    assert world.left(campaign)["budget"] == 0
    assert draws(world) == 2


def test_the_guard_holds_whatever_was_read(world: CampaignWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """With balances that are always read too high, nothing is overspent and nothing half written."""
    campaign = world.run(**SURE, fen=150)
    who = world.member()
    ask = playing.ask_context

    def too_high(session: Session, **arguments: Any) -> Callable[[], DrawContext]:
        context = ask(session, **arguments)()
        return lambda: replace(context, balances=dict.fromkeys(context.balances, 10_000))

    monkeypatch.setattr(playing, "ask_context", too_high)
    world.draw(who)
    scan = world.scan(who)
    with pytest.raises(Replay):
        world.play(who, scan)
    assert draws(world) == 1
    assert world.left(campaign) == {"budget": 50, "committed": 100, "funding": -150}


def test_two_shoppers_at_one_code_have_one_winner(
    world: CampaignWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = world.run(**ONE_YUAN, fen=1000)
    slow, fast = world.member(), world.member()
    slow_scan, fast_scan = world.scan(slow, index=9), world.scan(fast, index=9)
    ask, won = playing.ask_context, []

    def overtaken(session: Session, **arguments: Any) -> Asked[DrawContext]:
        if not won:
            won.append(None)
            won.append(world.play(fast, fast_scan))
        return ask(session, **arguments)

    monkeypatch.setattr(playing, "ask_context", overtaken)
    with pytest.raises(CodeAlreadyDrawn):
        world.play(slow, slow_scan)
    assert draws(world) == 1
    assert world.left(campaign)["budget"] == 900


def test_a_version_that_is_not_in_force_any_more_writes_no_draw(
    world: CampaignWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DRAW-16: a change takes effect at the next draw, also for one that is on its way."""
    campaign = world.run(**ONE_YUAN, fen=10_000)
    who = world.member()
    scan = world.scan(who)
    world.save(campaign, prizes=[money("yuan", 200)], pools=ONE_YUAN["pools"])
    claim, done = playing.claim, []

    def changed_meanwhile(session: Session, **arguments: Any) -> None:
        claim(session, **arguments)
        if not done:
            done.append(world.do(campaigns.change, campaign_id=campaign, actor=OLGA))

    monkeypatch.setattr(playing, "claim", changed_meanwhile)
    played = world.play(who, scan)
    assert (played.draw.version, played.draw.amount_fen) == (2, 200)
    assert draws(world) == 1


def test_a_draw_holds_its_campaign_until_it_has_committed(world: CampaignWorld) -> None:
    """Once a stop has been answered no draw follows it: the stop waits for the draws on their way."""
    campaign = world.run(**ONE_YUAN)
    who = world.member()
    scan = world.scan(who)
    waited: list[Exception] = []

    def stop_meanwhile() -> None:
        try:
            with world.db.unit_of_work() as rival:
                rival.execute(text("SET SESSION innodb_lock_wait_timeout = 1"))
                campaigns.stop(rival, campaign_id=campaign, reason="now", now=world.clock.now(), actor=OLGA)
        except Exception as error:  # noqa: BLE001 - looked at below
            waited.append(error)

    with world.db.unit_of_work() as session:
        played = playing.play(
            session, book=world.campaign_book, scan_id=scan, principal=who, now=world.clock.now()
        )
        send_waiting(session)
        stop_meanwhile()
    assert played.fresh
    assert len(waited) == 1
    assert "Lock wait timeout" in str(waited[0])


def test_a_stop_on_its_way_is_waited_for(world: CampaignWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stop that has locked the campaign but not committed: the draw waits, looks again, and is refused."""
    campaign = world.run(**ONE_YUAN)
    who = world.member()
    scan = world.scan(who)
    claim, timers = playing.claim, []

    def stop_meanwhile(session: Session, **arguments: Any) -> None:
        claim(session, **arguments)
        if not timers:
            rival = Session(world.db.engine)
            campaigns.stop(rival, campaign_id=campaign, reason="now", now=world.clock.now(), actor=OLGA)
            timers.append(Timer(0.3, lambda: (rival.commit(), rival.close())))
            timers[0].start()

    monkeypatch.setattr(playing, "claim", stop_meanwhile)
    with pytest.raises(NoCampaign):
        world.play(who, scan)
    timers[0].join()
    assert draws(world) == 0
