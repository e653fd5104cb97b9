"""The type of what JSON can say, and the one way in which we write it where a hash is taken."""

import json
from typing import TypeAlias

Json: TypeAlias = bool | int | float | str | list["Json"] | dict[str, "Json"] | None

_encode = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode


def canonical(value: object) -> bytes:
    """Return JSON bytes that are the same for equal values: sorted keys, no spaces, UTF-8."""
    return _encode(value).encode()
