"""A print pack: which codes of which batch go to the printer. What writes its files is in app.codes.packs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from app.codes.format import BatchKey, CodeKeys
from app.codes.links import CodeLink
from app.kernel.json import Json

INDEX_DIGITS = 9  # 2^27 - 1 is 134217727


@dataclass(frozen=True, slots=True)
class Pack:
    """What is printed: `count` codes of one batch from `first_index` on.

    `about` is what the printer may know of the batch (public id, product, lot); it goes into the manifest.
    """

    keys: CodeKeys = field(repr=False)
    batch_key: BatchKey = field(repr=False)
    batch_id: int
    first_index: int
    count: int
    link: CodeLink
    about: Mapping[str, Json]
    created_at: datetime

    @property
    def name(self) -> str:
        """The stem of the pack's files."""
        return f"batch-{self.batch_id}-{self.first_index:0{INDEX_DIGITS}}-{self.count}"

    def code(self, index: int) -> str:
        """Return one code."""
        return self.keys.encode(self.batch_id, index, self.batch_key)
