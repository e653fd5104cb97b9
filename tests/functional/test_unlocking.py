"""Money that its winner unlocks by drawing again, over HTTP."""

from datetime import timedelta

from sqlalchemy import update

from app.campaigns import operations as campaigns
from app.rewards.models import Award
from jobs import schedule
from tests.factories.campaign_world import OLGA, PETER
from tests.support.shop import Shop


def test_money_that_draws_unlock_is_collected_after_them(shop: Shop) -> None:
    shopper = shop.shopper().member()
    award = shopper.win()
    assert award["unlock_draws"] == 0
    locked = shop.container.public_ids.decode("aw", award["id"])
    with shop.container.db.engine.begin() as connection:
        connection.execute(update(Award).where(Award.id == locked).values(unlock_draws=1))

    refused = shopper.collect(award).json()
    assert (refused["status"], refused["code"], refused["missing"]) == (409, "draws_wanted", 1)
    shopper.win()
    assert shopper.collect(award).status_code in {200, 202}


def test_friends_help_with_a_link_and_a_draw_of_their_own(shop: Shop) -> None:
    shopper, friend = shop.shopper().member(), shop.shopper().member()
    award = shopper.win()
    path = f"/awards/{award['id']}/help-link"
    assert shopper.get(path).json()["code"] == "help_not_wanted"
    locked = shop.container.public_ids.decode("aw", award["id"])
    with shop.container.db.engine.begin() as connection:
        connection.execute(update(Award).where(Award.id == locked).values(unlock_helpers=1))

    link = shopper.ok("GET", path)
    assert (link["helpers"], link["wanted"]) == (0, 1)
    assert friend.get(path).status_code == 404
    body = {"token": link["token"]}
    assert shopper.collect(award).json()["code"] == "helpers_wanted"
    assert shopper.call("POST", "/helps", body).json()["code"] == "own_award"
    assert friend.call("POST", "/helps", body).json()["code"] == "step_wanted"
    assert friend.call("POST", "/helps", {"token": "H1"}).json()["code"] == "bad_help_link"
    friend.win()
    assert friend.ok("POST", "/helps", body) == {"helped": True}
    assert shopper.ok("GET", path)["helpers"] == 1
    assert shopper.collect(award).status_code in {200, 202}


def test_the_scheduler_keeps_what_nobody_can_unlock(shop: Shop) -> None:
    shopper, other = shop.shopper().member(), shop.shopper().member()
    now = shop.container.clock.now()
    awards = [shopper.win(), other.win()]
    ids = [shop.container.public_ids.decode("aw", award["id"]) for award in awards]
    with shop.container.db.engine.begin() as connection:
        over = update(Award).where(Award.id.in_(ids)).values(deadline_at=now - timedelta(seconds=1))
        connection.execute(over)
        connection.execute(update(Award).where(Award.id == ids[0]).values(unlock_draws=1))
    shop.container.db.transact(
        lambda session: campaigns.stop(
            session, campaign_id=shop.ids["campaign"], reason="a mistake", now=now, actor=OLGA
        )
    )
    assert schedule.lapse(shop.container) == 2
    assert schedule.lapse(shop.container) == 0
    assert shopper.award(awards[0])["state"] == "collectible"
    assert shopper.collect(awards[0]).json()["code"] == "draws_wanted"
    assert other.award(awards[1])["state"] == "lapsed"


def test_once_the_campaign_has_ended_it_needs_no_unlocking(shop: Shop) -> None:
    shopper = shop.shopper().member()
    award = shopper.win()
    locked = shop.container.public_ids.decode("aw", award["id"])
    with shop.container.db.engine.begin() as connection:
        steps = {"unlock_draws": 3, "unlock_helpers": 2}
        connection.execute(update(Award).where(Award.id == locked).values(steps))
    assert shopper.collect(award).json()["code"] == "draws_wanted"
    assert shopper.award(award)["unlock_draws"] == 3
    for act, who in ((campaigns.stop, OLGA), (campaigns.end, PETER)):
        shop.container.db.transact(
            lambda session, act=act, who=who: act(
                session,
                campaign_id=shop.ids["campaign"],
                reason="over",
                now=shop.container.clock.now(),
                actor=who,
            )
        )
    (seen,) = shopper.ok("GET", "/awards")["items"]
    assert (seen["unlock_draws"], seen["unlock_helpers"]) == (0, 0)
    assert shopper.get(f"/awards/{award['id']}/help-link").json()["code"] == "help_not_wanted"
    shopper.confirm(shopper.collect(award).json()["transfer"])
    shopper.wait_for(award, "fulfilled")
