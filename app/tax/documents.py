"""Identity documents as a tax return names them: what can be one, and how much of it is shown.

Resident identity cards carry their holder's birthday and a check character (GB 11643); the residence permits
of Hong Kong, Macau and Taiwan residents and the newer card of foreign permanent residents are numbered the
same way. Others have no rule that could be checked here.
"""

import re
import unicodedata
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from app.tax.errors import BadIdentity, GuardianWanted


class Document(StrEnum):
    """What kind of document it is."""

    RESIDENT_ID = "resident_id"
    PASSPORT = "passport"
    HONG_KONG_MACAU_PERMIT = "hong_kong_macau_permit"
    TAIWAN_PERMIT = "taiwan_permit"
    FOREIGN_RESIDENT_CARD = "foreign_resident_card"


NAMES = {
    Document.RESIDENT_ID: "居民身份证 resident identity card",
    Document.PASSPORT: "护照 passport",
    Document.HONG_KONG_MACAU_PERMIT: "港澳居民来往内地通行证 Hong Kong and Macau permit",
    Document.TAIWAN_PERMIT: "台湾居民来往大陆通行证 Taiwan permit",
    Document.FOREIGN_RESIDENT_CARD: "外国人永久居留身份证 foreign permanent resident card",
}

_CARD = re.compile(r"[1-9][0-9]{16}[0-9X]")
_OTHER = re.compile(r"[A-Z0-9]{6,20}")
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECKS = "10X98765432"
_NAME_LENGTH = range(2, 51)
_CHILD_YEARS = 14
_SHOWN = 4


@dataclass(frozen=True, slots=True)
class Identity:
    """Who somebody is to the tax office; personal data."""

    name: str = field(repr=False)
    document: Document
    number: str = field(repr=False)

    def checked(self, today: date) -> "Identity":
        """Return it in its one spelling; raise BadIdentity, or GuardianWanted for a child under 14."""
        name = " ".join(unicodedata.normalize("NFKC", self.name).split())
        if len(name) not in _NAME_LENGTH or not _is_name(name):
            raise BadIdentity("write the name as it is in the document", field="name")
        number = unicodedata.normalize("NFKC", self.number).replace(" ", "").upper()
        if self.document is Document.RESIDENT_ID:
            born = _born(number)
            if born is None or born > today:
                raise BadIdentity("this is not the number of an identity card; compare it", field="number")
            if _years(born, today) < _CHILD_YEARS:
                raise GuardianWanted("a guardian settles this with the organiser")
        elif not _OTHER.fullmatch(number):
            raise BadIdentity("a document's number has 6 to 20 letters and digits", field="number")
        return Identity(name, self.document, number)

    def masked(self) -> "Identity":
        """Return it as its owner sees it again: enough to recognise, too little to use."""
        hidden = len(self.number) - _SHOWN
        return Identity(
            self.name[0] + "*" * (len(self.name) - 1), self.document, "*" * hidden + self.number[hidden:]
        )


def _is_name(name: str) -> bool:
    """Tell whether only letters are there, and what stands between them in some names."""
    return name[0].isalpha() and all(letter.isalpha() or letter in " ·.-'" for letter in name)


def _born(number: str) -> date | None:
    """Return the birthday in a card's number; None when there is no such card."""
    if not _CARD.fullmatch(number):
        return None
    total = sum(weight * int(digit) for weight, digit in zip(_WEIGHTS, number, strict=False))
    if _CHECKS[total % 11] != number[-1]:
        return None
    try:
        return date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        return None


def _years(born: date, today: date) -> int:
    return today.year - born.year - ((today.month, today.day) < (born.month, born.day))
