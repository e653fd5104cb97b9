"""What payouts needs from WeChat Pay: open, ask about and cancel a merchant transfer, read its callback.

A repeat with the same bill number never makes a second bill, so the one mistake that can cost money is a
new number. No answer here allows one but `final` with the state FAIL or CANCELLED (platform contracts
4.5, 4.8).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from app.kernel.errors import Malformed, Unauthenticated


class PayMethod(StrEnum):
    """By which product of WeChat Pay a payer pays.

    transfer            the merchant transfer of v3 (4.8), which every merchant may apply for
    red_packet          the red packet in a mini-program of v2 (5.4): closed to new merchants since
                        2026-06-18, those who hold it keep it
    service_red_packet  the red packet that a service account sends into the chat (5.2): closed likewise
    wecom_red_packet    the red packet that a company sends by its WeCom (5.5): likewise
    """

    TRANSFER = "transfer"
    RED_PACKET = "red_packet"
    SERVICE_RED_PACKET = "service_red_packet"
    WECOM_RED_PACKET = "wecom_red_packet"

    @property
    def is_packet(self) -> bool:
        """Whether it is a red packet of v2: with amounts and limits of a day of its own, and no callbacks."""
        return self is not PayMethod.TRANSFER

    @property
    def taken_in_app(self) -> bool:
        """Whether its receiver takes it in the app in use, with what opening the bill tells.

        What is not, a service account or a corp sends: to whoever has an openid there.
        """
        return self not in (PayMethod.SERVICE_RED_PACKET, PayMethod.WECOM_RED_PACKET)


class TransferState(StrEnum):
    """The states of a bill at WeChat Pay (4.8); TRANSFERING is the platform's spelling."""

    ACCEPTED = "ACCEPTED"
    PROCESSING = "PROCESSING"
    WAIT_USER_CONFIRM = "WAIT_USER_CONFIRM"
    TRANSFERING = "TRANSFERING"
    SUCCESS = "SUCCESS"
    FAIL = "FAIL"
    CANCELING = "CANCELING"
    CANCELLED = "CANCELLED"


FINAL_STATES = frozenset({TransferState.SUCCESS, TransferState.FAIL, TransferState.CANCELLED})


class TransferOutcome(StrEnum):
    """What an answer means for the caller.

    accepted        the bill exists and is under way: `state` says where
    final           the bill has ended: `state` is SUCCESS, FAIL or CANCELLED
    not_found       the platform knows no such bill: repeat `open` with the same number, after a pause
    retry_same      nobody knows whether it arrived: repeat the same call with the same number later
    suspect         the same, and a secret of ours that is wrong is told like this, too: a few times only
    short_of_funds  the payer's balance is short: query first, then the same number after a top-up
    frequency       too fast: the same number after a back-off
    next_day        a limit of this day is reached: the same number on the next one
    refused         this request was refused and will be again until somebody changes something; if an
                    earlier attempt used the number, query before believing that there is no bill
    unknown         an answer we cannot trust or do not know: query first
    """

    ACCEPTED = "accepted"
    FINAL = "final"
    NOT_FOUND = "not_found"
    RETRY_SAME = "retry_same"
    SUSPECT = "suspect"
    SHORT_OF_FUNDS = "short_of_funds"
    FREQUENCY = "frequency"
    NEXT_DAY = "next_day"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class PayerCredentials:
    """What signs for one merchant number. Equal credentials share one client.

    `apiv2_key`, `client_certificate_pem` and `appid`, the app that the bill was opened in, are for red
    packets alone; `workwx_secret`, of the 企业支付 app in the company's WeCom, for those of WeCom.
    """

    mchid: str
    serial_no: str
    private_key_pem: str = field(repr=False)
    apiv3_key: str = field(repr=False)
    public_key_id: str
    public_key_pem: str = field(repr=False)
    method: PayMethod = PayMethod.TRANSFER
    apiv2_key: str = field(default="", repr=False)
    client_certificate_pem: str = field(default="", repr=False)
    workwx_secret: str = field(default="", repr=False)
    appid: str = ""


@dataclass(frozen=True, slots=True)
class ReportInfo:
    """One of the report fields that the transfer scene demands, with the platform's literal type.

    For red packets: one of the texts that a packet carries.
    """

    info_type: str
    info_content: str


@dataclass(frozen=True, slots=True)
class TransferRequest:
    """One bill to open. A repeat must carry the very same values.

    `amount_fen` is at least 10; `user_name` (plain text, sealed on the way out) is needed from 200,000 fen
    and not allowed under 30; `recv_style` is CONFIRM_PAGE, RED_PACKET or None for the platform's default.
    """

    payer: PayerCredentials
    appid: str
    openid: str = field(repr=False)
    bill_no: str
    amount_fen: int
    remark: str
    scene_id: str
    report_infos: tuple[ReportInfo, ...]
    recv_style: str | None = None
    user_name: str | None = field(default=None, repr=False)
    notify_url: str | None = None


@dataclass(frozen=True, slots=True)
class TransferAnswer:
    """What the platform said, or that it said nothing that counts.

    `code` is the platform's error code, or ours in lower case where it gave none (timeout, network,
    unverified, unreadable, mismatch, local). `message` is its explanation for an operator: never parse it.
    """

    outcome: TransferOutcome
    state: TransferState | None = None
    transfer_bill_no: str | None = None
    package_info: str | None = field(default=None, repr=False)
    fail_reason: str | None = None
    code: str | None = None
    http_status: int | None = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class TransferNotice:
    """A genuine MCHTRANSFER.BILL.FINISHED. The caller still compares amount and openid with its bill."""

    notice_id: str
    mchid: str
    bill_no: str
    transfer_bill_no: str
    state: TransferState
    amount_fen: int
    openid: str | None = field(repr=False)
    fail_reason: str | None
    finished_at: datetime


class ForgedCallback(Unauthenticated):
    """A callback that WeChat Pay did not sign, or not for us, or not now. It changes nothing."""

    code = "forged_callback"
    title = "The callback is not genuine"


class UnexpectedCallback(Malformed):
    """A genuine callback that is not about a transfer, or lacks what it must carry."""

    code = "unexpected_callback"
    title = "The callback is not one that is handled here"


class TransferGateway(Protocol):
    """Merchant transfers of WeChat Pay v3. Never call it inside a transaction; no call raises for the
    platform's or the network's sake, every such thing is an answer."""

    def open(self, request: TransferRequest) -> TransferAnswer:
        """Create the bill, or learn the state of the one that exists with this number."""

    def query(self, payer: PayerCredentials, bill_no: str) -> TransferAnswer:
        """Ask for the state of a bill by our number."""

    def cancel(self, payer: PayerCredentials, bill_no: str) -> TransferAnswer:
        """Ask the platform to close a bill that its receiver has not confirmed; it may take a while."""

    def parse_callback(
        self, payer: PayerCredentials, headers: Mapping[str, str], body: bytes
    ) -> TransferNotice:
        """Verify and decrypt a callback without calling anybody.

        Raises ForgedCallback, UnexpectedCallback, or kernel Unavailable when the payer's own keys are
        unusable, so that the platform sends it again.
        """
