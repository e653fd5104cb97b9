"""What every test may ask for: databases, a clock, keys; and what none may do: talk to strangers.

- `session`: a session on MariaDB whose every change is rolled back. For one operation at a time.
- `clean_db`: the MariaDB database itself, emptied afterwards. For tests that commit or use threads.
- `sqlite_db`: a database file of its own, for the embedded mode.
- `clock`: stands still at NOON until it is moved.
- `race_seed`: runs a test once per seed: 2, or what its module says (`race(seeds=5)` for the money path and
  for logging in), or SAOMA_RACE_SEEDS (`make race`: 50).

One MariaDB server serves a whole run, all its workers included, and starts when the first test needs it.
Each worker has its own database, made by the migrations.
"""

import fcntl
import gc
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from argon2 import PasswordHasher
from sqlalchemy import Engine, event
from sqlalchemy.orm import Session

from app.access import passwords
from app.db import engine, migrate, secrets
from app.db.engine import Database
from app.kernel.clock import ManualClock
from tests.support import compiled, schema
from tests.support.mariadb import PrivateMariaDB

pytest.register_assert_rewrite("tests.factories")

NOON = datetime(2026, 6, 1, 4, 0, tzinfo=UTC)
"""A Monday, noon in Shanghai."""

_FOLDER = pytest.StashKey[Path]()
_OWNER = pytest.StashKey[int]()

# A shared machine's clock proves nothing about an example; and a check that ran green runs green again.
# `pytest --hypothesis-profile=explore` looks further, with new examples each time.
hypothesis.settings.register_profile("saoma", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.register_profile("explore", deadline=None, max_examples=1000, print_blob=True)
hypothesis.settings.load_profile("saoma")


def pytest_configure(config: pytest.Config) -> None:
    """Agree on the place of the run's MariaDB: the main process owns it, its workers share it."""
    shared: dict[str, Any] | None = getattr(config, "workerinput", None)
    if shared is None:
        config.stash[_FOLDER] = Path(tempfile.mkdtemp(prefix="saoma-tests-"))
        config.stash[_OWNER] = os.getpid()
    else:
        config.stash[_FOLDER] = Path(shared["mariadb_folder"])
        config.stash[_OWNER] = shared["mariadb_owner"]


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of pytest-xdist that place."""
    node.workerinput["mariadb_folder"] = str(node.config.stash[_FOLDER])
    node.workerinput["mariadb_owner"] = node.config.stash[_OWNER]


def pytest_collection() -> None:
    """Collect no garbage while tests are: there is none."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Leave what was collected alone from now on, and look at the rest less often than by default."""
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)
    gc.enable()


def pytest_sessionfinish() -> None:
    """Spare pytest the ten further looks at everything with which it goes for what the tests left behind."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the MariaDB of this run, after Ctrl-C too."""
    if not hasattr(config, "workerinput"):
        PrivateMariaDB(config.stash[_FOLDER]).stop()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test that asks for a `race_seed` one run per seed.

    A race is made to meet, so every seed finds a guard that is missing; more of them vary the order.
    """
    if "race_seed" in metafunc.fixturenames:
        marker = metafunc.definition.get_closest_marker("race")
        own = marker.kwargs.get("seeds", 2) if marker else 2
        metafunc.parametrize("race_seed", range(int(os.environ.get("SAOMA_RACE_SEEDS", own))))


@pytest.fixture(scope="session", autouse=True)
def _no_strangers() -> Iterator[None]:
    """Refuse every connection that leaves this machine, and every look-up of a foreign name."""
    connect, connect_ex, getaddrinfo = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo

    def guarded_connect(self: socket.socket, address: Any) -> None:
        _require_here(self.family, address)
        return connect(self, address)

    def guarded_connect_ex(self: socket.socket, address: Any) -> int:
        _require_here(self.family, address)
        return connect_ex(self, address)

    def guarded_getaddrinfo(host: Any, *arguments: Any, **options: Any) -> Any:
        _require_here(socket.AF_INET, (host, 0))
        return getaddrinfo(host, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded_connect)
        patch.setattr(socket.socket, "connect_ex", guarded_connect_ex)
        patch.setattr(socket, "getaddrinfo", guarded_getaddrinfo)
        yield


def _require_here(family: int, address: Any) -> None:
    if family == socket.AF_UNIX:
        return
    host = address[0].decode() if isinstance(address[0], bytes) else address[0]
    if host in (None, "", "localhost"):
        return
    try:
        here = ip_address(host).is_loopback
    except ValueError:
        here = False
    if not here:
        pytest.fail(f"a test tried to reach {host}; tests talk to 127.0.0.1 only")


@pytest.fixture(scope="session", autouse=True)
def keyring() -> secrets.KeyRing:
    """The key ring that encrypted columns use in tests, bound for the whole run."""
    ring = secrets.KeyRing({1: bytes(range(32))})
    secrets.bind(ring)
    return ring


@pytest.fixture(scope="session", autouse=True)
def _cheap_passwords() -> None:
    """Let a password cost next to nothing: a tenth of a second for each of a test's operators adds up."""
    passwords._hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@pytest.fixture(scope="session", autouse=True)
