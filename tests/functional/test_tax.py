"""A taxed prize over HTTP: what is said of it, what arrives, and who is asked for a name."""

from datetime import date
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.campaigns import operations as campaigns
from app.http.models import IdempotencyKey
from app.kernel.actor import Actor, ActorKind
from app.ledger.queries import open_balance
from app.tax import queries
from tests.factories.identities import card
from tests.support.shop import OLGA, Shop, Shopper

PETER = Actor(ActorKind.OPERATOR, "peter")
NUMBER = card(date(1990, 1, 1))


@pytest.fixture(params=["shop", "embedded_shop"], ids=["mariadb", "sqlite"])
def taxing_shop(request: pytest.FixtureRequest) -> Shop:
    """The shop, whose campaign withholds a fifth and asks for a name above one yuan a year."""
    shop: Shop = request.getfixturevalue(request.param)
    now = shop.container.clock.now()

    def change(session: Session) -> None:
        campaign = shop.ids["campaign"]
        rules = campaigns.rules_of(session, campaign, 1).to_json()
        rules["tax"] = {"mode": "incidental_withhold", "identity_over_fen": 100}
        campaigns.save_version(session, campaign_id=campaign, document=rules, now=now, actor=OLGA)
        came = campaigns.change(session, campaign_id=campaign, now=now, actor=OLGA, reason="the tax office")
        campaigns.approve(session, campaign_id=campaign, rules_sha256=came.sha256, now=now, actor=PETER)

    shop.container.db.transact(change)
    return shop


def identity(shopper: Shopper, **changes: str) -> dict[str, str]:
    notice = shopper.ok("GET", "/tax")["notice"]
    assert "证件号码" in notice["text_zh"]
    return {
        "name": "李雷",
        "document": "resident_id",
        "number": NUMBER,
        "notice_version": notice["version"],
        **changes,
    }


def get_paid(shopper: Shopper, award: dict[str, Any]) -> None:
    collected = shopper.collect(award)
    assert collected.status_code == 200, collected.text
    shopper.confirm(collected.json()["transfer"])
    shopper.wait_for(award, "fulfilled")


def test_a_shopper_gets_the_net_amount_and_says_who_they_are_above_the_limit(taxing_shop: Shop) -> None:
    shop = taxing_shop
    shopper = shop.shopper().member()
    award = shopper.win()
    assert (award["amount_fen"], award["tax_withheld_fen"], award["tax_borne_fen"]) == (100, 20, 0)
    get_paid(shopper, award)
    assert shopper.balance_fen() == 80

    second = shopper.win()
    refused = shopper.collect(second)
    assert (refused.status_code, refused.json()["code"]) == (409, "identity_wanted")
    assert refused.json()["over_fen"] == 100
    assert shopper.award(second)["state"] == "collectible"
    path = "/tax/identity"
    for changes, status, code in (
        ({"number": NUMBER[:-1] + "0"}, 409, "bad_identity"),
        ({"number": card(date(2026, 1, 1))}, 403, "guardian_wanted"),
        ({"notice_version": "2020-1"}, 409, "notice_outdated"),
        ({"document": "driving_licence"}, 422, "invalid_input"),
    ):
        answer = shopper.call("POST", path, identity(shopper, **changes))
        assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    given = shopper.ok("POST", path, identity(shopper), key="identity-1")
    assert given["identity"] | {"given_at": ""} == {
        "name_masked": "李*",
        "document": "resident_id",
        "number_masked": "*" * 14 + NUMBER[-4:],
        "given_at": "",
    }
    assert shopper.ok("POST", path, identity(shopper), key="identity-1") == given

    get_paid(shopper, second)
    assert shopper.balance_fen() == 160
    assert shopper.ok("GET", "/tax")["year"] == {"awards": 2, "income_fen": 200, "tax_fen": 40}
    assert shopper.call("DELETE", path).json()["code"] == "identity_kept"
    assert shop.shopper().member().ok("GET", "/tax")["identity"] is None
    _audit(shop)


def _audit(shop: Shop) -> None:
    """What was withheld is on the account, and no stored answer names anybody."""
    assert shop.faults_of_the_books() == []
    with shop.container.db.read() as session:
        account = queries.withheld_account_id(session, brand_id=shop.ids["brand"])
        assert account is not None
        assert open_balance(session, account) == 40
        stored = str(list(session.scalars(select(IdempotencyKey.answer))))
    assert NUMBER not in stored
    assert "李" not in stored


def test_whoever_has_collected_nothing_taxed_takes_the_name_back(taxing_shop: Shop) -> None:
    shopper = taxing_shop.shopper().member()
    shopper.ok("POST", "/tax/identity", identity(shopper))
    assert shopper.call("DELETE", "/tax/identity").status_code == 204
    assert shopper.ok("GET", "/tax")["identity"] is None
    assert shopper.call("DELETE", "/tax/identity").status_code == 204


def test_a_snapshot_visit_says_nothing_about_itself(taxing_shop: Shop) -> None:
    visitor = taxing_shop.shopper()
    visitor.login(virtual=True)
    answer = visitor.call("POST", "/tax/identity", identity(visitor))
    assert (answer.status_code, answer.json()["code"]) == (403, "virtual_person")


def test_the_published_rules_say_it(taxing_shop: Shop) -> None:
    shopper = taxing_shop.shopper().member()
    offered = shopper.scan()["campaign"]["id"]
    said = shopper.ok("GET", f"/campaigns/{offered}/rules")
    assert "按20%的税率由主办方扣缴个人所得税" in said["text_zh"]
    assert "the winner bears it" in said["text_en"]
    assert said["rules"]["tax"]["mode"] == "incidental_withhold"
