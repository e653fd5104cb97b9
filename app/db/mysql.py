# ruff: noqa: SLF001 - PyMySQL's inside is what this is about
"""PyMySQL's connection with a faster way to send values and to read small answers.

PyMySQL reads a result column by column: a packet, an object and a dozen small reads for the description of
each, every time, although the same statement always gets the same descriptions. That costs more than
everything else that a small SELECT does in Python. Here an answer that has arrived as a whole is taken apart
in one pass, and descriptions that were seen before on the connection are recognised by their bytes.

Whatever is unusual (an answer that has not arrived completely, an error, an unknown description) is left
untouched in the buffer for PyMySQL's own reader. So this is a short cut and not a second implementation;
`tests/integration/db/test_mysql.py` holds the two to the same answers.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from pymysql import InterfaceError, MySQLError, connections
from pymysql.constants import COMMAND, SERVER_STATUS

# Statements are prebuilt, so there are some dozens of descriptions; SQL that varies must not pile up.
_MOST_DESCRIPTIONS = 512

_QUERY = bytes([COMMAND.COM_QUERY])
# What is sent ahead waits in the buffers of the two ends, with the answers to it; more goes one by one.
_MOST_AHEAD = 64 * 1024

_HEADER = 4
_OK, _EOF, _ERROR, _NULL, _TWO_BYTES, _THREE_BYTES = 0x00, 0xFE, 0xFF, 0xFB, 0xFC, 0xFD
_EOF_LENGTH = 5

# What is overridden here is PyMySQL's inside, of which its stubs know nothing; its release is pinned.
_Connection: Any = connections.Connection
_Reader: Any = connections.MySQLResult

Rows = tuple[tuple[Any, ...], ...]


_PARAMETER = re.compile(r"%\((\w+)\)s")
# A text that means the same between quotes on every server.
_PLAIN = re.compile(r"[A-Za-z0-9_]*")


class Template:
    """A statement that is cut at its %(name)s once, so that filling them in is one join.

    `constants` are values that never change: most are filled in here, for good.
    """

    __slots__ = ("_names", "_order", "_pieces")

    def __init__(self, statement: str, constants: Mapping[str, Any]) -> None:
        pieces: list[str] = _PARAMETER.split(statement)
        texts, order = [pieces[0]], list[str]()
        for name, text in zip(pieces[1::2], pieces[2::2], strict=True):
            literal = _plain_literal(constants[name]) if name in constants else None
            if literal is None:
                order.append(name)
                texts.append(text)
            else:
                texts[-1] += literal + text
        self._names = tuple(dict.fromkeys(order))
        self._order = [self._names.index(name) for name in order]
        # Between the texts, places for what is filled in.
        self._pieces = [b""] * (2 * len(texts) - 1)
        self._pieces[::2] = [text.replace("%%", "%").encode() for text in texts]

    def fill(self, values: Mapping[str, Any], escape: Callable[[Any], str]) -> bytes:
        """Return the statement with `values` filled in, each as `escape` writes it."""
        literals = []
        for name in self._names:
            value = values[name]
            # Most values are whole numbers, and need nobody's help.
            literals.append(b"%d" % value if type(value) is int else escape(value).encode())
        pieces = self._pieces[:]
        pieces[1::2] = [literals[number] for number in self._order]
        return b"".join(pieces)


def _plain_literal(value: object) -> str | None:
    if type(value) is int:
        return str(value)
    return f"'{value}'" if isinstance(value, str) and _PLAIN.fullmatch(value) else None


class FastConnection(_Connection):  # type: ignore[misc]
    """A connection that recognises the descriptions of columns it has seen."""

    _result: Any

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.descriptions: dict[bytes, tuple[Any, Any, Any]] = {}
        super().__init__(*arguments, **options)

    def run(self, statement: Template, values: Mapping[str, Any]) -> tuple[Rows, int]:
        """Send `statement` with `values` filled in; return its rows, and how many it found or changed."""
        self._execute_command(COMMAND.COM_QUERY, statement.fill(values, self.escape))
        affected: int = self._read_query_result()
        self._affected_rows = affected
        return self._result.rows or (), affected

    def run_all(
        self, statements: Sequence[tuple[Template, Mapping[str, Any]]]
    ) -> "list[tuple[Rows, int] | MySQLError]":
        """Send all `statements` before the first answer is read; return of each what `run` returns or raises.

        One round trip for all. The server executes them one after the other, those behind a refused one too:
        after a refusal the transaction must be rolled back. Raises when the connection is gone.
        """
        if self._sock is None:
            raise InterfaceError(0, "the connection is closed")
        packets = [self._packet(statement, values) for statement, values in statements]
        ahead = sum(map(len, packets)) <= _MOST_AHEAD
        answers: list[tuple[Rows, int] | MySQLError] = []
        try:
            if ahead:
                self._write_bytes(b"".join(packets))
            for packet in packets:
                if not ahead:
                    self._write_bytes(packet)
                answers.append(self._answer())
        except BaseException:
            # An answer that nobody has read would be taken for that of the next statement.
            self._force_close()
            raise
        return answers

    def _packet(self, statement: Template, values: Mapping[str, Any]) -> bytes:
        command = _QUERY + statement.fill(values, self.escape)
        return len(command).to_bytes(3, "little") + b"\0" + command

    def _answer(self) -> "tuple[Rows, int] | MySQLError":
        self._next_seq_id = 1
        try:
            affected: int = self._read_query_result()
        except MySQLError as refusal:
            if self._sock is None:
                raise
            return refusal
        return self._result.rows or (), affected

    def escape(self, obj: Any, mapping: Any = None) -> str:
        """Return a value as SQL: the common types here, the others as PyMySQL does it."""
        kind = type(obj)
        if kind is int:
            return str(obj)
        if kind is str:
            if self.server_status & SERVER_STATUS.SERVER_STATUS_NO_BACKSLASH_ESCAPES:
                return f"'{obj.replace(_QUOTE, _QUOTE * 2)}'"
            # Nothing else means anything between quotes, in an encoding whose letters hold no ASCII bytes.
            return f"'{obj.replace(_BACKSLASH, _BACKSLASH * 2).replace(_QUOTE, _BACKSLASH + _QUOTE)}'"
        if obj is None:
            return "NULL"
        if kind is bytes:
            return f"X'{obj.hex()}'"
        if kind is datetime and obj.tzinfo is None:
            return f"'{obj.isoformat(' ')}'"
        escaped: str = super().escape(obj, mapping)
        return escaped

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


_QUOTE, _BACKSLASH = "'", "\\"


class _Result(_Reader):  # type: ignore[misc]
    """An answer that is read from the buffer at once where it lies there whole."""

    connection: Any
    field_count: int

    def read(self) -> None:
        """Read the answer to a statement."""
        connection = self.connection
        data = _arrived(connection)
        if len(data) > _HEADER and data[3] == connection._next_seq_id and self._take(data):
            self.connection = None
            return
        super().read()
        if self.field_count:
            self._learn(connection, data)

    def _take(self, data: bytes) -> bool:
        """Read the answer out of `data`; return False, with nothing taken, if that cannot be done."""
        first = data[_HEADER]
        if first == _OK:
            return self._take_ok(data)
        end = _end_of_descriptions(data)
        known = self.connection.descriptions.get(data[:end]) if end else None
        if known is None:
            return False
        self.fields, self.converters, self.description = known
        self.field_count = first
        return self._take_rows(data, end)

    def _take_ok(self, data: bytes) -> bool:
        length = data[0] | data[1] << 8 | data[2] << 16
        end = _HEADER + length
        # Larger counts and ids have marks of their own.
        if end > len(data) or data[5] > 250 or data[6] > 250:
            return False
        self.affected_rows, self.insert_id = data[5], data[6]
        self.server_status = data[7] | data[8] << 8
        self.warning_count = data[9] | data[10] << 8
        self.message = data[11:end]
        self.has_next = self.server_status & SERVER_STATUS.SERVER_MORE_RESULTS_EXISTS
        self._taken(end, data[3] + 1)
        return True

    def _take_rows(self, data: bytes, end: int) -> bool:
        sequence = data[3] + 1 + self.field_count
        found: list[tuple[Any, ...]] = []
        ends = 0
        try:
            while ends < 2:  # one ends the descriptions, one the rows
                length = data[end] | data[end + 1] << 8 | data[end + 2] << 16
                first = data[end + _HEADER]
                if data[end + 3] != sequence & 0xFF or first == _ERROR or end + _HEADER + length > len(data):
                    return False
                end += _HEADER + length
                sequence += 1
                if first == _EOF and length == _EOF_LENGTH:
                    ends += 1
                else:
                    found.append(_row(data, end - length, self.converters))
        except IndexError:
            return False
        self.warning_count = data[end - 4] | data[end - 3] << 8
        self.has_next = (data[end - 2] | data[end - 1] << 8) & SERVER_STATUS.SERVER_MORE_RESULTS_EXISTS
        self.affected_rows = len(found)
        self.rows = tuple(found)
        self._taken(end, sequence)
        return True

    def _taken(self, length: int, sequence: int) -> None:
        self.connection._rfile.read(length)
        self.connection._next_seq_id = sequence & 0xFF

    def _learn(self, connection: FastConnection, data: bytes) -> None:
        end = _end_of_descriptions(data)
        if end:
            if len(connection.descriptions) >= _MOST_DESCRIPTIONS:
                connection.descriptions.clear()
            connection.descriptions[data[:end]] = (self.fields, self.converters, self.description)


@contextmanager
def patient(connection: Any, *, seconds: float) -> Iterator[None]:
    """Let a connection wait `seconds` for each answer, instead of as long as it was made to wait."""
    usual, connection._read_timeout = connection._read_timeout, seconds
    try:
        yield
    finally:
        connection._read_timeout = usual


def _arrived(connection: Any) -> bytes:
    """Return what has arrived and is not read yet; nothing when the connection fails: a read will tell."""
    try:
        if connection._current_timeout != connection._read_timeout:
            connection._sock.settimeout(connection._read_timeout)
            connection._current_timeout = connection._read_timeout
        data: bytes = connection._rfile.peek()
    except OSError:
        return b""
    return data


def _end_of_descriptions(data: bytes) -> int:
    """Return where the number of columns and their descriptions end; 0 if they have not all arrived."""
    if len(data) <= _HEADER or data[0] != 1 or not 0 < data[_HEADER] < _NULL:
        return 0
    end = _HEADER + 1
    try:
        for _ in range(data[_HEADER]):
            end += _HEADER + (data[end] | data[end + 1] << 8 | data[end + 2] << 16)
    except IndexError:
        return 0
    return end if end <= len(data) else 0


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
