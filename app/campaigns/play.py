"""The draw: one transaction from a scan to an award (architecture, section 3).

Locks are taken in one order: the person's cluster first, the code by its primary key, the campaign's row
shared, and the hot accounts last, right before the commit. What is left is read before the
decision and guarded after it; when somebody else was faster, `Replay` undoes everything and the draw is
decided again on fresh facts. The numbers it rolls stay the same: they depend on the chance alone.

Ten statements with the edge's two, whoever draws and whatever they win in money, and one more where risk is
switched on; docs/campaigns.md lists them. The writes make one round trip at the end.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import bindparam, insert, select
from sqlalchemy.orm import Session

from app.campaigns import queries
from app.campaigns.book import CampaignBook, PublishedVersion
from app.campaigns.context import (
    Candidate,
    Counts,
    DrawContext,
    ask_context,
    ask_scan,
    held_for_cases,
    offers,
)
from app.campaigns.draw import Outcome, Refusal, Result, decide, kept_from, refusal_of
from app.campaigns.errors import (
    CaptchaNeeded,
    CodeNotDrawable,
    DrawCapReached,
    DrawRefused,
    NoCampaign,
    NotEligible,
    SoldOut,
    VerificationNeeded,
)
from app.campaigns.facts import Behaviour, DrawFacts, choose_region
from app.campaigns.interfaces import NoTags, PersonTags
from app.campaigns.models import Campaign, CampaignState, Draw, Purpose
from app.campaigns.queries import DrawView
from app.campaigns.rules import PhonePolicy, PrizeKind, Rules
from app.campaigns.seed import Chance, DrawStream
from app.campaigns.verify import DrawRecord, make_record
from app.campaigns.vetting import Vetting, look
from app.codes.errors import UnknownScan
from app.codes.operations import claim
from app.codes.outcome import CodeFacts, CodeLevel, ScanOutcome, decide_case
from app.db.engine import Replay
from app.db.prepared import Prepared
from app.identity.clusters import ask_cluster
from app.identity.errors import VirtualPerson
from app.identity.queries import Cluster, Principal, has_phone
from app.incentives.queries import supplied_store
from app.kernel.errors import DomainError
from app.kernel.ids import new_id
from app.ledger.models import AccountKind
from app.ledger.operations import AccountRef, bound, hot_rows_last
from app.members.errors import NotAMember, PolicyOutdated
from app.rewards import queries as rewards
from app.rewards.errors import PhoneWanted
from app.rewards.models import AwardKind
from app.rewards.new_award import NewAward
from app.rewards.operations import grant
from app.rewards.queries import AwardView
from app.risk.book import RiskBook
from app.risk.lists import Level, Step, Verdict
from app.risk.queries import judge_subjects, subjects_of
from app.risk.signals import Circumstances
from app.risk.watch import Hit, note_hit

_MAX_REMARK = 32
_MAX_REASON = 200


@dataclass(frozen=True, slots=True)
class Visit:
    """The circumstances of a draw that only the edge knows.

    address is the shopper's network address; the regions are adcodes, that of the address and that of a
    position the shopper chose to share. behaviour is how the chance is played. phone_declined: the shopper
    was asked for a phone number and keeps it. rank is WeChat's risk rank of the shopper, None when it was not
    asked for (rank_asked False) or did not come. captcha_passed: this shopper has solved a captcha for this
    scan (app.risk.captchas).
    """

    address: str | None = None
    address_region: str | None = None
    location_region: str | None = None
    behaviour: Behaviour = Behaviour.SCAN
    phone_declined: bool = False
    rank: int | None = None
    rank_asked: bool = False
    captcha_passed: bool = False


@dataclass(frozen=True, slots=True)
class Played:
    """A draw and its award; `fresh` False: it was drawn before, and nothing has happened now."""

    draw: DrawView
    award: AwardView | None
    fresh: bool


def play(
    session: Session,
    *,
    book: CampaignBook,
    scan_id: int,
    principal: Principal,
    now: datetime,
    visit: Visit = Visit(),
    tags: PersonTags = NoTags(),  # noqa: B008 - stateless
    risk: RiskBook | None = None,
) -> Played:
    """Draw for a scanned code and grant what was won (DRAW-01 to DRAW-09, DRAW-18).

    A code that this person has drawn already gives the same draw again. Args: principal is who asks; `now`
    counts as the moment of the draw; `risk` knows the risk rules in force, None for none. Raises
    VirtualPerson, UnknownScan, CodeNotDrawable, CodeAlreadyDrawn, NoCampaign, NotAMember, PolicyOutdated,
    NotEligible, PhoneWanted, DrawCapReached, DrawRefused, VerificationNeeded, CaptchaNeeded, SoldOut; Replay
    when a race was lost, for `Database.transact`.
    """
    if principal.virtual:
        raise VirtualPerson("this visit has no WeChat identity; open the mini-program and sign in")
    locking = ask_cluster(session, person_id=principal.person_id, root_id=principal.root_id)
    scanned = ask_scan(session, scan_id=scan_id, now=now)
    cluster, scan = locking(), scanned()
    if scan is None or scan.person_id not in cluster.person_ids:
        raise UnknownScan("you have no scan with this id")
    code = scan.code
    if code is None or scan.shelf is None:
        raise CodeNotDrawable("the scan read no code of ours", outcome=str(ScanOutcome.UNKNOWN))
    outcome = decide_case(code, cluster.person_ids)
    if outcome is ScanOutcome.DRAWN_BY_ME:
        assert code.draw_id is not None
        return _played_before(session, book, code.draw_id, cluster)
    if outcome is not ScanOutcome.OK:
        raise CodeNotDrawable("the code gives no draw now; `outcome` says why", outcome=str(outcome))
    facts = scan.shelf.facts(code, at=now, behaviour=visit.behaviour)
    held = offers(session, book=book, shelf=scan.shelf, facts=facts, level=code.level)
    if code.level is CodeLevel.CASE:
        if not held:
            raise CodeNotDrawable("the code is that of a case", outcome=str(ScanOutcome.PACKAGE))
        facts = replace(facts, store=supplied_store(session, case=code, person_ids=cluster.person_ids))
    if not held:
        raise NoCampaign("no campaign runs for this product now")
    regions = _Regions(code.region, visit.address_region or scan.region, visit.location_region)
    person = _person(
        session,
        cluster,
        visit,
        tags,
        now=now,
        code=code,
        held=held,
        regions=regions,
        for_cases=held_for_cases(session, book=book, shelf=scan.shelf),
        risk=risk,
    )
    candidate, version, facts = _choose(held, facts, person, regions)
    _require_phone(session, cluster, visit, version, facts)
    return _draw(
        session,
        candidate,
        version,
        facts,
        chance=Chance(version.campaign_id, code.batch_id, code.code_index),
        scan_id=scan_id,
        person_id=principal.person_id,
        vetting=person.vetting,
    )


def _played_before(session: Session, book: CampaignBook, draw_id: int, cluster: Cluster) -> Played:
    draw = queries.draw(session, book=book, draw_id=draw_id, person_ids=cluster.person_ids)
    return Played(draw, rewards.award_of_draw(session, draw_id=draw_id), fresh=False)


@dataclass(frozen=True, slots=True)
class _Person:
    """Who draws: what one statement told, judged."""

    context: DrawContext
    vetting: Vetting
    tags: frozenset[str]


def _person(
    session: Session,
    cluster: Cluster,
    visit: Visit,
    tags: PersonTags,
    *,
    now: datetime,
    code: CodeFacts,
    held: Sequence[tuple[Candidate, PublishedVersion]],
    regions: "_Regions",
    for_cases: Collection[int],
    risk: RiskBook | None,
) -> _Person:
    subjects = subjects_of(person_ids=cluster.person_ids, batch_id=code.batch_id, address=visit.address)
    zone = held[0][1].rules.profile.zone
    day = now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    about = Circumstances(
        batch_id=code.batch_id,
        code_index=code.code_index,
        address=visit.address,
        shipped_region=regions.shipped,
        address_region=regions.address,
        rank=visit.rank,
        rank_asked=visit.rank_asked,
        captcha_passed=visit.captcha_passed,
    )
    asking = ask_context(
        session,
        person_ids=cluster.person_ids,
        hashes=[subject.digest for subject in subjects],
        account_ids=[account.id for _, version in held for account in _guarded(version).values()],
        day=day,
    )
    looking = look(
        session,
        risk=risk,
        versions=[version for _, version in held],
        about=about,
        cluster=cluster,
        day=day,
        now=now,
    )
    context = asking()
    if not context.is_member:
        raise NotAMember("join first; only members draw")
    if not context.consents:
        raise PolicyOutdated("agree to the current privacy policy first")
    asked = frozenset[str]().union(*(version.rules.tags_read for _, version in held))
    known = frozenset(tags.tags_of(session, person_ids=cluster.person_ids)) if asked else frozenset()
    verdict = Verdict(Level.PASS)
    if context.listed:
        verdict = judge_subjects(session, subjects, person_ids=cluster.person_ids, now=now)
    # Drawing with the cases of a delivery is work, like scanning them.
    today = [counts.today for campaign_id, counts in context.counts.items() if campaign_id not in for_cases]
    about = replace(about, draws_today=sum(today))
    vetting = looking.vet(about, listed=verdict, now=now)
    return _Person(context, vetting, asked & known)


def _guarded(version: PublishedVersion) -> dict[tuple[Purpose, str], AccountRef]:
    """Return the accounts whose balances a draw by this version must know."""
    return {
        place: account for place, account in version.accounts.items() if account.kind is AccountKind.GUARDED
    }


@dataclass(frozen=True, slots=True)
class _Regions:
    """The adcodes that a draw's region may come from."""

    shipped: str | None
    address: str | None
    location: str | None


