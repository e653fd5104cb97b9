"""A voucher over HTTP: the code is shown to its winner, and kept out of everything that is stored."""

from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.campaigns import claiming
from app.campaigns.models import PhoneTold
from app.http.models import IdempotencyKey
from app.ledger.models import AccountKind, Asset
from app.ledger.operations import Transfer, ensure_account, post
from app.rewards import operations as rewards
from app.rewards.models import AwardKind
from app.rewards.new_award import NewAward
from app.vouchers import operations as vouchers
from app.vouchers.models import NEVER
from app.vouchers.stock_file import NewVoucher
from tests.support.shop import OLGA, Shop, Shopper


def _award(shop: Shop, shopper: Shopper, *, codes: int = 1) -> dict[str, str]:
    """Something to collect, out of a stock of codes."""
    person = shop.container.public_ids.decode("pe", shopper.login()["person"]["id"])
    now, brand = shop.container.clock.now(), shop.ids["brand"]

    def grant(session: Session) -> int:
        kinds = {"stock": AccountKind.GUARDED, "supply": AccountKind.OPEN, "awarded": AccountKind.OPEN}
        accounts = {
            purpose: ensure_account(
                session, kind=kind, asset=Asset.STOCK, purpose=purpose, owner_id=1, brand_id=brand, now=now
            )
            for purpose, kind in kinds.items()
        }
        vouchers.take_in(
            session,
            brand_id=brand,
            supply_account=accounts["supply"].id,
            stock_account=accounts["stock"].id,
            reference="PO-1",
            codes=[NewVoucher("SECRET-CODE-1", "7777", NEVER)][:codes],
            now=now,
            actor=OLGA,
        )
        post(session, [Transfer("in", accounts["supply"], accounts["stock"], 1, "in", 1)], now=now)
        award = NewAward(
            brand_id=brand,
            campaign_id=shop.ids["campaign"],
            draw_id=1,
            person_id=person,
            kind=AwardKind.VOUCHER,
            name_zh="会员月卡",
            name_en="A month",
            deadline_at=now + timedelta(days=30),
            stock=accounts["stock"],
            awarded=accounts["awarded"],
        )
        return rewards.grant(session, award=award, now=now).id

    return {"id": shop.container.public_ids.encode("aw", shop.container.db.transact(grant))}


def test_a_voucher_is_collected_and_shown_to_its_winner_only(shop: Shop) -> None:
    shopper = shop.shopper().member()
    award = _award(shop, shopper)
    assert shopper.ok("GET", f"/awards/{award['id']}")["voucher"] is None

    first = shopper.collect(award, key="tap-number-1")
    assert first.status_code == 200, first.text
    answer = first.json()
    assert answer["voucher"] == {"code": "SECRET-CODE-1", "pin": "7777", "expires_at": None}
    assert (answer["transfer"], answer["award"]["state"]) == (None, "fulfilled")
    again = shopper.collect(award, key="tap-number-1")
    assert again.json() == answer
    assert shopper.collect(award).json() == answer
    assert shopper.ok("GET", f"/awards/{award['id']}")["voucher"] == answer["voucher"]
    assert "SECRET" not in shopper.get("/awards").text

    other = shop.shopper().member()
    assert other.get(f"/awards/{award['id']}").status_code == 404
    assert other.collect(award).status_code == 404
    with shop.container.db.read() as session:
        stored = session.scalars(select(IdempotencyKey.answer)).all()
    assert "SECRET" not in str(stored)


def _claims(shop: Shop) -> list[tuple[PhoneTold, bool, bool]]:
    with shop.container.db.read() as session:
        found = claiming.claims(session, campaign_id=shop.ids["campaign"])
    return [(claim.phone, claim.marketing, claim.agrees_now) for claim in found]


def test_a_claim_asks_for_the_phone_and_may_be_answered_with_no(shop: Shop) -> None:
    """PAY-11, contract 13.2: the code hangs on neither the number nor the consent."""
    shopper = shop.shopper().member()
    award = _award(shop, shopper)
    asked = shopper.collect(award, phone_declined=False, marketing_consent=True)
    assert (asked.status_code, asked.json()["code"]) == (409, "phone_wanted")
    assert _claims(shop) == []
    declined = shopper.collect(award, marketing_consent=True)
    assert declined.json()["voucher"]["code"] == "SECRET-CODE-1"
    shopper.collect(award)
    assert _claims(shop) == [(PhoneTold.DECLINED, False, False)], (
        "once; and without a number nothing to agree to"
    )
    assert shopper.ok("GET", "/me")["marketing_consent"] is False


def test_marketing_takes_a_consent_of_its_own_and_one_tap_ends_it(shop: Shop) -> None:
    shopper = shop.shopper().member()
    shopper.give_phone()
    award = _award(shop, shopper)
    assert shopper.ok("GET", "/me")["marketing_consent"] is False, "giving a number is no consent"
    assert shopper.collect(award, phone_declined=False, marketing_consent=True).status_code == 200
    assert _claims(shop) == [(PhoneTold.GIVEN, True, True)]
    assert shopper.ok("GET", "/me")["marketing_consent"] is True
    assert shopper.call("DELETE", "/consents/marketing").status_code == 204
    assert shopper.ok("GET", "/me")["marketing_consent"] is False
    assert _claims(shop) == [(PhoneTold.GIVEN, True, False)], "what was said is what was said"


def test_a_stock_without_a_good_code_keeps_the_award(shop: Shop) -> None:
    shopper = shop.shopper().member()
    award = _award(shop, shopper, codes=0)
    answer = shopper.collect(award)
    assert (answer.status_code, answer.json()["code"]) == (409, "vouchers_out")
    assert shopper.award(award)["state"] == "collectible"
