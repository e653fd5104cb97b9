"""One measured figure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """A figure, its unit, the bar it must clear (None: told for information) and whether it does."""

    name: str
    value: float
    unit: str
    bar: str | None
    holds: bool | None
