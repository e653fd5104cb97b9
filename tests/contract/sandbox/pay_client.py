"""A merchant that speaks WeChat Pay v3, written for these tests from the contract: neither the sandbox's code
nor the SDK that the product uses. And the merchant's ear: a server that takes callbacks in.
"""

from __future__ import annotations

import base64
import itertools
import json
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import requests
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.support.sandbox import MerchantAccount

BILLS = "/v3/fund-app/mch-transfer/transfer-bills"
SCHEME = "WECHATPAY2-SHA256-RSA2048"
REPORT = [
    {"info_type": "活动名称", "info_content": "夏日扫码"},
    {"info_type": "奖励说明", "info_content": "扫码红包"},
]
ANSWERS_WITHIN_SECONDS = 20
_numbers = itertools.count(1)


def new_number() -> str:
    """A bill number that no test of this run has used."""
    return f"T{secrets.token_hex(4)}{next(_numbers)}"


@cache
def private_key(pem: str) -> rsa.RSAPrivateKey:
    key = serialization.load_pem_private_key(pem.encode(), password=None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return key


def verifies(account: MerchantAccount, headers: Mapping[str, str], body: bytes) -> bool:
    """Whether Tencent's signature is on ``body``."""
    key = serialization.load_pem_public_key(account.platform_public_key_pem.encode())
    assert isinstance(key, rsa.RSAPublicKey)
    if headers.get("Wechatpay-Signature-Type") != SCHEME:
        return False
    if headers.get("Wechatpay-Serial") != account.platform_public_key_id:
        return False
    if abs(int(headers["Wechatpay-Timestamp"]) - time.time()) > 300:
        return False
    lines = (headers["Wechatpay-Timestamp"].encode(), headers["Wechatpay-Nonce"].encode(), body)
    try:
        key.verify(
            base64.b64decode(headers["Wechatpay-Signature"]),
            b"".join(line + b"\n" for line in lines),
            padding.PKCS1v15(),
            hashes.SHA256(),
        )
    except InvalidSignature:
        return False
    return True


class PayClient:
    """One merchant at one sandbox, able to send what an honest one never would."""

    def __init__(self, base_url: str, account: MerchantAccount) -> None:
        self.base_url = base_url
        self.account = account
        self._session = requests.Session()
        self._session.trust_env = False

    def close(self) -> None:
        self._session.close()

    def headers(
        self,
        method: str,
        target: str,
        body: bytes,
        *,
        skew_seconds: int = 0,
        nonce: str | None = None,
        mchid: str | None = None,
        serial_no: str | None = None,
        key_pem: str | None = None,
        signed_body: bytes | None = None,
        signed_target: str | None = None,
    ) -> dict[str, str]:
        """The headers of a request; every argument after ``body`` is a lie."""
        stamp = str(int(time.time()) + skew_seconds)
        nonce = secrets.token_hex(16) if nonce is None else nonce
        lines = (
            method.encode(),
            (signed_target or target).encode(),
            stamp.encode(),
            nonce.encode(),
            body if signed_body is None else signed_body,
        )
        key = private_key(key_pem or self.account.private_key_pem)
        message = b"".join(line + b"\n" for line in lines)
        signature = base64.b64encode(key.sign(message, padding.PKCS1v15(), hashes.SHA256())).decode()
        fields = {
            "mchid": mchid or self.account.mchid,
            "nonce_str": nonce,
            "signature": signature,
            "timestamp": stamp,
            "serial_no": serial_no or self.account.serial_no,
        }
        headers = {
            "Accept": "application/json",
            "User-Agent": "tests",
            "Authorization": f"{SCHEME} " + ",".join(f'{name}="{value}"' for name, value in fields.items()),
        }
        if body:
            headers["Content-Type"] = "application/json"
        return headers

    def request(
        self,
        method: str,
        target: str,
        document: Any = None,
        *,
        more_headers: Mapping[str, str | None] | None = None,
        timeout: float = ANSWERS_WITHIN_SECONDS,
        **lies: Any,
    ) -> requests.Response:
        """One request. document: JSON, or bytes as they are. more_headers: None takes a header away."""
        body = b""
        if isinstance(document, bytes):
            body = document
        elif document is not None:
            body = json.dumps(document, ensure_ascii=False).encode()
        headers: dict[str, Any] = {**self.headers(method, target, body, **lies), **(more_headers or {})}
        return self._session.request(
            method, self.base_url + target, data=body or None, headers=headers, timeout=timeout
        )

    def open(self, document: Mapping[str, Any] | bytes, **options: Any) -> requests.Response:
        return self.request("POST", BILLS, document, **options)

    def query(self, out_bill_no: str, **options: Any) -> requests.Response:
        return self.request("GET", f"{BILLS}/out-bill-no/{out_bill_no}", **options)

    def cancel(self, out_bill_no: str, **options: Any) -> requests.Response:
        return self.request("POST", f"{BILLS}/out-bill-no/{out_bill_no}/cancel", **options)

    def state(self, out_bill_no: str) -> str:
        """The state of a bill, or the code of the refusal."""
        document = self.query(out_bill_no).json()
        return str(document.get("state") or document["code"])

    def verified(self, response: requests.Response) -> bool:
        return verifies(self.account, response.headers, response.content)

    def seal(self, text: str) -> dict[str, Any]:
        """An encrypted user_name and the header that belongs to it, as arguments of ``open``."""
        key = serialization.load_pem_public_key(self.account.platform_public_key_pem.encode())
        assert isinstance(key, rsa.RSAPublicKey)
        oaep = padding.OAEP(mgf=padding.MGF1(hashes.SHA1()), algorithm=hashes.SHA1(), label=None)
        return {
            "user_name": base64.b64encode(key.encrypt(text.encode(), oaep)).decode(),
            "headers": {"Wechatpay-Serial": self.account.platform_public_key_id},
        }

    def unseal(self, text: str) -> str:
        """What is in an encrypted field of an answer."""
        oaep = padding.OAEP(mgf=padding.MGF1(hashes.SHA1()), algorithm=hashes.SHA1(), label=None)
        return private_key(self.account.private_key_pem).decrypt(base64.b64decode(text), oaep).decode()


def bill(appid: str, openid: str, /, **changes: Any) -> dict[str, Any]:
    """The body of a transfer of 1 yuan; ``changes`` set a field, ``...`` takes it away."""
    document: dict[str, Any] = {
        "appid": appid,
        "out_bill_no": new_number(),
        "transfer_scene_id": "1000",
        "openid": openid,
        "transfer_amount": 100,
        "transfer_remark": "扫码奖励",
        "transfer_scene_report_infos": REPORT,
        **changes,
    }
    return {name: value for name, value in document.items() if value is not ...}


@dataclass
class Received:
    """One callback as it came in."""

    path: str
    headers: dict[str, str]
    body: bytes
    at: float = field(default_factory=time.monotonic)

    def resource(self, account: MerchantAccount) -> dict[str, Any]:
        """What is inside, opened with the merchant's APIv3 key."""
        sealed = json.loads(self.body)["resource"]
        opened = AESGCM(account.apiv3_key.encode()).decrypt(
            sealed["nonce"].encode(),
            base64.b64decode(sealed["ciphertext"]),
            sealed["associated_data"].encode(),
        )
        document: dict[str, Any] = json.loads(opened)
        return document


class CallbackReceiver:
    """Takes callbacks in. ``statuses``: what to answer, one after the other, then 204.

    delay_seconds: how long each answer takes.
    """

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.statuses: list[int] = []
        self.delay_seconds = 0.0
        self._changed = threading.Condition()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = receiver._take(Received(self.path, dict(self.headers.items()), body))
                time.sleep(receiver.delay_seconds)
                self.send_response(status)
                self.send_header("Content-Length", "0")
                if 300 <= status < 400:
                    self.send_header("Location", "/elsewhere")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self.origin = f"http://127.0.0.1:{self._server.server_port}"
        self.url = f"{self.origin}/callbacks/pay"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def wait_for(self, count: int, seconds: float = 8) -> list[Received]:
        """The callbacks once there are ``count``; fewer if they do not come in time."""
        with self._changed:
            self._changed.wait_for(lambda: len(self.received) >= count, seconds)
            return list(self.received)

    def _take(self, received: Received) -> int:
        with self._changed:
            self.received.append(received)
            self._changed.notify_all()
            return self.statuses.pop(0) if self.statuses else 204
