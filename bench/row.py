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


def figure(name: str, value: float, unit: str) -> Row:
    """Return the row of a figure that is told for information."""
    return Row(name, value, unit, None, None)


def at_least(name: str, value: float, unit: str, bar: float) -> Row:
    """Return the row of a figure that must be large enough."""
    return Row(name, value, unit, f">= {bar:,.10g}", value >= bar)


def at_most(name: str, value: float, unit: str, bar: float) -> Row:
    """Return the row of a figure that must be small enough."""
    return Row(name, value, unit, f"<= {bar:,.10g}", value <= bar)