def _choose(
    held: Sequence[tuple[Candidate, PublishedVersion]], facts: DrawFacts, person: _Person, regions: _Regions
) -> tuple[Candidate, PublishedVersion, DrawFacts]:
    """Return the first campaign whose conditions this person meets, and what its draw sees."""
    for candidate, version in held:
        seen = _seen(facts, version, person, regions)
        if refusal_of(seen, version.rules) is not Refusal.NOT_ELIGIBLE:
            return candidate, version, seen
    raise NotEligible("the conditions of the campaign are in its published rules")


def _require_phone(
    session: Session, cluster: Cluster, visit: Visit, version: PublishedVersion, facts: DrawFacts
) -> None:
    """Raise PhoneWanted where the rules ask for a phone number first and none was given nor declined.

    One more statement, in such campaigns only. Whoever may not draw anyway is not asked; whoever declines
    draws, since a prize must not hang on the number (contract 13.2).
    """
    asks = version.rules.phone_policy is PhonePolicy.BEFORE_DRAW and not visit.phone_declined
    if not asks or refusal_of(facts, version.rules) is not None:
        return
    if not has_phone(session, person_ids=cluster.person_ids):
        raise PhoneWanted("give your phone number, or go on without")


def _seen(facts: DrawFacts, version: PublishedVersion, person: _Person, regions: _Regions) -> DrawFacts:
    context = person.context
    counts = context.counts.get(version.campaign_id, Counts(0, 0))
    left = {place: context.balances[account.id] for place, account in _guarded(version).items()}
    verdict = person.vetting.verdict(version.campaign_id)
    return replace(
        facts,
        nth_draw=counts.draws + 1,
        draws_today=counts.today,
        new_customer=not context.counts,
        tier=context.tier,
        tags=tuple(sorted(person.tags & version.rules.tags_read)),
        region=choose_region(
            shipped=regions.shipped,
            address=regions.address,
            location=regions.location,
            location_counts=version.rules.location_counts,
        ),
        level=verdict.level,
        reasons=verdict.reasons,
        signals={str(name): number for name, number in person.vetting.signals.items()},
        risk_policy=person.vetting.policy_id(version.campaign_id),
        sold_out=tuple(
            sorted(
                prize.key
                for prize in version.rules.prizes
                if prize.stock is not None and left[Purpose.STOCK, prize.key] < 1
            )
        ),
        budget_left_fen=left[Purpose.BUDGET, ""],
        pool_budgets_left_fen={
            pool.key: left[Purpose.POOL_BUDGET, pool.key] for pool in version.rules.pools if pool.own_budget
        },
        stock_left={
            key: left[Purpose.STOCK, key] for kept in version.rules.kept_fen.values() for key in kept
        },
    )


