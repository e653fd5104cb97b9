"""Merchant transfers: the TransferGateway that payouts asks for, on WeChat Pay v3, and one without it."""

import logging
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime

import requests

from app.gateways.http import check_origin, make_session
from app.gateways.pay.answers import read_failure, read_success, text_of, unknown
from app.gateways.pay.client import PayClient, Reply, Unverified
from app.gateways.pay.credentials import CredentialFault
from app.kernel.errors import Unavailable
from app.payouts.interfaces import (
    FINAL_STATES,
    ForgedCallback,
    PayerCredentials,
    TransferAnswer,
    TransferNotice,
    TransferOutcome,
    TransferRequest,
    TransferState,
    UnexpectedCallback,
)

_logger = logging.getLogger(__name__)

NAME_REQUIRED_FROM_FEN = 200_000
NAME_ALLOWED_FROM_FEN = 30
_BILL_NO = re.compile(r"[0-9A-Za-z]{1,32}")
_CLIENTS_KEPT = 64
_LARGEST_CALLBACK_BYTES = 64 * 1024
_FINISHED = "MCHTRANSFER.BILL.FINISHED"


class WeChatPayTransfers:
    """The TransferGateway on WeChat Pay v3 at `api_url` (an origin).

    `deadline_seconds` is the hard end of one call and must be shorter than the lease of the effect that
    makes it. `wall` tells Unix seconds; it is the machine's clock, because the platform's is.
    """

    def __init__(
        self, api_url: str, *, deadline_seconds: float = 8.0, wall: Callable[[], float] = time.time
    ) -> None:
        self._origin = check_origin(api_url)
        self._session = make_session(self._origin)
        self._deadline_seconds = deadline_seconds
        self._wall = wall
        self._clients: OrderedDict[PayerCredentials, PayClient] = OrderedDict()
        self._lock = threading.Lock()

    def open(self, request: TransferRequest) -> TransferAnswer:
        """Create the bill, or learn the state of the one that exists (4.8, POST transfer-bills)."""
        fault = _request_fault(request)
        if fault is not None:
            return _refused(fault)
        answer = self._ask(
            request.payer,
            request.bill_no,
            lambda client: client.open_bill(_fields(request), request.user_name),
        )
        return _without(answer, request.openid, request.user_name)

    def query(self, payer: PayerCredentials, bill_no: str) -> TransferAnswer:
        """Ask for the state of a bill by our number (4.8, GET out-bill-no)."""
        return self._ask(payer, bill_no, lambda client: client.query_bill(bill_no))

    def cancel(self, payer: PayerCredentials, bill_no: str) -> TransferAnswer:
        """Ask the platform to close a bill that nobody has confirmed (4.8, POST cancel)."""
        return self._ask(payer, bill_no, lambda client: client.cancel_bill(bill_no))

    def parse_callback(
        self, payer: PayerCredentials, headers: Mapping[str, str], body: bytes
    ) -> TransferNotice:
        """Verify and decrypt a callback (4.2, 4.4) without calling anybody.

        Raises ForgedCallback, UnexpectedCallback, or Unavailable when the payer's own keys are unusable.
        """
        try:
            client = self._client(payer)
        except CredentialFault as fault:
            raise Unavailable(f"the keys of merchant {payer.mchid} cannot be used: {fault}") from None
        if len(body) > _LARGEST_CALLBACK_BYTES:
            raise ForgedCallback("the callback is larger than any that WeChat Pay sends")
        try:
            callback = client.read_callback(headers, body)
        except Unverified as reason:
            # The sender learns less than the operator.
            _logger.warning("a callback for merchant %s is not genuine: %s", payer.mchid, reason)
            raise ForgedCallback(
                "no valid signature of this merchant's WeChat Pay public key, made within 300 s"
            ) from None
        if callback is None:
            raise UnexpectedCallback(
                f"a genuine callback cannot be decrypted: check the APIv3 key of merchant {payer.mchid}"
            )
        return _notice(callback, payer.mchid)

    def _ask(
        self, payer: PayerCredentials, bill_no: str, call: Callable[[PayClient], Reply]
    ) -> TransferAnswer:
        if not _BILL_NO.fullmatch(bill_no):
            return _refused("a bill number has 1 to 32 letters and digits")
        try:
            reply = call(self._client(payer))
        except CredentialFault as fault:
            return _refused(f"the keys of merchant {payer.mchid} cannot be used: {fault}")
        except Unverified as reason:
            return unknown("unverified", None, str(reason))
        except requests.Timeout:
            return TransferAnswer(TransferOutcome.RETRY_SAME, code="timeout")
        except requests.RequestException:
            return TransferAnswer(TransferOutcome.RETRY_SAME, code="network")
        if 200 <= reply.http_status < 300:
            return read_success(reply.http_status, reply.body, mchid=payer.mchid, bill_no=bill_no)
        return read_failure(reply.http_status, reply.body)

    def _client(self, payer: PayerCredentials) -> PayClient:
        with self._lock:
            client = self._clients.get(payer)
            if client is None:
                client = PayClient(
                    payer,
                    origin=self._origin,
                    session=self._session,
                    deadline_seconds=self._deadline_seconds,
                    wall=self._wall,
                )
                self._clients[payer] = client
                if len(self._clients) > _CLIENTS_KEPT:
                    self._clients.popitem(last=False)
            self._clients.move_to_end(payer)
            return client


