"""The tables of persons and what they are known by.

A person is a row that never moves: an identifier, a scan, an award keep the person id they were written
with. `persons.one_id` names the root of the person's cluster, and is the only thing that a merge changes
(architecture section 4; ADR 2). The root is the oldest person of the cluster. There is no foreign key on
it: it always names a row of the same table that is never deleted, and checking it would lock that row.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, Index, UniqueConstraint
from sqlalchemy.orm import Mapped

from app.db.base import (
    Base,
    DataClass,
    blind_index,
    encrypted,
    enum_check,
    enum_column,
    flag,
    id_column,
    json_column,
    moment,
    ref,
    small_int,
    text_column,
)
from app.identity.values import IdentifierKind
from app.kernel.actor import ActorKind
from app.organisation import models as _  # noqa: F401 - a foreign key needs its table


class IdentitySource(StrEnum):
    """Where an identifier was seen (ID-05)."""

    MINIPROGRAM_LOGIN = "miniprogram_login"
    PHONE_BUTTON = "phone_button"
    SERVICE_ACCOUNT_FOLLOW = "service_account_follow"
    SERVICE_ACCOUNT_VISIT = "service_account_visit"
    CORP_VISIT = "corp_visit"
    JOIN = "join"
    GUIDE_WECOM = "guide_wecom"
    APP_ORDER = "app_order"
    SHOP_ORDER = "shop_order"
    OFFLINE_PURCHASE = "offline_purchase"
    OFFLINE_ACTIVITY = "offline_activity"
    OPERATOR = "operator"
    IMPORTED = "imported"


BY_LINK = frozenset({IdentitySource.SERVICE_ACCOUNT_VISIT, IdentitySource.CORP_VISIT})
"""Sources of which a link alone says whose the identifier is: these join no two members (ADR 16)."""


class IdentifierState(StrEnum):
    """Whether an identifier says who somebody is, or has lost that by being shared too widely."""

    ACTIVE = "active"
    DEMOTED = "demoted"


class ConflictReason(StrEnum):
    """Why two persons were not made one although an identifier says so."""

    UNIQUE_DISAGREES = "unique_disagrees"
    LIMIT_EXCEEDED = "limit_exceeded"
    KEPT_APART = "kept_apart"
    UNMERGED = "unmerged"
    LINK_ALONE = "link_alone"


class ConflictState(StrEnum):
    """Where a conflict stands. Those kept apart and moved bar later merges across the pair."""

    OPEN = "open"
    MERGED = "merged"
    KEPT_APART = "kept_apart"
    MOVED = "moved"
    VOID = "void"  # its identifier lost its weight before anybody decided


class LogAction(StrEnum):
    """What happened to somebody's identity."""

    CREATE = "create"
    ATTACH = "attach"
    MERGE = "merge"
    UNMERGE = "unmerge"
    DEMOTE = "demote"
    REINSTATE = "reinstate"
    MOVE = "move"
    CONFLICT = "conflict"
    RESOLVE = "resolve"
    RULE = "rule"


class Person(Base):
    """Anyone we know of: a potential customer until a membership says more (ID-04, ID-22)."""

    __tablename__ = "persons"
    id: Mapped[int] = id_column()
    one_id: Mapped[int] = ref(index=True)
    virtual: Mapped[bool] = flag(doc="an account of WeChat's snapshot mode: it belongs to nobody")
    created_at: Mapped[datetime] = moment()


class Identifier(Base):
    """One name of one person. `person_id` is who had it first; a merge leaves it as it is."""

    __tablename__ = "identifiers"
    __table_args__ = (
        # The hash leads, so that the identifiers of a record are found with one IN.
        UniqueConstraint("value_hash", "kind", "scope"),
        Index("ix_identifiers_person_id_kind", "person_id", "kind"),
        enum_check("kind", IdentifierKind),
        enum_check("state", IdentifierState),
        enum_check("source", IdentitySource),
        CheckConstraint("confidence_bps BETWEEN 0 AND 10000", name="confidence_bps"),
    )
    id: Mapped[int] = id_column()
    kind: Mapped[IdentifierKind] = enum_column(IdentifierKind)
    scope: Mapped[str] = text_column(64, exact=True)
    value_hash: Mapped[bytes] = blind_index()
    value: Mapped[str] = encrypted("identifiers.value")
    person_id: Mapped[int] = ref("persons.id")
    source: Mapped[IdentitySource] = enum_column(IdentitySource)
    confidence_bps: Mapped[int] = small_int(doc="what the rule said when it was attached, basis points")
    state: Mapped[IdentifierState] = enum_column(IdentifierState)
    first_seen_at: Mapped[datetime] = moment()
    last_seen_at: Mapped[datetime] = moment()


