"""Reading persons, clusters, sessions and conflicts. Hot statements are prebuilt and bounded."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session, aliased

from app.db import secrets
from app.db.prepared import Prepared
from app.identity.errors import SessionEnded, UnknownConflict, UnknownIdentifier, UnknownPerson
from app.identity.models import (
    ConflictReason,
    ConflictState,
    Identifier,
    IdentifierState,
    IdentityConflict,
    IdentityLog,
    IdentityRule,
    IdentitySettings,
    LogAction,
    LoginSession,
    Merge,
    Person,
    Sighting,
)
from app.identity.rules import Rule, Rules
from app.identity.values import Claimed, IdentifierKind, mask, mask_phone


@dataclass(frozen=True, slots=True)
class Cluster:
    """All persons who are one human being; `root_id` is the OneID, `person_ids` ascending."""

    root_id: int
    person_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Principal:
    """Who makes a request. `openid_identifier_id` is None for a virtual account.

    `person_ids` are those of the cluster as it stood when the session was read; empty means the person alone.
    """

    person_id: int
    root_id: int
    app_id: int
    openid_identifier_id: int | None
    virtual: bool
    session_id: int
    person_ids: tuple[int, ...] = ()

    @property
    def cluster(self) -> Cluster:
        """The cluster as it stood when the session was read; who books value locks it and reads it again."""
        return Cluster(self.root_id, self.person_ids or (self.person_id,))


@dataclass(frozen=True, slots=True)
class IdentifierView:
    """One identifier of a person as an operator sees it: the value stays sealed, `shown` is it masked."""

    id: int
    kind: IdentifierKind
    scope: str
    person_id: int
    state: IdentifierState
    source: str
    first_seen_at: datetime
    last_seen_at: datetime
    shown: str


@dataclass(frozen=True, slots=True)
class ConflictView:
    """One question for an operator: whether two persons are the same human being."""

    id: int
    person_a: int
    person_b: int
    claimant_id: int
    identifier_id: int | None
    reason: ConflictReason
    disagreeing_kind: IdentifierKind | None
    state: ConflictState
    opened_at: datetime


@dataclass(frozen=True, slots=True)
class MergeView:
    """One link that made two clusters one; `undone_at` None while it holds."""

    id: int
    person_a: int
    person_b: int
    identifier_id: int | None
    forced: bool
    merged_at: datetime
    undone_at: datetime | None


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One line of what was done to somebody's identity, and by whom."""

    id: int
    at: datetime
    action: LogAction
    person_id: int | None
    other_person_id: int | None
    identifier_id: int | None
    subject_id: int | None
    actor_label: str
    detail: dict[str, Any]


_Member = aliased(Person)

CLUSTER = Prepared(
    select(_Member.id, _Member.one_id)
    .join_from(Person, _Member, _Member.one_id == Person.one_id)
    .where(Person.id == bindparam("person"))
    .order_by(_Member.id)
)
"""Session's person to all persons of the cluster; parameter `person`."""

PRINCIPAL = (
    select(
        LoginSession.person_id,
        Person.one_id,
        LoginSession.app_id,
        LoginSession.identifier_id,
        LoginSession.virtual,
        LoginSession.id,
        _Member.id.label("member_id"),
    )
    .join_from(LoginSession, Person, Person.id == LoginSession.person_id)
    .join(_Member, _Member.one_id == Person.one_id)
    .where(
        LoginSession.id == bindparam("session_id"),
        LoginSession.expires_at > bindparam("now"),
        LoginSession.revoked_at.is_(None),
    )
)
"""A living session to its person and root, a row for each person of the cluster, in the order of `Principal`;
parameters `session_id`, `now`."""

_PRINCIPAL = Prepared(PRINCIPAL)
_MEMBER_ID = 6

_OPENIDS = select(Identifier.value).where(
    Identifier.person_id.in_(bindparam("persons", expanding=True)),
    Identifier.kind == IdentifierKind.OPENID,
    Identifier.scope == bindparam("scope"),
)
_OPENID = (
    _OPENIDS.where(Identifier.state == IdentifierState.ACTIVE)
    .order_by(Identifier.last_seen_at.desc(), Identifier.id.desc())
    .limit(1)
)
_OPENID_DEMOTED = (
    _OPENIDS.with_only_columns(Identifier.id).where(Identifier.state == IdentifierState.DEMOTED).limit(1)
)

