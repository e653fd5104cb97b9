"""The faster reader of results tells the same as PyMySQL's own, whatever the result."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pymysql
import pytest

from app.db import mysql
from app.db.engine import Database
from app.db.mysql import FastConnection, Template

_STATEMENTS = {
    "one": "SELECT 1",
    "texts": "SELECT NULL, '', 'text', 'Wörter 扫码 🎁'",
    "numbers": "SELECT -1, 18446744073709551615, 1.50, 1e300, TRUE",
    "times": "SELECT TIMESTAMP('2026-06-01 04:00:00.123456'), DATE('2026-06-01'), TIME('-25:00:01')",
    "bytes": "SELECT X'00FF', UNHEX(REPEAT('AB', 40)), CAST('x' AS BINARY), B'101'",
    "json": """SELECT JSON_OBJECT('a', 1), JSON_EXTRACT('{"a": [1, "ü"]}', '$.a')""",
    "length marks": "SELECT REPEAT('a', 250), REPEAT('b', 251), REPEAT('c', 255), REPEAT('d', 256)",
    "nearly a buffer": "SELECT REPEAT('a', 7000), 1",
    "more than a buffer": "SELECT REPEAT('a', 70000), 1",
    "no row": "SELECT seq FROM seq_1_to_1 WHERE seq = 2",
    "rows": "SELECT seq, seq * 2, 'row' FROM seq_1_to_3",
    "more packets than numbers": "SELECT seq FROM seq_1_to_300",
    "many rows": "SELECT seq, REPEAT('x', MOD(seq, 300)) FROM seq_1_to_2000",
    "many columns": "SELECT " + ", ".join(f"{number} AS c{number}" for number in range(300)),
    "one name twice": "SELECT 'a' AS x, 'b' AS x",
    "nothing": "DO 1",
}


@pytest.fixture
def place(mariadb_url: str, db: Database) -> dict[str, Any]:
    url = db.engine.url
    return {
        "host": url.host,
        "port": url.port,
        "user": url.username,
        "database": url.database,
        "charset": "utf8mb4",
        "ssl_disabled": True,
    }


@pytest.fixture
def fast(place: dict[str, Any]) -> Iterator[FastConnection]:
    with closing(FastConnection(**place)) as connection:
        yield connection


@pytest.mark.parametrize("statement", _STATEMENTS.values(), ids=_STATEMENTS.keys())
def test_every_result_is_read_as_pymysql_reads_it(
    place: dict[str, Any], fast: FastConnection, statement: str
) -> None:
    with closing(pymysql.connect(**place)) as plain, plain.cursor() as expected, fast.cursor() as found:
        expected.execute(statement)
        rows = expected.fetchall()
        for _ in range(3):  # its descriptions are unknown once, known then
            found.execute(statement)
            assert found.fetchall() == rows
            assert found.rowcount == expected.rowcount
            assert found.description == expected.description
            assert found.warning_count == expected.warning_count
            assert fast.run(Template(statement, {}), {}) == (tuple(rows), expected.rowcount)
    fast.ping()


def test_known_results_take_the_short_cut(fast: FastConnection, monkeypatch: pytest.MonkeyPatch) -> None:
    fast.run(Template("SELECT 'a' AS x, 1 AS y", {}), {})
    monkeypatch.setattr(mysql._Reader, "_get_descriptions", None)
    monkeypatch.setattr(mysql._Reader, "_read_rowdata_packet", None)
    assert fast.run(Template("SELECT 'a' AS x, 1 AS y", {}), {}) == ((("a", 1),), 1)


def test_values_are_filled_in_as_values(fast: FastConnection) -> None:
    odd = {"a": "it's \\ %s \0 '; --", "b": None, "c": b"\x00'", "d": 7, "e": "扫码"}
    rows, _ = fast.run(Template("SELECT %(a)s, %(b)s, %(c)s, %(d)s, %(e)s, '100%%'", {}), odd)
    assert rows == ((*odd.values(), "100%"),)


def test_constants_are_filled_in_as_values_too(fast: FastConnection) -> None:
    odd = {"a": "it's \\ %s", "b": None, "c": b"\x00'", "d": -7, "e": "plain_1", "f": True}
    template = Template("SELECT %(a)s, %(b)s, %(c)s, %(d)s, %(e)s, %(f)s, %(g)s, %(d)s", odd)
    rows, _ = fast.run(template, {**odd, "g": "%(a)s"})
    assert rows == (("it's \\ %s", None, b"\x00'", -7, "plain_1", 1, "%(a)s", -7),)


def test_an_error_after_the_first_rows_is_raised_and_the_connection_lives(fast: FastConnection) -> None:
    # The third row's subquery has two rows; the server has sent two rows by then.
    statement = "SELECT (SELECT s.seq FROM seq_1_to_5 s WHERE s.seq < t.seq) AS x FROM seq_1_to_{} t"
    assert fast.run(Template(statement.format(2), {}), {}) == (((None,), (1,)), 2)
    for _ in range(2):
        with pytest.raises(pymysql.err.OperationalError, match="1242"):
            fast.run(Template(statement.format(5), {}), {})
    assert fast.run(Template("SELECT 1", {}), {}) == (((1,),), 1)


def test_a_connection_that_is_cut_is_an_operational_error(
    place: dict[str, Any], fast: FastConnection
) -> None:
    with closing(pymysql.connect(**place)) as killer:
        killer.kill(fast.thread_id())
    with pytest.raises(pymysql.err.OperationalError):
        fast.run(Template("SELECT 1", {}), {})


def test_descriptions_do_not_pile_up(fast: FastConnection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mysql, "_MOST_DESCRIPTIONS", 5)
    for number in range(20):
        assert fast.run(Template(f"SELECT 1 AS c{number}", {}), {}) == (((1,),), 1)
    assert len(fast.descriptions) <= 5


def test_several_results_of_one_call_are_read_one_by_one(place: dict[str, Any]) -> None:
    flags = pymysql.constants.CLIENT.MULTI_STATEMENTS
    with closing(FastConnection(**place, client_flag=flags)) as connection, connection.cursor() as cursor:
        for _ in range(2):
            cursor.execute("SELECT 1 AS x; SELECT 2 AS x; DO 1")
            assert cursor.fetchall() == ((1,),)
            assert cursor.nextset()
            assert cursor.fetchall() == ((2,),)
            assert cursor.nextset()
            assert not cursor.nextset()


def test_the_product_connects_with_it(db: Database) -> None:
    with db.engine.connect() as connection:
        assert isinstance(connection.connection.driver_connection, FastConnection)
