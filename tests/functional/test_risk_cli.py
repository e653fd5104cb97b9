"""An operator measures, tries rules, switches them on and looks at what they hit, from the shell."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy.orm import Session

from app.cli.main import saoma
from app.db import secrets
from app.db.engine import Database
from app.db.secrets import KeyRing
from app.kernel.clock import SystemClock
from app.organisation.queries import brands
from app.risk.lists import Level
from app.risk.measures import Measure
from app.risk.policies import policies
from app.risk.watch import Hit, note_hit, sweep
from tests.support.operators import enter, operators_environment
from tests.support.product import environment
from tests.support.sandbox import SandboxProcess

KEY = bytes(range(32))


@pytest.fixture
def risk(sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs `saoma …` on a database with one brand."""
    settings = {**environment(sqlite_url, tmp_path), **operators_environment(tmp_path)}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)

    def call(*arguments: str, ok: bool = True) -> Result:
        result = CliRunner().invoke(saoma, list(arguments))
        secrets.bind(KeyRing({1: KEY}))
        assert result.exit_code == (0 if ok else 2), result.output
        assert "Traceback" not in result.output
        return result

    enter(call)
    call("brands", "add", "tea", "--zh", "茶", "--en", "Tea")
    return call


def test_rules_are_saved_tried_and_switched_on(risk: Any, tmp_path: Path) -> None:
    rules = tmp_path / "rules.json"
    rules.write_text(risk("risk", "standard").stdout, encoding="utf-8")
    risk("risk", "switch", "tea", "observe", "--reason", "look first")
    assert "0 draws" in risk("risk", "try", "tea", "--rules", str(rules)).stdout
    assert "version 1 saved" in risk("risk", "save", "tea", str(rules)).stdout
    risk("risk", "switch", "tea", "enforce", "--version", "1", "--reason", "tried")
    rows = json.loads(risk("risk", "show", "tea", "--json").stdout)
    assert [row["what"] for row in rows] == ["enforce version 1", "version 1 saved", "observe"]
    assert rows[0]["by"] == "olga"
    assert "risk.switched" in risk("audit", "list").stdout
    assert "leaked pack" not in risk("risk", "measures").stdout
    assert "range_hour" in risk("risk", "measures").stdout


def test_what_is_wrong_is_said_in_one_line(risk: Any, tmp_path: Path) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text('{"schema": 1, "rules": [{"key": "x", "when": {"odds": 1}, "verdict": "lower"}]}')
    assert "odds" in risk("risk", "save", "tea", str(bad), ok=False).stderr
    bad.write_text("{")
    assert "no JSON" in risk("risk", "save", "tea", str(bad), ok=False).stderr
    assert "version" in risk("risk", "switch", "tea", "enforce", "--reason", "x", ok=False).stderr
    risk("risk", "switch", "tea", "enforce", "--version", "9", "--reason", "x", ok=False)
    risk("risk", "clear", "nobody", ok=False)
    risk("risk", "clear", "7", ok=False)


def test_hits_explain_themselves_in_both_languages(risk: Any, tmp_path: Path, sqlite_url: str) -> None:
    rules = tmp_path / "rules.json"
    rules.write_text(risk("risk", "standard").stdout, encoding="utf-8")
    risk("risk", "save", "tea", str(rules))
    now = SystemClock().now()

    def work(session: Session) -> None:
        brand = session.connection().exec_driver_sql("SELECT id FROM brands").scalar_one()
        hit = Hit(
            brand_id=brand,
            campaign_id=5,
            policy_id=policies(session, brand_id=brand)[0].id,
            scan_id=3,
            person_id=11,
            batch_id=7,
            code_index=4711,
            level=Level.HOLD,
            enforced=True,
            reasons=("leaked_range",),
            signals={Measure.RANGE_HOUR: 141, Measure.RANGE_PERSONS_HOUR: 52},
            at=now,
        )
        note_hit(session, hit=hit)
        sweep(session, now=now)

    database = Database(sqlite_url)
    database.transact(work)
    database.dispose()
    (row,) = json.loads(risk("risk", "hits", "tea", "--json").stdout)
    assert (row["verdict"], row["rules"], row["code"]) == ("hold", "leaked_range", "7/4711")
    assert "141 scans of this code range" in row["why"]
    assert "扫码 141 次" in row["原因"]
    marks = json.loads(risk("risk", "marks", "tea", "--json").stdout)
    assert {mark["what"] for mark in marks} == {"person", "batch"}
    risk("risk", "clear", "7")
    risk("risk", "clear", row["person"])
    assert risk("risk", "marks", "tea").stdout.strip() == "none"


def test_rules_with_a_captcha_are_enforced_where_one_can_be_checked(
    risk: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = tmp_path / "captcha.json"
    rule = {"key": "often", "when": {"person_hour": 9}, "verdict": "verify", "step": "captcha"}
    rules.write_text(json.dumps({"schema": 1, "rules": [rule]}))
    said = risk("risk", "save", "tea", str(rules)).stdout
    assert "version 1 saved" in said
    assert "SAOMA_CAPTCHA_" in said
    assert "captcha: not set up, and no rules ask for one" in risk("doctor", ok=False).stdout
    switch = ("risk", "switch", "tea", "enforce", "--version", "1", "--reason", "tried")
    assert "captcha_not_set_up" in risk(*switch, ok=False).output
    with SandboxProcess() as sandbox:
        account = sandbox.create_captcha_app(190_000_001)
        monkeypatch.setenv("SAOMA_CAPTCHA_API_URL", sandbox.base_url)
        for name, value in account.items():
            monkeypatch.setenv(f"SAOMA_CAPTCHA_{name.upper()}", str(value))
        assert "captcha app 190000001: the platform accepts its keys" in risk("doctor", ok=False).stdout
        risk(*switch)
        monkeypatch.setenv("SAOMA_CAPTCHA_APP_KEY", "wrong")
        assert "check SAOMA_CAPTCHA_APP_ID" in risk("doctor", ok=False).stdout
        monkeypatch.setenv("SAOMA_CAPTCHA_SECRET_KEY", "wrong")
        said = risk("doctor", ok=False).stdout
        assert "AuthFailure.SignatureFailure" in said
    for name in account:
        monkeypatch.delenv(f"SAOMA_CAPTCHA_{name.upper()}")
    assert "rules of tea ask for one, and draws ask for the phone instead" in risk("doctor", ok=False).stdout


def test_a_hit_says_which_step_was_asked_for(risk: Any, sqlite_url: str, tmp_path: Path) -> None:
    rules = tmp_path / "captcha.json"
    rule = {"key": "often", "when": {"person_hour": 9}, "verdict": "verify", "step": "captcha"}
    rules.write_text(json.dumps({"schema": 1, "rules": [rule]}))
    risk("risk", "save", "tea", str(rules))

    def work(session: Session) -> None:
        (brand,) = brands(session)
        (saved,) = policies(session, brand_id=brand.id)
        hit = Hit(
            brand_id=brand.id,
            campaign_id=1,
            policy_id=saved.id,
            scan_id=1,
            person_id=3,
            batch_id=7,
            code_index=4711,
            level=Level.VERIFY,
            enforced=False,
            reasons=("often",),
            signals={Measure.PERSON_HOUR: 11},
            at=SystemClock().now(),
        )
        note_hit(session, hit=hit)

    database = Database(sqlite_url)
    database.transact(work)
    database.dispose()
    (row,) = json.loads(risk("risk", "hits", "tea", "--json").stdout)
    assert row["verdict"] == "(verify captcha)"
