"""wechatpayv3, with the gaps closed that matter where money is paid (platform contracts 7.2).

The library signs, verifies, seals and opens. This subclass adds what it lacks: a settable host, a hard
deadline, freshness of answers and callbacks, and the certainty that verifying never calls anybody. Left to
itself it answers a callback that names an unknown key by fetching certificates, so that a stranger could
make the server work for him; here the only key that exists is the one public key of the payer.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import requests
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from wechatpayv3 import WeChatPay, WeChatPayType
from wechatpayv3.core import Core
from wechatpayv3.type import RequestType
from wechatpayv3.utils import build_authorization

from app.gateways.http import run_within
from app.gateways.pay.credentials import checked
from app.payouts.interfaces import PayerCredentials

FRESH_SECONDS = 300
_BILLS = "/v3/fund-app/mch-transfer/transfer-bills"
_MARKS = ("Signature", "Timestamp", "Nonce", "Serial", "Signature-Type")
_USER_AGENT = "Saoma (wechatpayv3)"


class Unverified(Exception):
    """An answer or callback that carries no valid signature of the payer's platform key, made just now.

    The text says why, for an operator.
    """


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer of WeChat Pay: 2xx only if its signature is good. `body` is None unless it is JSON."""

    http_status: int
    body: object


class PayClient(WeChatPay):
    """One payer's client, safe to share between threads.

    Raises CredentialFault. Its calls raise Unverified, requests.Timeout or requests.RequestException.
    """

    def __init__(
        self,
        credentials: PayerCredentials,
        *,
        origin: str,
        session: requests.Session,
        deadline_seconds: float,
        wall: Callable[[], float] = time.time,
    ) -> None:
        keys, private_key = checked(credentials)
        super().__init__(
            wechatpay_type=WeChatPayType.MINIPROG,
            mchid=keys.mchid,
            private_key=None,  # the core below has it
            cert_serial_no=keys.serial_no.upper(),
            appid="",
            apiv3_key=keys.apiv3_key,
            public_key=keys.public_key_pem,
            public_key_id=keys.public_key_id,
        )
        self._core = _StrictCore(
            keys,
            private_key,
            origin=origin,
            session=session,
            deadline_seconds=deadline_seconds,
            wall=wall,
        )

    def open_bill(self, fields: Mapping[str, object], user_name: str | None) -> Reply:
        """POST a transfer bill; `user_name` is sealed, and what is None is left out.

        Not by the library's own method, which knows no `user_recv_style`.
        """
        body = dict(fields)
        if user_name is not None:
            body["user_name"] = self._core.encrypt(user_name)
        return _reply(self._core.request(_BILLS, method=RequestType.POST, data=body))

    def query_bill(self, bill_no: str) -> Reply:
        """GET a bill by our number, which the caller has checked to be letters and digits."""
        return _reply(self.mch_transfer_bills_query(out_bill_no=bill_no))

    def cancel_bill(self, bill_no: str) -> Reply:
        """POST the cancellation of a bill."""
        return _reply(self.mch_transfer_bills_cancel(out_bill_no=bill_no))

    def get(self, target: str) -> Reply:
        """GET `target` (path and query), signed as it stands; the answer is verified."""
        return _reply(self._core.request(target))

    def stream(self, target: str) -> requests.Response:
        """GET `target`, signed, and leave the body to be read piece by piece.

        Nothing is verified: the platform does not sign this answer. Call it within `run_within`.
        """
        response: requests.Response = self._core.stream(target)
        return response

    def read_callback(self, headers: Mapping[str, str], body: bytes) -> dict[str, object] | None:
        """Return the callback with its resource decrypted; None if it is genuine but cannot be read.

        Raises Unverified. Calls nobody.
        """
        marks = signature_marks(headers)
        self._core.require_genuine(marks, body)
        try:
            callback = self.callback(marks, body)
        except Exception:  # noqa: BLE001 - the library's errors have no common class
            return None
        return callback if isinstance(callback, dict) else None


