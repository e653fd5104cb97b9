"""A corp's visitors and its red packets, against the sandbox."""

import logging
import secrets
from dataclasses import replace

import pytest

from app.db.engine import Database
from app.gateways.pay.wecom_packets import WeComRedPackets
from app.gateways.tokens import TokenProvider
from app.gateways.wechat import WeChatApi
from app.gateways.wecom.visitors import WeComVisitors
from app.identity.interfaces import (
    AppCredentials,
    CorpGateway,
    InvalidLoginCode,
    PlatformBusy,
    PlatformRefused,
    StaffNotKnown,
    TooFrequent,
)
from app.kernel.errors import DomainError
from app.payouts.interfaces import (
    PayerCredentials,
    PayMethod,
    ReportInfo,
    TransferOutcome,
    TransferRequest,
    TransferState,
)
from tests.support.certificates import certificate
from tests.support.sandbox import SandboxProcess

VISITOR = "/cgi-bin/auth/getuserinfo"
STAFF = "/cgi-bin/user/convert_to_openid"
SEND = "/mmpaymkttransfers/sendworkwxredpack"
APIV2_KEY = "0123456789abcdef0123456789abcdef"
PAYMENT_SECRET = "secret-of-the-payment-app"


@pytest.fixture
def corp(sandbox: SandboxProcess) -> AppCredentials:
    credentials = AppCredentials(f"ww{secrets.token_hex(8)}", f"secret-{secrets.token_hex(8)}", "1000002")
    sandbox.create_app(credentials.appid, credentials.secret, kind="corp", agentid=credentials.agentid)
    return credentials


@pytest.fixture
def tokens(sqlite_db: Database) -> TokenProvider:
    return TokenProvider(sqlite_db)


@pytest.fixture
def gateway(api: WeChatApi, tokens: TokenProvider) -> CorpGateway:
    return WeComVisitors(api, tokens)


@pytest.mark.parametrize("relation", ["", "customer", "staff"])
def test_whoever_visits_is_known_by_the_openid_that_the_corp_pays(
    sandbox: SandboxProcess, corp: AppCredentials, gateway: CorpGateway, relation: str
) -> None:
    shopper = sandbox.shopper()
    sandbox.relate(shopper["id"], corp.appid, relation)
    visitor = gateway.code_to_visitor(corp, sandbox.oauth_code(shopper["id"], corp.appid))
    assert (visitor.openid, visitor.unionid, visitor.virtual) == (
        shopper["openids"][corp.appid],
        None,
        False,
    )
    assert (visitor.external_userid is not None) == (relation == "customer")
    assert visitor.openid not in repr(visitor)
    if visitor.external_userid is not None:
        assert visitor.external_userid not in repr(visitor)


def test_a_snapshot_is_virtual_should_it_ever_be_said(
    sandbox: SandboxProcess, corp: AppCredentials, gateway: CorpGateway
) -> None:
    code = sandbox.oauth_code(sandbox.shopper()["id"], corp.appid, virtual=True)
    assert gateway.code_to_visitor(corp, code).virtual


def test_a_code_is_good_once_and_for_five_minutes(
    sandbox: SandboxProcess, corp: AppCredentials, gateway: CorpGateway
) -> None:
    shopper = sandbox.shopper()["id"]
    code = sandbox.oauth_code(shopper, corp.appid)
    gateway.code_to_visitor(corp, code)
    old = sandbox.oauth_code(shopper, corp.appid)
    sandbox.advance(301)
    for wrong in (code, old, "made-up", ""):
        with pytest.raises(InvalidLoginCode):
            gateway.code_to_visitor(corp, wrong)


@pytest.mark.parametrize(
    "trouble",
    [
        (VISITOR, "-1", PlatformBusy),
        (VISITOR, "45009", TooFrequent),
        (VISITOR, "html_502", PlatformBusy),
        ("/cgi-bin/gettoken", "-1", PlatformBusy),
        (STAFF, "html_502", PlatformBusy),
        (STAFF, "43004", StaffNotKnown),
        (STAFF, "60011", StaffNotKnown),
        (STAFF, "60111", StaffNotKnown),
    ],
)
def test_faults_are_told_apart_and_nothing_is_tried_again(
    sandbox: SandboxProcess,
    corp: AppCredentials,
    gateway: CorpGateway,
    caplog: pytest.LogCaptureFixture,
    trouble: tuple[str, str, type[DomainError]],
) -> None:
    path, kind, error = trouble
    shopper = sandbox.shopper()
    sandbox.relate(shopper["id"], corp.appid, "staff")
    code = sandbox.oauth_code(shopper["id"], corp.appid)
    sandbox.fault(path, kind, times=1)
    with caplog.at_level(logging.DEBUG), pytest.raises(error):
        gateway.code_to_visitor(corp, code)
    for secret in (corp.secret, code, shopper["id"], "staff."):
        assert secret not in caplog.text


def test_a_dead_token_is_renewed_once(
    sandbox: SandboxProcess, corp: AppCredentials, gateway: CorpGateway
) -> None:
    shopper = sandbox.shopper()["id"]
    gateway.code_to_visitor(corp, sandbox.oauth_code(shopper, corp.appid))
    sandbox.advance(7200)
    assert gateway.code_to_visitor(corp, sandbox.oauth_code(shopper, corp.appid)).openid


