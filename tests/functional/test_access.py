"""Who uses the command is signed in, is allowed to, and is written down."""

import json
import stat
from pathlib import Path

import pytest
from sqlalchemy import text

from app.db.engine import Database
from tests.functional.test_cli import Saoma, as_peter, brand, run
from tests.support.operators import PASSWORD

__all__ = ["as_peter", "brand", "run"]  # fixtures


def acts(run: Saoma) -> list[tuple[str, str, str]]:
    rows = json.loads(run("audit", "list", "--json").stdout)
    return [(row["by"], row["act"], row["on"]) for row in reversed(rows)]


def session_files(folder: Path) -> list[Path]:
    return list((folder / "state" / "saoma").iterdir())


WRITES = (
    ["brands", "add", "milk", "--zh", "奶", "--en", "Milk"],
    ["batches", "freeze", "1", "--reason", "stolen"],
    ["campaigns", "stop", "tea/june", "--reason", "stolen"],
    ["campaigns", "fund", "tea/june", "10", "--reference", "PO-1"],
    ["payers", "resume", "1900000001"],
    ["lists", "remove", "1"],
    ["accounts", "lock", "olga"],
    # Nothing is changed, but personal data are read and codes are printed.
    ["persons", "find", "--phone", "13800138000"],
    ["packs", "csv", "1"],
)


@pytest.mark.parametrize("arguments", WRITES, ids=" ".join)
def test_nothing_is_done_without_signing_in(brand: Saoma, arguments: list[str]) -> None:
    """SEC-01."""
    brand("logout")
    assert "[not_signed_in]" in brand(*arguments, ok=False).stderr


@pytest.mark.parametrize("arguments", WRITES[:6] + WRITES[7:], ids=" ".join)
def test_nothing_is_done_without_the_role(brand: Saoma, as_peter: Saoma, arguments: list[str]) -> None:
    """SEC-01, SEC-02: an administrator manages accounts and may do nothing else."""
    brand("accounts", "roles", "peter", "--role", "administrator")
    assert "[permission_missing]" in as_peter(*arguments, ok=False).stderr
    as_peter("accounts", "list")


def test_what_protects_nothing_needs_nobody(brand: Saoma) -> None:
    brand("logout")
    for arguments in (["db", "status"], ["keys", "new"], ["audit", "verify"], ["brands", "list"]):
        brand(*arguments)


def test_every_act_is_written_down(brand: Saoma, sqlite_url: str) -> None:
    brand("batches", "freeze", "1", "--first", "2", "--last", "9", "--reason", "pack stolen by 13800138000")
    brand("persons", "find", "--phone", "13800138000", ok=False)
    brand("lists", "put", "black", "phone", "13800138000", "--reason", "ring")
    brand("batches", "activate", "9", ok=False)
    told = acts(brand)
    assert [(act, on) for by, act, on in told if by == "olga"][:6] == [
        ("account.created", "account olga"),
        ("session.opened", "account olga"),
        ("brand.added", "brand tea"),
        ("product.added", "product tea/OOLONG"),
        ("batch.created", "batch 1"),
        ("codes.frozen", "batch 1"),
    ]
    assert ("olga", "person.found", "nobody") in told
    assert next(on for _, act, on in told if act == "list.put").startswith("list entry ")
    assert not [on for _, act, on in told if act == "codes.activated"]
    with Database(sqlite_url).read() as session:
        stored = repr(session.execute(text("SELECT * FROM audit_entries")).all())
    assert "13800138000" not in stored
    rows = json.loads(brand("audit", "list", "--json").stdout)
    frozen = next(row for row in rows if row["act"] == "codes.frozen")
    assert json.loads(frozen["detail"]) == {"first": 2, "last": 9}


def test_the_chain_is_verified_from_the_shell(brand: Saoma, sqlite_url: str) -> None:
    said = brand("audit", "verify").stdout
    head = said.split()[-1]
    assert "all as they were written" in said
    brand("batches", "activate", "1")
    brand("audit", "verify", "--kept", head)
    brand("audit", "verify", "--kept", "nonsense", ok=False)
    with Database(sqlite_url).unit_of_work() as session:
        session.execute(text("UPDATE audit_entries SET subject = 'brand tee' WHERE subject = 'brand tea'"))
    assert "entry 3: the entry was changed" in brand("audit", "verify", ok=False).stderr


def test_a_session_is_a_file_that_only_its_owner_reads(run: Saoma, tmp_path: Path) -> None:
    (file,) = session_files(tmp_path)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert PASSWORD not in file.read_text()
    assert run("whoami").stdout.startswith("olga: administrator, approver")
    run("logout")
    assert session_files(tmp_path) == []
    run("whoami", ok=False)


def test_a_refused_sign_in_is_counted_and_written_down(run: Saoma, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WRONG", "wrong")
    for name in ("olga", "my password by mistake"):
        assert "[sign_in_refused]" in run("login", name, "--password-env", "WRONG", ok=False).stderr
    told = acts(run)
    assert ("olga", "session.refused", "account olga") in told
    assert ("not signed in", "session.refused", "account unknown") in told


def test_a_password_that_somebody_else_set_is_changed_first(
    brand: Saoma, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    brand("accounts", "create", "eva", "--name", "Eva", "--role", "risk", "--password-env", "PASSWORD")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "evas"))
    assert "choose your own" in brand("login", "eva", "--password-env", "PASSWORD").stdout
    refused = brand("batches", "freeze", "1", "--reason", "x", ok=False)
    assert "[password_change_needed]" in refused.stderr
    monkeypatch.setenv("NEW", "a sentence of my own")
    brand("accounts", "password", "--password-env", "PASSWORD", "--new-password-env", "NEW")
    brand("batches", "freeze", "1", "--reason", "x")


def test_accounts_from_the_shell(run: Saoma, as_peter: Saoma) -> None:
    create = ["accounts", "create", "rosa", "--name", "Rosa", "--role", "administrator"]
    assert "[not_the_first_account]" in run(*create, "--first", "--password-env", "PASSWORD", ok=False).stderr
    assert "[own_roles]" in run("accounts", "roles", "olga", "--role", "risk", ok=False).stderr
    run("accounts", "password", "peter", "--new-password-env", "PASSWORD")
    as_peter("whoami", ok=False)
    run("accounts", "lock", "peter")
    assert "[last_administrator]" in run("accounts", "close", "olga", ok=False).stderr
    run("accounts", "unlock", "peter")
    run("accounts", "close", "peter")
    rows = json.loads(run("accounts", "list", "--json").stdout)
    assert [(row["account"], row["name"], row["state"]) for row in rows] == [
        ("olga", "Olga", "active"),
        ("peter", "Peter", "closed"),
    ]
