"""Finance looks at a day that differs, settles it and takes it away as a file, all from the shell."""

import csv
import json
import secrets
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from openpyxl import load_workbook

from app.cli.main import saoma
from app.db import secrets as key_ring
from app.db.secrets import KeyRing
from app.reconciliation.days import last_ready
from tests.support.operators import enter, operators_environment
from tests.support.product import environment
from tests.support.sandbox import SandboxProcess

Saoma = Callable[..., Result]
APPID = "wxreconcile0000001"
STRANGER = "=THEIRS"


@pytest.fixture
def platform() -> Iterator[SandboxProcess]:
    with SandboxProcess() as sandbox:
        sandbox.create_app(APPID, "s" * 32)
        yield sandbox


@pytest.fixture
def run(platform: SandboxProcess, sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Saoma:
    """The command on an installation that reaches the platform."""
    wanted = environment(sqlite_url, tmp_path, SAOMA_PAY_API_URL=platform.base_url)
    for name, value in (wanted | operators_environment(tmp_path)).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("APP_SECRET", "s" * 32)

    def call(*arguments: str, ok: bool = True) -> Result:
        result = CliRunner().invoke(saoma, list(arguments))
        key_ring.bind(KeyRing({1: bytes(range(32))}))
        assert result.exit_code == (0 if ok else 2), result.output
        return result

    enter(call)
    return call


@pytest.fixture
def mchid(run: Saoma, platform: SandboxProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A payer whose bill of the last day that is ready names a payment nobody here knows."""
    return _hire(run, platform, tmp_path, monkeypatch)


def _hire(
    run: Saoma,
    platform: SandboxProcess,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    balance_api: bool = False,
) -> str:
    mchid = f"19{secrets.randbelow(10**8):08d}"
    account = platform.create_merchant(mchid, appids=[APPID], balance_api=balance_api)
    private, public = tmp_path / "private.pem", tmp_path / "public.pem"
    private.write_text(account.private_key_pem)
    public.write_text(account.platform_public_key_pem)
    monkeypatch.setenv("APIV3", account.apiv3_key)
    run("apps", "add", APPID, "--secret-env", "APP_SECRET")
    keys = ["--serial", account.serial_no, "--private-key", str(private), "--apiv3-env", "APIV3"]
    keys += ["--public-key-id", account.platform_public_key_id, "--public-key", str(public)]
    scene = ["--report", "活动名称=扫码有礼", "--report", "奖励说明=红包", "--app", APPID, "--max", "200"]
    run("payers", "add", mchid, "--name", "Head office", *keys, *scene)
    platform.falsify(mchid, _day(), "unknown", number=STRANGER, fen=4200)
    return mchid


def _day() -> str:
    return last_ready(datetime.now(UTC)).isoformat()


def test_a_difference_from_the_bill_to_the_file_for_finance(run: Saoma, mchid: str, tmp_path: Path) -> None:
    where = ["--payer", mchid, "--day", _day()]
    said = run("reconcile", "run", *where).stdout
    assert "is closed: 1 lines, 1 differences, unexplained 0.00 yuan" in said
    assert "was closed before" in run("reconcile", "run", *where).stdout
    (day,) = json.loads(run("reconcile", "status", "--json").stdout)
    assert (day["day"], day["payer"], day["open"]) == (_day(), mchid, 1)
    assert "reconciliation.differences" in run("alerts", "list").stdout

    (one,) = json.loads(run("reconcile", "differences", *where, "--json").stdout)
    assert (one["kind"], one["number"], one["out"]) == ("unknown", STRANGER, "42.00")
    assert "pause the payer" in one["do"]
    assert "商户平台" in run("reconcile", "differences", "--zh").stdout
    run("reconcile", "resolve", one["id"], "--reason", "paid by the travel desk")
    refused = run("reconcile", "resolve", one["id"], "--reason", "again", ok=False)
    assert "[state_refused]" in refused.stderr
    assert run("reconcile", "differences").stdout.strip() == "none"
    assert "travel" not in run("reconcile", "differences").stdout
    assert "reconciliation.differences" not in run("alerts", "list").stdout
    assert "nothing has changed" in run("reconcile", "verify", *where).stdout
    assert "difference.resolved" in run("audit", "list").stdout

    book = tmp_path / "june.xlsx"
    run("reconcile", "export", "--payer", mchid, "--into", str(book))
    sheets = load_workbook(book)
    (row,) = sheets["differences"].iter_rows(min_row=2)
    assert (row[4].value, row[4].data_type, row[8].value) == (STRANGER, "s", 42)
    assert row[11].value == "paid by the travel desk"
    sheets.close()
    run("reconcile", "export", "--format", "csv", "--into", str(tmp_path / "june.csv"))
    with (tmp_path / "june-differences.csv").open(encoding="utf-8-sig", newline="") as file:
        assert list(csv.reader(file))[1][4] == f"'{STRANGER}"
    with (tmp_path / "june-days.csv").open(encoding="utf-8-sig", newline="") as file:
        assert list(csv.reader(file))[1][:3] == [_day(), mchid, "1"]


def test_a_shared_number_is_added_up_and_not_listed(run: Saoma, mchid: str) -> None:
    run("reconcile", "payer", mchid, "--shared")
    said = run("reconcile", "run", "--payer", mchid, "--day", _day()).stdout
    assert "0 differences, unexplained 0.00" in said


def test_a_balance_that_may_not_be_asked_for_is_told_once(run: Saoma, mchid: str) -> None:
    run("reconcile", "payer", mchid, "--balance")
    run("reconcile", "run", "--payer", mchid, "--day", _day())
    (day,) = json.loads(run("reconcile", "status", "--json").stdout)
    assert day["at WeChat Pay"] is None
    told = run("alerts", "list").stdout
    assert "reconciliation.balance_refused" in told
    assert "NO_AUTH" in told
    run("reconcile", "payer", mchid, "--no-balance")
    assert "reconciliation.balance_refused" not in run("alerts", "list").stdout
    assert "--balance or --no-balance" in run("reconcile", "payer", mchid, ok=False).stderr


def test_a_balance_that_differs_from_the_books_is_named(
    run: Saoma, platform: SandboxProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bill claims a payment that never was: the account does not know of it."""
    mchid = _hire(run, platform, tmp_path, monkeypatch, balance_api=True)
    run("reconcile", "payer", mchid, "--balance")
    run("reconcile", "run", "--payer", mchid, "--day", _day())
    found = json.loads(run("reconcile", "differences", "--json").stdout)
    (one,) = [it for it in found if it["kind"] == "balance"]
    assert (one["expected"], one["out"]) == ("-42.00", "0.00")
    assert "balance" in one["do"]
    assert "日终余额" in run("reconcile", "differences", "--zh").stdout
    (day,) = json.loads(run("reconcile", "status", "--json").stdout)
    assert (day["at WeChat Pay"], day["open"]) == ("0.00", 2)
    assert "reconciliation.balance" in run("alerts", "list").stdout
    run("reconcile", "resolve", one["id"], "--reason", "the bill was wrong")
    left = run("alerts", "list").stdout
    assert "reconciliation.balance" not in left
    assert "reconciliation.differences" in left


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["run", "--day", "2026-13-01"], "bad_day"),
        (["run", "--day", "2020-01-01"], "bad_day"),
        (["verify", "--day", "2026-01-01"], "unknown_day"),
    ],
)
def test_a_refusal_is_one_line_with_a_code(run: Saoma, mchid: str, arguments: list[str], code: str) -> None:
    result = run("reconcile", *arguments, "--payer", mchid, ok=False)
    assert f"[{code}]" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
