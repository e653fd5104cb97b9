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

from app.campaigns.models import Draw, PhoneTold, PrizeClaim
from app.campaigns.queries import phone_at_collection
from app.db.once import insert_once
from app.identity.queries import Cluster, has_phone
from app.members import marketing
from app.rewards import operations as rewards
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
    """A claim; prize and sku are None for what was granted by hand, marketing is what was said with it."""

    award_id: int
    person_id: int
    prize: str | None
    sku: str | None
    phone: PhoneTold
    marketing: bool
    claimed_at: datetime


def claims(session: Session, *, campaign_id: int, limit: int = 200) -> Sequence[ClaimView]:
    """Return who claimed vouchers of a campaign, the latest first."""
    wanted = (
        select(*(getattr(PrizeClaim, name) for name in ClaimView._fields))
        .where(PrizeClaim.campaign_id == campaign_id)
        .order_by(PrizeClaim.claimed_at.desc(), PrizeClaim.award_id.desc())
        .limit(limit)
    )
    return [ClaimView(*row) for row in session.execute(wanted)]
