"""Node numbers for the id makers: each process takes the next one when it starts.

After 4,096 starts the numbers come round again. For two ids to be equal then, a process as old as that
must still be running and number the same millisecond alike; the primary key would refuse the second row.
"""

from sqlalchemy import select, update
from sqlalchemy.orm import Mapped, Session

from app.db.base import Base, big_int, id_column
from app.db.engine import Database
from app.db.once import insert_once
from app.kernel import ids


class NodeCounter(Base):
    """One row: how many processes have started so far."""

    __tablename__ = "node_counter"
    id: Mapped[int] = id_column()
    started: Mapped[int] = big_int(doc="process starts, a count")


def claim_node(db: Database) -> int:
    """Take the next node number for this process, use it for new ids, and return it."""

    def work(session: Session) -> int:
        connection = session.connection()
        if connection.execute(update(NodeCounter).values(started=NodeCounter.started + 1)).rowcount == 0:
            insert_once(session, NodeCounter.__table__.insert(), {"id": 1, "started": 1})  # type: ignore[attr-defined]
        return connection.execute(select(NodeCounter.started)).scalar_one()

    node = db.transact(work) % ids.NODE_COUNT
    ids.use_node(node)
    return node