class Sighting(Base):
    """A person showed an identifier, their own or another's: the edges of the identity graph (ID-08)."""

    __tablename__ = "identifier_sightings"
    __table_args__ = (
        Index("ix_identifier_sightings_person_id", "person_id"),
        enum_check("source", IdentitySource),
    )
    identifier_id: Mapped[int] = ref("identifiers.id", primary_key=True)
    person_id: Mapped[int] = ref("persons.id", primary_key=True)
    source: Mapped[IdentitySource] = enum_column(IdentitySource)
    first_seen_at: Mapped[datetime] = moment()
    last_seen_at: Mapped[datetime] = moment()


class Merge(Base):
    """Two clusters became one because `person_a` and `person_b` are the same human being.

    The pair is the evidence (who had the identifier, who showed it), not the roots of the day: taking a
    merge back removes this one link and leaves every other one, so merges can be undone in any order.
    """

    __tablename__ = "merges"
    __table_args__ = (
        Index("ix_merges_person_a", "person_a"),
        Index("ix_merges_person_b", "person_b"),
        CheckConstraint("person_a < person_b", name="pair"),
    )
    id: Mapped[int] = id_column()
    person_a: Mapped[int] = ref("persons.id")
    person_b: Mapped[int] = ref("persons.id")
    identifier_id: Mapped[int | None] = ref("identifiers.id", nullable=True)
    forced: Mapped[bool] = flag(doc="an operator overruled the rules")
    kept_root: Mapped[int] = ref()
    merged_root: Mapped[int] = ref()
    merged_at: Mapped[datetime] = moment()
    undone_at: Mapped[datetime | None] = moment(nullable=True)


class MergeMove(Base):
    """A pointer that a merge changed: whose, and where it pointed before."""

    __tablename__ = "merge_moves"
    merge_id: Mapped[int] = ref("merges.id", primary_key=True)
    person_id: Mapped[int] = ref("persons.id", primary_key=True)
    previous_one_id: Mapped[int] = ref()


class IdentityConflict(Base):
    """An identifier joins two persons whom the rules hold apart; somebody must decide.

    `link_key` names pair and identifier, so that the same question is asked once.
    """

    __tablename__ = "identity_conflicts"
    __table_args__ = (
        Index("ix_identity_conflicts_state_id", "state", "id"),
        Index("ix_identity_conflicts_person_a", "person_a"),
        Index("ix_identity_conflicts_person_b", "person_b"),
        Index("ix_identity_conflicts_identifier_id", "identifier_id"),
        CheckConstraint("person_a < person_b", name="pair"),
        enum_check("reason", ConflictReason),
        enum_check("state", ConflictState),
    )
    id: Mapped[int] = id_column()
    link_key: Mapped[str] = text_column(64, exact=True, unique=True)
    person_a: Mapped[int] = ref("persons.id")
    person_b: Mapped[int] = ref("persons.id")
    claimant_id: Mapped[int] = ref("persons.id")
    identifier_id: Mapped[int | None] = ref("identifiers.id", nullable=True)
    reason: Mapped[ConflictReason] = enum_column(ConflictReason)
    disagreeing_kind: Mapped[IdentifierKind | None] = enum_column(IdentifierKind, nullable=True)
    state: Mapped[ConflictState] = enum_column(ConflictState)
    opened_at: Mapped[datetime] = moment()
    resolved_at: Mapped[datetime | None] = moment(nullable=True)
    resolved_by: Mapped[str | None] = text_column(64, nullable=True)


