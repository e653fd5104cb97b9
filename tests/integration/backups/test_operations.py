"""The drill: fill, back up while writes go on, restore, audit, compare."""

import threading
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import Engine, inspect, select, text, update
from sqlalchemy.orm import Session

from app.backups import mariadb, operations
from app.backups.archive import Manifest
from app.backups.errors import (
    BackupFailed,
    BadBackup,
    DatabaseNotEmpty,
    FileExists,
    NothingToBackUp,
    RestoredWrong,
)
from app.backups.figures import Figures, figures
from app.db import migrate, secrets
from app.db.engine import Database
from app.db.secrets import KeyRing
from app.identity.models import Identifier
from app.kernel.clock import ManualClock
from app.ledger.models import Account
from app.ledger.queries import audit
from tests.factories.campaign_world import CampaignWorld
from tests.integration.backups.conftest import Empty

WRITERS = 3


@dataclass
class House:
    """A brand whose campaign has been drawn in, and a folder for its backups."""

    world: CampaignWorld
    empty: Empty
    ring: KeyRing
    folder: Path

    @property
    def db(self) -> Database:
        """The database that is backed up."""
        return self.world.db

    def draw(self) -> int:
        """Let a new member draw; return the draw."""
        return self.world.draw(self.world.member()).draw.id

    def make(self, name: str = "saoma.backup", ring: KeyRing | None = None) -> tuple[Path, Manifest]:
        """Back the database up."""
        file = self.folder / name
        return file, operations.make(self.db, ring=ring or self.ring, into=file, now=self.world.clock.now())

    def restore(self, file: Path, ring: KeyRing | None = None) -> Database:
        """Restore into an empty database."""
        new = self.empty()
        operations.restore(new, ring=ring or self.ring, path=file)
        return new


@pytest.fixture
def house(source: Database, empty: Empty, keyring: KeyRing, clock: ManualClock, tmp_path: Path) -> House:
    world = CampaignWorld.build(source, clock)
    world.run()
    house = House(world, empty, keyring, tmp_path)
    for _ in range(5):
        house.draw()
    return house


def _make(source: Database, keyring: KeyRing, clock: ManualClock, into: Path) -> Manifest:
    return operations.make(source, ring=keyring, into=into, now=clock.now())


def _figures(db: Database) -> Figures:
    with db.engine.connect() as connection:
        return figures(connection)


def _contents(engine: Engine) -> dict[str, list[tuple[object, ...]]]:
    with engine.connect() as connection:
        return {
            name: sorted(map(tuple, connection.execute(text(f"SELECT * FROM {name}"))), key=repr)
            for name in figures(connection).rows
        }


def test_what_comes_back_is_what_was_there_to_the_last_byte(house: House) -> None:
    before = _contents(house.db.engine)

    file, made = house.make()
    new = house.restore(file)

    assert _contents(new.engine) == before == _contents(house.db.engine)
    assert (made.schema, made.key_versions) == (migrate.head(), (1,))
    assert made.figures.transfers == made.figures.rows["ledger_transfers"] > 1
    assert file.stat().st_mode & 0o777 == 0o600
    assert {path.name for path in house.folder.iterdir()} <= {
        "saoma.backup",
        *(f"{name}.db{suffix}" for name in ("saoma", "restored") for suffix in ("", "-wal", "-shm")),
    }
    with new.read() as session:
        identifier = session.execute(select(Identifier)).scalars().first()
        assert identifier is not None
        assert identifier.value.startswith("openid-")


def test_writes_go_on_while_it_is_backed_up_and_the_copy_is_of_one_moment(house: House) -> None:
    stop = threading.Event()
    drawn, faults = list[int](), list[Exception]()

    def draw() -> None:
        try:
            while not stop.is_set():
                drawn.append(house.draw())
        except Exception as fault:  # noqa: BLE001 - told below
            faults.append(fault)

    threads = [threading.Thread(target=draw) for _ in range(WRITERS)]
    for thread in threads:
        thread.start()
    while len(drawn) < WRITERS and not faults:
        stop.wait(0.01)
    before = set(drawn)
    file, made = house.make()
    during = len(drawn) - len(before)
    stop.set()
    for thread in threads:
        thread.join()

    new = house.restore(file)

    assert faults == []
    assert during > 0, "nobody wrote while it was backed up"
    with new.engine.connect() as connection:
        kept = {number for (number,) in connection.execute(text("SELECT id FROM draws"))}
        assert figures(connection) == made.figures
    assert before <= kept < kept | set(drawn)
    with new.read() as session, house.db.read() as now:
        assert audit(session) == audit(now) == []


def test_a_file_that_was_cut_off_or_altered_is_refused_and_touches_nothing(house: House) -> None:
    file, _ = house.make()
    broken = house.folder / "broken.backup"
    whole, new = file.read_bytes(), house.empty()
    third = len(whole) // 3
    one_bit = whole[:third] + bytes([whole[third] ^ 1]) + whole[third + 1 :]

    for content in (whole[: 2 * third], whole[:-1], b"", one_bit):
        broken.write_bytes(content)
        with pytest.raises(BadBackup):
            operations.restore(new, ring=house.ring, path=broken)
    assert inspect(new.engine).get_table_names() == []
    with pytest.raises(BadBackup, match="other master keys"):
        operations.restore(new, ring=KeyRing({1: bytes(32)}), path=file)


