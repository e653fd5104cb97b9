"""Claiming a voucher, and what it tells of whoever claims it, for marketing later on (PAY-11).

Kept are the prize, the product that brought it, what was answered to the question for a phone number, and
whether marketing was agreed to: once an award. The number itself is where all numbers are, sealed. The
voucher hangs on none of it: whoever declines gets it all the same (contract 13.2).
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from app.campaigns.models import Campaign, Draw, PhoneTold, PrizeClaim
from app.campaigns.queries import phone_at_collection
from app.db.once import insert_once
from app.identity.queries import Cluster, has_phone
from app.members import marketing
from app.rewards import operations as rewards
from app.rewards.models import AwardState
from app.rewards.queries import AwardView
from app.vouchers.interfaces import VoucherSupplier

_ORIGIN = "voucher"


def claim_voucher(
    session: Session,
    *,
    award: AwardView,
    person_id: int,
    cluster: Cluster,
    supplier: VoucherSupplier,
    now: datetime,
    phone_declined: bool = False,
    marketing_consent: bool = False,
) -> AwardView:
    """Collect a voucher, and keep what that tells, once.

    Where the campaign asks for the phone at collection, a claim without a number and without
    `phone_declined` raises PhoneWanted. `marketing_consent`: the box was ticked; whether it counts,
    `marketing.agree` says. Raises what rewards.collect_voucher raises.
    """
    asks = phone_at_collection(session, campaign_id=award.campaign_id)
    given = has_phone(session, person_ids=cluster.person_ids)
    agreed = marketing_consent and marketing.agree(
        session, person_id=person_id, brand_id=award.brand_id, origin=_ORIGIN, now=now
    )
    collected = rewards.collect_voucher(
        session,
        award_id=award.id,
        person_id=person_id,
        cluster=cluster,
        supplier=supplier,
        now=now,
        phone_wanted=asks and not given and not phone_declined,
    )
    if award.state is AwardState.FULFILLED:
        # What was told is kept with the first claim; of one from before there were such rows nobody knows.
        return collected
    told = PhoneTold.GIVEN if given else PhoneTold.DECLINED if asks else PhoneTold.NOT_ASKED
    drawn = select(Draw.prize, Draw.facts["sku"].as_string()).where(Draw.id == award.draw_id)
    prize, sku = session.connection().execute(drawn).first() or (None, None)
    row = {
        "award_id": award.id,
        "campaign_id": award.campaign_id,
        "person_id": person_id,
        "prize": prize,
        "sku": sku,
        "phone": told,
        "marketing": agreed,
        "claimed_at": now,
    }
    insert_once(session, insert(PrizeClaim), row)
    return collected


class ClaimView(NamedTuple):
    """A claim; prize and sku are None for what was granted by hand.

    marketing: what was said with the claim, and nothing that may be acted on; agrees_now: whether the person
    agrees to marketing of the brand by phone at present, whatever account and occasion it was said with.
    """

    award_id: int
    person_id: int
    prize: str | None
    sku: str | None
    phone: PhoneTold
    marketing: bool
    claimed_at: datetime
    agrees_now: bool


def claims(session: Session, *, campaign_id: int, limit: int = 200) -> Sequence[ClaimView]:
    """Return who claimed vouchers of a campaign, the latest first; two statements."""
    row = PrizeClaim
    wanted = (
        select(
            Campaign.brand_id,
            row.award_id,
            row.person_id,
            row.prize,
            row.sku,
            row.phone,
            row.marketing,
            row.claimed_at,
        )
        .join(Campaign, Campaign.id == row.campaign_id)
        .where(row.campaign_id == campaign_id)
        .order_by(row.claimed_at.desc(), row.award_id.desc())
        .limit(limit)
    )
    found = session.connection().execute(wanted).all()
    if not found:
        return []
    persons = {claim.person_id for claim in found}
    agreeing = marketing.who_agrees(session, person_ids=persons, brand_id=found[0].brand_id)
    return [
        ClaimView(
            award_id=claim.award_id,
            person_id=claim.person_id,
            prize=claim.prize,
            sku=claim.sku,
            phone=claim.phone,
            marketing=claim.marketing,
            claimed_at=claim.claimed_at,
            agrees_now=claim.person_id in agreeing,
        )
        for claim in found
    ]
