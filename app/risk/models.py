"""The table of black and white lists."""

from datetime import datetime

from sqlalchemy import CheckConstraint, UniqueConstraint
from sqlalchemy.orm import Mapped

from app.db.base import Base, blind_index, encrypted, enum_check, enum_column, id_column, moment, text_column
from app.risk.lists import Level, ListKind, SubjectKind


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
        enum_check("effect", Level),
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
