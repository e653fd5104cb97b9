"""Finding diversion in new scans, and deciding the cases (CODE-06).

The job reads every scan once, in the order of ids, up to a watermark. A scan carries where its code had been
shipped as far as that was known then, so the database picks the foreign ones without looking anything up,
and what a run costs grows with the scans that are new, whatever the number of shipments. Scans whose
transaction may still be open are left for the next run: ids grow with time, and the job stays a minute
behind. For the same reason a portion is a stretch of time: counting scans off would read them once more.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import String, and_, exists, func, insert, literal, or_, select, tuple_, update
from sqlalchemy.orm import Session, aliased

from app.alerts.models import Severity
from app.alerts.operations import raise_alert, resolve_alert
from app.codes.models import CodeRange, RangeAspect, Scan
from app.codes.outcome import ScanOutcome
from app.codes.queries import code_facts
from app.db.once import insert_once
from app.identity.models import Person
from app.kernel.actor import Actor
from app.kernel.ids import id_distance, new_id
from app.organisation.errors import UnknownDealer
from app.organisation.queries import dealer_by_code
from app.organisation.regions import COUNTRY
from app.trace.diversion import (
    DIVERSION_TRANSITIONS,
    DiversionRules,
    DiversionState,
    Sighting,
    is_case,
    is_foreign,
)
from app.trace.errors import InvalidDecision, UnknownDiversion
from app.trace.models import Diversion, DiversionEvidence, TraceWatermark

PORTION = id_distance(15 * 60)
"""Which ids one transaction reads: those of a quarter of an hour, from the first new scan on."""

SETTLED_SECONDS = 60.0
"""How old a scan's id must be: no transaction that wrote one lasts as long."""

ALERT = "trace.diversion"
_WATERMARK = "diversion"
_MAX_REASON = 200
_MOST_SIGHTINGS = 10_000
# In the hands of somebody: neither in the factory nor in the warehouse.
_OUTSIDE = (
    ScanOutcome.OK,
    ScanOutcome.FROZEN,
    ScanOutcome.DRAWN_BY_ME,
    ScanOutcome.DRAWN_BY_ANOTHER,
    ScanOutcome.PACKAGE,
)


class _Group(NamedTuple):
    """Goods shipped together, and where they were found."""

    batch_id: int
    first_index: int
    found_region: str


def detect(session: Session, *, upto_id: int, rules: DiversionRules, now: datetime) -> int | None:
    """Read the next portion of scans up to `upto_id`; return how many were elsewhere, None when none is left.

    Opens cases and adds evidence to open ones. The watermark's row is locked, so two jobs take turns.
    """
    after = _lock_watermark(session, now)
    first = session.execute(select(func.min(Scan.id)).where(Scan.id > after, Scan.id <= upto_id)).scalar()
    if first is None:
        return None
    last = min(first + PORTION, upto_id)
    last = session.execute(select(func.max(Scan.id)).where(Scan.id >= first, Scan.id <= last)).scalar_one()
    kept = session.connection().execute(_collect(after, last)).rowcount
    for group in _candidates(session, after, last, rules):
        _judge(session, group, rules, now)
    _add_to_open(session, after, last)
    session.execute(
        update(TraceWatermark).where(TraceWatermark.name == _WATERMARK).values(scan_id=last, at=now)
    )
    return kept


def _lock_watermark(session: Session, now: datetime) -> int:
    insert_once(session, insert(TraceWatermark), {"name": _WATERMARK, "scan_id": 0, "at": now})
    locked = select(TraceWatermark.scan_id).where(TraceWatermark.name == _WATERMARK).with_for_update()
    return int(session.execute(locked).scalar_one())


