"""Core statements of the hot paths, compiled once and handed straight to the driver.

SQLAlchemy compiles a statement once too, but for each execution it builds a context, a cursor, a result and
its metadata, which together cost as much as the driver's own work. A scan or a draw is a dozen statements on
one connection, so they go without: the text is kept per dialect, values pass through the same bind and result
processors of the column types, errors are wrapped in the same exceptions.

Where somebody listens to the engine's events (SQLite's BEGIN, a test that counts statements) the text goes
through `exec_driver_sql`, so that nothing escapes the listener.
"""

from collections import namedtuple
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Executable
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session
from sqlalchemy.sql import Select
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.selectable import CompoundSelect

from app.db.duplicates import is_duplicate
from app.db.mysql import FastConnection, Template

CONNECTION = "saoma.connection"
"""Under this name a session's info holds the connection in whose transaction it works, if that is known."""

WAITING = "saoma.waiting"
"""Under this name the session of a unit of work holds the statements that are still to be sent."""

_SAVEPOINT = "saoma.savepoint"
"""Under this name a session's info holds the savepoint in which writes may wait, when it is in one."""

Processor = Callable[[Any], Any]
Parameters = Mapping[str, Any]
Rows = Sequence[Sequence[Any]]
_Answer = tuple[Rows, int]
T = TypeVar("T")


class Prepared:
    """One statement. Its parameters are always the same names; lists may have any length.

    For an INSERT of a whole row: every column is a parameter of its name.
    """

    def __init__(self, statement: Executable) -> None:
        self._statement = statement
        self._forms: WeakKeyDictionary[Dialect, dict[tuple[int, ...], _Form]] = WeakKeyDictionary()
        self._lists: tuple[str, ...] | None = None

    def all(self, session: Session, parameters: Parameters) -> list[Any]:
        """Return the rows as named tuples."""
        form, rows, _ = self._send(session, parameters)
        return form.shape(rows)

    def first(self, session: Session, parameters: Parameters) -> Any:
        """Return the first row as a named tuple, or None."""
        form, rows, _ = self._send(session, parameters)
        return form.shape(rows[:1])[0] if rows else None

    def run(self, session: Session, parameters: Parameters) -> int:
        """Execute a statement that returns nothing; return how many rows it found or wrote."""
        return self._send(session, parameters)[2]

    def write_later(
        self, session: Session, parameters: Parameters, *, lost: Callable[[], Exception], rows: int | None = 1
    ) -> None:
        """Write `rows` rows (None: any): before the transaction's next statement, or at its end.

        For writes whose outcome nobody waits for: those that follow each other make one round trip. `lost`
        makes what is raised then, not here, when a unique key refuses a row or a guard lets fewer be written.
        Nobody may catch it inside the transaction: the writes behind it have been executed as well. In a
        savepoint other than `savepoint`, or in a session that no unit of work commits, it happens at once.
        """
        _wait(session, _Write(*self._bound(session, parameters), rows, lost))

    def ask(self, session: Session, parameters: Parameters, then: Callable[[list[Any]], T]) -> "Asked[T]":
        """Ask for rows that are needed soon: before the transaction's next statement, or when read.

        So two questions that do not depend on one another make one round trip; they are answered in the
        order in which they were asked. What is called returns what `then` makes of the rows.
        """
        asked = Asked(session, *self._bound(session, parameters), then)
        _wait(session, asked)
        return asked

    def _bound(self, session: Session, parameters: Parameters) -> "tuple[_Form, dict[str, Any]]":
        form = self._form(_connection(session).dialect, parameters)
        return form, form.bind(parameters)

    def _send(self, session: Session, parameters: Parameters) -> "tuple[_Form, Rows, int]":
        # In a round trip of their own: where trips are dear this is asked for, too, and goes with them. Sent
        # along it would save one trip in some hundreds, and run behind a write that was refused.
        send_waiting(session)
        form, values = self._bound(session, parameters)
        connection = _connection(session)
        driver: Any = connection.connection.driver_connection
        if type(driver) is not FastConnection or _is_observed(connection):
            return form, *_execute(connection, form, values)
        try:
            return form, *driver.run(form.template, values)
        except driver.Error as error:
            raise _wrapped(connection, error, form.text, values) from error

    def _form(self, dialect: Dialect, parameters: Parameters) -> "_Form":
        forms = self._forms.get(dialect)
        if forms is None:
            forms = self._forms.setdefault(dialect, {})
        if self._lists is None:
            self._lists = tuple(name for name, value in parameters.items() if isinstance(value, list))
        lengths = tuple([len(parameters[name]) for name in self._lists]) if self._lists else ()
        form = forms.get(lengths)
        if form is None:
            form = forms[lengths] = _compile(self._statement, dialect, parameters)
        return form


