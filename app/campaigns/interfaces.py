"""What campaigns need from rooms that do not exist yet."""

from collections.abc import Collection
from typing import Protocol

from sqlalchemy.orm import Session


class PersonTags(Protocol):
    """Tells the tags of a person. A member's tier comes from the members room."""

    def tags_of(self, session: Session, *, person_ids: Collection[int]) -> Collection[str]:
        """Return the tags of a cluster; asked only where the rules in force name tags. One statement."""


class NoTags:
    """Nobody has tags: until the room that keeps them is built."""

    def tags_of(self, session: Session, *, person_ids: Collection[int]) -> Collection[str]:
        """Return no tags."""
        return ()