_PHONES = (
    select(Identifier.id, Identifier.value, Identifier.value_hash)
    .join_from(Sighting, Identifier, Identifier.id == Sighting.identifier_id)
    .where(
        Sighting.person_id.in_(bindparam("persons", expanding=True)),
        Identifier.kind == IdentifierKind.PHONE,
    )
    .order_by(Sighting.last_seen_at.desc(), Identifier.id.desc())
)
_HAS_PHONE = _PHONES.with_only_columns(Identifier.id).order_by(None).limit(1)


def principal(session: Session, *, session_id: int, now: datetime) -> Principal:
    """Return who a session belongs to, in one statement; raise SessionEnded when it is over or revoked."""
    return principal_of(_PRINCIPAL.all(session, {"session_id": session_id, "now": now}))


def principal_of(rows: Sequence[Sequence[Any]]) -> Principal:
    """Return the principal of rows that begin as those of `PRINCIPAL` do; raise SessionEnded for none."""
    if not rows:
        raise SessionEnded("the session is over; log in again")
    caller: tuple[int, int, int, int | None, bool, int] = rows[0][:_MEMBER_ID]  # type: ignore[assignment]
    return Principal(*caller, tuple(sorted([row[_MEMBER_ID] for row in rows])))


def cluster(session: Session, *, person_id: int) -> Cluster:
    """Return the cluster of a person, in one statement; raise UnknownPerson."""
    rows = CLUSTER.all(session, {"person": person_id})
    if not rows:
        raise UnknownPerson("there is no such person")
    return Cluster(rows[0].one_id, tuple(row.id for row in rows))


def openid(session: Session, *, person_ids: Collection[int], app_id: int) -> str | None:
    """Return the openid of a cluster in an app, the latest seen one; None when there is none.

    A payout or a message is addressed by it, and it differs from app to app (ID-02).
    """
    parameters = {"persons": list(person_ids), "scope": str(app_id)}
    found = session.connection().execute(_OPENID, parameters).scalar()
    return None if found is None else str(found)


def openid_demoted(session: Session, *, person_ids: Collection[int], app_id: int) -> bool:
    """Tell whether an openid of a cluster in an app was taken its say: signing in again makes none of it."""
    parameters = {"persons": list(person_ids), "scope": str(app_id)}
    return session.connection().execute(_OPENID_DEMOTED, parameters).first() is not None


def has_phone(session: Session, *, person_ids: Collection[int]) -> bool:
    """Tell whether anyone of a cluster has shown a phone number (JOIN-03).

    Shown, not owned: a number that a stranger had before (numbers are given out again) is in the conflict
    queue, but its new holder has done what was asked.
    """
    return session.connection().execute(_HAS_PHONE, {"persons": list(person_ids)}).scalar() is not None


def phone(session: Session, *, person_ids: Collection[int]) -> str | None:
    """Return the latest shown phone number of a cluster, normalised; None without one. Never log it."""
    row = session.connection().execute(_PHONES.limit(1), {"persons": list(person_ids)}).first()
    return None if row is None else str(row.value)


def phone_masked(session: Session, *, person_ids: Collection[int]) -> str | None:
    """Return the latest shown phone number for display to its owner: "+86 138****5678"."""
    number = phone(session, person_ids=person_ids)
    return None if number is None else mask_phone(number)


def phone_digests(session: Session, *, person_ids: Collection[int]) -> list[bytes]:
    """Return the blind hashes of a cluster's phones, as `digest` makes them: for lists and limits."""
    rows = session.connection().execute(_PHONES, {"persons": list(person_ids)})
    return [row.value_hash for row in rows]


def digest(claim: Claimed) -> bytes:
    """Return the blind hash by which an identifier in its one spelling is found."""
    return secrets.ring().blind("identifiers.value", f"{claim.kind}/{claim.scope}/{claim.value}")


def rules(session: Session) -> Rules:
    """Return the rules of matching as they stand (ID-07)."""
    settings = session.connection().execute(select(IdentitySettings.merge_threshold_bps)).scalar_one()
    found = session.scalars(select(IdentityRule)).all()
    return Rules((Rule.of(row) for row in found), threshold_bps=settings)


