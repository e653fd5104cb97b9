"""Locking clusters, and the only two places that change `persons.one_id`: `join` and `split`.

A cluster is a tree: its nodes are persons, its edges the merges that hold. `join` adds an edge between two
trees, `split` takes one out and leaves two trees, so merges can be taken back in any order and each person
comes out with exactly those whom the remaining evidence ties to them. The root is the smallest (oldest)
person id of the tree; it depends on nothing else, so taking back restores the pointers as they were.

Whoever changes a cluster, or books value for one, locks its root row first: rank 1 of the lock order,
several roots in the order of their ids.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.orm import Session, aliased

from app.db.engine import Replay
from app.db.prepared import Asked, Prepared
from app.identity import conflicts
from app.identity.errors import UnknownPerson
from app.identity.models import LogAction, Merge, MergeMove, Person
from app.identity.queries import CLUSTER, Cluster
from app.identity.trail import log
from app.kernel.actor import Actor
from app.kernel.ids import new_id

ATTEMPTS = 8

_ROOTS = select(Person.id, Person.one_id).where(Person.id.in_(bindparam("persons", expanding=True)))
_LOCK = (
    select(Person.id)
    .where(Person.id.in_(bindparam("roots", expanding=True)))
    .order_by(Person.id)
    .with_for_update()
)
# The root's row is found by its primary key, so it is locked before the members are looked for: whoever
# changes the cluster holds it, and this waits there with nothing else in hand.
_Root = aliased(Person)
_LOCK_MEMBERS = Prepared(
    select(Person.id)
    .join_from(_Root, Person, Person.one_id == _Root.id)
    .where(_Root.id == bindparam("root"))
    .order_by(Person.id)
    .with_for_update()
)
_MEMBERS = select(Person.id).where(Person.one_id == bindparam("root")).order_by(Person.id)


def take(session: Session, roots: Collection[int]) -> None:
    """Lock root rows in the order of their ids: the guard of every change to a cluster."""
    session.connection().execute(_LOCK, {"roots": sorted(roots)}).all()


def lock_roots(session: Session, person_ids: Collection[int]) -> dict[int, int]:
    """Lock the clusters of `person_ids`; return the root of each person, which is certain from here on.

    A root is read before it is locked, so a merge may have moved it meanwhile: it is read again under the
    lock, and what is new is locked as well. Raises UnknownPerson, and Replay in the unlikely case that the
    clusters keep moving.
    """
    wanted = sorted(set(person_ids))
    held: set[int] = set()
    for _ in range(ATTEMPTS):
        roots = {row.id: row.one_id for row in session.connection().execute(_ROOTS, {"persons": wanted})}
        if len(roots) != len(wanted):
            raise UnknownPerson("there is no such person")
        missing = set(roots.values()) - held
        if not missing:
            return roots
        take(session, missing)
        held |= missing
    raise Replay("the clusters kept moving")


def lock_cluster(session: Session, *, person_id: int) -> Cluster:
    """Lock the cluster of a person for the rest of the transaction and return it (rank 1 of the lock order).

    No merge or unmerge can touch the cluster until the commit. Raises UnknownPerson.
    """
    held: set[int] = set()
    root: int | None = None
    for _ in range(ATTEMPTS):
        if root is not None:
            take(session, [root])
            held.add(root)
        rows = CLUSTER.all(session, {"person": person_id})
        if not rows:
            raise UnknownPerson("there is no such person")
        root = rows[0].one_id
        if root in held:
            return Cluster(root, tuple(row.id for row in rows))
    raise Replay("the cluster kept moving")


def ask_cluster(session: Session, *, person_id: int, root_id: int) -> Asked[Cluster]:
    """Ask for `lock_cluster` of a person whose root has just been read (`Principal.root_id`).

    One statement, which travels with what is asked next. The answer is Replay when the root is a stale one.
    """

    def cluster(rows: list[Any]) -> Cluster:
        found = tuple([row.id for row in rows])
        if person_id not in found:
            raise Replay("the cluster has moved")
        return Cluster(root_id, found)

    return _LOCK_MEMBERS.ask(session, {"root": root_id}, cluster)


def members(session: Session, root_id: int) -> list[int]:
    """Return the persons of a cluster, ascending."""
    return list(session.connection().execute(_MEMBERS, {"root": root_id}).scalars())


def join(
    session: Session,
    *,
    pair: tuple[int, int],
    roots: tuple[int, int],
    identifier_id: int | None,
    forced: bool,
    now: datetime,
    actor: Actor,
    detail: Mapping[str, object],
) -> int:
    """Make two locked clusters one because the persons of `pair` are the same; return the merge's id.

    `roots` are the roots of the pair, both locked and different. Conflicts between the two clusters are
    settled by it.
    """
    person_a, person_b = sorted(pair)
    kept, gone = sorted(roots)
    merge_id = new_id()
    staying, moving = members(session, kept), members(session, gone)
    row = {
        "id": merge_id,
        "person_a": person_a,
        "person_b": person_b,
        "identifier_id": identifier_id,
        "forced": forced,
        "kept_root": kept,
        "merged_root": gone,
        "merged_at": now,
    }
    point(session, moving, kept)
    connection = session.connection()
    connection.execute(insert(Merge), row)
    moves = [{"merge_id": merge_id, "person_id": moved, "previous_one_id": gone} for moved in moving]
    connection.execute(insert(MergeMove), moves)
    conflicts.settle_between(session, staying, moving, now=now, actor=actor)
    log(
        session,
        LogAction.MERGE,
        now=now,
        actor=actor,
        person_id=person_a,
        other_person_id=person_b,
        identifier_id=identifier_id,
        subject_id=merge_id,
        detail={"kept": kept, "merged": gone, "forced": forced, **detail},
    )
    return merge_id


def split(session: Session, *, pair: tuple[int, int], root_id: int) -> tuple[int, int]:
    """Take the link of `pair` out of a locked cluster; return the roots of both sides, in pair order.

    The caller has marked the merge of the link as undone.
    """
    everyone = members(session, root_id)
    links = select(Merge.person_a, Merge.person_b).where(
        Merge.person_a.in_(everyone), Merge.undone_at.is_(None)
    )
    side = _reachable(pair[0], [(row.person_a, row.person_b) for row in session.connection().execute(links)])
    rest = set(everyone) - side
    for part in (side, rest):
        if min(part) != root_id:
            point(session, sorted(part), min(part))
    return min(side), min(rest)


def point(session: Session, person_ids: Iterable[int], root_id: int) -> None:
    """Set the pointer of persons to a root: what a merge and its undoing come down to."""
    changed = update(Person).where(Person.id.in_(list(person_ids))).values(one_id=root_id)
    session.connection().execute(changed)


def kept_apart(session: Session, left_root: int, right_root: int) -> bool:
    """Tell whether somebody decided that persons of two clusters are different human beings."""
    return conflicts.barred(session, members(session, left_root), members(session, right_root))


def _reachable(start: int, links: Collection[tuple[int, int]]) -> set[int]:
    neighbours: dict[int, list[int]] = {}
    for left, right in links:
        neighbours.setdefault(left, []).append(right)
        neighbours.setdefault(right, []).append(left)
    found, waiting = {start}, [start]
    while waiting:
        for person in neighbours.get(waiting.pop(), ()):
            if person not in found:
                found.add(person)
                waiting.append(person)
    return found
