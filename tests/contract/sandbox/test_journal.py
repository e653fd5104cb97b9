"""With a journal, the book outlives the process, however it ends."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.contract.sandbox.conftest import SECRET
from tests.contract.sandbox.pay_client import CallbackReceiver, PayClient, bill
from tests.contract.sandbox.test_login import login
from tests.contract.sandbox.test_tokens import plain, use
from tests.support.sandbox import ROOT, SandboxProcess

APPID = "wxjournal0000001"
MCHID = "1900000009"
DAY = 86_400


def everything(sandbox: SandboxProcess) -> dict[str, Any]:
    book = sandbox.book()
    for entry in book["bills"]:
        entry.pop("acknowledged")
    return {"book": book, "shoppers": sandbox.shoppers()}


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_restart_keeps_people_money_and_keys(
    tmp_path: Path, key_pem: str, receiver: CallbackReceiver, end: str
) -> None:
    journal = tmp_path / "sandbox.journal"
    with SandboxProcess(journal=journal) as sandbox:
        sandbox.create_app(APPID, SECRET, open_platform="group")
        fields: dict[str, Any] = {"appids": [APPID], "balance_fen": 10_000, "private_key_pem": key_pem}
        account = sandbox.create_merchant(MCHID, serial_no="AB" * 20, apiv3_key="k" * 32, **fields)
        client = PayClient(sandbox.base_url, account)
        shopper = sandbox.shopper()
        openid = shopper["openids"][APPID]
        paid = client.open(bill(APPID, openid)).json()
        tap = {"mch_id": MCHID, "app_id": APPID}
        sandbox.confirm(shopper["id"], package_info=paid["package_info"], **tap)
        receiver.statuses = [500] * 3
        sandbox.settings(callback_speed=0.001)
        refused = client.open(bill(APPID, openid, notify_url=receiver.url)).json()
        sandbox.confirm(shopper["id"], package_info=refused["package_info"], **tap)
        waiting = client.open(bill(APPID, openid)).json()
        token = plain(sandbox, APPID)["access_token"]
        sandbox.advance(3_600)
        before = everything(sandbox)
        assert len(receiver.wait_for(1)) == 1
        receiver.statuses = []
        assert getattr(sandbox, end)() == (0 if end == "stop" else -9)

        sandbox.start()
        client.base_url = sandbox.base_url
        assert everything(sandbox) == before
        assert sandbox.create_merchant(MCHID, serial_no="AB" * 20, apiv3_key="k" * 32, **fields) == account
        assert everything(sandbox) == before
        assert login(sandbox, APPID, sandbox.js_code(shopper["id"], APPID))["openid"] == openid
        assert use(sandbox, token) == 40001
        assert receiver.wait_for(2)[1].resource(account)["out_bill_no"] == refused["out_bill_no"]
        sandbox.confirm(shopper["id"], package_info=waiting["package_info"], **tap)
        assert client.verified(client.query(waiting["out_bill_no"]))
        assert client.state(waiting["out_bill_no"]) == "SUCCESS"
        assert sandbox.book()["balanced"]
        client.close()


def test_bills_expire_over_a_restart(tmp_path: Path, key_pem: str) -> None:
    with SandboxProcess(journal=tmp_path / "journal") as sandbox:
        sandbox.create_app(APPID, SECRET)
        account = sandbox.create_merchant(MCHID, appids=[APPID], balance_fen=1_000, private_key_pem=key_pem)
        client = PayClient(sandbox.base_url, account)
        order = bill(APPID, sandbox.shopper()["openids"][APPID])
        client.open(order)
        sandbox.advance(DAY - 30)
        sandbox.stop()
        sandbox.start()
        client.base_url = sandbox.base_url

        assert client.state(order["out_bill_no"]) == "WAIT_USER_CONFIRM"
        sandbox.advance(30)
        assert client.state(order["out_bill_no"]) == "FAIL"
        client.close()


def test_without_a_journal_a_restart_forgets(key_pem: str) -> None:
    with SandboxProcess() as sandbox:
        sandbox.shopper()
        sandbox.stop()
        sandbox.start()

        assert sandbox.shoppers() == []


def start_by_hand(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sandbox", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


def test_a_start_that_cannot_be_says_why_in_one_line(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    damaged = tmp_path / "damaged"
    damaged.write_text("nonsense\n")
    with SandboxProcess(journal=journal) as sandbox:
        port = sandbox.base_url.rpartition(":")[2]
        attempts = {
            "in use by another sandbox": start_by_hand("--port", "0", "--journal", str(journal)),
            "line 1 is not JSON": start_by_hand("--port", "0", "--journal", str(damaged)),
            "in use": start_by_hand("--port", port),
            "product_url": start_by_hand("--port", "0", "--product-url", "nonsense"),
        }

    for words, attempt in attempts.items():
        assert attempt.returncode == 2, words
        assert words in attempt.stderr
        assert attempt.stderr.count("\n") == 1
        assert attempt.stdout == ""
