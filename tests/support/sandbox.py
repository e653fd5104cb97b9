"""The sandbox as the tests use it: a process of its own on a free port, and its administration in Python.

    with SandboxProcess() as sandbox:
        sandbox.create_app("wxdemo000000000001", "app-secret")
        merchant = sandbox.create_merchant("1900000001", appids=["wxdemo000000000001"], balance_fen=100_000)
        shopper = sandbox.shopper("李雷", "13800138000")
        js_code = sandbox.js_code(shopper["id"], "wxdemo000000000001")

Nothing of the sandbox's code is imported here: what a test knows of it, it knows over HTTP.
"""

from __future__ import annotations

import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import IO, Any, Self

import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

ROOT = Path(__file__).resolve().parents[2]
STARTS_WITHIN_SECONDS = 30
STOPS_WITHIN_SECONDS = 10
ANSWERS_WITHIN_SECONDS = 30
ACCEPTED_STATUSES = (200, 201)


class SandboxRefusedError(AssertionError):
    """The sandbox's administration refused a request; the text is its answer."""

    def __init__(self, status: int, code: str, text: str) -> None:
        self.status = status
        self.code = code
        super().__init__(f"{status} {code}: {text}")


@dataclass(frozen=True, slots=True)
class MerchantAccount:
    """Everything that the product has to know of a merchant. private_key_pem is PKCS#8."""

    mchid: str
    serial_no: str
    private_key_pem: str = field(repr=False)
    apiv3_key: str = field(repr=False)
    platform_public_key_id: str
    platform_public_key_pem: str
    apiv2_key: str = field(default="", repr=False)


