"""The gateway of fund-flow bills against the platform: contract 11.1 and 11.2."""

import hashlib
import secrets
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from app.gateways.pay.statements import NullStatements, WeChatPayStatements
from app.payouts.interfaces import PayerCredentials
from app.reconciliation.bill_file import BillFile
from app.reconciliation.interfaces import AccountType, FetchAnswer, FetchOutcome, StatementGateway
from tests.support.loopback import LoopbackServer
from tests.support.sandbox import SandboxProcess

BEIJING = ZoneInfo("Asia/Shanghai")
BILL = "/v3/bill/fundflowbill*"
FILE = "/v3/billdownload/file*"


@pytest.fixture(scope="module")
def platform() -> Iterator[SandboxProcess]:
    with SandboxProcess() as process:
        process.create_app("wxstatements00001", "secret")
        yield process


@pytest.fixture(scope="module")
def payer(platform: SandboxProcess) -> PayerCredentials:
    """A merchant to whom money came yesterday; it is eleven o'clock."""
    mchid = f"19{secrets.randbelow(10**8):08d}"
    account = platform.create_merchant(mchid, appids=["wxstatements00001"], balance_fen=5_000)
    here = _now(platform)
    eleven = here.replace(hour=11, minute=0, second=0, microsecond=0) + timedelta(days=1)
    platform.advance((eleven - here).total_seconds())
    return PayerCredentials(
        mchid=mchid,
        serial_no=account.serial_no,
        private_key_pem=account.private_key_pem,
        apiv3_key=account.apiv3_key,
        public_key_id=account.platform_public_key_id,
        public_key_pem=account.platform_public_key_pem,
    )


@pytest.fixture(autouse=True)
def _no_trace(platform: SandboxProcess) -> Iterator[None]:
    yield
    platform.clear_faults()
    platform.tell_the_truth()


def _now(platform: SandboxProcess) -> datetime:
    told = platform._admin("GET", "/clock")["now"]
    return datetime.fromisoformat(told).astimezone(BEIJING)


def _yesterday(platform: SandboxProcess) -> date:
    return _now(platform).date() - timedelta(days=1)


def _fetch(
    platform: SandboxProcess,
    payer: PayerCredentials,
    into: Path,
    *,
    account: AccountType = AccountType.OPERATION,
    days_ago: int = 0,
    gateway: StatementGateway | None = None,
) -> FetchAnswer:
    gateway = gateway or WeChatPayStatements(platform.base_url)
    day = _yesterday(platform) - timedelta(days=days_ago)
    return gateway.fetch(payer, day=day, account=account, into=into)


def test_a_bill_arrives_whole_checked_and_readable_by_its_owner_only(
    platform: SandboxProcess, payer: PayerCredentials, tmp_path: Path
) -> None:
    into = tmp_path / "folder" / "a.bill"
    answer = _fetch(platform, payer, into)
    assert answer.outcome is FetchOutcome.LOADED
    file = BillFile(into)
    assert [(line.is_out, line.fen) for line in file.lines()] == [(False, 5_000)]
    assert into.read_bytes()[:2] == b"\x1f\x8b"
    assert into.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in into.parent.iterdir()] == ["a.bill"]
    assert len(answer.sha1) == 40
    assert answer.size_bytes > 100


def test_an_empty_day_and_a_day_that_is_not_over(
    platform: SandboxProcess, payer: PayerCredentials, tmp_path: Path
) -> None:
    into = tmp_path / "a.bill"
    assert _fetch(platform, payer, into, account=AccountType.BASIC).outcome is FetchOutcome.EMPTY
    refused = _fetch(platform, payer, into, days_ago=-1)
    assert (refused.outcome, refused.code) == (FetchOutcome.REFUSED, "INVALID_REQUEST")
    assert not into.exists()


@pytest.mark.parametrize(
    "fault",
    [
        (BILL, "system_error", {}),
        (BILL, "frequency_limited", {}),
        (BILL, "html_502", {}),
        (BILL, "bad_signature", {}),
        (BILL, "timeout_before", {"hold_seconds": 0.1}),
        (FILE, "html_502", {}),
        (FILE, "timeout_after_commit", {"hold_seconds": 0.1}),
    ],
)
def test_whatever_goes_wrong_is_tried_again_and_leaves_no_file(
    platform: SandboxProcess,
    payer: PayerCredentials,
    tmp_path: Path,
    fault: tuple[str, str, dict[str, float]],
) -> None:
    path, kind, more = fault
    platform.fault(path, kind, times=1, **more)
    assert _fetch(platform, payer, tmp_path / "a.bill").outcome is FetchOutcome.RETRY
    assert list(tmp_path.iterdir()) == []
    assert _fetch(platform, payer, tmp_path / "a.bill").outcome is FetchOutcome.LOADED


def test_a_file_with_another_digest_is_not_taken(
    platform: SandboxProcess, payer: PayerCredentials, tmp_path: Path
) -> None:
    platform.falsify(payer.mchid, str(_yesterday(platform)), "wrong_hash")
    answer = _fetch(platform, payer, tmp_path / "a.bill")
    assert (answer.outcome, answer.code) == (FetchOutcome.RETRY, "unusable")
    assert "SHA-1" in answer.message
    assert list(tmp_path.iterdir()) == []


def test_a_download_that_takes_too_long_is_given_up(
    platform: SandboxProcess, payer: PayerCredentials, tmp_path: Path
) -> None:
    platform.fault(FILE, "timeout_before", times=1, hold_seconds=1.0)
    gateway = WeChatPayStatements(platform.base_url, download_seconds=0.3)
    answer = _fetch(platform, payer, tmp_path / "a.bill", gateway=gateway)
    assert (answer.outcome, answer.code) == (FetchOutcome.RETRY, "timeout")
    assert not (tmp_path / "a.bill").exists()


def test_without_keys_or_platform_it_is_refused(
    platform: SandboxProcess, payer: PayerCredentials, tmp_path: Path
) -> None:
    broken = PayerCredentials(payer.mchid, "1", "none", "none", "none", "none")
    assert _fetch(platform, broken, tmp_path / "a").outcome is FetchOutcome.REFUSED
    answer = _fetch(platform, payer, tmp_path / "a", gateway=NullStatements())
    assert answer.outcome is FetchOutcome.REFUSED


def test_an_unsigned_application_is_not_believed(payer: PayerCredentials, tmp_path: Path) -> None:
    with LoopbackServer() as stranger:
        digest = hashlib.sha1(b"x").hexdigest()
        body = f'{{"hash_type":"SHA1","hash_value":"{digest}","download_url":"{stranger.url}/f?token=1"}}'
        stranger.reply(200, body.encode())
        answer = WeChatPayStatements(stranger.url).fetch(
            payer, day=date(2026, 6, 1), account=AccountType.BASIC, into=tmp_path / "a"
        )
    assert (answer.outcome, answer.code) == (FetchOutcome.RETRY, "unverified")
    assert len(stranger.seen) == 1
