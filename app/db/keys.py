"""Which master keys this database has been written with, so that none goes missing unnoticed.

A key that is gone, or another one under its number, would show only when the first value cannot be opened;
the lowest would not even show then: blind indexes, public ids and bill numbers hang from it, and all would
silently be others. So each version leaves a proof in the database, which tells nothing about the key, and a
process whose keys do not fit the proofs does not start.
"""

from datetime import datetime

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Mapped, Session

from app.config import BadSettings
from app.db.base import Base, blind_index, moment, small_int
from app.db.engine import Database
from app.db.once import insert_once
from app.db.secrets import KeyRing
from app.kernel.errors import Refused

_SETTING = "SAOMA_MASTER_KEYS"


class KeyNotIdle(Refused):
    """The key is still needed."""

    code = "key_in_use"
    title = "The key is still needed"


class KeyVersion(Base):
    """A version of the master keys that values of this database may be sealed with."""

    __tablename__ = "key_versions"
    version: Mapped[int] = small_int(primary_key=True)
    proof: Mapped[bytes] = blind_index(doc="what only the key of this version makes")
    known_at: Mapped[datetime] = moment()
    retired_at: Mapped[datetime | None] = moment(nullable=True, doc="since when no value needs it")


def require_keys(db: Database, ring: KeyRing, *, now: datetime) -> None:
    """Hold `ring` against the keys that `db` was written with, and write down those that are new.

    Raises BadSettings, which says which version is missing, false or in the wrong place. Source: SEC-03.
    """

    def work(session: Session) -> list[str]:
        found = key_faults(session, ring)
        if not found:
            known = set(session.execute(select(KeyVersion.version)).scalars())
            for version in sorted(set(ring.versions) - known):
                values = {"version": version, "proof": ring.proof(version), "known_at": now}
                insert_once(session, insert(KeyVersion), values)
        return found

    faults = db.transact(work)
    if faults:
        raise BadSettings(faults)


def key_faults(session: Session, ring: KeyRing) -> list[str]:
    """Return one sentence for each way in which `ring` is not what the database was written with."""
    known = {row.version: row for row in session.execute(select(KeyVersion)).scalars()}
    faults = []
    for version, row in known.items():
        if version in ring.versions:
            if ring.proof(version) != row.proof:
                faults.append(
                    f"{_SETTING}: version {version} is not the key that this database was written with"
                )
        elif row.retired_at is None:
            faults.append(
                f"{_SETTING}: version {version} is missing, and values of this database need it; put it back"
                f" (`saoma keys retire {version}` tells when it may go)"
            )
    if ring.sealing in known and known[ring.sealing].retired_at is not None:
        faults.append(
            f"{_SETTING}: version {ring.sealing} was retired; a new key takes the next higher number"
        )
    if known and ring.versions[0] < min(known):
        faults.append(
            f"{_SETTING}: version {ring.versions[0]} lies below the lowest of this database, from which blind"
            " indexes hang; give a new key the next higher number"
        )
    return faults


def require_retirable(ring: KeyRing, version: int) -> None:
    """Raise KeyNotIdle for a version that can never be retired: the lowest, and the one that seals."""
    if version == ring.versions[0]:
        raise KeyNotIdle(
            "the lowest version stays for ever: blind indexes, public ids and bill numbers hang from it"
        )
    if version == ring.sealing:
        raise KeyNotIdle("this version seals what is written now; another one has to take over first")


def mark_retired(session: Session, *, version: int, now: datetime) -> bool:
    """Write down that no value needs `version` any more; return False when it is not known or was retired."""
    retired = (
        update(KeyVersion)
        .where(KeyVersion.version == version, KeyVersion.retired_at.is_(None))
        .values(retired_at=now)
    )
    return session.connection().execute(retired).rowcount == 1