def _rewritten(file: Path, into: Path, **members: bytes) -> Path:
    """Write the archive anew with other members, as somebody with a packing program would."""
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(into, "w") as new:
        for name in old.namelist():
            new.writestr(name, members.get(name.replace(".", "_"), old.read(name)))
    return into


def test_a_file_that_was_packed_anew_with_other_content_is_refused(house: House) -> None:
    file, _ = house.make()
    with zipfile.ZipFile(file) as archive:
        manifest = archive.read("manifest.json")
        (content,) = (name for name in archive.namelist() if name.startswith("database"))
        database = archive.read(content)
    richer = database.replace(b"Tea", b"Pea", 1)
    assert richer != database
    new = house.empty()

    other = _rewritten(file, house.folder / "a", **{content.replace(".", "_"): richer})
    with pytest.raises(BadBackup, match="not what was written"):
        operations.restore(new, ring=house.ring, path=other)
    other = _rewritten(file, house.folder / "b", manifest_json=manifest.replace(b"2026", b"2027"))
    with pytest.raises(BadBackup, match="altered"):
        operations.restore(new, ring=house.ring, path=other)
    assert inspect(new.engine).get_table_names() == []


def test_a_database_that_holds_something_is_not_lost_by_mistake(house: House) -> None:
    file, made = house.make()
    while (now := _figures(house.db)).transfers == made.figures.transfers:
        house.draw()

    with pytest.raises(DatabaseNotEmpty):
        operations.restore(house.db, ring=house.ring, path=file)
    assert _figures(house.db) == now

    operations.restore(house.db, ring=house.ring, path=file, replace=True)
    assert _figures(house.db) == made.figures
    assert house.draw()


def test_a_backup_never_overwrites_another(house: House) -> None:
    file = house.folder / "saoma.backup"
    file.write_text("Monday")

    with pytest.raises(FileExists):
        house.make()
    assert file.read_text() == "Monday"


def test_a_book_that_does_not_hold_is_told(house: House) -> None:
    def tamper(session: Session) -> None:
        session.execute(update(Account).where(Account.balance > 0).values(balance=Account.balance + 1))

    house.db.transact(tamper)
    file, _ = house.make()

    with pytest.raises(RestoredWrong, match="its transfers say"):
        house.restore(file)


def test_a_backup_that_needs_other_keys_or_a_newer_release_is_refused(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    two = KeyRing({1: bytes(range(32)), 2: b"2" * 32})
    file, _ = house.make(ring=two)

    with pytest.raises(BadBackup, match="needs master key version 2"):
        house.restore(file)
    monkeypatch.setattr(migrate, "head", lambda: "0001")
    with pytest.raises(BadBackup, match="restore with a newer"):
        house.restore(file, two)


def test_an_empty_database_is_not_backed_up(house: House) -> None:
    house.world.db = house.empty()

    with pytest.raises(NothingToBackUp):
        house.make()
    assert not (house.folder / "saoma.backup").exists()


def test_without_the_dump_program_its_package_is_named(
    clean_db: Database, keyring: KeyRing, clock: ManualClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(BackupFailed, match="mariadb-client"):
        _make(clean_db, keyring, clock, tmp_path / "saoma.backup")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("password", ["plain", "a b'c\"d\\e#f;g%h", " between blanks "])
def test_any_password_reaches_the_server_and_none_the_list_of_processes(
    clean_db: Database, clock: ManualClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, password: str
) -> None:
    seen = list[list[str]]()
    run = mariadb.subprocess.Popen

    def watched(command: list[str], **options: object) -> object:
        seen.append(command)
        options_file = Path(command[1].partition("=")[2])
        assert options_file.stat().st_mode & 0o777 == 0o600
        return run(command, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(mariadb.subprocess, "Popen", watched)
    with clean_db.engine.connect() as connection:
        name = connection.execute(text("SELECT DATABASE()")).scalar_one()
        # All workers share the server, and its users with it.
        user = f"keeper_{name}"
        connection.execute(text(f"CREATE USER {user}@'127.0.0.1' IDENTIFIED BY :word"), {"word": password})
        connection.execute(text(f"GRANT ALL ON `{name}`.* TO {user}@'127.0.0.1'"))
    url = clean_db.engine.url.set(username=user, password=password)
    mine = Database(url.render_as_string(hide_password=False))
    try:
        made = _make(mine, secrets.ring(), clock, tmp_path / "saoma.backup")
        assert made.figures.rows["alembic_version"] == 1
    finally:
        mine.dispose()
        with clean_db.engine.connect() as connection:
            connection.execute(text(f"DROP USER {user}@'127.0.0.1'"))
    (command,) = seen
    assert not [argument for argument in command if password in argument]
    assert not Path(command[1].partition("=")[2]).exists()


def test_a_dump_that_fails_leaves_no_file_and_says_why(
    clean_db: Database, keyring: KeyRing, clock: ManualClock, tmp_path: Path
) -> None:
    with clean_db.engine.connect() as connection:
        connection.execute(text("CREATE VIEW broken AS SELECT id FROM brands"))
        connection.execute(text("RENAME TABLE brands TO brands_away"))
    try:
        with pytest.raises(BackupFailed, match="mariadb-dump says"):
            _make(clean_db, keyring, clock, tmp_path / "saoma.backup")
    finally:
        with clean_db.engine.connect() as connection:
            connection.execute(text("RENAME TABLE brands_away TO brands"))
            connection.execute(text("DROP VIEW broken"))
    assert list(tmp_path.iterdir()) == []
