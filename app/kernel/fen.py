"""Money is an integer number of fen; yuan exist only where people read or write them."""

import re

_YUAN = re.compile(r"(?P<sign>-?)(?P<yuan>[0-9]{1,13})(?:\.(?P<fen>[0-9]{1,2}))?")


def format_yuan(fen: int) -> str:
    """Return `fen` as yuan with two decimals: 1230 -> "12.30"."""
    sign = "-" if fen < 0 else ""
    yuan, rest = divmod(abs(fen), 100)
    return f"{sign}{yuan}.{rest:02d}"


def parse_yuan(text: str) -> int:
    """Return the fen of a yuan amount such as "12.3".

    Raises ValueError for anything that is not a plain decimal with at most two decimals: a third
    decimal would be lost money.
    """
    match = _YUAN.fullmatch(text.strip())
    if match is None:
        raise ValueError("an amount in yuan is written with at most two decimals, such as 12.30")
    fen = int(match["yuan"]) * 100 + int((match["fen"] or "0").ljust(2, "0"))
    return -fen if match["sign"] else fen
