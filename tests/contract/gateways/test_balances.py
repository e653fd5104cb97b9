"""Balances at a day's end against the platform: contract 11.4."""

import json
import secrets
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from app.gateways.pay.balances import WeChatPayBalances
from app.payouts.interfaces import PayerCredentials
from app.reconciliation.interfaces import AccountType, BalanceAnswer, BalanceOutcome
from tests.support.loopback import LoopbackServer
from tests.support.sandbox import SandboxProcess

BEIJING = ZoneInfo("Asia/Shanghai")
PATH = "/v3/merchant/fund/dayendbalance/*"


@pytest.fixture(scope="module")
def platform() -> Iterator[SandboxProcess]:
    """It is eleven o'clock."""
    with SandboxProcess() as process:
        process.create_app("wxbalances0000001", "secret")
        here = _now(process)
        eleven = here.replace(hour=11, minute=0, second=0, microsecond=0) + timedelta(days=1)
        process.advance((eleven - here).total_seconds())
        yield process


def _now(platform: SandboxProcess) -> datetime:
    told = platform._admin("GET", "/clock")["now"]
    return datetime.fromisoformat(told).astimezone(BEIJING)


def _payer(platform: SandboxProcess, *, balance_api: bool = True) -> PayerCredentials:
    mchid = f"19{secrets.randbelow(10**8):08d}"
    account = platform.create_merchant(
        mchid, appids=["wxbalances0000001"], balance_fen=5_000, balance_api=balance_api
    )
    return PayerCredentials(
        mchid=mchid,
        serial_no=account.serial_no,
        private_key_pem=account.private_key_pem,
        apiv3_key=account.apiv3_key,
        public_key_id=account.platform_public_key_id,
        public_key_pem=account.platform_public_key_pem,
    )


def _ask(
    platform: SandboxProcess,
    payer: PayerCredentials,
    day: date,
    account: AccountType = AccountType.OPERATION,
) -> BalanceAnswer:
    return WeChatPayBalances(platform.base_url).day_end(payer, day=day, account=account)


def test_the_balance_is_that_of_the_days_end(platform: SandboxProcess) -> None:
    payer, today = _payer(platform), _now(platform).date()
    assert _ask(platform, payer, today).outcome is BalanceOutcome.ABSENT
    platform.advance(86_400)
    platform.top_up(payer.mchid, 700)
    assert _ask(platform, payer, today) == BalanceAnswer(BalanceOutcome.KNOWN, 5_000, 0)
    assert _ask(platform, payer, today, AccountType.BASIC) == BalanceAnswer(BalanceOutcome.KNOWN, 0, 0)
    platform.falsify(payer.mchid, today.isoformat(), "balance", fen=40)
    assert _ask(platform, payer, today).available_fen == 4_960
    platform.tell_the_truth()
    assert _ask(platform, payer, today - timedelta(days=100)).outcome is BalanceOutcome.ABSENT


def test_a_direct_merchant_may_not_ask(platform: SandboxProcess) -> None:
    yesterday = _now(platform).date() - timedelta(days=1)
    answer = _ask(platform, _payer(platform, balance_api=False), yesterday)
    assert (answer.outcome, answer.code) == (BalanceOutcome.FORBIDDEN, "NO_AUTH")


@pytest.mark.parametrize("kind", ["system_error", "frequency_limited", "html_502", "bad_signature"])
def test_faults_are_asked_again(platform: SandboxProcess, kind: str) -> None:
    platform.fault(PATH, kind, times=1)
    payer, yesterday = _payer(platform), _now(platform).date() - timedelta(days=1)
    assert _ask(platform, payer, yesterday).outcome is BalanceOutcome.RETRY
    assert _ask(platform, payer, yesterday).outcome is BalanceOutcome.KNOWN


def test_wrong_keys_are_for_an_operator(platform: SandboxProcess) -> None:
    yesterday = _now(platform).date() - timedelta(days=1)
    wrong = replace(_payer(platform), serial_no="AB" * 20)
    assert _ask(platform, wrong, yesterday).outcome in {BalanceOutcome.REFUSED, BalanceOutcome.RETRY}
    broken = replace(_payer(platform), private_key_pem="no key")
    answer = _ask(platform, broken, yesterday)
    assert (answer.outcome, answer.code) == (BalanceOutcome.REFUSED, "local")


def test_silence_and_strangers_are_no_balance() -> None:
    with LoopbackServer() as server, SandboxProcess() as process:
        process.create_app("wxbalances0000001", "secret")
        payer, day = _payer(process), date(2026, 6, 1)
        server.answer = lambda _handler, _seen: time.sleep(1)
        silent = WeChatPayBalances(server.url, deadline_seconds=0.3)
        assert silent.day_end(payer, day=day, account=AccountType.BASIC).code == "timeout"
        server.reply(200, json.dumps({"available_amount": 10**9}).encode())
        unsigned = WeChatPayBalances(server.url).day_end(payer, day=day, account=AccountType.BASIC)
        assert (unsigned.outcome, unsigned.available_fen) == (BalanceOutcome.RETRY, 0)
