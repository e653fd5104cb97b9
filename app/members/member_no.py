"""Member numbers (pure): eleven digits that tell nobody how many members there are, and a check digit.

The digits come from a keyed hash of the person's id, so they need no counter and no luck; two persons whose
digits agree are told apart by a second hash. The check digit is Damm's: it catches every single wrong digit
and every swap of neighbours, which are what a cashier's ear and fingers get wrong.
"""

DIGITS = 12
_BODY = DIGITS - 1
_FIRST = 10 ** (_BODY - 1)
_COUNT = 9 * _FIRST

_DAMM = (
    (0, 3, 1, 7, 5, 9, 8, 6, 4, 2),
    (7, 0, 9, 2, 1, 5, 4, 8, 6, 3),
    (4, 2, 0, 6, 8, 7, 1, 3, 5, 9),
    (1, 7, 5, 0, 9, 8, 3, 4, 2, 6),
    (6, 1, 2, 3, 0, 4, 5, 9, 7, 8),
    (3, 6, 7, 4, 2, 0, 9, 5, 8, 1),
    (5, 8, 6, 9, 7, 2, 0, 1, 3, 4),
    (8, 9, 4, 5, 3, 6, 2, 0, 1, 7),
    (9, 4, 3, 8, 6, 1, 7, 2, 0, 5),
    (2, 5, 8, 1, 4, 3, 6, 7, 9, 0),
)


def from_digest(digest: bytes) -> str:
    """Return the member number that a keyed hash (16 bytes or more) stands for: 12 digits, no leading 0."""
    body = str(_FIRST + int.from_bytes(digest[:16]) % _COUNT)
    return body + str(_check(body))


def is_valid(text: str) -> bool:
    """Tell whether `text` can be a member number: its length, its digits and its check digit."""
    return len(text) == DIGITS and text.isascii() and text.isdigit() and _check(text) == 0


def _check(digits: str) -> int:
    state = 0
    for digit in digits:
        state = _DAMM[state][int(digit)]
    return state