def _collect(after: int, last: int) -> Any:
    """Return the statement that keeps the foreign ones of some scans; `is_foreign` in SQL."""
    shipped, region = Scan.shipped_region, Scan.region
    shipped_city, found_city = func.substr(shipped, 3, 2), func.substr(region, 3, 2)
    found = select(
        Scan.id,
        Scan.batch_id,
        Scan.shipped_first,
        shipped,
        func.substr(region, 1, 4, type_=String).concat("00"),
        Scan.person_id,
        Scan.code_index,
        Scan.at,
    ).where(
        Scan.id > after,
        Scan.id <= last,
        region != shipped,
        or_(
            func.substr(shipped, 1, 2) != func.substr(region, 1, 2),
            and_(shipped_city != "00", found_city != "00", shipped_city != found_city),
        ),
        region != COUNTRY,
        shipped != COUNTRY,
        Scan.outcome.in_(_OUTSIDE),
    )
    names = [
        "scan_id",
        "batch_id",
        "first_index",
        "shipped_region",
        "found_region",
        "person_id",
        "code_index",
        "at",
    ]
    return insert(DiversionEvidence).from_select(names, found)


def _candidates(session: Session, after: int, last: int, rules: DiversionRules) -> list[_Group]:
    """Return the groups that have new evidence, no open case, and enough of it within reach of the new."""
    evidence, new = DiversionEvidence, aliased(DiversionEvidence)
    keys = (evidence.batch_id, evidence.first_index, evidence.found_region)
    fresh = evidence.scan_id.between(after + 1, last)
    earliest = session.execute(select(func.min(evidence.at)).where(fresh)).scalar()
    if earliest is None:
        return []
    is_open = exists().where(
        Diversion.state == DiversionState.OPEN,
        Diversion.batch_id == evidence.batch_id,
        Diversion.first_index == evidence.first_index,
        Diversion.found_region == evidence.found_region,
    )
    touched = select(new.batch_id, new.first_index, new.found_region).where(
        new.scan_id.between(after + 1, last)
    )
    groups = (
        select(*keys)
        .where(
            tuple_(*keys).in_(touched),
            evidence.diversion_id.is_(None),
            evidence.at > earliest - timedelta(days=rules.days),
            ~is_open,
        )
        .group_by(*keys)
        .having(
            func.count(evidence.person_id.distinct()) >= rules.persons,
            func.count(evidence.code_index.distinct()) >= rules.codes,
        )
        .order_by(*keys)
    )
    return [_Group(*row) for row in session.execute(groups)]


def _of(group: _Group, diversion_id: int | None = None) -> Any:
    """Return the condition for the evidence of a group that belongs to a case, or to none yet."""
    return and_(
        DiversionEvidence.batch_id == group.batch_id,
        DiversionEvidence.first_index == group.first_index,
        DiversionEvidence.found_region == group.found_region,
        DiversionEvidence.diversion_id == diversion_id,
    )


def _judge(session: Session, group: _Group, rules: DiversionRules, now: datetime) -> None:
    """Open a case if the evidence of a group is one."""
    person = func.coalesce(Person.one_id, DiversionEvidence.person_id)
    latest = (
        select(person, DiversionEvidence.code_index, DiversionEvidence.at)
        .outerjoin(Person, Person.id == DiversionEvidence.person_id)
        .where(_of(group))
        .order_by(DiversionEvidence.at.desc())
        .limit(_MOST_SIGHTINGS)
    )
    sightings = [Sighting(*row) for row in session.execute(latest)][::-1]
    facts = code_facts(session, batch_id=group.batch_id, code_index=sightings[-1].code_index)
    if facts.region is None or not is_foreign(facts.region, group.found_region):
        return  # shipped on since, and rightly there
    dealer = facts.attributes.get("dealer")
    if is_case(
        sightings,
        found=group.found_region,
        dealer_regions=_dealer_regions(session, dealer),
        rules=rules,
    ):
        _open(session, group, dealer, rules, now)


def _dealer_regions(session: Session, dealer: str | None) -> Sequence[str]:
    try:
        return dealer_by_code(session, code=dealer).regions if dealer else ()
    except UnknownDealer:
        return ()  # a name that somebody typed: nothing is known of its regions