def _draw(
    session: Session,
    candidate: Candidate,
    version: PublishedVersion,
    facts: DrawFacts,
    *,
    chance: Chance,
    scan_id: int,
    person_id: int,
    vetting: Vetting,
) -> Played:
    """Decide, then write: the code's claim, the draw, the award with the hot rows last."""
    outcome = decide(facts, version.rules, DrawStream(version.seed, chance))
    place = (chance.batch_id, chance.code_index)
    hit = vetting.hit(version, facts, place=place, scan_id=scan_id, person_id=person_id)
    if outcome.refusal is not None:
        raise _refused(outcome.refusal, facts, hit, vetting.verdict(version.campaign_id).step)
    record = make_record(
        draw_id=new_id(),
        version=version.version,
        chance=chance,
        scan_id=scan_id,
        person_id=person_id,
        rules=version.rules,
        facts=facts,
        outcome=outcome,
    )
    claim(
        session,
        batch_id=chance.batch_id,
        code_index=chance.code_index,
        draw_id=record.draw_id,
        person_id=person_id,
        now=facts.at,
    )
    _write(session, record, version, outcome)
    if hit is not None:
        note_hit(session, hit=hit)
    award = None
    if outcome.result is Result.AWARDED:
        # Should somebody have taken the last of it since it was read: everything again, on fresh facts.
        with hot_rows_last(session):
            held = ", ".join(facts.reasons)[:_MAX_REASON] if facts.level is Level.HOLD else None
            award = grant(session, award=_award(candidate, version, outcome, record, held), now=facts.at)
            _keep_promises(session, version, facts, outcome)
    return Played(queries.view_of(record, version.rules), award, fresh=True)