class _StrictCore(Core):
    """The library's core with its own way out replaced and its way of verifying narrowed."""

    def __init__(
        self,
        keys: PayerCredentials,
        private_key: RSAPrivateKey,
        *,
        origin: str,
        session: requests.Session,
        deadline_seconds: float,
        wall: Callable[[], float],
    ) -> None:
        super().__init__(
            mchid=keys.mchid,
            cert_serial_no=keys.serial_no.upper(),
            private_key=None,  # the library would load, and check, what has been
            apiv3_key=keys.apiv3_key,
            timeout=deadline_seconds,
            public_key=keys.public_key_pem,
            public_key_id=keys.public_key_id,
        )
        self._private_key = private_key
        self._gate_way = origin
        self._session = session
        self._deadline_seconds = deadline_seconds
        self._wall = wall

    def request(
        self,
        path: str,
        method: RequestType = RequestType.GET,
        data: Mapping[str, object] | None = None,
        cipher_data: object = None,
    ) -> tuple[int, bytes]:
        """Sign, send and verify; every method of the library comes through here.

        The bytes that are signed are the bytes that are sent. Returns status and body. `cipher_data` makes
        the library name the platform key, which is done always.
        """
        # A str, so that the library signs it as it is; compact, and real UTF-8.
        text = "" if data is None else json.dumps(_filled(data), ensure_ascii=False, separators=(",", ":"))
        headers = self._headers(path, method, text)
        response = run_within(
            self._deadline_seconds,
            lambda: self._session.request(
                method.value,
                self._gate_way + path,
                data=text.encode() or None,
                headers=headers,
                timeout=self._deadline_seconds,
                allow_redirects=False,
            ),
        )
        marks = signature_marks(response.headers)
        # Errors may come unsigned. One that claims a signature has to have a good one.
        if response.ok or "Wechatpay-Signature" in marks:
            self.require_genuine(marks, response.content)
        return response.status_code, response.content

    def stream(self, path: str) -> requests.Response:
        """Sign and send a GET whose answer is neither read nor verified here."""
        return self._session.get(
            self._gate_way + path,
            headers=self._headers(path, RequestType.GET, ""),
            timeout=self._deadline_seconds,
            allow_redirects=False,
            stream=True,
        )

    def _headers(self, path: str, method: RequestType, text: str) -> dict[str, str]:
        return {
            "Accept": "application/json",
            "Content-Type": "application/json",
            "User-Agent": _USER_AGENT,
            "Wechatpay-Serial": self._public_key_id,
            "Authorization": build_authorization(
                path, method.value, self._mchid, self._cert_serial_no, self._private_key, data=text
            ),
        }

    def require_genuine(self, marks: Mapping[str, str], body: bytes) -> None:
        """Raise Unverified unless the payer's platform key signed `body`, at most 300 s from now."""
        stamp = marks.get("Wechatpay-Timestamp", "")
        # The key is checked before the library sees it: see the head of this module.
        if marks.get("Wechatpay-Serial") != self._public_key_id:
            raise Unverified("not signed with the public key whose id is configured")
        if not stamp.isdecimal() or len(stamp) > 11:
            raise Unverified("no time of signing")
        if abs(self._wall() - int(stamp)) > FRESH_SECONDS:
            raise Unverified("signed more than 300 s from now: is this machine's clock right?")
        try:
            genuine = self._verify_signature(marks, body.decode())
        except Exception:  # noqa: BLE001 - the library raises bare Exception for a foreign algorithm
            genuine = False
        if not genuine:
            raise Unverified("the signature is false, or a test by the platform that must fail")

    def _update_certificates(self) -> None:
        raise Unverified("certificates are never fetched")


def signature_marks(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the signature headers in `headers` (HTTP or WSGI names, any case) under their HTTP names."""
    plain = {name.lower().replace("_", "-").removeprefix("http-"): value for name, value in headers.items()}
    wanted = {f"Wechatpay-{mark}" for mark in _MARKS}
    return {name: plain[name.lower()] for name in wanted if name.lower() in plain}


def _filled(value: object) -> object:
    """Return `value` without the members that are None: the platform refuses a null (7.2)."""
    if isinstance(value, Mapping):
        return {name: _filled(member) for name, member in value.items() if member is not None}
    if isinstance(value, list | tuple):
        return [_filled(item) for item in value]
    return value


def _reply(answer: tuple[int, bytes]) -> Reply:
    http_status, content = answer
    try:
        return Reply(http_status, json.loads(content))
    except (ValueError, RecursionError):
        return Reply(http_status, None)