class IdentityLog(Base):
    """What was done to identities, by whom; append-only, no personal data in `detail`."""

    __tablename__ = "identity_log"
    __table_args__ = (
        Index("ix_identity_log_person_id_id", "person_id", "id"),
        Index("ix_identity_log_other_person_id_id", "other_person_id", "id"),
        enum_check("action", LogAction),
        enum_check("actor_kind", ActorKind),
    )
    id: Mapped[int] = id_column()
    at: Mapped[datetime] = moment()
    action: Mapped[LogAction] = enum_column(LogAction)
    person_id: Mapped[int | None] = ref(nullable=True)
    other_person_id: Mapped[int | None] = ref(nullable=True)
    identifier_id: Mapped[int | None] = ref(nullable=True)
    subject_id: Mapped[int | None] = ref(nullable=True)
    actor_kind: Mapped[ActorKind] = enum_column(ActorKind)
    actor_label: Mapped[str] = text_column(64)
    detail: Mapped[dict[str, Any]] = json_column()


class IdentityRule(Base):
    """How far one kind of identifier is trusted (ID-07); changeable, seeded by migration 0003."""

    __tablename__ = "identity_rules"
    __table_args__ = (
        enum_check("kind", IdentifierKind),
        CheckConstraint("confidence_bps BETWEEN 0 AND 10000", name="confidence_bps"),
        CheckConstraint("per_person > 0", name="per_person"),
        CheckConstraint("persons_limit > 0", name="persons_limit"),
        CheckConstraint("window_days > 0", name="window_days"),
    )
    id: Mapped[int] = id_column()
    kind: Mapped[IdentifierKind] = enum_column(IdentifierKind, unique=True)
    priority: Mapped[int] = small_int(doc="1 is the strongest")
    confidence_bps: Mapped[int] = small_int(doc="10000 is certain")
    per_person: Mapped[int | None] = small_int(
        nullable=True, doc="active values that one person may have per scope; 1 makes the kind unique"
    )
    persons_limit: Mapped[int | None] = small_int(
        nullable=True, doc="persons who may show the same value within the window; one more demotes it"
    )
    window_days: Mapped[int] = small_int()
    blocked: Mapped[list[str]] = json_column(doc="values that stand for nobody, lower case")


class IdentitySettings(Base):
    """One row: from which confidence on an identifier joins persons (ID-08)."""

    __tablename__ = "identity_settings"
    __table_args__ = (
        CheckConstraint("id = 1", name="id"),
        CheckConstraint("merge_threshold_bps BETWEEN 1 AND 10000", name="merge_threshold_bps"),
    )
    id: Mapped[int] = id_column()
    merge_threshold_bps: Mapped[int] = small_int()


class LoginSession(Base):
    """A login. The token names it; WeChat's session_key never leaves this row."""

    __tablename__ = "login_sessions"
    __table_args__ = (
        Index("ix_login_sessions_person_id", "person_id"),
        Index("ix_login_sessions_expires_at", "expires_at"),
    )
    id: Mapped[int] = id_column()
    person_id: Mapped[int] = ref("persons.id")
    app_id: Mapped[int] = ref("apps.id")
    # No foreign key: it would lock the identifier for reading, and two logins that then note their sight of
    # it would wait for each other. Identifiers are never deleted.
    identifier_id: Mapped[int | None] = ref(nullable=True)
    virtual: Mapped[bool] = flag(doc="made in snapshot mode: nothing is ever awarded to it")
    session_key: Mapped[str | None] = encrypted(
        "login_sessions.session_key", data_class=DataClass.SECRET, nullable=True
    )
    created_at: Mapped[datetime] = moment()
    expires_at: Mapped[datetime] = moment()
    revoked_at: Mapped[datetime | None] = moment(nullable=True)


class OpenidLink(Base):
    """A member's wish to be known to one more app: who opens the link there while `session_id` lives is them.

    Good for one use. No foreign key to the session: sessions are purged.
    """

    __tablename__ = "openid_links"
    __table_args__ = (Index("ix_openid_links_expires_at", "expires_at"),)
    id: Mapped[int] = id_column()
    person_id: Mapped[int] = ref("persons.id")
    session_id: Mapped[int] = ref()
    app_id: Mapped[int] = ref("apps.id")
    expires_at: Mapped[datetime] = moment()
    used_at: Mapped[datetime | None] = moment(nullable=True)
