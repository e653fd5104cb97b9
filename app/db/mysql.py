# ruff: noqa: SLF001 - PyMySQL's inside is what this is about
"""PyMySQL's connection with a faster way to read small results.

PyMySQL reads a result column by column: a packet, an object and a dozen small reads for the description of
each, every time, although the same statement always gets the same descriptions. That costs more than
everything else that a small SELECT does in Python. Here a whole result that has arrived is taken apart in
one pass, and descriptions that were seen before on the connection are recognised by their bytes.

Whatever is unusual (a result that has not arrived completely, an error in the midst of it, an unknown
description) is left untouched in the buffer for PyMySQL's own reader. So this is a short cut and not a second
implementation; `tests/integration/db/test_mysql.py` holds the two to the same answers.
"""

from collections.abc import Mapping
from typing import Any

from pymysql import connections
from pymysql.constants import SERVER_STATUS

# Statements are prebuilt, so there are some dozens of descriptions; SQL that varies must not pile up.
_MOST_DESCRIPTIONS = 512

_EOF_LENGTH = 5
_EOF, _ERROR, _NULL, _TWO_BYTES, _THREE_BYTES = 0xFE, 0xFF, 0xFB, 0xFC, 0xFD

# What is overridden here is PyMySQL's inside, of which its stubs know nothing; its release is pinned.
_Connection: Any = connections.Connection
_Reader: Any = connections.MySQLResult

Rows = tuple[tuple[Any, ...], ...]


class FastConnection(_Connection):  # type: ignore[misc]
    """A connection that recognises the descriptions of columns it has seen."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.descriptions: dict[bytes, tuple[Any, Any, Any]] = {}
        super().__init__(*arguments, **options)

    def run(self, statement: str, values: Mapping[str, Any]) -> tuple[Rows, int]:
        """Send `statement` with its %(name)s filled in; return its rows, and how many it found or changed."""
        self.query(statement % {name: self.escape(value) for name, value in values.items()})
        result: Any = self._result
        return result.rows or (), result.affected_rows

    def _read_query_result(self, unbuffered: bool = False) -> Any:  # noqa: FBT001, FBT002 - PyMySQL's own
        if unbuffered:
            return super()._read_query_result(unbuffered=True)
        self._result = None
        result: Any = _Result(self)
        result.read()
        self._result = result
        if result.server_status is not None:
            self.server_status = result.server_status
        return result.affected_rows


class _Result(_Reader):  # type: ignore[misc]
    """A result that is read from the buffer at once where it lies there whole."""

    def _read_result_packet(self, first_packet: Any) -> None:
        self.field_count = first_packet.read_length_encoded_integer()
        connection: Any = self.connection
        data = _arrived(connection)
        end = _end_of_descriptions(data, self.field_count)
        key = data[:end]
        known = connection.descriptions.get(key)
        if known is not None and key[3] == connection._next_seq_id:
            self.fields, self.converters, self.description = known
            if self._take_rows(data, end):
                return
        self._get_descriptions()
        if 0 < end <= len(data):
            if len(connection.descriptions) >= _MOST_DESCRIPTIONS:
                connection.descriptions.clear()
            connection.descriptions[key] = (self.fields, self.converters, self.description)
        self._read_rowdata_packet()

    def _take_rows(self, data: bytes, end: int) -> bool:
        """Read the rows behind the descriptions; False, with nothing taken: they are not all there."""
        connection: Any = self.connection
        sequence = (connection._next_seq_id + self.field_count) & 0xFF
        found: list[tuple[Any, ...]] = []
        seen_eof = False
        try:
            while True:
                length = data[end] | data[end + 1] << 8 | data[end + 2] << 16
                first = data[end + 4]
                if data[end + 3] != sequence or first == _ERROR or end + 4 + length > len(data):
                    return False
                end += 4 + length
                sequence = (sequence + 1) & 0xFF
                if first == _EOF and length == _EOF_LENGTH:
                    if seen_eof:
                        break
                    seen_eof = True
                else:
                    found.append(_row(data, end - length, self.converters))
        except IndexError:
            return False
        self.warning_count = data[end - 4] | data[end - 3] << 8
        self.has_next = (data[end - 2] | data[end - 1] << 8) & SERVER_STATUS.SERVER_MORE_RESULTS_EXISTS
        connection._rfile.read(end)
        connection._next_seq_id = sequence
        self.affected_rows = len(found)
        self.rows = tuple(found)
        return True


def _arrived(connection: Any) -> bytes:
    """Return what has arrived and is not read yet; nothing when the connection fails: a read will tell."""
    try:
        data: bytes = connection._rfile.peek()
    except OSError:
        return b""
    return data


def _end_of_descriptions(data: bytes, columns: int) -> int:
    """Return where `columns` packets end; beyond the data, or 0, when they have not all arrived."""
    end = 0
    try:
        for _ in range(columns):
            end += 4 + (data[end] | data[end + 1] << 8 | data[end + 2] << 16)
    except IndexError:
        return 0
    return end


def _row(data: bytes, at: int, converters: list[tuple[str | None, Any]]) -> tuple[Any, ...]:
    """Return the row whose packet begins at `at`: length-encoded texts, turned into values."""
    row: list[Any] = []
    for encoding, converter in converters:
        length = data[at]
        at += 1
        if length == _NULL:
            row.append(None)
            continue
        if length > _NULL:
            width = 2 if length == _TWO_BYTES else 3 if length == _THREE_BYTES else 8
            length = int.from_bytes(data[at : at + width], "little")
            at += width
        value: Any = data[at : at + length]
        at += length
        if encoding is not None:
            value = value.decode(encoding)
        row.append(value if converter is None else converter(value))
    return tuple(row)