def new_private_key() -> str:
    """A merchant's new RSA key, PKCS#8 PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


@cache
def kept_private_key(owner: str) -> str:
    """The key of ``owner``, the same for all tests of this process: making one takes a while."""
    return new_private_key()


@cache
def public_key_of(private_key_pem: str) -> str:
    """The public half of ``private_key_pem``, PEM."""
    key = serialization.load_pem_private_key(
        private_key_pem.encode(), password=None, unsafe_skip_rsa_key_validation=True
    )
    public = key.public_key()
    return public.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    ).decode()


class SandboxProcess:
    """One running sandbox.

    The defaults suit tests: retries of callbacks a hundred times faster, money on its way for no time at all,
    call frequencies not enforced. ``product_url`` can be set later with ``settings(product_url=...)``.
    """

    def __init__(
        self,
        *,
        product_url: str = "http://127.0.0.1:8000",
        port: int = 0,
        journal: Path | None = None,
        strict_unverified: bool = False,
        limits: bool = False,
        callback_speed: float = 100.0,
        transfer_seconds: float = 0.0,
        log_level: str = "WARNING",
    ) -> None:
        self._arguments = [
            *("--port", str(port)),
            *("--log-level", log_level),
            *("--product-url", product_url),
            *("--callback-speed", str(callback_speed)),
            *("--transfer-seconds", str(transfer_seconds)),
            *(("--journal", str(journal)) if journal else ()),
            *(("--strict-unverified",) if strict_unverified else ()),
            *(() if limits else ("--no-limits",)),
        ]
        self._process: subprocess.Popen[str] | None = None
        self._session = requests.Session()
        self._session.trust_env = False
        self.base_url = ""

    def start(self) -> Self:
        """Starts the process and waits until it listens. Raises RuntimeError when it does not come up."""
        process = subprocess.Popen(
            [sys.executable, "-m", "sandbox", *self._arguments],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        output = process.stdout
        assert output is not None
        watchdog = threading.Timer(STARTS_WITHIN_SECONDS, process.kill)
        watchdog.start()
        line = output.readline()
        watchdog.cancel()
        if "http://" not in line:
            process.kill()
            code = process.wait()
            output.close()
            raise RuntimeError(f"the sandbox did not start (exit code {code}); its stderr says why")
        self.base_url = line.split()[-1]
        self._process = process
        return self

    def stop(self) -> int:
        """Stops the process with SIGTERM; returns its exit code, 0 when it was clean."""
        return self._end(signal.SIGTERM)

    def kill(self) -> int:
        """Kills the process with SIGKILL; returns its exit code."""
        return self._end(signal.SIGKILL)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exception: object) -> None:
        self.stop()
        self._session.close()

    # Registers

    def create_app(
        self, appid: str, secret: str, *, kind: str = "miniprogram", open_platform: str = "", **more: Any
    ) -> dict[str, Any]:
        """Registers an app. open_platform: name of the Open Platform account that gives it unionids."""
        fields = {"appid": appid, "secret": secret, "kind": kind, "open_platform": open_platform, **more}
        return self._view(self._admin("POST", "/apps", fields), "app")

    def save_console(self, appid: str, *, url: str, token: str, aes_key: str, format: str = "json") -> None:
        """Tells where an app's messages go; the address must echo. Raises SandboxRefusedError."""
        fields = {"url": url, "token": token, "aes_key": aes_key, "format": format}
        self._admin("POST", f"/apps/{appid}/messages", fields)

    def punish(self, appid: str, **fields: Any) -> dict[str, Any]:
        """Pushes a penalty; returns tries, status, taken_in and punish_id."""
        return self._admin("POST", f"/apps/{appid}/punish", fields)

    def push(self, appid: str, fields: dict[str, Any], *, age_seconds: int = 0) -> dict[str, Any]:
        """Pushes any event, signed so long ago; returns tries, status and taken_in."""
        return self._admin("POST", f"/apps/{appid}/push", {"fields": fields, "age_seconds": age_seconds})

    def create_merchant(
        self,
        mchid: str,
        *,
        appids: Sequence[str],
        balance_fen: int = 0,
        private_key_pem: str | None = None,
        serial_no: str | None = None,
        apiv3_key: str | None = None,
        scenes: Sequence[str | dict[str, Any]] = ("1000",),
        shortage: str = "not_enough",
        balance_api: bool = False,
        apiv2_key: str = "",
        workwx_secret: str = "",
    ) -> MerchantAccount:
        """Registers a merchant; keys that are not given are made up.

        shortage: ``not_enough`` (403, no bill), ``not_enough_recorded`` (403, and the bill waits in
        PROCESSING) or ``processing`` (200, the bill waits). apiv2_key: with one it holds the red packets of
        v2.
        """
        private_key_pem = private_key_pem or kept_private_key("any merchant")
        serial_no = serial_no or secrets.token_hex(20).upper()
        apiv3_key = apiv3_key or secrets.token_hex(16)
        answer = self._admin(
            "POST",
            "/merchants",
            {
                "mchid": mchid,
                "serial_no": serial_no,
                "public_key_pem": public_key_of(private_key_pem),
                "apiv3_key": apiv3_key,
                "appids": list(appids),
                "scenes": list(scenes),
                "balance_fen": balance_fen,
                "shortage": shortage,
                "balance_api": balance_api,
                "red_packets": bool(apiv2_key),
                "apiv2_key": apiv2_key,
                "workwx_secret": workwx_secret,
            },
        )
        return MerchantAccount(
            mchid=mchid,
            serial_no=serial_no,
            private_key_pem=private_key_pem,
            apiv3_key=apiv3_key,
            platform_public_key_id=answer["platform_public_key_id"],
            platform_public_key_pem=answer["platform_public_key_pem"],
            apiv2_key=apiv2_key,
        )

    def top_up(self, mchid: str, fen: int) -> int:
        """Adds money to a merchant; returns what is available to it now, in fen."""
        return int(self._admin("POST", f"/merchants/{mchid}/topup", {"fen": fen})["available_fen"])

    def shopper(self, name: str = "李雷", phone: str = "13800138000", **more: Any) -> dict[str, Any]:
        """A new shopper: id, name, phone, balance_fen, openids by appid. more: country_code, high_risk."""
        return self._view(self._admin("POST", "/shoppers", {"name": name, "phone": phone, **more}), "shopper")

    def shoppers(self) -> list[dict[str, Any]]:
        """All shoppers with their balances in fen."""
        return list(self._admin("GET", "/shoppers")["shoppers"])

    # What a shopper's client does

    def js_code(self, shopper_id: str, appid: str, *, virtual: bool = False) -> str:
        """The result of ``wx.login``. virtual: the identity of a snapshot visit."""
        fields = {"appid": appid, "virtual": virtual}
        return str(self._admin("POST", f"/shoppers/{shopper_id}/js_code", fields)["js_code"])

    def phone_code(self, shopper_id: str, appid: str, *, quota_empty: bool = False) -> str:
        """The result of the phone-number button. quota_empty: its exchange finds no quota left."""
        fields = {"appid": appid, "quota_empty": quota_empty}
        return str(self._admin("POST", f"/shoppers/{shopper_id}/phone_code", fields)["code"])

    def oauth_code(
        self, shopper_id: str, appid: str, *, scope: str = "snsapi_base", virtual: bool = False
    ) -> str:
        """The code that the browser brings back from the page of a service account or a corp."""
        fields = {"appid": appid, "scope": scope, "virtual": virtual}
        return str(self._admin("POST", f"/shoppers/{shopper_id}/oauth_code", fields)["code"])

    def relate(self, shopper_id: str, corpid: str, relation: str) -> None:
        """Says what a shopper is to a corp: ``customer``, ``staff``, or nobody."""
        self._admin("POST", f"/shoppers/{shopper_id}/corp", {"appid": corpid, "relation": relation})

    def create_captcha_app(self, app_id: int, **more: Any) -> dict[str, Any]:
        """Registers an app of the captcha console; returns its keys, made up. more: package."""
        keys = {name: secrets.token_hex(16) for name in ("app_key", "secret_id", "secret_key")}
        self._admin("POST", "/captchas", {"app_id": app_id, **keys, **more})
        return {"app_id": app_id, **keys}

    def captcha_ticket(self, shopper_id: str, app_id: int, *, fails: bool = False) -> str:
        """Solves a captcha. fails: the ticket of a plugin that could not load. Raises SandboxRefusedError."""
        fields = {"app_id": app_id, "fails": fails}
        return str(self._admin("POST", f"/shoppers/{shopper_id}/captcha_ticket", fields)["ticket"])

    def confirm(
        self, shopper_id: str, *, package_info: str, mch_id: str, app_id: str, fail_reason: str = ""
    ) -> dict[str, Any]:
        """Confirms the receipt of a transfer. fail_reason: let it fail. Raises SandboxRefusedError."""
        fields = {
            "package_info": package_info,
            "mch_id": mch_id,
            "app_id": app_id,
            "fail_reason": fail_reason,
        }
        return self._admin("POST", f"/shoppers/{shopper_id}/confirm", fields)

    def decline(self, shopper_id: str, *, package_info: str, mch_id: str, app_id: str) -> dict[str, Any]:
        """Opens the page of a transfer and closes it again: nothing changes."""
        fields = {"package_info": package_info, "mch_id": mch_id, "app_id": app_id}
        return self._admin("POST", f"/shoppers/{shopper_id}/decline", fields)

    def open_packet(self, shopper_id: str, *, mchid: str, mch_billno: str) -> dict[str, Any]:
        """Opens a red packet in the chat. Raises SandboxRefusedError."""
        fields = {"mchid": mchid, "mch_billno": mch_billno}
        return self._admin("POST", f"/shoppers/{shopper_id}/open_packet", fields)

    def send_biz_red_packet(self, shopper_id: str, call: dict[str, str]) -> dict[str, Any]:
        """Opens a red packet by ``wx.sendBizRedPacket(call)`` (with appId). Raises SandboxRefusedError."""
        return self._admin("POST", f"/shoppers/{shopper_id}/send_biz_red_packet", call)

    def confirm_all(self, mchid: str) -> int:
        """Lets every shopper confirm whose bill of the merchant waits; returns how many did."""
        return int(self._admin("POST", f"/merchants/{mchid}/confirm_all")["confirmed"])

    def grant_market(self, appid: str, key: str, **more: Any) -> None:
        """Lets a service account order codes of WeChat. more: columns, of its files."""
        self._admin("POST", "/marketcode", {"appid": appid, "key": key, **more})

    def market_scan(self, shopper_id: str, code_url: str) -> dict[str, Any]:
        """Scans a code that WeChat made: appid, path, code_ticket, scene. Raises SandboxRefusedError."""
        return self._admin("POST", f"/shoppers/{shopper_id}/market_scan", {"code_url": code_url})

    # The book, faults, time

    def falsify(self, mchid: str, day: str, kind: str, **more: Any) -> None:
        """Lets the fund-flow bill of a Beijing day lie. more: number (the merchant's), fen."""
        self._admin("POST", f"/merchants/{mchid}/falsify", {"day": day, "kind": kind, **more})

    def tell_the_truth(self) -> None:
        """Takes all falsifications back."""
        self._admin("DELETE", "/falsifications")

    def book(self) -> dict[str, Any]:
        """The book: balanced, faults, merchants, paid (fen by openid), bills."""
        return self._admin("GET", "/book")

    def bill(self, out_bill_no: str) -> dict[str, Any]:
        """One bill of the book by the merchant's number. Raises LookupError."""
        for bill in self.book()["bills"]:
            if bill["out_bill_no"] == out_bill_no:
                return dict(bill)
        raise LookupError(f"no bill {out_bill_no}")

    def packet(self, mch_billno: str) -> dict[str, Any]:
        """One red packet of the book by the merchant's number. Raises LookupError."""
        for packet in self.book()["packets"]:
            if packet["mch_billno"] == mch_billno:
                return dict(packet)
        raise LookupError(f"no red packet {mch_billno}")

    def signature(self, kind: str, fields: dict[str, str], key: str = "") -> str:
        """What the sandbox's signing tool makes of ``fields``."""
        answer = self._admin("POST", "/sign", {"kind": kind, "fields": fields, "key": key})
        return str(answer["signature"])

    def fault(self, path: str, kind: str, **more: Any) -> dict[str, Any]:
        """Sets a fault. more: times, probability, seed, after_commit, latency_ms, hold_seconds and others."""
        return self._view(self._admin("POST", "/faults", {"path": path, "kind": kind, **more}), "fault")

    def faults(self) -> list[dict[str, Any]]:
        """The faults in force with how often each has fired."""
        return list(self._admin("GET", "/faults")["faults"])

    def clear_faults(self) -> None:
        """Takes all faults out of force."""
        self._admin("DELETE", "/faults")

    def forget_callbacks(self) -> None:
        """Lets the sandbox stop calling back about all that has happened so far."""
        self._admin("DELETE", "/callbacks")

    def advance(self, seconds: float) -> None:
        """Moves the sandbox's business time forward; what became due has happened when this returns."""
        self._admin("POST", "/clock", {"advance_seconds": seconds})

    def settings(self, **changes: Any) -> dict[str, Any]:
        """Changes settings while it runs (product_url, callback_speed, …); returns all of them."""
        return self._admin("POST", "/settings", changes)

    def exchanges(self, after: int = 0) -> list[dict[str, Any]]:
        """The last HTTP exchanges of the platform, callbacks included, secrets hidden."""
        return list(self._admin("GET", f"/exchanges?after={after}")["exchanges"])

    def probe(self, mchid: str, notify_url: str) -> dict[str, Any]:
        """Sends a signature-test callback; ``refused`` says whether the product did the right thing."""
        return self._admin("POST", f"/merchants/{mchid}/probe", {"notify_url": notify_url})

    def _admin(self, method: str, path: str, fields: dict[str, Any] | None = None) -> dict[str, Any]:
        response = self._session.request(
            method, f"{self.base_url}/_sandbox{path}", json=fields, timeout=ANSWERS_WITHIN_SECONDS
        )
        document: dict[str, Any] = response.json()
        if response.status_code not in ACCEPTED_STATUSES:
            raise SandboxRefusedError(
                response.status_code, str(document.get("code")), str(document.get("message"))
            )
        return document

    def _view(self, document: dict[str, Any], name: str) -> dict[str, Any]:
        view: dict[str, Any] = document[name]
        return view

    def _end(self, number: signal.Signals) -> int:
        process = self._process
        if process is None:
            return 0
        process.send_signal(number)
        try:
            code = process.wait(STOPS_WITHIN_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        _close(process.stdout)
        self._process = None
        return code


def _close(stream: IO[str] | None) -> None:
    if stream is not None:
        stream.close()
