"""Pushes messages to the address that a mini-program's console names: checked first, then signed and sealed.

Source: contracts 2.1 to 2.3, and 13.7 for penalties. A message is tried three times when it is not answered
within five seconds; each try has a signature of its own and says the same.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import secrets
import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode
from xml.sax.saxutils import escape

import requests
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from flask import Blueprint, Response, jsonify

from sandbox.callbacks import ANSWER_WITHIN_SECONDS, USER_AGENT, Callbacks
from sandbox.clock import SandboxClock
from sandbox.errors import AdminError
from sandbox.exchanges import Exchanges
from sandbox.fields import Required, read_document, read_fields

if TYPE_CHECKING:
    from sandbox.world import World

TRIES = 3
FORMATS = ("json", "xml")


@dataclass(frozen=True, slots=True)
class Console:
    """What the console of an app says about its messages."""

    url: str
    token: str
    aes_key: str
    format: str


def blueprint(world: World) -> Blueprint:
    """The administration of the pushes of ``world``."""
    routes = Blueprint("pushes", __name__, url_prefix="/_sandbox")

    @routes.post("/apps/<appid>/messages")
    def save_console(appid: str) -> Response:
        fields = read_fields(
            {"url": Required(str), "token": Required(str), "aes_key": Required(str), "format": "json"}
        )
        world.directory.app(appid)
        world.pushes.save(appid, Console(**fields))
        return jsonify({"saved": True})

    @routes.post("/apps/<appid>/push")
    def push(appid: str) -> Response:
        fields = read_fields({"fields": Required(dict), "age_seconds": 0})
        return jsonify(world.pushes.push(appid, fields["fields"], age_seconds=fields["age_seconds"]))

    @routes.post("/apps/<appid>/punish")
    def punish(appid: str) -> Response:
        event = penalty(read_document(), appid, world.clock.now())
        return jsonify(world.pushes.push(appid, event) | {"punish_id": event["punish_id"]})

    return routes


class Pushes:
    """The consoles of all apps, and what is pushed to them. Nothing of it survives a restart."""

    def __init__(self, *, callbacks: Callbacks, clock: SandboxClock, exchanges: Exchanges) -> None:
        self._callbacks = callbacks
        self._clock = clock
        self._exchanges = exchanges
        self._consoles: dict[str, Console] = {}

    def save(self, appid: str, console: Console) -> None:
        """Saves an app's console after checking its address. AdminError 422 unless it echoes."""
        url, token = console.url, console.token
        sound = console.format in FORMATS and re.fullmatch(r"[0-9A-Za-z]{43}", console.aes_key) and token
        if not sound:
            raise AdminError(422, "bad_console", "format is json or xml, aes_key has 43 letters and digits")
        stamp, nonce, echo = str(int(time.time())), secrets.token_hex(5), secrets.token_hex(10)
        query = {"signature": _sign(token, stamp, nonce), "timestamp": stamp, "nonce": nonce, "echostr": echo}
        status, answer = self._send("GET", url, query, b"", note="address check")
        if status != 200 or answer != echo.encode():
            raise AdminError(
                422, "no_echo", f"the address does not answer with the echostr (status {status})"
            )
        self._consoles[appid] = console

    def push(self, appid: str, fields: Mapping[str, Any], *, age_seconds: int = 0) -> dict[str, Any]:
        """Pushes one event. ``age_seconds`` signs it with a time so long ago.

        Returns the tries, the status of the last one (None without an answer) and whether it was taken in.
        """
        console = self._consoles.get(appid)
        if console is None:
            raise AdminError(404, "no_console", f"app {appid} has no address for messages")
        message = {
            "ToUserName": "gh_" + hashlib.sha256(appid.encode()).hexdigest()[:12],
            "FromUserName": "platform",
            "CreateTime": int(self._clock.now()),
            "MsgType": "event",
            **fields,
        }
        plain = json.dumps(message, ensure_ascii=False) if console.format == "json" else _xml(message)
        status: int | None = None
        for number in range(1, TRIES + 1):
            query, body = _seal(console, appid, plain.encode(), age_seconds)
            status, answer = self._send("POST", console.url, query, body, note=str(message.get("Event", "")))
            if status == 200 and answer in (b"success", b""):
                return {"tries": number, "status": status, "taken_in": True}
        return {"tries": TRIES, "status": status, "taken_in": False}

    def _send(
        self, method: str, url: str, query: Mapping[str, str], body: bytes, *, note: str
    ) -> tuple[int | None, bytes]:
        target = f"{self._callbacks.target(url)}?{urlencode(query)}"
        started, status, answer = time.monotonic(), None, b""
        kind = "application/json" if body.startswith(b"{") else "text/xml"
        try:
            with requests.Session() as session:
                session.trust_env = False
                response = session.request(
                    method,
                    target,
                    data=body,
                    headers={"Content-Type": kind, "User-Agent": USER_AGENT},
                    timeout=ANSWER_WITHIN_SECONDS,
                    allow_redirects=False,
                )
                status, answer = response.status_code, response.content
        except requests.RequestException as error:
            note = f"{note} {type(error).__name__}"
        self._exchanges.add(
            direction="out",
            at=self._clock.now(),
            method=method,
            url=target,
            status=status,
            request=body,
            response=answer,
            milliseconds=(time.monotonic() - started) * 1000,
            note=note,
        )
        return status, answer