class _Waiting(Protocol):
    """A statement with its values bound, and what becomes of its answer."""

    @property
    def form(self) -> "_Form":
        """The statement."""

    @property
    def values(self) -> dict[str, Any]:
        """Its values, by name."""

    def take(self, answer: "_Answer | DBAPIError") -> None:
        """Take the answer, or raise what it means."""


@dataclass(frozen=True, slots=True)
class _Write:
    """A statement that must write so many rows, with its values bound; `lost` makes the error when not."""

    form: "_Form"
    values: dict[str, Any]
    rows: int | None
    lost: Callable[[], Exception]

    def take(self, answer: "_Answer | DBAPIError") -> None:
        if isinstance(answer, DBAPIError):
            raise self.lost() if is_duplicate(answer) else answer
        if self.rows is not None and answer[1] != self.rows:
            raise self.lost()


class Asked(Generic[T]):
    """Rows that have been asked for."""

    def __init__(
        self, session: Session, form: "_Form", values: dict[str, Any], then: Callable[[list[Any]], T]
    ) -> None:
        self.form = form
        self.values = values
        self._session = session
        self._then = then
        self._rows: Rows | None = None

    def take(self, answer: "_Answer | DBAPIError") -> None:
        """Keep the rows; raise the error there is instead."""
        if isinstance(answer, DBAPIError):
            raise answer
        self._rows = answer[0]

    def __call__(self) -> T:
        """Return what the rows say; once they have been read, without a statement."""
        if self._rows is None:
            send_waiting(self._session)
        assert self._rows is not None
        return self._then(self.form.shape(self._rows))


@contextmanager
def savepoint(session: Session) -> Iterator[None]:
    """Work in a savepoint in which writes may wait; they are sent before it is released.

    What is refused undoes all of it and is raised here, so whoever catches it does so outside.
    """
    above = session.info.get(_SAVEPOINT)
    with session.begin_nested() as nested:
        session.connection()  # only now is it set
        session.info[_SAVEPOINT] = nested
        try:
            yield
            send_waiting(session)
        except BaseException:
            if WAITING in session.info:
                session.info[WAITING].clear()
            raise
        finally:
            session.info[_SAVEPOINT] = above


def _is_in_another_savepoint(session: Session) -> bool:
    return session.get_nested_transaction() is not session.info.get(_SAVEPOINT)


def _wait(session: Session, statement: _Waiting) -> None:
    waiting: list[_Waiting] | None = session.info.get(WAITING)
    if waiting is None or _is_in_another_savepoint(session):
        _settle(session, [statement])
    else:
        waiting.append(statement)


def send_waiting(session: Session) -> None:
    """Send what waits, in its order; raise what the first refusal means."""
    waiting: list[_Waiting] | None = session.info.get(WAITING)
    if waiting:
        statements = waiting[:]
        waiting.clear()
        _settle(session, statements)


def _settle(session: Session, statements: Sequence[_Waiting]) -> None:
    for statement, answer in zip(statements, _answers(_connection(session), statements), strict=True):
        statement.take(answer)


def _answers(connection: Connection, statements: Sequence[_Waiting]) -> "Iterator[_Answer | DBAPIError]":
    driver: Any = connection.connection.driver_connection
    if type(driver) is not FastConnection or _is_observed(connection):
        for statement in statements:
            try:
                yield _execute(connection, statement.form, statement.values)
            except DBAPIError as error:
                yield error
        return
    try:
        answers = driver.run_all([(statement.form.template, statement.values) for statement in statements])
    except driver.Error as error:
        raise _wrapped(connection, error, statements[0].form.text, statements[0].values) from error
    for statement, answer in zip(statements, answers, strict=True):
        if isinstance(answer, tuple):
            yield answer
        else:
            yield _wrapped(connection, answer, statement.form.text, statement.values)


def _connection(session: Session) -> Connection:
    connection: Connection | None = session.info.get(CONNECTION)
    # Any other savepoint begins when the session is first asked for its connection.
    if connection is None or _is_in_another_savepoint(session):
        connection = session.connection()
    return connection


def _execute(connection: Connection, form: "_Form", values: dict[str, Any]) -> _Answer:
    result = connection.exec_driver_sql(form.text, form.in_order(values))
    return result.fetchall() if result.returns_rows else (), result.rowcount


