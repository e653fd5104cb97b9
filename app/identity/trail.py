"""The identity log: one line for everything that is done to somebody's identity."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import insert
from sqlalchemy.orm import Session

from app.identity.models import IdentityLog, LogAction
from app.kernel.actor import Actor
from app.kernel.ids import new_id


def log(
    session: Session,
    action: LogAction,
    *,
    now: datetime,
    actor: Actor,
    person_id: int | None = None,
    other_person_id: int | None = None,
    identifier_id: int | None = None,
    subject_id: int | None = None,
    detail: Mapping[str, object] | None = None,
) -> None:
    """Write one line; `subject_id` is the merge or conflict, `detail` has ids and words of ours only."""
    row = {
        "id": new_id(),
        "at": now,
        "action": action,
        "person_id": person_id,
        "other_person_id": other_person_id,
        "identifier_id": identifier_id,
        "subject_id": subject_id,
        "actor_kind": actor.kind,
        "actor_label": actor.label,
        "detail": dict(detail or {}),
    }
    session.connection().execute(insert(IdentityLog), row)