def _keep_promises(session: Session, version: PublishedVersion, facts: DrawFacts, outcome: Outcome) -> None:
    """Let no prize be paid out of what is kept for others, whoever else draws at this moment (art. 15).

    The budget must end up with what was kept when it was read. Draws since then only lower that; pieces that
    came back, or in, raise it, so none may have: their rows are looked at, and held, with the budget's.
    """
    rules, accounts = version.rules, version.accounts
    prize = rules.prize_by_key[outcome.prize or ""]
    pool = next(pool for pool in rules.pools if pool.key == outcome.pool)
    kept = rules.kept_fen[pool.budget]
    if prize.key in kept or not rules.charge_fen(prize, outcome.amount_fen):
        return
    budget = accounts[Purpose.POOL_BUDGET if pool.own_budget else Purpose.BUDGET, pool.budget]
    bound(session, budget, least=kept_from(prize, pool, facts, rules))
    for key in kept:
        bound(session, accounts[Purpose.STOCK, key], most=facts.stock_left[key])


_REFUSALS: dict[Refusal, tuple[type[DomainError], str]] = {
    Refusal.NOT_STARTED: (NoCampaign, "the campaign has not started"),
    Refusal.ENDED: (NoCampaign, "the campaign is over"),
    Refusal.NOT_ELIGIBLE: (NotEligible, "the conditions of the campaign are in its published rules"),
    Refusal.CAMPAIGN_CAP: (DrawCapReached, "the rules allow no further draw in this campaign"),
    Refusal.DAY_CAP: (DrawCapReached, "the rules allow no further draw today; come back tomorrow"),
    Refusal.RISK: (DrawRefused, "refused by the rules against abuse; the organiser can be asked why"),
    Refusal.VERIFY: (
        VerificationNeeded,
        "show your phone number, then draw again; the code keeps its chance",
    ),
    Refusal.SOLD_OUT: (SoldOut, "no prize can be paid now; the code keeps its chance, try again later"),
}


def _refused(refusal: Refusal, facts: DrawFacts, hit: Hit | None, step: Step | None) -> DomainError:
    kind, detail = _REFUSALS[refusal]
    error: DrawRefused | VerificationNeeded | CaptchaNeeded
    reasons = list(facts.reasons)
    if kind is DrawRefused:
        error = DrawRefused(detail, reasons=reasons)
    elif kind is VerificationNeeded and step is Step.CAPTCHA:
        error = CaptchaNeeded(
            "solve the captcha and draw again with its ticket; the code keeps its chance",
            step=str(step),
            reasons=reasons,
        )
    elif kind is VerificationNeeded:
        error = VerificationNeeded(detail, step=str(Step.PHONE), reasons=reasons)
    else:
        return kind(detail, refusal=str(refusal))
    error.hit = hit
    return error


