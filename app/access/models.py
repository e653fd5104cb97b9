"""The tables of console accounts, their sessions, and the audit trail."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, Index
from sqlalchemy.orm import Mapped

from app.access.roles import ApprovalKind, Role
from app.db.base import (
    Base,
    DataClass,
    big_int,
    blind_index,
    encrypted,
    enum_check,
    enum_column,
    flag,
    id_column,
    long_text,
    moment,
    ref,
    small_int,
    text_column,
)
from app.kernel.transitions import TransitionTable


class AccountState(StrEnum):
    """Whether somebody may sign in. A closed account stays closed; its name is never given again."""

    ACTIVE = "active"
    LOCKED = "locked"
    CLOSED = "closed"


ACCOUNT_TRANSITIONS = TransitionTable(
    {
        AccountState.ACTIVE: (AccountState.LOCKED, AccountState.CLOSED),
        AccountState.LOCKED: (AccountState.ACTIVE, AccountState.CLOSED),
        AccountState.CLOSED: (),
    }
)


class ApprovalState(StrEnum):
    """Where a proposal stands."""

    PROPOSED = "proposed"
    APPROVED = "approved"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"


APPROVAL_TRANSITIONS = TransitionTable(
    {
        ApprovalState.PROPOSED: (
            ApprovalState.APPROVED,
            ApprovalState.REFUSED,
            ApprovalState.WITHDRAWN,
            ApprovalState.EXPIRED,
        ),
        ApprovalState.APPROVED: (),
        ApprovalState.REFUSED: (),
        ApprovalState.WITHDRAWN: (),
        ApprovalState.EXPIRED: (),
    }
)


class ConsoleAccount(Base):
    """Somebody at headquarters who may sign in.

    `failures` counts attempts since the last one that succeeded; from the limit on, `wait_until` lets one
    attempt through at a time. `password_lent`: somebody else set the password and knows it.
    """

    __tablename__ = "console_accounts"
    __table_args__ = (enum_check("state", AccountState), CheckConstraint("failures >= 0", name="failures"))
    id: Mapped[int] = id_column()
    login: Mapped[str] = text_column(32, exact=True, unique=True)
    display_name: Mapped[str] = encrypted("console_accounts.display_name")
    password_hash: Mapped[str] = encrypted("console_accounts.password_hash", data_class=DataClass.SECRET)
    password_lent: Mapped[bool] = flag()
    state: Mapped[AccountState] = enum_column(AccountState)
    failures: Mapped[int] = small_int(doc="attempts, a count")
    wait_until: Mapped[datetime | None] = moment(nullable=True)
    created_at: Mapped[datetime] = moment()


class AccountRole(Base):
    """One role of one account."""

    __tablename__ = "console_account_roles"
    __table_args__ = (enum_check("role", Role),)
    account_id: Mapped[int] = ref("console_accounts.id", primary_key=True)
    role: Mapped[Role] = enum_column(Role, primary_key=True)


class ConsoleSession(Base):
    """A sign-in. Only a keyed hash of its token is stored."""

    __tablename__ = "console_sessions"
    id: Mapped[int] = id_column()
    account_id: Mapped[int] = ref("console_accounts.id", index=True)
    token_hash: Mapped[bytes] = blind_index(unique=True)
    opened_at: Mapped[datetime] = moment()
    expires_at: Mapped[datetime] = moment()
    revoked_at: Mapped[datetime | None] = moment(nullable=True)


class AccessBook(Base):
    """One row: how many active administrators there are. Its guarded UPDATE keeps the last one."""

    __tablename__ = "access_book"
    __table_args__ = (CheckConstraint("administrators >= 0", name="administrators"),)
    id: Mapped[int] = id_column()
    administrators: Mapped[int] = small_int(doc="active accounts with the role, a count")


class AuditEntry(Base):
    """One act of somebody at headquarters; `hash` is keyed over all the other columns (ADR 12).

    `detail` is canonical JSON, kept as the very text that was hashed. No column holds personal data.
    """

    __tablename__ = "audit_entries"
    sequence: Mapped[int] = id_column()
    at: Mapped[datetime] = moment()
    account_id: Mapped[int | None] = ref(nullable=True)
    by: Mapped[str] = text_column(64, exact=True)
    action: Mapped[str] = text_column(64, exact=True)
    subject: Mapped[str] = text_column(160, exact=True)
    detail: Mapped[str] = long_text()
    previous: Mapped[bytes] = blind_index()
    hash: Mapped[bytes] = blind_index()


class AuditHead(Base):
    """One row: how long the chain is and what it ends with, sealed by a key so that it cannot be set back."""

    __tablename__ = "audit_head"
    id: Mapped[int] = id_column()
    entries: Mapped[int] = big_int(doc="a count, and the sequence of the last entry")
    hash: Mapped[bytes] = blind_index()
    seal: Mapped[bytes] = blind_index()


class Approval(Base):
    """A proposal, and who, somebody else, decided about it.

    `open_subject` holds kind and subject while it is open, and is unique: one open proposal per subject.
    `payload` is canonical JSON, kept as the very text whose `sha256` is approved.
    """

    __tablename__ = "approvals"
    __table_args__ = (
        enum_check("kind", ApprovalKind),
        enum_check("state", ApprovalState),
        CheckConstraint(
            "state NOT IN ('approved', 'refused') OR (decided_by IS NOT NULL AND decided_by <> proposed_by)",
            name="second_account",
        ),
        CheckConstraint("(state = 'proposed') = (open_subject IS NOT NULL)", name="open_subject"),
        Index("ix_approvals_state_id", "state", "id"),
    )
    id: Mapped[int] = id_column()
    kind: Mapped[ApprovalKind] = enum_column(ApprovalKind)
    subject: Mapped[str] = text_column(160, exact=True)
    open_subject: Mapped[str | None] = text_column(200, exact=True, nullable=True, unique=True)
    payload: Mapped[str] = long_text()
    sha256: Mapped[str] = text_column(64, exact=True)
    reason: Mapped[str] = text_column(500)
    state: Mapped[ApprovalState] = enum_column(ApprovalState)
    proposed_by: Mapped[int] = ref("console_accounts.id")
    proposed_label: Mapped[str] = text_column(64, exact=True)
    proposed_at: Mapped[datetime] = moment()
    expires_at: Mapped[datetime] = moment()
    decided_by: Mapped[int | None] = ref("console_accounts.id", nullable=True)
    decided_at: Mapped[datetime | None] = moment(nullable=True)
