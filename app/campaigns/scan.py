"""A scan as its shopper sees it: what the code is, its product, and the campaign it can be drawn for.

Two statements: everything that is known is read in one, and the scan is recorded. It burns nothing.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from app.campaigns.book import CampaignBook
from app.campaigns.context import Seen, read_code
from app.campaigns.queries import Offer, on_offer
from app.catalogue.queries import ProductView
from app.codes.book import CodeBook
from app.codes.format import Parsed
from app.codes.operations import ScanResult, record_scan
from app.codes.outcome import CodeFacts, CodeLevel, ScanOutcome
from app.identity.queries import Principal
from app.incentives.operations import CaseReward, case_scanned
from app.risk.book import RiskBook
from app.risk.counting import count_scan

# Who looks at their own result again says nothing; nor does a factory, where nothing is on sale yet.
_COUNTED = frozenset({ScanOutcome.OK, ScanOutcome.DRAWN_BY_ANOTHER})


@dataclass(frozen=True, slots=True)
class Scanned:
    """A recorded scan.

    product: None when it was no code of ours. offer: the campaign that the code can be drawn for now.
    may_draw: the scanner has joined and agrees to the current privacy policy. staff_reward: what a member
    who works in a store gets for a case; None for everybody else.
    """

    result: ScanResult
    product: ProductView | None
    offer: Offer | None
    may_draw: bool
    staff_reward: CaseReward | None = None


def scan(
    session: Session,
    *,
    code_book: CodeBook,
    campaign_book: CampaignBook,
    text: str | Parsed,
    principal: Principal,
    now: datetime,
    region_hint: str | None = None,
    address: str | None = None,
    risk: RiskBook | None = None,
) -> Scanned:
    """Record a scan and return what it shows (CODE-08); raise NotACode for what has not the shape of a code.

    `text` may be the place of a code that WeChat has vouched for. `region_hint` is the adcode of the scan,
    `address` the network address, if known. Where `risk` is switched on, a scan of a code that is on sale is
    counted: one statement more, the last one. A case that store staff scan is kept as seen in their store
    (CODE-03) and earns them their reward, once (CODE-09); they may draw with it where a campaign is held for
    cases.
    """
    cluster = principal.cluster
    seen: Seen | None = None

    def look_up(session: Session, *, book: CodeBook, parsed: Parsed) -> CodeFacts | None:
        nonlocal seen
        seen = read_code(session, book=book, parsed=parsed, person_ids=cluster.person_ids, now=now)
        return None if seen is None else seen.code

    result = record_scan(
        session,
        book=code_book,
        text=text,
        person_id=principal.person_id,
        cluster=cluster,
        now=now,
        region_hint=region_hint,
        look_up=look_up,
    )
    if seen is None:
        return Scanned(result, None, None, may_draw=False)
    offer = None
    if result.outcome is ScanOutcome.OK:
        offer = on_offer(session, book=campaign_book, code=seen.code, shelf=seen.shelf, now=now)
    watched = risk is not None and risk.watches(session, brand_id=seen.code.brand_id, now=now)
    if watched and result.outcome in _COUNTED:
        count_scan(
            session,
            batch_id=seen.code.batch_id,
            code_index=seen.code.code_index,
            person_id=principal.person_id,
            address=address,
            now=now,
        )
    staff_reward = None
    is_case = result.outcome is ScanOutcome.PACKAGE and seen.code.level is CodeLevel.CASE
    if is_case and seen.may_draw and not principal.virtual:
        taken_in = case_scanned(
            session,
            case=seen.code,
            person_id=principal.person_id,
            person_ids=cluster.person_ids,
            now=now,
        )
        staff_reward = taken_in.reward
        if seen.code.drawn_by is None and taken_in.supplied:
            offer = on_offer(session, book=campaign_book, code=seen.code, shelf=seen.shelf, now=now)
    return Scanned(result, seen.shelf.product, offer, seen.may_draw, staff_reward)
