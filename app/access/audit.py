"""The audit trail: a chain of keyed hashes, one link per act, in the transaction of the act (ADR 12, SEC-01).

Each entry is hashed together with the hash before it, by a key that the database does not hold. A changed
byte breaks the entry, a removed or inserted row breaks the sequence, a cut tail contradicts the head, and the
head is sealed. What nobody can see from inside is the whole database set back to an earlier moment: for that
an operator keeps the hash of a head somewhere else, and has it looked for.

One row, the head, is what all acts wait for: `append` is the last thing that a transaction does.
"""

import hashlib
import hmac
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import bindparam, func, insert, select, update
from sqlalchemy.orm import Session

from app.access.models import AuditEntry, AuditHead
from app.access.roles import Act
from app.db import secrets
from app.db.engine import Replay
from app.db.once import insert_once
from app.kernel.actor import Actor
from app.kernel.json import Json, canonical

GENESIS = bytes(32)
"""What comes before the first entry."""

_HEAD_ID = 1
_PAGE = 500
_MAX_SUBJECT = 160
_MAX_LABEL = 64
_HEAD = select(AuditHead.entries, AuditHead.hash, AuditHead.seal).where(AuditHead.id == _HEAD_ID)
_HEAD_TAKEN = _HEAD.with_for_update()
_MOVE_HEAD = (
    update(AuditHead)
    .where(AuditHead.id == _HEAD_ID, AuditHead.entries == bindparam("before"))
    .values(entries=bindparam("after"), hash=bindparam("new_hash"), seal=bindparam("new_seal"))
)
_COLUMNS = (
    AuditEntry.sequence,
    AuditEntry.at,
    AuditEntry.account_id,
    AuditEntry.by,
    AuditEntry.action,
    AuditEntry.subject,
    AuditEntry.detail,
)
_ROWS = (
    select(*_COLUMNS, AuditEntry.previous, AuditEntry.hash)
    .where(AuditEntry.sequence > bindparam("after"), AuditEntry.sequence <= bindparam("up_to"))
    .order_by(AuditEntry.sequence)
    .limit(_PAGE)
)
_NEWEST = select(*_COLUMNS).order_by(AuditEntry.sequence.desc())


@dataclass(frozen=True, slots=True)
class Entry:
    """One act. `detail` is canonical JSON; `by` the login name at the time."""

    sequence: int
    at: datetime
    account_id: int | None
    by: str
    action: str
    subject: str
    detail: str


