"""What a shopper refuses, or is refused, still leads somewhere."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.campaigns import operations as campaigns
from app.campaigns.models import CampaignVersion, Draw
from app.codes import operations as codes
from app.db.engine import Database
from app.kernel.actor import Actor, ActorKind
from tests.support.sandbox import MerchantAccount, SandboxProcess
from tests.support.shop import OLGA, Shop, open_shop


def _refused(answer: Any, status: int, code: str) -> dict[str, Any]:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    found: dict[str, Any] = answer.json()
    return found


def test_a_refused_location_does_not_stop_a_draw(shop: Shop) -> None:
    shopper = shop.shopper().member()

    assert shopper.draw(shopper.scan())["award"]["state"] == "collectible"
    assert shopper.draw(shopper.scan(), location=None)["award"]["state"] == "collectible"


def test_a_position_is_not_used_while_the_switch_is_off(shop: Shop) -> None:
    shopper = shop.shopper().member()
    scan = shopper.scan()

    shopper.draw(scan, location={"latitude": 31.2304, "longitude": 121.4737})
    assert _regions(shop) == [None]


@pytest.fixture
def locating_shop(
    platform: tuple[SandboxProcess, MerchantAccount], clean_db: Database, mariadb_url: str, tmp_path: Path
) -> Iterator[Shop]:
    """An installation that takes positions, and knows the address of this machine."""
    (tmp_path / "positions.csv").write_text(
        "adcode,latitude,longitude,radius_km\n310000,31.2304,121.4737,60\n440100,23.1291,113.2644,60\n"
    )
    (tmp_path / "addresses.csv").write_text("first,last,adcode\n127.0.0.0,127.255.255.255,110000\n")
    with open_shop(
        mariadb_url,
        tmp_path,
        *platform,
        SAOMA_LOCATION="1",
        SAOMA_ADDRESS_REGIONS=str(tmp_path / "addresses.csv"),
    ) as found:
        yield found


def test_where_a_draw_takes_place_is_known_without_a_position(locating_shop: Shop) -> None:
    shop = locating_shop
    shopper = shop.shopper().member()

    shopper.draw(shopper.scan())
    # This campaign does not count positions: an offered one changes nothing.
    shopper.draw(shopper.scan(), location={"latitude": 31.2, "longitude": 121.4})
    shop.container.db.transact(
        lambda session: codes.ship(
            session, batch_id=shop.ids["batch"], region="440000", actor=OLGA, now=shop.container.clock.now()
        )
    )
    shopper.draw(shopper.scan())

    assert _regions(shop) == ["110000", "110000", "440000"]


def _regions(shop: Shop) -> list[str | None]:
    with shop.container.db.read() as session:
        facts = session.scalars(select(Draw.facts).order_by(Draw.id)).all()
    return [seen["region"]["code"] if seen.get("region") else None for seen in facts]


def test_whoever_keeps_the_phone_number_to_themselves_gets_the_money(shop: Shop) -> None:
    shopper = shop.shopper().member()
    award = shopper.win()

    asked = shopper.collect(award, phone_declined=False)
    _refused(asked, 409, "phone_wanted")
    declined = shopper.collect(award)
    assert declined.status_code == 200
    shopper.confirm(declined.json()["transfer"])
    shopper.wait_for(award, "fulfilled")
    assert shopper.balance_fen() == 100


def _ask_before_the_draw(shop: Shop) -> None:
    """Another phone policy is a change against shoppers: two operators."""
    campaign = shop.ids["campaign"]

    def change(session: Session) -> None:
        now = shop.container.clock.now()
        rules = session.scalars(select(CampaignVersion.rules)).one()
        asking = rules | {"phone_policy": "before_draw"}
        campaigns.save_version(session, campaign_id=campaign, document=asking, now=now, actor=OLGA)
        came = campaigns.change(session, campaign_id=campaign, now=now, actor=OLGA, reason="by post")
        peter = Actor(ActorKind.OPERATOR, "peter")
        campaigns.approve(session, campaign_id=campaign, rules_sha256=came.sha256, now=now, actor=peter)

    shop.container.db.transact(change)


def test_a_campaign_that_asks_for_the_phone_before_the_draw_waits_for_an_answer(shop: Shop) -> None:
    """JOIN-03, contract 13.2: it is asked for, and may be declined."""
    _ask_before_the_draw(shop)
    shopper = shop.shopper().member()
    scan = shopper.scan()
    assert scan["next"] == "phone"
    wanted = {"scan": scan["scan"]["id"]}

    _refused(shopper.call("POST", "/draws", wanted, key="asked-0001"), 409, "phone_wanted")
    unsaid = wanted | {"phone_declined": False}
    _refused(shopper.call("POST", "/draws", unsaid, key="asked-0002"), 409, "phone_wanted")
    declined = shopper.draw(scan, phone_declined=True)
    assert declined["award"]["state"] == "collectible"
    # What was drawn is shown again without a question.
    assert shopper.draw(scan) == declined

    giving = shop.shopper().member()
    scan = giving.scan()
    _refused(
        giving.call("POST", "/draws", {"scan": scan["scan"]["id"]}, key="asked-0003"), 409, "phone_wanted"
    )
    assert giving.give_phone().status_code == 200
    assert giving.scan()["next"] == "draw"
    assert giving.draw(scan)["award"]["state"] == "collectible"


def test_an_empty_phone_quota_is_said_and_the_walk_goes_on(shop: Shop) -> None:
    shopper = shop.shopper().member()

    _refused(shopper.give_phone(quota_empty=True), 503, "phone_quota_exhausted")
    assert shopper.collect(shopper.win()).status_code == 200


def test_a_phone_code_is_good_once(shop: Shop) -> None:
    shopper = shop.shopper()
    shopper.login()
    code = shop.sandbox.phone_code(shopper.id, "wxfunctional00001")

    first = shopper.call("POST", "/phone", {"code": code}, key="phone-key-1")
    repeated = shopper.call("POST", "/phone", {"code": code}, key="phone-key-1")
    assert first.status_code == repeated.status_code == 200
    assert first.json() == repeated.json()
    _refused(shopper.call("POST", "/phone", {"code": code}), 409, "invalid_phone_code")


def test_a_number_that_stands_for_nobody_is_not_taken(shop: Shop) -> None:
    shopper = shop.shopper("13800138000")
    shopper.login()

    _refused(shopper.give_phone(), 409, "phone_unusable")
    assert shopper.ok("GET", "/me")["phone_masked"] is None


def test_a_login_code_is_good_once_and_a_wrong_one_never(shop: Shop) -> None:
    shopper = shop.shopper()
    body = {"app_id": "wxfunctional00001", "js_code": shop.sandbox.js_code(shopper.id, "wxfunctional00001")}

    assert shopper.call("POST", "/sessions", body).status_code == 201
    _refused(shopper.call("POST", "/sessions", body), 401, "invalid_login_code")
    _refused(shopper.call("POST", "/sessions", body | {"js_code": "wrong"}), 401, "invalid_login_code")
    _refused(shopper.call("POST", "/sessions", body | {"app_id": "wx0000"}), 404, "unknown_app")


def test_a_virtual_identity_is_shown_everything_and_awarded_nothing(shop: Shop) -> None:
    shopper = shop.shopper()
    assert shopper.login(virtual=True)["person"]["virtual"] is True

    scan = shopper.scan()
    assert (scan["scan"]["outcome"], scan["next"]) == ("ok", "none")
    body = {"policy_version": "2026-1", "age_band": "adult"}
    _refused(shopper.call("POST", "/members", body), 403, "virtual_person")
    _refused(shopper.give_phone(), 403, "virtual_person")
    drawn = shopper.call("POST", "/draws", {"scan": scan["scan"]["id"]}, key="draw-key-1")
    _refused(drawn, 403, "virtual_person")
    assert shopper.ok("GET", "/awards")["items"] == []
    # The code is still everybody else's.
    assert shop.shopper().member().scan(shop.code(0))["next"] == "draw"


def test_whoever_has_not_agreed_cannot_draw_until_they_do(shop: Shop) -> None:
    shopper = shop.shopper()
    shopper.login()
    scan = shopper.scan()
    assert scan["next"] == "consent"
    body = {"scan": scan["scan"]["id"]}

    _refused(shopper.call("POST", "/draws", body, key=shopper.new_key()), 409, "not_a_member")
    shopper.join()
    assert shopper.draw(scan)["award"] is not None
    shopper.ok("DELETE", "/consents/current")
    again = shopper.scan()
    assert again["next"] == "consent"
    body = {"scan": again["scan"]["id"]}
    refused = shopper.call("POST", "/draws", body, key=shopper.new_key())
    _refused(refused, 409, "policy_outdated")
    shopper.join()
    assert shopper.draw(again)["award"] is not None


def test_a_child_needs_a_guardian(shop: Shop) -> None:
    shopper = shop.shopper()
    shopper.login()
    body = {"policy_version": "2026-1", "age_band": "under_14"}

    _refused(shopper.call("POST", "/members", body), 409, "guardian_consent_required")
    assert shopper.call("POST", "/members", body | {"guardian_consent": True}).status_code == 201


def test_consent_to_a_policy_that_is_not_shown_any_more_is_asked_for_again(shop: Shop) -> None:
    shopper = shop.shopper()
    shopper.login()
    refused = shopper.call("POST", "/members", {"policy_version": "2025-9", "age_band": "adult"})

    assert _refused(refused, 409, "policy_outdated")["current"] == "2026-1"


def test_a_frozen_code_says_so_and_gives_no_draw(shop: Shop) -> None:
    shopper = shop.shopper().member()
    scan = shopper.scan(shop.code(5))
    now = shop.container.clock.now()
    shop.container.db.transact(
        lambda session: codes.freeze(
            session, batch_id=shop.ids["batch"], reason="stolen", actor=OLGA, now=now, last_index=9
        )
    )

    drawn = shopper.call("POST", "/draws", {"scan": scan["scan"]["id"]}, key="draw-key-1")
    assert _refused(drawn, 409, "code_not_drawable")["outcome"] == "frozen"
    frozen = shopper.scan(shop.code(5))
    assert (frozen["scan"]["outcome"], frozen["next"], frozen["campaign"]) == ("frozen", "none", None)


def test_a_code_pays_one_person_once(shop: Shop) -> None:
    winner, late = shop.shopper().member(), shop.shopper().member()
    first = winner.draw(winner.scan(shop.code(7)))

    scan = late.scan(shop.code(7))
    assert (scan["scan"]["outcome"], scan["next"], scan["draw"]) == ("drawn_by_another", "none", None)
    drawn = late.call("POST", "/draws", {"scan": scan["scan"]["id"]}, key="draw-key-1")
    assert _refused(drawn, 409, "code_not_drawable")["outcome"] == "drawn_by_another"
    again = winner.draw(winner.scan(shop.code(7)))
    assert again["draw"]["id"] == first["draw"]["id"]
    assert len(winner.ok("GET", "/awards")["items"]) == 1