# The campaign's row is locked shared by the very statement that writes the draw: a stop waits for draws on
# their way, and no draw follows it. A version that is not in force any more writes nothing.
_COLUMNS = [column for column in Draw.__table__.columns if column.name != "campaign_id"]
_INSERT = Prepared(
    insert(Draw).from_select(
        ["campaign_id", *[column.name for column in _COLUMNS]],
        select(Campaign.id, *[bindparam(column.name, type_=column.type) for column in _COLUMNS])
        .where(
            Campaign.id == bindparam("campaign"),
            Campaign.version == bindparam("in_force"),
            Campaign.state == CampaignState.PUBLISHED,
        )
        .with_for_update(read=True),
    )
)


def _write(session: Session, record: DrawRecord, version: PublishedVersion, outcome: Outcome) -> None:
    row = {
        "id": record.draw_id,
        "version": record.version,
        "scan_id": record.scan_id,
        "batch_id": record.batch_id,
        "code_index": record.code_index,
        "chance": record.chance,
        "person_id": record.person_id,
        "result": outcome.result,
        "pool": outcome.pool,
        "prize": outcome.prize,
        "amount_fen": outcome.amount_fen,
        "points": outcome.points,
        "worth_fen": _worth_fen(version.rules, outcome),
        "facts": record.facts,
        "outcome": record.outcome,
        "seal": record.seal(version.seed),
        "at": record.at,
        "campaign": version.campaign_id,
        "in_force": version.version,
    }
    _INSERT.write_later(session, row, lost=Replay)


def _worth_fen(rules: Rules, outcome: Outcome) -> int:
    """Return what was won is worth in fen, multipliers counted."""
    prize = rules.prize_by_key.get(outcome.prize or "")
    face_fen = 0 if prize is None else prize.face_fen
    return outcome.amount_fen + rules.points_worth_fen(outcome.points) + face_fen


_AWARDS = {
    PrizeKind.MONEY_FIXED: AwardKind.MONEY,
    PrizeKind.MONEY_RANDOM: AwardKind.MONEY,
    PrizeKind.POINTS: AwardKind.POINTS,
    PrizeKind.VOUCHER: AwardKind.VOUCHER,
    PrizeKind.GOODS: AwardKind.GOODS,
}


def _award(
    candidate: Candidate,
    version: PublishedVersion,
    outcome: Outcome,
    record: DrawRecord,
    held: str | None,
) -> NewAward:
    assert outcome.prize is not None
    rules, accounts = version.rules, version.accounts
    prize = rules.prize_by_key[outcome.prize]
    own = next(pool.own_budget for pool in rules.pools if pool.key == outcome.pool)
    budget = (Purpose.POOL_BUDGET, outcome.pool or "") if own else (Purpose.BUDGET, "")
    limited, money = prize.stock is not None, prize.is_money
    costs = rules.charge_fen(prize, outcome.amount_fen) > 0
    return NewAward(
        brand_id=version.brand_id,
        campaign_id=version.campaign_id,
        draw_id=record.draw_id,
        person_id=record.person_id,
        kind=_AWARDS[prize.kind],
        name_zh=prize.name.zh,
        name_en=prize.name.en,
        deadline_at=record.at + timedelta(days=prize.claim_window_days),
        amount_fen=outcome.amount_fen,
        points=outcome.points,
        points_source=version.points_source if outcome.points else None,
        payer_id=candidate.payer_id if money else None,
        delivery=prize.delivery,
        unlock_draws=prize.unlock_draws,
        unlock_helpers=prize.unlock_helpers,
        remark=rules.name.zh[:_MAX_REMARK] if money else "",
        held_reason=held,
        budget=accounts[budget] if costs else None,
        committed=accounts[Purpose.COMMITTED, ""] if costs else None,
        stock=accounts[Purpose.STOCK, prize.key] if limited else None,
        awarded=accounts[Purpose.AWARDED, prize.key] if limited else None,
        tax=rules.tax_on(prize, outcome.amount_fen),
    )
