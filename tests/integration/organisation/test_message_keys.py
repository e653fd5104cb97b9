"""Token and EncodingAESKey of an app's messages: sealed, exchanged with an overlap of a day, or at once."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from app.db.engine import Database
from app.kernel.clock import ManualClock
from app.organisation import message_keys as keys_of
from app.organisation.errors import InvalidMessageKeys, UnknownApp
from app.organisation.interfaces import MessageKeys
from app.organisation.message_keys import OVERLAP
from tests.factories.campaign_world import CampaignWorld

APPID = "wx1111111111111111"
FIRST, SECOND, THIRD = (("tea1", "a" * 43), ("tea2", "b" * 43), ("tea3", "c" * 43))
Pair = tuple[str, str]


@pytest.fixture(params=["mariadb", "sqlite"])
def world(request: pytest.FixtureRequest, clock: ManualClock) -> CampaignWorld:
    db: Database = request.getfixturevalue("clean_db" if request.param == "mariadb" else "sqlite_db")
    return CampaignWorld.build(db, clock)


def keep(world: CampaignWorld, pair: Pair, **more: Any) -> datetime | None:
    said = {"appid": APPID, "token": pair[0], "encoding_key": pair[1], **more}
    return world.do(keys_of.set_message_keys, **said)


def present(world: CampaignWorld) -> MessageKeys:
    return world.read(keys_of.message_keys, appid=APPID)


def former(world: CampaignWorld) -> list[Pair]:
    now, ours = world.clock.now(), present(world)
    found = world.read(lambda session: keys_of.former_message_keys(session, ours, now=now))
    return [(keys.token, keys.encoding_key) for keys in found]


def test_keys_are_kept_sealed_and_shaped(world: CampaignWorld) -> None:
    with pytest.raises(UnknownApp):
        present(world)
    for wrong in (("t", "k" * 43), ("a b c", "k" * 43), ("tea", "k" * 42)):
        with pytest.raises(InvalidMessageKeys):
            keep(world, wrong)
    with pytest.raises(UnknownApp):
        keep(world, FIRST, appid="wx")
    assert keep(world, FIRST) is None
    found = present(world)
    assert (found.app_id, found.token, found.encoding_key) == (world.app_id, *FIRST)
    assert FIRST[1] not in repr(found)


def test_the_former_pair_counts_for_a_day_and_no_longer(world: CampaignWorld) -> None:
    keep(world, FIRST)
    assert keep(world, SECOND) == world.clock.now() + OVERLAP
    assert (present(world).token, former(world)) == (SECOND[0], [FIRST])
    world.wait(hours=1)
    keep(world, THIRD)
    assert former(world) == [SECOND, FIRST]
    world.clock.advance(OVERLAP - timedelta(hours=1))
    assert former(world) == [SECOND]
    world.wait(hours=1)
    assert former(world) == []


def test_the_same_pair_again_is_no_exchange(world: CampaignWorld) -> None:
    keep(world, FIRST)
    keep(world, SECOND)
    world.wait(hours=1)
    assert keep(world, SECOND) is None
    assert former(world) == [FIRST]


def test_what_has_leaked_counts_no_more_at_once(world: CampaignWorld) -> None:
    keep(world, FIRST)
    keep(world, SECOND)
    assert keep(world, THIRD, at_once=True) is None
    assert (present(world).token, former(world)) == (THIRD[0], [])
    keep(world, FIRST)
    assert keep(world, FIRST, at_once=True) is None
    assert former(world) == []


def test_what_counts_no_more_is_removed_and_was_never_readable(world: CampaignWorld) -> None:
    keep(world, FIRST)
    keep(world, SECOND)
    stored = world.read(lambda session: session.execute(text("SELECT * FROM app_old_message_keys")).all())
    assert not any(part.encode() in bytes(value) for row in stored for value in row[2:4] for part in FIRST)
    assert world.do(keys_of.forget_message_keys) == 0
    world.clock.advance(OVERLAP)
    assert world.do(keys_of.forget_message_keys) == 1
    assert world.do(keys_of.forget_message_keys) == 0