def person_by_identifier(session: Session, *, claim: Claimed) -> int | None:
    """Return the person who has an identifier, in any spelling; None when nobody has."""
    sifted = rules(session).sift([claim])
    if not sifted:
        return None
    wanted = select(Identifier.person_id).where(
        Identifier.value_hash == digest(sifted[0]),
        Identifier.kind == claim.kind,
        Identifier.scope == claim.scope,
    )
    found = session.connection().execute(wanted).scalar()
    return None if found is None else int(found)


def identifiers(session: Session, *, person_ids: Collection[int]) -> Sequence[IdentifierView]:
    """Return the identifiers of a cluster, for an operator."""
    found = session.scalars(
        select(Identifier).where(Identifier.person_id.in_(person_ids)).order_by(Identifier.id)
    )
    return [_view(row) for row in found]


def identifier(session: Session, *, identifier_id: int) -> IdentifierView:
    """Return an identifier as it stands in the database now; raise UnknownIdentifier."""
    found = session.get(Identifier, identifier_id, populate_existing=True)
    if found is None:
        raise UnknownIdentifier("there is no such identifier; `saoma persons show` lists a person's")
    return _view(found)


def is_named(session: Session, *, identifier_id: int, claim: Claimed) -> bool:
    """Tell whether `claim`, in its one spelling, is what an identifier stands for."""
    wanted = select(Identifier.id).where(
        Identifier.id == identifier_id,
        Identifier.kind == claim.kind,
        Identifier.scope == claim.scope,
        Identifier.value_hash == digest(claim),
    )
    return session.connection().execute(wanted).first() is not None


def _view(row: Identifier) -> IdentifierView:
    return IdentifierView(
        id=row.id,
        kind=row.kind,
        scope=row.scope,
        person_id=row.person_id,
        state=row.state,
        source=row.source,
        first_seen_at=row.first_seen_at,
        last_seen_at=row.last_seen_at,
        shown=mask(row.kind, row.value),
    )


_CONFLICT = select(
    IdentityConflict.id,
    IdentityConflict.person_a,
    IdentityConflict.person_b,
    IdentityConflict.claimant_id,
    IdentityConflict.identifier_id,
    IdentityConflict.reason,
    IdentityConflict.disagreeing_kind,
    IdentityConflict.state,
    IdentityConflict.opened_at,
)


def conflict(session: Session, *, conflict_id: int) -> ConflictView:
    """Return a conflict, open or not; raise UnknownConflict."""
    row = session.connection().execute(_CONFLICT.where(IdentityConflict.id == conflict_id)).first()
    if row is None:
        raise UnknownConflict("there is no such conflict; `saoma persons conflicts` lists the open ones")
    return ConflictView(*row)


def open_conflicts(session: Session, *, after_id: int = 0, limit: int = 50) -> Sequence[ConflictView]:
    """Return the next `limit` open conflicts with ids above `after_id`, the oldest first."""
    wanted = (
        _CONFLICT.where(IdentityConflict.state == ConflictState.OPEN, IdentityConflict.id > after_id)
        .order_by(IdentityConflict.id)
        .limit(limit)
    )
    return [ConflictView(*row) for row in session.connection().execute(wanted)]


def merges(session: Session, *, person_ids: Collection[int], undone: bool = False) -> Sequence[MergeView]:
    """Return the merges within a cluster by id, with `undone` also those that were taken back."""
    wanted = select(
        Merge.id,
        Merge.person_a,
        Merge.person_b,
        Merge.identifier_id,
        Merge.forced,
        Merge.merged_at,
        Merge.undone_at,
    ).where(Merge.person_a.in_(person_ids) | Merge.person_b.in_(person_ids))
    if not undone:
        wanted = wanted.where(Merge.undone_at.is_(None))
    return [MergeView(*row) for row in session.connection().execute(wanted.order_by(Merge.id))]


def history(session: Session, *, person_ids: Collection[int], limit: int = 100) -> Sequence[LogEntry]:
    """Return what was done to the identities of a cluster, the newest first."""
    wanted = (
        select(
            IdentityLog.id,
            IdentityLog.at,
            IdentityLog.action,
            IdentityLog.person_id,
            IdentityLog.other_person_id,
            IdentityLog.identifier_id,
            IdentityLog.subject_id,
            IdentityLog.actor_label,
            IdentityLog.detail,
        )
        .where(IdentityLog.person_id.in_(person_ids) | IdentityLog.other_person_id.in_(person_ids))
        .order_by(IdentityLog.id.desc())
        .limit(limit)
    )
    return [LogEntry(*row) for row in session.connection().execute(wanted)]
