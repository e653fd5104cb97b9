"""Codes that somebody else printed: taken in from a list, found again by a keyed digest (CODE-01).

A list makes a batch of its own, so that activating, freezing, shipping, drawing and claiming hold for these
codes as for any. Of the code itself only a keyed digest is kept. A scan looks here only when the text is not
of our own format; what is found is handed on with the tag that our own code of this place has, so that
nothing behind the look-up tells the two apart.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import LargeBinary, bindparam, insert, select, type_coerce, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.codes.book import CodeBook
from app.codes.errors import GuessableCodes, ImportRuns, InvalidForeignList, NotACode
from app.codes.foreign_list import Strength, foreign_text
from app.codes.format import MAX_BATCH_SIZE, Parsed
from app.codes.models import FOREIGN_CONTEXT, CodeBatch, ForeignCode, ForeignList
from app.db import secrets
from app.db.duplicates import is_duplicate
from app.db.engine import Replay
from app.db.prepared import Prepared
from app.kernel.actor import Actor

PORTION = 1000
"""Codes a transaction."""

_MAX_REASON = 200
_FIND = Prepared(
    select(
        ForeignCode.batch_id,
        ForeignCode.code_index,
        type_coerce(CodeBatch.key, LargeBinary).label("sealed_key"),
    )
    .join(CodeBatch, CodeBatch.id == ForeignCode.batch_id)
    .where(ForeignCode.digest == bindparam("digest"))
)


class ListView(NamedTuple):
    """A list and how far it was read; `known` of its codes had been in it or another list before."""

    batch_id: int
    file_name: str
    codes: int
    done: int
    known: int
    guessable_reason: str | None
    ended_at: datetime | None


_LIST: Any = select(*(getattr(ForeignList, name) for name in ListView._fields))


def list_of_file(session: Session, *, file_sha256: str) -> ListView | None:
    """Return the list that was begun from the file with this digest, if any."""
    row = session.execute(_LIST.where(ForeignList.file_sha256 == file_sha256)).first()
    return None if row is None else ListView(*row)


def measure(texts: Iterable[str], *, book: CodeBook) -> Strength:
    """Return how strong the codes of a list are, read once; raise InvalidForeignList for one of our form.

    A text that reads as a code of ours would never be looked up.
    """

    def checked() -> Iterator[str]:
        for number, text in enumerate(texts, 1):
            if book.has_our_shape(text):
                raise InvalidForeignList(f"code {number} of the list has the form of our own codes")
            yield text

    return Strength.of(checked())


def require_strong(strength: Strength, *, reason: str | None) -> None:
    """Raise InvalidForeignList or, without a `reason`, GuessableCodes for a list that cannot be taken in."""
    if not 1 <= strength.codes <= MAX_BATCH_SIZE:
        raise InvalidForeignList(f"a list has 1 to {MAX_BATCH_SIZE:,} codes")
    if reason is not None and not 1 <= len(reason.strip()) <= _MAX_REASON:
        raise InvalidForeignList(f"a reason has 1 to {_MAX_REASON} characters")
    if strength.guessable and reason is None:
        raise GuessableCodes(
            "these codes can be guessed from one another; say why they are taken all the same"
        )


def begin(
    session: Session,
    *,
    batch_id: int,
    file_sha256: str,
    file_name: str,
    strength: Strength,
    guessable_reason: str | None,
    actor: Actor,
    now: datetime,
) -> ListView:
    """Note that a new batch is a foreign list's; raise what `require_strong` raises."""
    require_strong(strength, reason=guessable_reason)
    row = {
        "batch_id": batch_id,
        "file_sha256": file_sha256,
        "file_name": file_name[:128],
        "codes": strength.codes,
        "done": 0,
        "known": 0,
        "guessable_reason": guessable_reason if strength.guessable else None,
        "started_at": now,
        "started_by": actor.label,
        "ended_at": None,
    }
    try:
        session.connection().execute(insert(ForeignList), row)
    except IntegrityError as error:
        if is_duplicate(error):
            raise ImportRuns("another process has just begun this file; run it again to join") from None
        raise
    return ListView(*session.execute(_LIST.where(ForeignList.batch_id == batch_id)).one())


def add_portion(session: Session, *, batch_id: int, done: int, texts: Sequence[str], now: datetime) -> int:
    """Take in the codes after the first `done` of a list; return how many were known before.

    A code that is in a list already stays where it is. Raise ImportRuns when the list does not stand at
    `done`, and Replay when another list brings the same code at this moment.
    """
    ring = secrets.ring()
    new: dict[bytes, int] = {}
    for place, text in enumerate(texts):
        new.setdefault(ring.blind(FOREIGN_CONTEXT, text), done + place)
    there = select(ForeignCode.digest).where(ForeignCode.digest.in_(list(new)))
    for digest in session.connection().execute(there).scalars().all():
        del new[digest]
    known = len(texts) - len(new)
    total = done + len(texts)
    moved = update(ForeignList).where(ForeignList.batch_id == batch_id, ForeignList.done == done)
    moved = moved.values(done=total, known=ForeignList.known + known)
    if session.connection().execute(moved).rowcount != 1:
        raise ImportRuns("another process is importing this file; wait for it")
    ended = update(ForeignList).where(ForeignList.batch_id == batch_id, ForeignList.codes == total)
    session.execute(ended.values(ended_at=now))
    rows = [{"digest": digest, "batch_id": batch_id, "code_index": index} for digest, index in new.items()]
    if rows:
        try:
            session.connection().execute(insert(ForeignCode), rows)
        except IntegrityError as error:
            if is_duplicate(error):
                raise Replay from error
            raise
    return known


def read_code(session: Session, *, book: CodeBook, text: str) -> Parsed:
    """Return what `text` says: a code of ours, else one of a list; raise NotACode or CodeAltered.

    Nothing is read for a text of our own format, and one row at most for any other.
    """
    try:
        return book.read(text)
    except NotACode:
        asked = foreign_text(text)
        if asked is None:
            raise
        found = find(session, book=book, digest=secrets.ring().blind(FOREIGN_CONTEXT, asked))
        if found is None:
            raise
        return found


def find(session: Session, *, book: CodeBook, digest: bytes) -> Parsed | None:
    """Return the place of the code with this keyed digest, as our own code of that place reads."""
    row = _FIND.first(session, {"digest": digest})
    if row is None:
        return None
    tag = book.batch_key(row.sealed_key).tag(row.batch_id, row.code_index)
    return Parsed(row.batch_id, row.code_index, tag)
