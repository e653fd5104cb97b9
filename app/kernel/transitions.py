"""One transition table per aggregate: the only way for a state to change."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Generic, TypeVar

from app.kernel.errors import Conflict


class TransitionRefused(Conflict):
    """The state does not lead there."""

    code = "state_refused"
    title = "The state does not allow this"


S = TypeVar("S", bound=StrEnum)


class TransitionTable(Generic[S]):
    """Says which states may follow which; every state of the enumeration must be listed."""

    def __init__(self, table: Mapping[S, Iterable[S]]) -> None:
        self._table = {state: frozenset(targets) for state, targets in table.items()}
        states = type(next(iter(self._table)))
        missing = [state for state in states if state not in self._table]
        if missing:
            raise ValueError(f"no line for {', '.join(missing)}")

    def allows(self, old: S, new: S) -> bool:
        """Tell whether `new` may follow `old`."""
        return new in self._table[old]

    def require(self, old: S, new: S) -> None:
        """Raise TransitionRefused unless `new` may follow `old`."""
        if not self.allows(old, new):
            raise TransitionRefused(f"from {old} it cannot become {new}", state=str(old))

    def sources(self, new: S) -> frozenset[S]:
        """Return the states from which `new` may be reached: for the guard in an UPDATE."""
        return frozenset(state for state, targets in self._table.items() if new in targets)

    def final(self, state: S) -> bool:
        """Tell whether nothing follows `state`."""
        return not self._table[state]
