"""What reading codes takes: the installation's code key, its link prefix, and the batches' keys at hand."""

from functools import lru_cache

from app.codes.errors import CodeAltered, NotACode
from app.codes.format import BatchKey, CodeKeys, Parsed
from app.codes.links import CodeLink
from app.codes.models import KEY_CONTEXT
from app.db import secrets

_BATCH_KEYS = 4096


class CodeBook:
    """Reads codes for one process; shared by all its threads.

    Keys of batches stay ready for use: opening and expanding one costs more than checking a code.
    """

    def __init__(self, keys: CodeKeys, link: CodeLink) -> None:
        self.keys = keys
        self.link = link
        self.batch_key = lru_cache(maxsize=_BATCH_KEYS)(_open_key)

    def read(self, text: str) -> Parsed:
        """Return what `text` (a bare code, `scene`, or `q`) says; raise NotACode or CodeAltered."""
        return self.keys.parse(self.link.extract(text))

    def has_our_shape(self, text: str) -> bool:
        """Tell whether `text` reads as a code of our format, genuine or not."""
        try:
            self.read(text)
        except NotACode:
            return False
        except CodeAltered:
            return True
        return True


def _open_key(sealed: bytes) -> BatchKey:
    """Return the key of a batch from the bytes that its row holds."""
    return BatchKey(bytes.fromhex(secrets.ring().open(KEY_CONTEXT, sealed).decode()))
