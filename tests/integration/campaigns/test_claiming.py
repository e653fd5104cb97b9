"""What the claim of a voucher tells (PAY-11)."""

import pytest
from sqlalchemy import text

from app.campaigns import claiming, supplies
from app.campaigns.models import PhoneTold
from app.identity.models import IdentitySource
from app.identity.operations import attach, recognise
from app.identity.queries import Principal, cluster
from app.identity.values import phone_claim
from app.members import marketing
from app.organisation.operations import create_brand
from app.rewards import operations as rewards
from app.rewards.errors import PhoneWanted
from app.rewards.queries import AwardView
from app.rewards.queries import award as award_of
from app.vouchers.models import NEVER
from app.vouchers.operations import StockFile
from app.vouchers.stock_file import NewVoucher
from tests.factories.campaign_world import OLGA, CampaignWorld
from tests.factories.campaigns import pool, voucher


def running(world: CampaignWorld, phone_policy: str) -> int:
    """A campaign of ten vouchers."""
    campaign = world.create()
    pools = [pool("everybody", 0, {"video": 1})]
    world.save(campaign, prizes=[voucher("video", 1500)], pools=pools, phone_policy=phone_policy)
    world.do(
        supplies.take_in,
        campaign_id=campaign,
        prize="video",
        reference="PO-1",
        codes=[NewVoucher(f"CODE-{number}", None, NEVER) for number in range(10)],
        actor=OLGA,
    )
    world.publish(campaign)
    return campaign


def won(world: CampaignWorld, who: Principal) -> AwardView:
    award = world.draw(who).award
    assert award is not None
    return award


def claim(world: CampaignWorld, who: Principal, award: AwardView, **said: bool) -> AwardView:
    return world.do(
        claiming.claim_voucher,
        award=award,
        person_id=who.person_id,
        cluster=world.read(cluster, person_id=who.person_id),
        supplier=StockFile(),
        **said,
    )


def give_phone(world: CampaignWorld, who: Principal) -> None:
    world.do(
        attach,
        person_id=who.person_id,
        identifiers=[phone_claim("13800000001")],
        source=IdentitySource.PHONE_BUTTON,
        actor=OLGA,
    )


def test_prize_product_and_answers_are_kept_once(world: CampaignWorld) -> None:
    campaign = running(world, "at_collection")
    who, other = world.member(), world.member()
    mine, theirs = won(world, who), won(world, other)
    with pytest.raises(PhoneWanted):
        claim(world, who, mine)
    assert world.read(claiming.claims, campaign_id=campaign) == []
    give_phone(world, who)
    claim(world, who, mine, marketing_consent=True)
    world.wait(minutes=1)
    claim(world, who, world.read(award_of, award_id=mine.id, person_ids=[who.person_id]))
    claim(world, other, theirs, phone_declined=True, marketing_consent=True)
    told = world.read(claiming.claims, campaign_id=campaign)
    assert [(it.person_id, it.prize, it.sku, it.phone, it.marketing) for it in told] == [
        (other.person_id, "video", "T-330", PhoneTold.DECLINED, False),
        (who.person_id, "video", "T-330", PhoneTold.GIVEN, True),
    ]
    assert world.read(claiming.claims, campaign_id=campaign, limit=1) == told[:1]


def test_a_consent_that_was_taken_back_is_shown_as_such(world: CampaignWorld) -> None:
    """What was said stays; whether it holds is read anew, over all accounts and for this brand only."""
    campaign = running(world, "at_collection")
    who, other = world.member(), world.member()
    known = world.do(
        recognise,
        identifiers=[phone_claim("13800000001")],
        source=IdentitySource.OFFLINE_PURCHASE,
        actor=OLGA,
    ).person_id
    give_phone(world, who)
    claim(world, who, won(world, who), marketing_consent=True)
    claim(world, other, won(world, other), phone_declined=True)

    def agree_now() -> list[bool]:
        told = world.read(claiming.claims, campaign_id=campaign)
        return [it.agrees_now for it in sorted(told, key=lambda it: it.marketing)]

    assert agree_now() == [False, True]
    elsewhere = world.do(create_brand, slug="coffee", name_zh="咖啡", name_en="Coffee")
    world.do(marketing.withdraw, person_id=who.person_id)
    assert world.do(marketing.agree, person_id=who.person_id, brand_id=elsewhere, origin="voucher")
    assert agree_now() == [False, False]
    assert world.read(claiming.claims, campaign_id=campaign)[1].marketing
    assert world.do(marketing.agree, person_id=known, brand_id=world.brand_id, origin="voucher")
    assert agree_now() == [False, True], "who was known by that number is the same person"


def test_a_voucher_of_the_time_before_claims_were_kept_leaves_none(world: CampaignWorld) -> None:
    """When it was claimed, and what was said then, nobody knows."""
    campaign = running(world, "never")
    who = world.member()
    award = won(world, who)
    then = world.do(
        rewards.collect_voucher,
        award_id=award.id,
        person_id=who.person_id,
        cluster=world.read(cluster, person_id=who.person_id),
        supplier=StockFile(),
    )
    claim(world, who, then)
    assert world.read(claiming.claims, campaign_id=campaign) == []


def test_a_campaign_that_asks_nobody_says_so(world: CampaignWorld) -> None:
    campaign = running(world, "never")
    who = world.member()
    claim(world, who, won(world, who))
    assert [it.phone for it in world.read(claiming.claims, campaign_id=campaign)] == [PhoneTold.NOT_ASKED]


def test_the_number_is_not_in_it(world: CampaignWorld) -> None:
    running(world, "at_collection")
    who = world.member()
    give_phone(world, who)
    claim(world, who, won(world, who))
    with world.db.read() as session:
        assert "1380000" not in str(session.execute(text("SELECT * FROM prize_claims")).all())