class NullTransfers:
    """The TransferGateway of an installation that is not connected to WeChat Pay: says so, pays nothing."""

    def open(self, request: TransferRequest) -> TransferAnswer:
        """Refuse."""
        return _refused(_NOT_CONNECTED)

    def query(self, payer: PayerCredentials, bill_no: str) -> TransferAnswer:
        """Refuse."""
        return _refused(_NOT_CONNECTED)

    def cancel(self, payer: PayerCredentials, bill_no: str) -> TransferAnswer:
        """Refuse."""
        return _refused(_NOT_CONNECTED)

    def parse_callback(
        self, payer: PayerCredentials, headers: Mapping[str, str], body: bytes
    ) -> TransferNotice:
        """Raise ForgedCallback: nobody can have sent it."""
        raise ForgedCallback(_NOT_CONNECTED)


_NOT_CONNECTED = "WeChat Pay is not connected: set SAOMA_PAY_API_URL"


def _refused(message: str) -> TransferAnswer:
    return TransferAnswer(TransferOutcome.REFUSED, code="local", message=message)


def _request_fault(request: TransferRequest) -> str | None:
    """Return why `request` must not be sent, for the rules whose breach the platform would hide or punish.

    Every other rule is the platform's to judge: it knows the scenes and limits of this merchant.
    """
    if request.user_name is None and request.amount_fen >= NAME_REQUIRED_FROM_FEN:
        return f"from {NAME_REQUIRED_FROM_FEN} fen the receiver's real name is needed"
    if request.user_name is not None and request.amount_fen < NAME_ALLOWED_FROM_FEN:
        return f"under {NAME_ALLOWED_FROM_FEN} fen no name may be sent"
    return None


def _fields(request: TransferRequest) -> dict[str, object]:
    return {
        "appid": request.appid,
        "out_bill_no": request.bill_no,
        "transfer_scene_id": request.scene_id,
        "openid": request.openid,
        "transfer_amount": request.amount_fen,
        "transfer_remark": request.remark,
        "notify_url": request.notify_url,
        "transfer_scene_report_infos": [
            {"info_type": info.info_type, "info_content": info.info_content} for info in request.report_infos
        ],
        "user_recv_style": None if request.recv_style is None else {"type": request.recv_style},
    }


def _without(answer: TransferAnswer, *personal: str | None) -> TransferAnswer:
    """Return `answer` without personal data that the platform may have repeated in its explanation."""
    message = answer.message
    for value in personal:
        if value:
            message = message.replace(value, "***")
    return replace(answer, message=message)


def _notice(callback: Mapping[str, object], mchid: str) -> TransferNotice:
    """Return what a genuine callback says. Raises UnexpectedCallback, or ForgedCallback for another's."""
    resource = callback.get("resource")
    if callback.get("event_type") != _FINISHED or not isinstance(resource, dict):
        raise UnexpectedCallback(f"only {_FINISHED} is handled here")
    if resource.get("mch_id") != mchid:
        raise ForgedCallback("the callback is about another merchant")
    amount = resource.get("transfer_amount")
    texts = [text_of(callback, "id"), text_of(resource, "out_bill_no"), text_of(resource, "transfer_bill_no")]
    notice_id, bill_no, transfer_bill_no = texts
    try:
        state = TransferState(str(resource.get("state")))
        finished_at = datetime.fromisoformat(str(resource.get("update_time")))
    except ValueError:
        raise UnexpectedCallback("the notice lacks a known state or an update_time") from None
    if (
        notice_id is None
        or bill_no is None
        or transfer_bill_no is None
        or type(amount) is not int
        or state not in FINAL_STATES
        or finished_at.tzinfo is None
    ):
        raise UnexpectedCallback("the notice lacks a number, an amount or a final state")
    return TransferNotice(
        notice_id=notice_id,
        mchid=mchid,
        bill_no=bill_no,
        transfer_bill_no=transfer_bill_no,
        state=state,
        amount_fen=amount,
        openid=text_of(resource, "openid"),
        fail_reason=text_of(resource, "fail_reason"),
        finished_at=finished_at,
    )