def _is_observed(connection: Connection) -> bool:
    return connection._has_events or connection.engine._has_events  # noqa: SLF001 - there is no other way


def _wrapped(connection: Connection, error: Exception, text: str, values: Parameters) -> DBAPIError:
    """Return `error` as SQLAlchemy would raise it; a connection that is gone is taken out of the pool."""
    dialect = connection.dialect
    driver: Any = connection.connection.dbapi_connection
    is_gone = dialect.is_disconnect(error, driver, None)  # type: ignore[arg-type]
    if is_gone:
        connection.invalidate(error)
    assert dialect.dbapi is not None
    wrapped = DBAPIError.instance(
        text,
        dict(values),
        error,
        dialect.dbapi.Error,
        hide_parameters=connection.engine.hide_parameters,
        connection_invalidated=is_gone,
        dialect=dialect,
    )
    assert isinstance(wrapped, DBAPIError)
    return wrapped


@dataclass(frozen=True, slots=True)
class _Form:
    """A statement for one dialect, with lists of certain lengths.

    template: the text cut at its parameters, for `FastConnection`. constants: values of the statement's own.
    singles: parameters, with what turns their values into the driver's. lists: the same, with the names of
    the elements. order: for drivers that want places. row and readers: what makes a named tuple of a row, and
    what turns the values at some places into Python's.
    """

    text: str
    template: Template
    constants: Parameters
    singles: tuple[tuple[str, Processor | None], ...]
    lists: tuple[tuple[str, tuple[str, ...], Processor | None], ...]
    order: tuple[str, ...] | None
    row: Callable[[Sequence[Any]], Any]
    readers: tuple[tuple[int, Processor], ...]

    def bind(self, parameters: Parameters) -> dict[str, Any]:
        """Return all values as the driver wants them, by name."""
        values = dict(self.constants)
        for name, process in self.singles:
            value = parameters[name]
            values[name] = value if process is None else process(value)
        for name, elements, process in self.lists:
            given = parameters[name]
            values.update(zip(elements, map(process, given) if process else given, strict=True))
        return values

    def in_order(self, values: dict[str, Any]) -> Any:
        """Return `values` in the order of their places, where the driver wants that."""
        return values if self.order is None else tuple(values[name] for name in self.order)

    def shape(self, rows: Rows) -> list[Any]:
        """Return rows of the driver as named tuples of Python's values."""
        row, readers = self.row, self.readers
        if not readers:
            return [row(values) for values in rows]
        shaped = []
        for found in rows:
            values = list(found)
            for place, read in readers:
                values[place] = read(values[place])
            shaped.append(row(values))
        return shaped


def _compile(statement: Executable, dialect: Dialect, parameters: Parameters) -> _Form:
    compiled: Any = statement.compile(dialect=dialect)  # type: ignore[attr-defined]
    assert isinstance(compiled, SQLCompiler)
    if compiled.insert_prefetch or compiled.update_prefetch:
        raise ValueError("a prepared statement has no defaults made in Python")
    state = compiled.construct_expanded_state(dict(parameters))
    processors = {
        name: bind.type.dialect_impl(dialect).bind_processor(dialect)
        for bind, name in compiled.bind_names.items()
    }
    expanded = {element for elements in state.parameter_expansion.values() for element in elements}
    constants, singles = {}, []
    for name, value in state.parameters.items():
        if name in expanded:
            continue
        process = processors.get(name)
        if name in parameters:
            singles.append((name, process))
        else:
            constants[name] = value if process is None else process(value)
    lists = [
        (name, tuple(elements), processors[name]) for name, elements in state.parameter_expansion.items()
    ]
    row, readers = _columns(statement, dialect)
    order = tuple(state.positiontup) if state.positiontup is not None else None
    template = Template(state.statement, constants)
    return _Form(state.statement, template, constants, tuple(singles), tuple(lists), order, row, readers)


def _columns(
    statement: Executable, dialect: Dialect
) -> tuple[Callable[[Sequence[Any]], Any], tuple[tuple[int, Processor], ...]]:
    """Return what makes a named tuple of a row, and what turns its values into Python's."""
    if not isinstance(statement, Select | CompoundSelect):
        return tuple, ()
    columns = list(statement.selected_columns)
    readers = []
    for place, column in enumerate(columns):
        read = column.type.dialect_impl(dialect).result_processor(dialect, None)
        if read is not None:
            readers.append((place, read))
    names: Any = [str(column.key) for column in columns]
    shape: Any = namedtuple("Row", names, rename=True)  # type: ignore[misc]  # noqa: PYI024
    return shape._make, tuple(readers)
