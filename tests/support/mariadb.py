"""A private MariaDB: own port, own folder, no service, no password, gone with its folder.

The server is the child of a keeper, a process of its own that stops it and removes the folder when it is
told to or when its owner is gone, however that ended: by Ctrl-C, by SIGKILL or by a time-out. A test run
that was shot must not leave a database behind, and Python cannot clean up after its own SIGKILL.

    with PrivateMariaDB() as server:
        url = server.create_database("example")
"""

import argparse
import contextlib
import fcntl
import getpass
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType
from typing import Self

import pymysql

_READY_SECONDS = 60.0
_STOP_SECONDS = 15.0
_PROGRAM_PATH = os.pathsep.join(
    [os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin", "/opt/homebrew/bin"]
)

# Nobody pulls the plug of a test server, so it need not wait for the disk.
_RELAXED = (
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-flush-method=nosync",
    "--skip-innodb-doublewrite",
    "--skip-sync-frm",
)
_DURABLE = ("--innodb-flush-log-at-trx-commit=1", "--innodb-doublewrite")


class MariaDBFailed(Exception):
    """The server could not be started; the message holds what it said."""


class PrivateMariaDB:
    """One server in `folder` (made when missing, removed at the end).

    It lives as long as the process `owner` (this one unless given). `durable` makes every commit wait for
    the disk, which tests need only when they kill the server or measure it.
    """

    def __init__(
        self, folder: Path | None = None, *, owner: int | None = None, durable: bool = False
    ) -> None:
        self.folder = folder or Path(tempfile.mkdtemp(prefix="saoma-mariadb-"))
        self._owner = owner or os.getpid()
        self._durable = durable

    def __enter__(self) -> Self:
        """Start the server."""
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        """Stop the server and remove its folder."""
        self.stop()

    def start(self) -> None:
        """Start the server unless it runs already; return when it answers.

        Any number of processes may call this at once for one folder: the first one starts the server.
        Raise `MariaDBFailed` when it does not come up.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not self._state_file.exists():
                self._start_keeper()

    def stop(self) -> None:
        """Stop the server, if it runs, and remove its folder."""
        if self._state_file.exists():
            keeper = self._state()["keeper"]
            _signal(keeper, signal.SIGTERM)
            deadline = time.monotonic() + _STOP_SECONDS + 5
            while _alive(keeper) and time.monotonic() < deadline:
                _reap(keeper)
                time.sleep(0.02)
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def port(self) -> int:
        """The port on 127.0.0.1."""
        return self._state()["port"]

    def create_database(self, name: str) -> str:
        """Create the database `name` unless it is there; return its SQLAlchemy URL."""
        self._run(f"CREATE DATABASE IF NOT EXISTS `{name}` CHARACTER SET utf8mb4")
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Drop the database `name` if it is there."""
        self._run(f"DROP DATABASE IF EXISTS `{name}`")

    def url(self, name: str) -> str:
        """Return the SQLAlchemy URL of the database `name`."""
        # See _connect.
        return f"mysql+pymysql://root@127.0.0.1:{self.port}/{name}?charset=utf8mb4&ssl_disabled=true"

    @property
    def _state_file(self) -> Path:
        return self.folder / "state.json"

    def _state(self) -> dict[str, int]:
        state: dict[str, int] = json.loads(self._state_file.read_text())
        return state

    def _run(self, statement: str) -> None:
        connection = _connect(self.port)
        try:
            connection.query(statement)
        finally:
            connection.close()

    def _start_keeper(self) -> None:
        command = [sys.executable, str(Path(__file__).resolve()), str(self.folder), str(self._owner)]
        if self._durable:
            command.append("--durable")
        log = self.folder / "keeper.log"
        with log.open("wb") as output:
            # A session of its own: Ctrl-C in the terminal is for the tests, who then tell the keeper.
            keeper = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        deadline = time.monotonic() + _READY_SECONDS + 5
        while not self._state_file.exists():
            if keeper.poll() is not None or time.monotonic() > deadline:
                raise MariaDBFailed(f"MariaDB did not start:\n{log.read_text(errors='replace')[-4000:]}")
            time.sleep(0.02)
        # Its end is awaited by pid, from whichever process stops it.
        keeper.returncode = 0


class _Keeper:
    """The other side: runs the server as its child until told to stop or until the owner is gone."""

    def __init__(self, folder: Path, owner: int, *, durable: bool) -> None:
        self._folder = folder
        self._owner = owner
        self._settings = _DURABLE if durable else _RELAXED
        self._stopping = False

    def run(self) -> None:
        """Start the server, watch over it, stop it and remove its folder."""
        signal.signal(signal.SIGTERM, self._stop)
        server = self._serve()
        try:
            while not self._stopping and server.poll() is None and _alive(self._owner):
                time.sleep(0.1)
        finally:
            _end(server)
            shutil.rmtree(self._folder, ignore_errors=True)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping = True

    def _serve(self) -> "subprocess.Popen[bytes]":
        data, temporary = self._folder / "data", self._folder / "tmp"
        temporary.mkdir()
        user = getpass.getuser()
        subprocess.run(
            [
                _program("mariadb-install-db"),
                "--no-defaults",
                f"--user={user}",
                f"--datadir={data}",
                # In the common one, two installations at the same time take away each other's files.
                f"--tmpdir={temporary}",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                "--skip-name-resolve",
            ],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        port = _free_port()
        server = subprocess.Popen(
            [
                _program("mariadbd"),
                "--no-defaults",
                f"--user={user}",
                f"--datadir={data}",
                f"--tmpdir={temporary}",
                f"--socket={_socket_path(self._folder)}",
                f"--port={port}",
                "--bind-address=127.0.0.1",
                f"--pid-file={self._folder / 'pid'}",
                f"--log-error={self._folder / 'err.log'}",
                "--character-set-server=utf8mb4",
                "--skip-name-resolve",
                "--max-connections=400",
                "--innodb-buffer-pool-size=256M",
                "--innodb-log-file-size=256M",
                *self._settings,
            ],
            stdin=subprocess.DEVNULL,
        )
        try:
            self._await_ready(server, port)
        except BaseException:
            _end(server)
            raise
        state = self._folder / "state.new"
        state.write_text(json.dumps({"keeper": os.getpid(), "server": server.pid, "port": port}))
        state.rename(self._folder / "state.json")
        return server

    def _await_ready(self, server: "subprocess.Popen[bytes]", port: int) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while True:
            try:
                _connect(port).close()
            except pymysql.err.OperationalError as error:
                if server.poll() is None and time.monotonic() < deadline and not self._stopping:
                    time.sleep(0.05)
                    continue
                said = self._folder / "err.log"
                if said.exists():
                    sys.stderr.write(said.read_text(errors="replace")[-3000:])
                raise MariaDBFailed(f"mariadbd does not answer on port {port}") from error
            return


def _connect(port: int) -> "pymysql.Connection[pymysql.cursors.Cursor]":
    # This server speaks no TLS, and PyMySQL reads all the machine's certificates for each connection that
    # could: 25 ms each, more than everything else together.
    return pymysql.connect(
        host="127.0.0.1", port=port, user="root", charset="utf8mb4", connect_timeout=2, ssl_disabled=True
    )


def _program(name: str) -> str:
    path = shutil.which(name, path=_PROGRAM_PATH)
    if path is None:
        raise MariaDBFailed(f"{name} is missing; bin/ensure-mariadb says what to install")
    return path


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _socket_path(folder: Path) -> str:
    # A Unix socket's path may have about 100 characters; nobody uses this one, but the server wants it.
    path = folder / "s.sock"
    return str(path) if len(str(path)) < 100 else f"/tmp/saoma-{os.getpid()}.sock"


def _end(server: "subprocess.Popen[bytes]") -> None:
    server.terminate()
    try:
        server.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _reap(pid: int) -> None:
    # Only the process that started the keeper is its parent; for all others the kernel reaps it.
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    try:
        # Killed, and its parent has not looked: as good as gone.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return not Path("/proc/self").exists()


def _main() -> None:
    parser = argparse.ArgumentParser(description="Keep a private MariaDB until its owner is gone.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("owner", type=int)
    parser.add_argument("--durable", action="store_true")
    arguments = parser.parse_args()
    _Keeper(arguments.folder, arguments.owner, durable=arguments.durable).run()


if __name__ == "__main__":
    _main()