def _compiled_once() -> Iterator[None]:
    """Let all of a run's engines and applications share what they compile."""
    with compiled.statements_once(), compiled.routes_once():
        yield


@pytest.fixture(scope="session", autouse=True)
def _no_waiting_for_the_disk() -> Iterator[None]:
    """Let no commit wait for the disk: a process may die here, but nobody pulls the plug."""
    prepare = engine._prepare_sqlite

    def prepare_relaxed(made: Engine) -> None:
        prepare(made)
        event.listen(made, "connect", lambda driver, _: driver.execute("PRAGMA synchronous=OFF"))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "_prepare_sqlite", prepare_relaxed)
        yield


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands at NOON."""
    return ManualClock(NOON)


@pytest.fixture(scope="session")
def mariadb_server(pytestconfig: pytest.Config) -> PrivateMariaDB:
    """The run's MariaDB server, started by whoever needs it first."""
    server = PrivateMariaDB(pytestconfig.stash[_FOLDER], owner=pytestconfig.stash[_OWNER])
    server.start()
    return server


@pytest.fixture(scope="session")
def worker_name() -> str:
    """The name of this process among those that share the run: main, gw0, gw1 …."""
    return os.environ.get("PYTEST_XDIST_WORKER", "main")


@pytest.fixture(scope="session")
def mariadb_url(mariadb_server: PrivateMariaDB, worker_name: str) -> str:
    """The URL of this worker's own MariaDB database, migrated."""
    return schema.create_migrated(mariadb_server, f"saoma_{worker_name}")


@pytest.fixture(scope="session")
def db(mariadb_url: str) -> Iterator[Database]:
    """This worker's MariaDB database. Ask for `clean_db` to commit, for `session` to roll back."""
    database = Database(mariadb_url, pool_size=20)
    yield database
    database.dispose()


@pytest.fixture
def session(db: Database) -> Iterator[Session]:
    """A session on MariaDB whose changes are rolled back, even those that the code under test commits."""
    with db.engine.connect() as connection:
        outer = connection.begin()
        with Session(connection, join_transaction_mode="create_savepoint", expire_on_commit=False) as session:
            yield session
        outer.rollback()


@pytest.fixture(scope="session")
def _tables(db: Database) -> list[str]:
    """The tables that tests fill: all but those that the migrations themselves have filled."""
    with db.engine.connect() as connection:
        names = schema.tables(connection)
        seeded = set(schema.filled(connection, names))
    return [name for name in names if name not in seeded]


@pytest.fixture
def clean_db(db: Database, _tables: list[str]) -> Iterator[Database]:
    """The MariaDB database for tests that commit; emptied afterwards."""
    with schema.emptied(db, _tables):
        yield db


@pytest.fixture(scope="session")
def _sqlite_template(pytestconfig: pytest.Config) -> Path:
    """A migrated file, made by the first worker of the run that needs one."""
    folder = pytestconfig.stash[_FOLDER]
    path, half = folder / "template.db", folder / "template.half"
    with (folder / "sqlite.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            half.unlink(missing_ok=True)
            database = Database(f"sqlite:///{half}")
            migrate.upgrade(database)
            database.dispose()
            half.rename(path)
    return path


@pytest.fixture
def sqlite_url(_sqlite_template: Path, tmp_path: Path) -> str:
    """The URL of a migrated SQLite file that belongs to this test alone."""
    path = tmp_path / "saoma.db"
    shutil.copyfile(_sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture
def sqlite_db(sqlite_url: str) -> Iterator[Database]:
    """A migrated SQLite database that belongs to this test alone."""
    database = Database(sqlite_url)
    yield database
    database.dispose()