def penalty(fields: Mapping[str, Any], appid: str, now: float) -> dict[str, Any]:
    """A penalty for induced sharing, three days to mend it; ``fields`` say it otherwise."""
    return {
        "Event": "wxa_punish_event",
        "punish_id": secrets.token_hex(8),
        "appid": appid,
        "punish_time": int(now),
        "illegal_reason": "存在诱导分享行为",
        "illegal_content": ["pages/index/index"],
        "detail": json.dumps({"warned_type": 2, "warned_function_names": ["分享"]}, ensure_ascii=False),
        "rule_name": "微信小程序平台运营规范 5.1",
        "rule_url": "https://developers.weixin.qq.com/miniprogram/product/",
        "adjust_guide_url": "https://developers.weixin.qq.com/miniprogram/product/",
        "event_type": 1,
        "rectify_deadline": int(now) + 3 * 86400,
        **fields,
    }


def _seal(console: Console, appid: str, plain: bytes, age_seconds: int) -> tuple[dict[str, str], bytes]:
    key = base64.b64decode(console.aes_key + "=")
    framed = secrets.token_bytes(16) + struct.pack(">I", len(plain)) + plain + appid.encode()
    # PKCS#7 with blocks of 32, not of AES's own 16.
    padder = padding.PKCS7(256).padder()
    encryptor = Cipher(AES(key), CBC(key[:16])).encryptor()
    sealed = encryptor.update(padder.update(framed) + padder.finalize()) + encryptor.finalize()
    text = base64.b64encode(sealed).decode()
    stamp, nonce = str(int(time.time()) - age_seconds), secrets.token_hex(5)
    query = {
        "signature": _sign(console.token, stamp, nonce),
        "timestamp": stamp,
        "nonce": nonce,
        "encrypt_type": "aes",
        "msg_signature": _sign(console.token, stamp, nonce, text),
    }
    envelope = {"ToUserName": "gh_sandbox", "Encrypt": text}
    return query, (json.dumps(envelope) if console.format == "json" else _xml(envelope)).encode()


def _sign(*parts: str) -> str:
    return hashlib.sha1("".join(sorted(parts)).encode()).hexdigest()  # noqa: S324 - the platform's own choice


def _xml(fields: Mapping[str, Any]) -> str:
    lines = [f"<{name}>{escape(_said(value))}</{name}>" for name, value in fields.items()]
    return "<xml>" + "".join(lines) + "</xml>"


def _said(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (list, dict)) else str(value)
