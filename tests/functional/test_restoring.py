"""A day on which the database is set back, and what shoppers and the platform make of it."""

from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import update
from sqlalchemy.orm import Session

from app.backups import operations
from app.cli.main import saoma
from app.db import secrets
from app.payouts import operations as payouts
from app.payouts.models import Bill
from tests.support.product import environment
from tests.support.shop import Shop


@pytest.fixture(params=["shop", "embedded_shop"], ids=["mariadb", "sqlite"])
def any_shop(request: pytest.FixtureRequest) -> Shop:
    """The installation on each kind of database."""
    found: Shop = request.getfixturevalue(request.param)
    return found


def test_a_prize_that_was_paid_after_the_backup_is_not_paid_again(any_shop: Shop, tmp_path: Path) -> None:
    container, file = any_shop.container, tmp_path / "before.backup"
    shopper, other = any_shop.shopper().member(), any_shop.shopper().member()
    award, opened = shopper.win(), other.win()
    other.collect(opened)
    operations.make(container.db, ring=container.keyring, into=file, now=container.clock.now())
    shopper.confirm(shopper.collect(award).json()["transfer"])
    shopper.wait_for(award, "fulfilled")
    other.confirm(other.collect(opened).json()["transfer"])
    other.wait_for(opened, "fulfilled")

    operations.restore(container.db, ring=container.keyring, path=file, replace=True)

    assert shopper.award(award)["state"] == "collectible"
    assert other.award(opened)["state"] == "locked"
    # What the platform knows under the bill's number is what happens: it has been paid.
    shopper.collect(award)
    shopper.wait_for(award, "fulfilled")
    _ask_about_bills(any_shop)
    other.wait_for(opened, "fulfilled")
    assert (shopper.balance_fen(), other.balance_fen()) == (100, 100)
    assert any_shop.faults_of_the_books() == []


def _ask_about_bills(shop: Shop) -> None:
    """Let the minutes pass after which the scheduler asks about bills without news."""
    now = shop.container.clock.now()

    def work(session: Session) -> None:
        session.execute(update(Bill).where(Bill.poll_at.is_not(None)).values(poll_at=now))
        assert payouts.poll_due(session, now=now) == 1

    shop.container.db.transact(work)


def test_the_command_backs_up_and_restores(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keyring: secrets.KeyRing
) -> None:
    for name, value in environment(sqlite_url, tmp_path / "data").items():
        monkeypatch.setenv(name, value)

    made = CliRunner().invoke(saoma, ["backup"])
    assert made.exit_code == 0, made.output
    (file,) = (tmp_path / "data" / "backups").iterdir()
    assert "needs master keys of version 1" in made.stdout

    full = CliRunner().invoke(saoma, ["restore", str(file)])
    assert (full.exit_code, full.stderr.count("\n")) == (2, 1)
    assert "database_not_empty" in full.stderr
    monkeypatch.setenv("SAOMA_DATABASE_URL", f"sqlite:///{tmp_path / 'new.db'}")
    restored = CliRunner().invoke(saoma, ["restore", str(file)])
    assert restored.exit_code == 0, restored.output
    assert "the audit finds no fault" in restored.stdout
    assert CliRunner().invoke(saoma, ["db", "status"]).stdout.count("database at 00") == 1
