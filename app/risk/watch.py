"""Hits, and what comes of them: marked persons and batches, entries on the black list, alerts (RISK-07).

A hit is one row, written with the draw or, when the draw was refused and rolled back, after it. Everything
that many hits share (a mark, an alert) is done a minute later by the scheduler: in the draw it would be a row
that a whole ring waits for, and every honest shopper with it.

Who was asked for a step, took it and drew has done what the rules want: such a hit is kept, and counts
nowhere. So the sweep leaves a shopper TIME_TO_VERIFY before it looks at a step that was asked for.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, delete, func, insert, or_, select, update
from sqlalchemy.orm import Session, aliased

from app.alerts.models import Severity
from app.alerts.operations import raise_alert, resolve_alert
from app.codes.models import CodeClaim
from app.db.once import insert_once
from app.identity.models import Person
from app.kernel.actor import SYSTEM, Actor
from app.kernel.ids import new_id
from app.risk.errors import UnknownEntry
from app.risk.lists import Level, ListKind, SubjectKind
from app.risk.measures import Signals
from app.risk.models import RiskHit, RiskMark, RiskPolicy
from app.risk.operations import put_on_list
from app.risk.policy import parse_policy

BATCH_ALERT = "risk.batch"
PERSONS_ALERT = "risk.persons"
HITS_BEFORE_ALERT = 20
"""A batch is spoken of when so many hits were on it; a single odd shopper is not news."""

TIME_TO_VERIFY = timedelta(minutes=10)
"""How long a shopper has for a phone number or a captcha, and the draw, before the hit is looked at."""

_WEEK = timedelta(days=7)

_Asked, _Drawer = aliased(Person), aliased(Person)
_ASKED_FOR_A_STEP = and_(RiskHit.level == Level.VERIFY, RiskHit.enforced.is_(True))
_ANSWERED = and_(
    _ASKED_FOR_A_STEP,
    select(CodeClaim.draw_id)
    .join(_Drawer, _Drawer.id == CodeClaim.person_id)
    .join(_Asked, _Asked.one_id == _Drawer.one_id)
    .where(
        CodeClaim.batch_id == RiskHit.batch_id,
        CodeClaim.code_index == RiskHit.code_index,
        _Asked.id == RiskHit.person_id,
    )
    .exists(),
)
"""Whether a step was asked for, and the same human being (any account of theirs) has drawn the code since."""


@dataclass(frozen=True, slots=True)
class Hit:
    """What is kept of a hit; `level` is what the rules said, whether or not it was enforced."""

    brand_id: int
    campaign_id: int
    policy_id: int
    scan_id: int
    person_id: int
    batch_id: int
    code_index: int
    level: Level
    enforced: bool
    reasons: tuple[str, ...]
    signals: Signals
    at: datetime


@dataclass(frozen=True, slots=True)
class MarkView:
    """A marked person or batch."""

    subject_kind: SubjectKind
    subject_id: int
    brand_id: int
    hits: int
    reasons: tuple[str, ...]
    first_at: datetime
    last_at: datetime


def note_hit(session: Session, *, hit: Hit) -> None:
    """Keep a hit; a scan that is tried again adds nothing. One statement."""
    row = {
        "id": new_id(),
        **{name: getattr(hit, name) for name in Hit.__slots__},
        "reasons": list(hit.reasons),
        "signals": {str(name): number for name, number in hit.signals.items()},
        "swept_at": None,
    }
    insert_once(session, insert(RiskHit), row)


def sweep(session: Session, *, now: datetime, limit: int = 500) -> int:
    """Add at most `limit` new hits to the marks, raise alerts, put on lists; return how many there were.

    Steps asked for less than TIME_TO_VERIFY ago stay for a later sweep; those that were taken count nowhere.
    """
    due = or_(~_ASKED_FOR_A_STEP, RiskHit.at <= now - TIME_TO_VERIFY)
    wanted = (
        select(RiskHit)
        .where(RiskHit.swept_at.is_(None), due)
        .order_by(RiskHit.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    hits = session.scalars(wanted).all()
    if not hits:
        return 0
    these = RiskHit.id.in_([hit.id for hit in hits])
    session.connection().execute(update(RiskHit).where(these).values(swept_at=now))
    answered = set(session.scalars(select(RiskHit.id).where(these, _ANSWERED)))
    by_person, by_batch = defaultdict[int, list[RiskHit]](list), defaultdict[int, list[RiskHit]](list)
    for hit in hits:
        if hit.id in answered:
            continue
        by_person[hit.person_id].append(hit)
        by_batch[hit.batch_id].append(hit)
    for batch_id in sorted(by_batch):
        mark = _mark(session, SubjectKind.BATCH, batch_id, by_batch[batch_id])
        _warn_of_batch(session, batch_id, mark, now)
    for person_id in sorted(by_person):
        _mark(session, SubjectKind.PERSON, person_id, by_person[person_id])
    _list_persons(session, by_person, now)
    return len(hits)


def _mark(session: Session, kind: SubjectKind, subject_id: int, hits: Sequence[RiskHit]) -> MarkView:
    this = (RiskMark.subject_kind == kind, RiskMark.subject_id == subject_id)
    moments = sorted(hit.at for hit in hits)
    reasons = {reason for hit in hits for reason in hit.reasons}
    row: dict[str, Any] = {
        "subject_kind": kind,
        "subject_id": subject_id,
        "brand_id": hits[0].brand_id,
        "hits": 0,
        "reasons": [],
        "first_at": moments[0],
        "last_at": moments[-1],
    }
    insert_once(session, insert(RiskMark), row)
    before = (
        session.connection().execute(select(RiskMark.reasons).where(*this).with_for_update()).scalar_one()
    )
    changed = {"reasons": sorted(reasons | set(before)), "last_at": moments[-1]}
    session.connection().execute(
        update(RiskMark).where(*this).values(hits=RiskMark.hits + len(hits), **changed)
    )
    return next(_views(session, *this))


def _warn_of_batch(session: Session, batch_id: int, mark: MarkView, now: datetime) -> None:
    if mark.hits < HITS_BEFORE_ALERT:
        return
    raise_alert(
        session,
        kind=BATCH_ALERT,
        subject=str(batch_id),
        severity=Severity.CRITICAL,
        detail=f"{mark.hits} draws of codes of batch {batch_id} look like abuse ({', '.join(mark.reasons)})."
        " `saoma risk hits` shows them; `saoma awards held` waits for your decision; freeze the range if"
        " the codes have leaked.",
        now=now,
    )


def _list_persons(session: Session, by_person: dict[int, list[RiskHit]], now: datetime) -> None:
    """Put on the black list who was hit often enough by rules that are enforced and ask for it."""
    listed = 0
    for person_id, hits in sorted(by_person.items()):
        latest = hits[-1]
        document = (
            session.connection()
            .execute(select(RiskPolicy.document).where(RiskPolicy.id == latest.policy_id))
            .scalar()
        )
        policy = parse_policy(document) if document is not None else None
        if policy is None or policy.mark_after is None or not latest.enforced:
            continue
        recent = select(func.count()).where(
            RiskHit.person_id == person_id, RiskHit.at > now - _WEEK, RiskHit.enforced.is_(True), ~_ANSWERED
        )
        if session.connection().execute(recent).scalar_one() < policy.mark_after:
            continue
        put_on_list(
            session,
            kind=ListKind.BLACK,
            subject_kind=SubjectKind.PERSON,
            subject=str(person_id),
            reason=f"risk rules hit {policy.mark_after} times in a week: {', '.join(latest.reasons)}"[:200],
            effect=Level.ABNORMAL,
            expires_at=now + timedelta(days=policy.mark_days),
            now=now,
            actor=SYSTEM,
        )
        listed += 1
    if listed:
        raise_alert(
            session,
            kind=PERSONS_ALERT,
            subject="listed",
            severity=Severity.WARNING,
            detail=f"{listed} persons were put on the black list by the risk rules; `saoma risk marks` and"
            " `saoma lists show` tell whom. Take off who does not belong there.",
            now=now,
        )


def clear_mark(
    session: Session, *, subject_kind: SubjectKind, subject_id: int, now: datetime, actor: Actor
) -> None:
    """Forget a mark after a look, and settle its alert; raise UnknownEntry."""
    gone = delete(RiskMark).where(RiskMark.subject_kind == subject_kind, RiskMark.subject_id == subject_id)
    if not session.connection().execute(gone).rowcount:
        raise UnknownEntry("there is no such mark; `saoma risk marks` shows them")
    if subject_kind is SubjectKind.BATCH:
        resolve_alert(session, kind=BATCH_ALERT, subject=str(subject_id), by=actor.label, now=now)


def marks(session: Session, *, brand_id: int, limit: int = 100) -> list[MarkView]:
    """Return the marked persons and batches of a brand, those with most hits first."""
    found = _views(session, RiskMark.brand_id == brand_id)
    return sorted(found, key=lambda mark: -mark.hits)[:limit]


def _views(session: Session, *conditions: Any) -> Iterator[MarkView]:
    row = RiskMark
    wanted: Any = select(
        row.subject_kind, row.subject_id, row.brand_id, row.hits, row.reasons, row.first_at, row.last_at
    ).where(*conditions)
    for found in session.connection().execute(wanted):
        yield MarkView(
            subject_kind=found.subject_kind,
            subject_id=found.subject_id,
            brand_id=found.brand_id,
            hits=found.hits,
            reasons=tuple(found.reasons),
            first_at=found.first_at,
            last_at=found.last_at,
        )


def hits(
    session: Session,
    *,
    brand_id: int,
    person_ids: Sequence[int] = (),
    before: int | None = None,
    limit: int = 50,
) -> Sequence[RiskHit]:
    """Return hits, the newest first, with an id below `before`; of a cluster when `person_ids` are given."""
    wanted = select(RiskHit).where(RiskHit.brand_id == brand_id).order_by(RiskHit.id.desc()).limit(limit)
    if person_ids:
        wanted = wanted.where(RiskHit.person_id.in_(list(person_ids)))
    if before is not None:
        wanted = wanted.where(RiskHit.id < before)
    return session.scalars(wanted).all()
