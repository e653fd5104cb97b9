"""Tables of risk: lists, counters, rules and their switches, hits and marks."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, Index, UniqueConstraint
from sqlalchemy.orm import Mapped

from app.db.base import (
    Base,
    big_int,
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
from app.kernel.transitions import TransitionTable
from app.risk.lists import LISTED, Level, ListKind, SubjectKind


class Mode(StrEnum):
    """How far risk rules go: not at all, measuring and noting what they would do, doing it."""

    OFF = "off"
    OBSERVE = "observe"
    ENFORCE = "enforce"


class TicketState(StrEnum):
    """How far a captcha's ticket is: being asked about, without an answer, good or no good."""

    ASKED = "asked"
    OPEN = "open"
    PASSED = "passed"
    REFUSED = "refused"


TICKETS = TransitionTable(
    {
        TicketState.ASKED: {TicketState.ASKED, TicketState.OPEN, TicketState.PASSED, TicketState.REFUSED},
        TicketState.OPEN: {TicketState.ASKED, TicketState.PASSED, TicketState.REFUSED},
        # Two asked, one of them late: the second was refused because the first had used the ticket up.
        TicketState.REFUSED: {TicketState.PASSED},
        TicketState.PASSED: set(),
    }
)


class ListEntry(Base):
    """Somebody or something on a list: found by its hash, readable only with the key ring.

    An entry that ends keeps its row with the moment of its end, so that a verdict of the past can still be
    explained; adding the same subject again revives it.
    """

    __tablename__ = "risk_entries"
    __table_args__ = (
        # The hash leads: a draw asks for a handful of hashes and finds none of them, nearly always.
        UniqueConstraint("subject_hash", "subject_kind", "list"),
        enum_check("list", ListKind),
        enum_check("subject_kind", SubjectKind),
        CheckConstraint(f"effect IN ({', '.join(repr(level.value) for level in LISTED)})", name="effect"),
        CheckConstraint("(list = 'white') = (effect = 'pass')", name="list_effect"),
    )
    id: Mapped[int] = id_column()
    list: Mapped[ListKind] = enum_column(ListKind)
    subject_kind: Mapped[SubjectKind] = enum_column(SubjectKind)
    subject_hash: Mapped[bytes] = blind_index()
    subject: Mapped[str] = encrypted("risk_entries.subject")
    effect: Mapped[Level] = enum_column(Level)
    reason: Mapped[str] = text_column(200, doc="an operator's words; no personal data")
    expires_at: Mapped[datetime | None] = moment(nullable=True, doc="none: until somebody takes it off")
    changed_at: Mapped[datetime] = moment()
    changed_by: Mapped[str] = text_column(64)


class RiskCounter(Base):
    """How often codes of a neighbourhood, or shoppers of a network, were seen in an hour or a day.

    The key leads with time, so that new rows are written side by side and old ones go in one stroke.
    """

    __tablename__ = "risk_counters"
    bucket: Mapped[int] = small_int(primary_key=True, doc="of an hour or a day: app.risk.signals")
    subject: Mapped[bytes] = blind_index(primary_key=True)
    events: Mapped[int] = big_int(doc="scans, a count")
    persons: Mapped[int] = big_int(doc="a set of 60 bits, one of them for each person")


class RiskPolicy(Base):
    """One version of a brand's risk rules, or of one campaign's; it never changes."""

    __tablename__ = "risk_policies"
    __table_args__ = (UniqueConstraint("brand_id", "campaign_id", "version"),)
    id: Mapped[int] = id_column()
    brand_id: Mapped[int] = ref("brands.id")
    campaign_id: Mapped[int] = ref(doc="0: for every campaign of the brand that has none of its own")
    version: Mapped[int] = small_int()
    document: Mapped[dict[str, Any]] = json_column()
    sha256: Mapped[str] = text_column(64, exact=True)
    saved_at: Mapped[datetime] = moment()
    saved_by: Mapped[str] = text_column(64)