@dataclass(frozen=True, slots=True)
class Fault:
    """The first thing that is wrong with the chain: at which sequence, and what."""

    sequence: int
    told: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What a verification found: how many entries, the hash to keep elsewhere, and the first fault."""

    entries: int
    head: bytes
    fault: Fault | None


def append(
    session: Session,
    *,
    act: Act,
    subject: str,
    actor: Actor,
    now: datetime,
    detail: Mapping[str, Json] | None = None,
) -> int:
    """Write one act at the end of the chain, in the caller's transaction and as its last statement.

    Returns its sequence. Args: subject names the thing by our own names (`campaign tea/june`, a public id);
    neither it nor detail holds personal data or a secret. Raises Replay when another act came first.
    """
    connection = session.connection()
    head = connection.execute(_HEAD_TAKEN).first()
    if head is None:
        empty = {"id": _HEAD_ID, "entries": 0, "hash": GENESIS, "seal": _seal(0, GENESIS)}
        if not insert_once(session, insert(AuditHead), empty):
            raise Replay
        head = connection.execute(_HEAD_TAKEN).one()
    entry = Entry(
        sequence=head.entries + 1,
        at=now.astimezone(UTC),
        account_id=actor.account_id,
        by=actor.label[:_MAX_LABEL],
        action=act.value,
        subject=subject[:_MAX_SUBJECT],
        detail=canonical(dict(detail or {})).decode(),
    )
    hashed = _hash(entry, head.hash)
    moved = {
        "before": head.entries,
        "after": entry.sequence,
        "new_hash": hashed,
        "new_seal": _seal(entry.sequence, hashed),
    }
    if not connection.execute(_MOVE_HEAD, moved).rowcount:
        raise Replay
    row = {name: getattr(entry, name) for name in Entry.__slots__}
    connection.execute(insert(AuditEntry), row | {"previous": head.hash, "hash": hashed})
    return entry.sequence


def entries(session: Session, *, limit: int = 50, before: int | None = None) -> list[Entry]:
    """Return the newest entries, the newest first, with a sequence below `before`."""
    wanted = _NEWEST.limit(limit)
    if before is not None:
        wanted = wanted.where(AuditEntry.sequence < before)
    return [Entry(*row) for row in session.connection().execute(wanted)]


def verify(session: Session, *, kept: Mapping[int, bytes] | None = None) -> Finding:
    """Compute the whole chain again, in constant memory, and return the first thing that is wrong.

    Args: kept holds hashes that were written down elsewhere, by the number of entries at the time; a chain
    that has another hash there, or no such entry any more, was set back or written anew.
    """
    connection = session.connection()
    # The last row is asked for before the head: acts go on meanwhile, and each moves both at once.
    last = connection.execute(select(func.max(AuditEntry.sequence))).scalar() or 0
    row = connection.execute(_HEAD).first()
    head = _Head(0, GENESIS, _seal(0, GENESIS)) if row is None else _Head(*row)
    return Finding(head.entries, head.hash, next(_faults(session, head, last, kept or {}), None))


@dataclass(frozen=True, slots=True)
class _Head:
    """What the chain's end is said to be."""

    entries: int
    hash: bytes
    seal: bytes


def _faults(session: Session, head: _Head, last: int, kept: Mapping[int, bytes]) -> Iterator[Fault]:
    """Yield what is wrong, in the order in which it is met; what follows the first fault proves nothing."""
    if not hmac.compare_digest(head.seal, _seal(head.entries, head.hash)):
        yield Fault(head.entries, "the head is not one that we wrote")
    if last > head.entries:
        yield Fault(head.entries + 1, "there is an entry that the head does not know")
    previous, expected = GENESIS, 1
    for entry, linked, hashed in _stream(session, up_to=head.entries):
        if entry.sequence != expected:
            yield Fault(expected, "the entry is missing")
        if linked != previous or hashed != _hash(entry, previous):
            yield Fault(expected, "the entry was changed")
        if kept.get(expected, hashed) != hashed:
            yield Fault(expected, "the entry is not the one whose hash was kept")
        previous, expected = hashed, expected + 1
    if expected <= head.entries:
        yield Fault(expected, "the entry is missing")
    if previous != head.hash:
        yield Fault(head.entries, "the head ends with another hash than the last entry")
    if kept and max(kept) > head.entries:
        yield Fault(head.entries + 1, "the chain is shorter than when the hash was kept")


def _stream(session: Session, *, up_to: int) -> Iterator[tuple[Entry, bytes, bytes]]:
    """Yield entries with their two hashes in order, holding one page at a time."""
    after = -1
    while page := session.connection().execute(_ROWS, {"after": after, "up_to": up_to}).all():
        for row in page:
            yield Entry(*row[:7]), row.previous, row.hash
        after = page[-1].sequence


def _hash(entry: Entry, previous: bytes) -> bytes:
    said: dict[str, Json] = {
        "sequence": entry.sequence,
        "at": entry.at.isoformat(timespec="microseconds"),
        "account": entry.account_id,
        "by": entry.by,
        "action": entry.action,
        "subject": entry.subject,
        "detail": entry.detail,
        "previous": previous.hex(),
    }
    return hmac.digest(secrets.ring().derive("audit-chain"), canonical(said), hashlib.sha256)


def _seal(length: int, hashed: bytes) -> bytes:
    return hmac.digest(secrets.ring().derive("audit-head"), length.to_bytes(8) + hashed, hashlib.sha256)
