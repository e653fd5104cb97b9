"""Putting codes into packages and taking them out: ranges, and exceptions where a range is not so.

Every function locks the batches that it touches, so nobody else changes their packaging meanwhile, which
no unique key could keep apart.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import and_, delete, func, insert, or_, select, update
from sqlalchemy.orm import Session

from app.codes.errors import InvalidRange
from app.codes.operations import lock_batches
from app.codes.outcome import CodeLevel
from app.codes.queries import batch
from app.trace.errors import AlreadyPacked, NotPacked, UnevenPackaging, WrongLevel
from app.trace.events import Run
from app.trace.models import PackagingException, PackagingRange

MAX_SINGLES = 1000
"""How many codes may be taken out one by one in one go; more of them are a range of whole packages."""

RANGES = select(
    PackagingRange.child_batch_id,
    PackagingRange.child_first,
    PackagingRange.child_last,
    PackagingRange.parent_batch_id,
    PackagingRange.parent_first,
    PackagingRange.parent_last,
)
_RANK = {CodeLevel.ITEM: 0, CodeLevel.CASE: 1, CodeLevel.PALLET: 2}


def pack(session: Session, *, parent: Run, child: Run) -> None:
    """Put the codes `child` evenly into the packages `parent`, in their order (CODE-03).

    One row for the whole range. Raise WrongLevel, UnevenPackaging, AlreadyPacked, InvalidRange, UnknownBatch.
    """
    levels = lock_batches(session, batch_ids=(parent.batch_id, child.batch_id))
    if _RANK[levels[parent.batch_id]] <= _RANK[levels[child.batch_id]]:
        raise WrongLevel("pallets hold cases, cases hold items; see the level in `saoma batches list`")
    for run in (parent, child):
        size = batch(session, batch_id=run.batch_id).size
        if not 0 <= run.first <= run.last < size:
            raise InvalidRange(f"batch {run.batch_id} has {size} codes, from index 0 to {size - 1}")
    if child.length % parent.length:
        raise UnevenPackaging(
            f"{child.length} codes cannot be shared out evenly over {parent.length} packages"
        )
    _require_own_range(session, parent)
    if _covering(session, child) is None:
        _add_range(session, parent, child)
    else:
        _put_back(session, parent, child)


def unpack(session: Session, *, parent: Run) -> None:
    """Take everything out of the packages `parent`; empty ones stay empty. Raise UnknownBatch."""
    rows = _ranges_of(session, parent)
    lock_batches(session, batch_ids={parent.batch_id, *(row.child_batch_id for row in rows)})
    for row in _ranges_of(session, parent):
        _cut(session, row, parent)
    # What was put into them one by one lies in no package; where no range speaks, no row must either.
    inside = select(PackagingException.child_batch_id, PackagingException.child_index)
    for batch_id, index in session.execute(inside.where(exceptions_in(parent))).all():
        _take_one(session, Run(batch_id, index, index))


def take_out(session: Session, *, child: Run) -> None:
    """Take the codes `child`, at most a thousand, out of their packages; raise NotPacked, InvalidRange."""
    if child.length > MAX_SINGLES:
        raise InvalidRange(f"at most {MAX_SINGLES:,} codes are taken out one by one; unpack whole packages")
    lock_batches(session, batch_ids=(child.batch_id,))
    for index in range(child.first, child.last + 1):
        single = Run(child.batch_id, index, index)
        if not _is_packed(session, single):
            raise NotPacked("a code that is to be taken out lies in no package")
        _take_one(session, single)


def _is_packed(session: Session, single: Run) -> bool:
    row = session.execute(
        select(PackagingException.parent_index).where(
            PackagingException.child_batch_id == single.batch_id,
            PackagingException.child_index == single.first,
        )
    ).first()
    return row.parent_index is not None if row else _covering(session, single) is not None


def _take_one(session: Session, single: Run) -> None:
    mine = and_(
        PackagingException.child_batch_id == single.batch_id, PackagingException.child_index == single.first
    )
    session.execute(delete(PackagingException).where(mine))
    if _covering(session, single) is not None:
        row = {"child_batch_id": single.batch_id, "child_index": single.first}
        session.execute(insert(PackagingException).values(**row, parent_batch_id=None, parent_index=None))


def _covering(session: Session, child: Run) -> Any:
    """Return the last range that shares a code with `child`, or None."""
    found = (
        select(PackagingRange.child_first, PackagingRange.child_last)
        .where(PackagingRange.child_batch_id == child.batch_id, PackagingRange.child_first <= child.last)
        .order_by(PackagingRange.child_first.desc())
        .limit(1)
    )
    row = session.execute(found).first()
    return row if row is not None and row.child_last >= child.first else None


def _require_own_range(session: Session, parent: Run) -> None:
    """Raise AlreadyPacked when `parent` lies across a range of packages that were filled together."""
    found = (
        select(PackagingRange.parent_first, PackagingRange.parent_last)
        .where(PackagingRange.parent_batch_id == parent.batch_id, PackagingRange.parent_first <= parent.last)
        .order_by(PackagingRange.parent_first.desc())
        .limit(1)
    )
    row = session.execute(found).first()
    if row is None or row.parent_last < parent.first:
        return
    if (row.parent_first, row.parent_last) != (parent.first, parent.last):
        raise AlreadyPacked(
            "some of these packages were filled together with others; unpack them, or name the same range"
        )


def _add_range(session: Session, parent: Run, child: Run) -> None:
    strays = and_(
        PackagingException.child_batch_id == child.batch_id,
        PackagingException.child_index.between(child.first, child.last),
    )
    if session.execute(select(PackagingException.child_index).where(strays).limit(1)).first() is not None:
        raise AlreadyPacked("some of these codes lie in another package; take them out first")
    before = _row_before(session, parent, child)
    if before is not None:
        # A line reports case by case: what goes on evenly stays one row.
        session.execute(
            update(PackagingRange)
            .where(
                PackagingRange.child_batch_id == child.batch_id,
                PackagingRange.child_first == before.child_first,
            )
            .values(child_last=child.last, parent_last=parent.last)
        )
        return
    session.execute(
        insert(PackagingRange).values(
            child_batch_id=child.batch_id,
            child_first=child.first,
            child_last=child.last,
            parent_batch_id=parent.batch_id,
            parent_first=parent.first,
            parent_last=parent.last,
        )
    )


def _row_before(session: Session, parent: Run, child: Run) -> Any:
    """Return the row that `parent` and `child` carry on, as evenly, if no other row shares its packages."""
    row = session.execute(
        RANGES.where(
            PackagingRange.child_batch_id == child.batch_id, PackagingRange.child_first < child.first
        )
        .order_by(PackagingRange.child_first.desc())
        .limit(1)
    ).first()
    if row is None or row.child_last + 1 != child.first or row.parent_batch_id != parent.batch_id:
        return None
    per_package = (row.child_last - row.child_first + 1) // (row.parent_last - row.parent_first + 1)
    if row.parent_last + 1 != parent.first or per_package != child.length // parent.length:
        return None
    shared = select(func.count()).where(
        PackagingRange.parent_batch_id == parent.batch_id,
        PackagingRange.parent_first.in_((row.parent_first, parent.first)),
    )
    return row if session.execute(shared).scalar_one() == 1 else None


def _put_back(session: Session, parent: Run, child: Run) -> None:
    """Put codes that were taken out of their package into another one."""
    loose = and_(
        PackagingException.child_batch_id == child.batch_id,
        PackagingException.child_index.between(child.first, child.last),
        PackagingException.parent_index.is_(None),
    )
    if session.execute(select(func.count()).where(loose)).scalar_one() != child.length:
        raise AlreadyPacked("some of these codes lie in a package; take them out first")
    per_package = child.length // parent.length
    for number in range(parent.length):
        first = child.first + number * per_package
        session.execute(
            update(PackagingException)
            .where(
                PackagingException.child_batch_id == child.batch_id,
                PackagingException.child_index.between(first, first + per_package - 1),
            )
            .values(parent_batch_id=parent.batch_id, parent_index=parent.first + number)
        )


def _ranges_of(session: Session, parent: Run) -> Sequence[Any]:
    """Return the rows whose packages overlap `parent`."""
    ordered = RANGES.order_by(PackagingRange.child_batch_id, PackagingRange.child_first)
    return session.execute(ordered.where(ranges_holding(parent))).all()


def ranges_holding(parent: Run) -> Any:
    """Return the condition for rows whose packages overlap `parent`: a short piece of one index."""
    begins = (
        select(func.max(PackagingRange.parent_first))
        .where(PackagingRange.parent_batch_id == parent.batch_id, PackagingRange.parent_first <= parent.first)
        .scalar_subquery()
    )
    return and_(
        PackagingRange.parent_batch_id == parent.batch_id,
        PackagingRange.parent_first >= func.coalesce(begins, parent.first),
        PackagingRange.parent_first <= parent.last,
        PackagingRange.parent_last >= parent.first,
    )


def exceptions_in(parent: Run) -> Any:
    """Return the condition for codes that were put one by one into the packages `parent`."""
    return and_(
        PackagingException.parent_batch_id == parent.batch_id,
        PackagingException.parent_index.between(parent.first, parent.last),
    )


def _cut(session: Session, row: Any, parent: Run) -> None:
    """Cut the packages `parent` out of a row, and forget what was taken out of them."""
    per_package = (row.child_last - row.child_first + 1) // (row.parent_last - row.parent_first + 1)
    first, last = max(parent.first, row.parent_first), min(parent.last, row.parent_last)
    child_first = row.child_first + (first - row.parent_first) * per_package
    child_last = row.child_first + (last - row.parent_first + 1) * per_package - 1
    rest = []
    if row.parent_first < first:
        rest.append((row.child_first, child_first - 1, row.parent_first, first - 1))
    if last < row.parent_last:
        rest.append((child_last + 1, row.child_last, last + 1, row.parent_last))
    batches = {"child_batch_id": row.child_batch_id, "parent_batch_id": row.parent_batch_id}
    key = and_(
        PackagingRange.child_batch_id == row.child_batch_id, PackagingRange.child_first == row.child_first
    )
    session.execute(delete(PackagingRange).where(key))
    for numbers in rest:
        names = ("child_first", "child_last", "parent_first", "parent_last")
        session.execute(insert(PackagingRange).values(**batches, **dict(zip(names, numbers, strict=True))))
    loose = and_(
        PackagingException.child_batch_id == row.child_batch_id,
        PackagingException.child_index.between(child_first, child_last),
        or_(PackagingException.parent_index.is_(None), exceptions_in(parent)),
    )
    session.execute(delete(PackagingException).where(loose))
