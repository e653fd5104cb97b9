"""What a restored database is compared by: the number of rows in each table, and the ledger's digest.

They are taken twice in two ways: when a backup is made, from the very copy that is stored (rows of a SQLite
copy, lines of a dump); after a restore, from the database. Tables grow while they are copied, so counting
in the running database would describe another moment than the copy.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, func, inspect, select, table

from app.ledger.models import TransferRow

LEDGER = "ledger_transfers"
_COLUMNS = ("id", "key", "asset", "debit_account", "credit_account", "amount", "reason", "ref_id")
_PAGE = 5000
_INSERT = re.compile(rb"INSERT INTO `(\w+)` VALUES \((.*)\);\n?", re.DOTALL)
_VALUE = re.compile(r"'((?:[^'\\]|\\.)*)'|([^,]+)", re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_PLAIN = {"n": "\n", "r": "\r", "t": "\t", "0": "\0", "Z": "\x1a", "b": "\b"}


@dataclass(frozen=True, slots=True)
class Figures:
    """Rows of each table; number and SHA-256 of the ledger's transfers, in the order of their ids."""

    rows: dict[str, int]
    transfers: int
    ledger_sha256: str

    def differences(self, other: "Figures") -> list[str]:
        """Return one sentence for each figure in which a restored database, `other`, differs."""
        found = [
            f"{name}: {self.rows.get(name)} rows when it was backed up, {other.rows.get(name)} now"
            for name in sorted(self.rows.keys() | other.rows.keys())
            if self.rows.get(name) != other.rows.get(name)
        ]
        if (self.transfers, self.ledger_sha256) != (other.transfers, other.ledger_sha256):
            found.append("the ledger's transfers are not those that were backed up")
        return found


class _LedgerDigest:
    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.transfers = 0

    def add(self, values: Sequence[object]) -> None:
        self._hash.update("|".join(str(value) for value in values).encode() + b"\n")
        self.transfers += 1

    def hexdigest(self) -> str:
        return self._hash.hexdigest()


def figures(connection: Connection) -> Figures:
    """Take the figures of a database that nobody is writing to."""
    rows = {
        name: connection.execute(select(func.count()).select_from(table(name))).scalar_one()
        for name in inspect(connection).get_table_names()
    }
    digest = _LedgerDigest()
    page = select(*(getattr(TransferRow, name) for name in _COLUMNS)).order_by(TransferRow.id).limit(_PAGE)
    last = 0
    while found := connection.execute(page.where(TransferRow.id > last)).all():
        for row in found:
            digest.add(row)
        last = found[-1].id
    return Figures(rows, digest.transfers, digest.hexdigest())


@dataclass(slots=True)
class Tally:
    """Takes the figures of a dump from its lines, one row in each; `tables` and `columns` as it has them."""

    tables: Sequence[str]
    columns: Sequence[str]
    _rows: dict[str, int] = field(init=False)
    _places: list[int] = field(init=False)
    _digest: _LedgerDigest = field(default_factory=_LedgerDigest)

    def __post_init__(self) -> None:
        self._rows = dict.fromkeys(self.tables, 0)
        self._places = [self.columns.index(name) for name in _COLUMNS]

    def see(self, line: bytes) -> None:
        """Count one line of the dump."""
        found = _INSERT.fullmatch(line) if line.startswith(b"INSERT") else None
        if found is None:
            return
        name = found[1].decode()
        self._rows[name] = self._rows.get(name, 0) + 1
        if name == LEDGER:
            values = _values(found[2].decode())
            self._digest.add([values[place] for place in self._places])

    def figures(self) -> Figures:
        """Return the figures of all lines so far."""
        return Figures(self._rows, self._digest.transfers, self._digest.hexdigest())


def _values(text: str) -> list[str]:
    """Return the values between the brackets of an INSERT: numbers as they are, texts without quotes."""
    return [
        _ESCAPED.sub(lambda escape: _PLAIN.get(escape[1], escape[1]), found[1])
        if found[1] is not None
        else found[2]
        for found in _VALUE.finditer(text)
    ]
