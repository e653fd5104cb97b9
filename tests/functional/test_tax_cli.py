"""Finance takes a month away as a file and books it as paid, all from the shell and all in the trail."""

import csv
import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from click.testing import Result
from openpyxl import load_workbook

from app.db.engine import Database
from app.kernel.clock import ManualClock
from app.rewards import operations as rewards
from app.tax import notice, operations
from app.tax.documents import Document, Identity
from tests.factories.campaign_world import CampaignWorld
from tests.factories.campaigns import goods, pool
from tests.factories.identities import card
from tests.support.operators import shell

Saoma = Callable[..., Result]
NUMBER = card(date(1990, 1, 1))
MONTH = ["--brand", "tea", "--month", "2026-06"]


@pytest.fixture
def run(
    sqlite_db: Database, sqlite_url: str, clock: ManualClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Saoma:
    """The command; in June 2026 one winner with a name and one without fetched a cup worth 40 yuan each."""
    clock.set(datetime(2026, 6, 2, 4, tzinfo=UTC))
    world = CampaignWorld.build(sqlite_db, clock)
    world.run(
        prizes=[goods("cup", 4_000, stock=2)],
        pools=[pool("all", 0, {"cup": 1})],
        tax={"mode": "incidental_withhold", "identity_over_fen": 100_000},
    )
    for who in (world.member(), world.member()):
        won = world.draw(who).award
        assert won is not None
        world.do(rewards.hand_over, award_id=won.id)
    known = Identity("张三", Document.RESIDENT_ID, NUMBER)
    given = {"person_id": who.person_id, "identity": known, "notice_version": notice.VERSION}
    world.do(operations.give_identity, **given)
    return shell(sqlite_url, tmp_path, monkeypatch)


def test_a_month_from_the_report_to_the_payment(run: Saoma, tmp_path: Path) -> None:
    (line,) = json.loads(run("tax", "report", *MONTH, "--json").stdout)
    assert (line["campaign"], line["borne_by"], line["awards"], line["tax"]) == ("june", "brand", 2, "20.00")
    said = run("tax", "report", *MONTH).stdout
    assert "due 20.00, paid 0.00, owed 20.00 yuan for 2026-06; of all months the ledger holds 20.00" in said

    into = tmp_path / "june.xlsx"
    assert "2 rows written" in run("tax", "export", *MONTH, "--into", str(into)).stdout
    assert into.stat().st_mode & 0o777 == 0o600
    sheets = load_workbook(into)
    (row,) = sheets["persons"].iter_rows(min_row=2)
    assert (row[0].value, row[2].value, row[2].data_type) == ("张三", NUMBER, "s")
    sheets.close()
    run("tax", "export", *MONTH, "--format", "csv", "--into", str(tmp_path / "june.csv"))
    for part, first in (("persons", "张三"), ("unnamed", "偶然所得 incidental income")):
        file = tmp_path / f"june-{part}.csv"
        assert file.stat().st_mode & 0o777 == 0o600
        with file.open(encoding="utf-8-sig", newline="") as opened:
            assert list(csv.reader(opened))[1][0] == first

    assert "20.00 yuan booked as paid" in run("tax", "remit", *MONTH, "--reference", "IIT-6").stdout
    assert "owed 0.00 yuan" in run("tax", "report", *MONTH).stdout
    assert "[nothing_owed]" in run("tax", "remit", *MONTH, "--reference", "IIT-7", code=2).stderr
    trail = run("audit", "list", "--json").stdout
    assert trail.count("tax.exported") == 2
    assert "tax.remitted" in trail
    assert "IIT-6" in trail
    assert NUMBER not in trail
    assert "张三" not in trail


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["report", "--brand", "tea", "--month", "june"], "bad_month"),
        (["report", "--brand", "coffee", "--month", "2026-06"], "unknown_brand"),
        (["export", "--brand", "tea", "--month", "2026-6", "--into", "none.xlsx"], "bad_month"),
        (["remit", *MONTH, "--reference", ""], "bad_reference"),
        (["remit", "--brand", "tea", "--month", "2099-01", "--reference", "R"], "month_not_over"),
    ],
)
def test_refusals_are_one_line(run: Saoma, arguments: list[str], code: str) -> None:
    assert f"[{code}]" in run("tax", *arguments, code=2).stderr


def test_names_leave_only_with_whoever_may_report_them(run: Saoma, tmp_path: Path) -> None:
    run("logout")
    into = tmp_path / "june.xlsx"
    refused = run("tax", "export", *MONTH, "--into", str(into), code=2)
    assert "not_signed_in" in refused.stderr
    assert not into.exists()