class RiskSwitch(Base):
    """What was switched on or off, by whom and why; append-only, the latest of a scope holds."""

    __tablename__ = "risk_switches"
    __table_args__ = (
        Index("ix_risk_switches_brand_id_id", "brand_id", "id"),
        enum_check("mode", Mode),
        CheckConstraint("mode <> 'enforce' OR policy_id IS NOT NULL", name="policy"),
    )
    id: Mapped[int] = id_column()
    brand_id: Mapped[int] = ref("brands.id")
    campaign_id: Mapped[int] = ref(doc="0: the brand's default")
    policy_id: Mapped[int | None] = ref("risk_policies.id", nullable=True)
    mode: Mapped[Mode] = enum_column(Mode)
    reason: Mapped[str] = text_column(200)
    at: Mapped[datetime] = moment()
    by: Mapped[str] = text_column(64)


class RiskHit(Base):
    """A draw, or the attempt at one, that rules were hit by, with everything that was measured."""

    __tablename__ = "risk_hits"
    __table_args__ = (
        UniqueConstraint("scan_id", "level"),
        Index("ix_risk_hits_swept_at_id", "swept_at", "id"),
        Index("ix_risk_hits_person_id_id", "person_id", "id"),
        enum_check("level", Level),
    )
    id: Mapped[int] = id_column()
    brand_id: Mapped[int] = ref()
    campaign_id: Mapped[int] = ref()
    policy_id: Mapped[int] = ref()
    scan_id: Mapped[int] = ref()
    person_id: Mapped[int] = ref()
    batch_id: Mapped[int] = ref()
    code_index: Mapped[int] = small_int()
    level: Mapped[Level] = enum_column(Level, doc="what the rules said; observed only when `enforced` is no")
    enforced: Mapped[bool] = flag()
    reasons: Mapped[list[str]] = json_column()
    signals: Mapped[dict[str, int]] = json_column()
    at: Mapped[datetime] = moment()
    swept_at: Mapped[datetime | None] = moment(nullable=True, doc="when it was added to the marks")


class RiskMark(Base):
    """A person or a batch that rules were hit by, counted until somebody clears it (RISK-07)."""

    __tablename__ = "risk_marks"
    __table_args__ = (enum_check("subject_kind", SubjectKind),)
    subject_kind: Mapped[SubjectKind] = enum_column(SubjectKind, primary_key=True)
    subject_id: Mapped[int] = ref(primary_key=True)
    brand_id: Mapped[int] = ref()
    hits: Mapped[int] = big_int(doc="a count")
    reasons: Mapped[list[str]] = json_column(doc="keys of rules, ascending")
    first_at: Mapped[datetime] = moment()
    last_at: Mapped[datetime] = moment()


class CaptchaTicket(Base):
    """A captcha's ticket: whose it is, which scan it was solved for, and what the platform said of it.

    The key is what makes one ticket good for one person's draw of one scan.
    """

    __tablename__ = "captcha_tickets"
    __table_args__ = (
        Index("ix_captcha_tickets_taken_at", "taken_at"),
        Index("ix_captcha_tickets_person_id_taken_at", "person_id", "taken_at"),
        enum_check("state", TicketState),
        CheckConstraint("(state = 'passed') = (passed_at IS NOT NULL)", name="passed"),
    )
    digest: Mapped[bytes] = blind_index(primary_key=True)
    person_id: Mapped[int] = ref()
    scan_id: Mapped[int] = ref()
    state: Mapped[TicketState] = enum_column(TicketState)
    taken_at: Mapped[datetime] = moment(doc="when it was first shown to us")
    asked_at: Mapped[datetime] = moment(doc="when the platform was last asked about it")
    asks: Mapped[int] = small_int(doc="how often the platform was asked about it, a count")
    passed_at: Mapped[datetime | None] = moment(nullable=True)
