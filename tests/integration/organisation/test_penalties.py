"""The platform's penalties: noted once, understood or not, and paused for until somebody resumes."""

import json
from typing import Any

import pytest

from app.alerts.queries import open_alerts
from app.campaigns import helping
from app.campaigns.errors import HelpPaused
from app.db.engine import Database
from app.kernel.clock import ManualClock
from app.organisation import penalties
from app.organisation.errors import NothingPaused
from app.organisation.models import PenaltyKind
from app.organisation.operations import register_app
from app.organisation.penalties import PENALTY_ALERT, PenaltyView
from tests.factories.campaign_world import OLGA, CampaignWorld
from tests.factories.campaigns import money, pool

APPID = "wx1111111111111111"
PUNISHED: dict[str, Any] = {
    "punish_id": "p-1",
    "illegal_reason": "存在诱导分享行为",
    "rule_name": "运营规范 5.1",
    "event_type": 1,
    "rectify_deadline": 1780545600,
    "detail": '{"warned_type": 2}',
}


@pytest.fixture(params=["mariadb", "sqlite"])
def world(request: pytest.FixtureRequest, clock: ManualClock) -> CampaignWorld:
    db: Database = request.getfixturevalue("clean_db" if request.param == "mariadb" else "sqlite_db")
    return CampaignWorld.build(db, clock)


def _note(world: CampaignWorld, **changes: Any) -> bool:
    return world.do(penalties.note_penalty, appid=APPID, content=PUNISHED | changes)


def _resume(world: CampaignWorld, appid: str = APPID) -> int:
    return world.do(penalties.resume, appid=appid, reason="page mended", actor=OLGA)


def _paused(world: CampaignWorld) -> bool:
    return world.read(penalties.is_paused, app_id=world.app_id)


def _alerts(world: CampaignWorld) -> list[str]:
    with world.db.read() as session:
        return [alert.detail for alert in open_alerts(session) if alert.kind == PENALTY_ALERT]


def _view(world: CampaignWorld) -> PenaltyView:
    return world.read(penalties.penalties)[0]


def test_a_penalty_pauses_until_somebody_resumes(world: CampaignWorld) -> None:
    assert not _paused(world)
    assert _note(world)
    assert _paused(world)
    assert world.read(penalties.paused_brands) == {None}
    (told,) = _alerts(world)
    assert "诱导分享" in told
    assert "2026-06-04 04:00" in told
    assert _resume(world) == 1
    assert not _paused(world)
    assert _alerts(world) == []
    found = _view(world)
    assert (found.kind, found.rule, found.resumed_by) == (PenaltyKind.WARNING, "运营规范 5.1", "olga")
    with pytest.raises(NothingPaused):
        _resume(world)


def test_a_repeat_pauses_nothing_again_and_a_heavier_one_does(world: CampaignWorld) -> None:
    assert _note(world)
    assert not _note(world)
    _resume(world)
    assert not _note(world)
    assert not _paused(world)
    assert _note(world, event_type=2)
    assert _note(world, punish_id="p-2")
    assert _paused(world)
    assert _resume(world) == 2


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"event_type": "3"}, PenaltyKind.TAKEN_DOWN),
        ({"event_type": 4}, PenaltyKind.BANNED),
        ({"event_type": 5}, PenaltyKind.PAGE_BLOCKED),
        ({"event_type": 10}, PenaltyKind.PAGE_BLOCKED),
        ({"event_type": None, "detail": json.dumps({"event_type": 2})}, PenaltyKind.UNKNOWN),
        ({"event_type": 77}, PenaltyKind.UNKNOWN),
        ({"event_type": [1], "detail": "{", "punish_id": None}, PenaltyKind.UNKNOWN),
        ({"detail": "[" * 5000, "rectify_deadline": "soon"}, PenaltyKind.WARNING),
        (
            {"detail": "[]", "illegal_reason": "\ud800" + "x" * 900, "rectify_deadline": 10**12},
            PenaltyKind.WARNING,
        ),
    ],
)
def test_what_is_not_understood_pauses_too(
    world: CampaignWorld, changes: dict[str, Any], kind: PenaltyKind
) -> None:
    assert _note(world, **changes)
    assert _paused(world)
    assert _view(world).kind is kind


def test_what_a_penalty_says_in_its_detail_is_read(world: CampaignWorld) -> None:
    content = {"punish_id": "p-9", "detail": json.dumps({"event_type": 2, "rectify_deadline": 1780545600})}
    assert world.do(penalties.note_penalty, appid=APPID, content=content)
    found = _view(world)
    assert (found.kind, found.rectify_by is not None) == (PenaltyKind.FUNCTIONS_BLOCKED, True)


def test_friends_do_not_help_in_a_paused_app_and_do_in_another(world: CampaignWorld) -> None:
    prizes = [money("yuan", 100, unlock_helpers=1)]
    world.run(prizes=prizes, pools=[pool("everybody", 0, {"yuan": 1})], fen=1000)
    won = world.draw(world.member()).award
    assert won is not None
    friend = world.member()
    world.wait(minutes=1)
    world.draw(friend)
    other = world.do(register_app, appid="wx2222222222222222", secret="secret")
    _note(world)
    with pytest.raises(HelpPaused):
        world.do(helping.help_award, award_id=won.id, principal=friend)
    assert not world.read(penalties.is_paused, app_id=other)
    _resume(world)
    world.do(helping.help_award, award_id=won.id, principal=friend)
    assert world.read(helping.helpers, award_id=won.id, person_ids=[won.person_id]) == 1
