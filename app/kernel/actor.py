"""Who does it: carried by every write, so that the trail can name somebody."""

from dataclasses import dataclass
from enum import StrEnum


class ActorKind(StrEnum):
    """What sort of party acts."""

    PERSON = "person"
    OPERATOR = "operator"
    PLATFORM = "platform"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Actor:
    """The party behind a write. `label` is a name of ours (an account, a job), never personal data.

    `account_id`: the console account of an operator who is signed in.
    """

    kind: ActorKind
    label: str
    person_id: int | None = None
    account_id: int | None = None


SYSTEM = Actor(ActorKind.SYSTEM, "system")
