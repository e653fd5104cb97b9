"""Identity card numbers that nobody has."""

from datetime import date

_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


def card(born: date, *, sequence: int = 1) -> str:
    """Return a number of the region 999999, which is no region, with its check character."""
    digits = f"999999{born:%Y%m%d}{sequence:03d}"
    total = sum(weight * int(digit) for weight, digit in zip(_WEIGHTS, digits, strict=True))
    return digits + "10X98765432"[total % 11]