def test_what_settings_cause_is_for_an_operator(corp: AppCredentials, gateway: CorpGateway) -> None:
    for wrong, why in (
        (replace(corp, secret="wrong"), "secret is not"),
        (replace(corp, appid="wwno"), "corpid is wrong"),
    ):
        with pytest.raises(PlatformRefused, match=why):
            gateway.check(wrong)


def test_a_wrong_secret_is_told_although_a_token_lives(
    sandbox: SandboxProcess, corp: AppCredentials, gateway: CorpGateway
) -> None:
    shopper = sandbox.shopper()["id"]
    gateway.code_to_visitor(corp, sandbox.oauth_code(shopper, corp.appid))
    with pytest.raises(PlatformRefused, match="secret is not"):
        gateway.check(replace(corp, secret="of last year"))
    # Nobody is disturbed by it: the token that is in use is repeated, and works.
    gateway.check(corp)
    mark = sandbox.exchanges()[-1]["id"]
    assert gateway.code_to_visitor(corp, sandbox.oauth_code(shopper, corp.appid)).openid
    assert not [it for it in sandbox.exchanges(mark) if "gettoken" in it["url"]]


def test_each_application_of_a_corp_has_a_token_of_its_own(
    corp: AppCredentials, gateway: CorpGateway
) -> None:
    gateway.check(corp)
    with pytest.raises(PlatformRefused, match="secret is not"):
        gateway.check(replace(corp, agentid="1000003", secret="of another application"))
    gateway.check(corp)


@pytest.fixture
def order(sandbox: SandboxProcess, corp: AppCredentials, merchant_key: str) -> TransferRequest:
    """A packet of one yuan for an outsider."""
    merchant = sandbox.create_merchant(
        f"18{secrets.randbelow(10**8):08d}",
        appids=[corp.appid],
        balance_fen=1_000_000,
        private_key_pem=merchant_key,
        apiv2_key=APIV2_KEY,
        workwx_secret=PAYMENT_SECRET,
    )
    payer = PayerCredentials(
        mchid=merchant.mchid,
        serial_no=merchant.serial_no,
        private_key_pem=merchant_key,
        apiv3_key=merchant.apiv3_key,
        public_key_id=merchant.platform_public_key_id,
        public_key_pem=merchant.platform_public_key_pem,
        method=PayMethod.WECOM_RED_PACKET,
        apiv2_key=APIV2_KEY,
        client_certificate_pem=certificate(merchant_key),
        workwx_secret=PAYMENT_SECRET,
        appid=corp.appid,
    )
    texts = {"wishing": "恭喜 <发财>", "act_name": "扫码", "sender_name": "茶铺 & 友"}
    return TransferRequest(
        payer=payer,
        appid=corp.appid,
        openid=sandbox.shopper()["openids"][corp.appid],
        bill_no=f"SB{secrets.token_hex(8)}",
        amount_fen=100,
        remark="扫码奖励",
        scene_id="",
        report_infos=tuple(ReportInfo(*pair) for pair in texts.items()),
    )


def _packets(sandbox: SandboxProcess, order: TransferRequest) -> list[str]:
    return [one["state"] for one in sandbox.book()["packets"] if one["mchid"] == order.payer.mchid]


@pytest.mark.parametrize("sender", ["sender_name", "agentid"])
def test_a_packet_is_sent_once_and_asked_about(
    sandbox: SandboxProcess, order: TransferRequest, sender: str
) -> None:
    infos = [info for info in order.report_infos if info.info_type != "sender_name"]
    order = replace(order, report_infos=(*infos, ReportInfo(sender, "1000002")))
    packets = WeComRedPackets(sandbox.base_url)
    assert packets.query(order.payer, order.bill_no).outcome is TransferOutcome.NOT_FOUND
    first, again = packets.open(order), packets.open(order)
    assert (first.outcome, first.state) == (TransferOutcome.ACCEPTED, TransferState.WAIT_USER_CONFIRM)
    assert first == again
    asked = packets.cancel(order.payer, order.bill_no)
    assert (asked.state, asked.transfer_bill_no) == (first.state, first.transfer_bill_no)
    assert _packets(sandbox, order) == ["SENT"]


def test_a_wrong_secret_is_suspected_and_sends_nothing(
    sandbox: SandboxProcess, order: TransferRequest
) -> None:
    packets = WeComRedPackets(sandbox.base_url)
    wrong = replace(order, payer=replace(order.payer, workwx_secret="wrong"))
    answer = packets.open(wrong)
    assert (answer.outcome, answer.code) == (TransferOutcome.SUSPECT, "SYSTEMERROR")
    # Asking takes the other signature alone.
    assert packets.query(wrong.payer, order.bill_no).outcome is TransferOutcome.NOT_FOUND
    assert _packets(sandbox, order) == []
    assert packets.open(order).outcome is TransferOutcome.ACCEPTED


def test_a_platform_in_trouble_is_suspected_too_and_may_have_sent_it(
    sandbox: SandboxProcess, order: TransferRequest
) -> None:
    packets = WeComRedPackets(sandbox.base_url)
    sandbox.fault(SEND, "system_error", times=1, after_commit=True)
    assert packets.open(order).outcome is TransferOutcome.SUSPECT
    assert packets.query(order.payer, order.bill_no).state is TransferState.WAIT_USER_CONFIRM
    sandbox.fault("/mmpaymkttransfers/queryworkwxredpack", "system_error", times=1)
    assert packets.query(order.payer, order.bill_no).outcome is TransferOutcome.RETRY_SAME
    assert packets.open(order).outcome is TransferOutcome.ACCEPTED
    assert _packets(sandbox, order) == ["SENT"]