def _open(session: Session, group: _Group, dealer: str | None, rules: DiversionRules, now: datetime) -> None:
    region = select(DiversionEvidence.shipped_region).where(_of(group))
    latest = region.order_by(DiversionEvidence.scan_id.desc()).limit(1)
    shipped_region = session.execute(latest).scalar_one()
    # The range as it was shipped; cut since, it ends at least where a code was found.
    whole = select(CodeRange.last_index).where(
        CodeRange.batch_id == group.batch_id,
        CodeRange.aspect == RangeAspect.SHIPPED,
        CodeRange.first_index == group.first_index,
    )
    farthest = select(func.max(DiversionEvidence.code_index)).where(_of(group))
    last_index = max(session.execute(whole).scalar() or 0, session.execute(farthest).scalar_one())
    diversion_id = new_id()
    row = {
        "id": diversion_id,
        **group._asdict(),
        "last_index": last_index,
        "shipped_region": shipped_region,
        "dealer": dealer[:32] if dealer else None,
        "state": DiversionState.OPEN,
        "open_key": f"{group.batch_id}/{group.first_index}/{group.found_region}",
        "persons": 0,
        "codes": 0,
        "scans": 0,
        "first_at": now,
        "last_at": now,
        "rules": {"persons": rules.persons, "codes": rules.codes, "days": rules.days},
        "opened_at": now,
    }
    session.execute(insert(Diversion).values(**row))
    session.execute(update(DiversionEvidence).where(_of(group)).values(diversion_id=diversion_id))
    _count(session, diversion_id, group)
    raise_alert(
        session,
        kind=ALERT,
        subject=str(diversion_id),
        severity=Severity.WARNING,
        detail=f"goods of batch {group.batch_id} that were shipped to {shipped_region} are scanned in"
        f" {group.found_region}; `saoma trace diversions show {diversion_id}`, then confirm or dismiss it",
        now=now,
    )


def _add_to_open(session: Session, after: int, last: int) -> None:
    """Give new evidence to the cases that are open for its group."""
    fresh = (
        select(Diversion.id, Diversion.batch_id, Diversion.first_index, Diversion.found_region)
        .distinct()
        .join(
            DiversionEvidence,
            and_(
                DiversionEvidence.batch_id == Diversion.batch_id,
                DiversionEvidence.first_index == Diversion.first_index,
                DiversionEvidence.found_region == Diversion.found_region,
                DiversionEvidence.diversion_id.is_(None),
                DiversionEvidence.scan_id.between(after + 1, last),
            ),
        )
        .where(Diversion.state == DiversionState.OPEN)
    )
    for diversion_id, batch_id, first_index, found_region in session.execute(fresh).all():
        group = _Group(batch_id, first_index, found_region)
        session.execute(update(DiversionEvidence).where(_of(group)).values(diversion_id=diversion_id))
        _count(session, diversion_id, group)


def _count(session: Session, diversion_id: int, group: _Group) -> None:
    """Write into a case what its evidence comes to."""
    evidence = DiversionEvidence
    person = func.coalesce(Person.one_id, evidence.person_id)
    found = (
        select(
            func.count(person.distinct()).label("persons"),
            func.count(evidence.code_index.distinct()).label("codes"),
            func.count(literal(1)).label("scans"),
            func.min(evidence.at).label("first_at"),
            func.max(evidence.at).label("last_at"),
        )
        .outerjoin(Person, Person.id == evidence.person_id)
        .where(_of(group, diversion_id))
    )
    counts = session.execute(found).one()
    session.execute(update(Diversion).where(Diversion.id == diversion_id).values(**counts._asdict()))


def decide(
    session: Session,
    *,
    diversion_id: int,
    state: DiversionState,
    reason: str,
    actor: Actor,
    now: datetime,
) -> None:
    """Confirm or dismiss a case, with a reason; its alert is settled.

    What is scanned afterwards can open another. Raise UnknownDiversion, InvalidDecision, TransitionRefused.
    """
    if not 1 <= len(reason.strip()) <= _MAX_REASON:
        raise InvalidDecision(f"a reason has 1 to {_MAX_REASON} characters")
    locked = select(Diversion.state).where(Diversion.id == diversion_id).with_for_update()
    before = session.execute(locked).scalar()
    if before is None:
        raise UnknownDiversion("there is no such case; `saoma trace diversions list` shows them")
    DIVERSION_TRANSITIONS.require(before, state)
    session.execute(
        update(Diversion)
        .where(Diversion.id == diversion_id)
        .values(state=state, open_key=None, decided_at=now, decided_by=actor.label, reason=reason)
    )
    resolve_alert(session, kind=ALERT, subject=str(diversion_id), by=actor.label, now=now)
