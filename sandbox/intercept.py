"""What happens around every request to the platform: faults, signatures of answers, the list of exchanges.

The handlers know nothing of this, except for the few faults that belong to the platform's own business, which
they ask for with ``business_fault``.
"""

from __future__ import annotations

import contextlib
import socket
import time

from flask import Flask, Response, g, jsonify, request
from werkzeug.exceptions import HTTPException

from sandbox.clock import wire_time
from sandbox.errors import PayError, WeChatError
from sandbox.faults import ANSWER_KINDS, REQUEST_KINDS, Fault
from sandbox.packet_request import PREFIX as PACKETS
from sandbox.packet_request import write_xml
from sandbox.pay_signing import parse_authorization, signature_headers
from sandbox.statements import DOWNLOAD_PATH
from sandbox.world import World

OWN_PREFIXES = ("/_sandbox/", "/phone")
LARGEST_BODY_BYTES = 1_000_000
SECRETS = ("secret", "corpsecret", "access_token")
# What the faults of WeChat Pay are called in v2.
V2_CODES = {
    "system_error": "SYSTEMERROR",
    "frequency_limited": "FREQ_LIMIT",
    "user_account_abnormal": "V2_ACCOUNT_SIMPLE_BAN",
}
HTML_502 = (
    "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n"
    "<center><h1>502 Bad Gateway</h1></center>\r\n</body>\r\n</html>\r\n"
)


def is_platform_request() -> bool:
    """Whether the request goes to the platform and not to the sandbox's own pages."""
    if request.path == "/":
        # Tencent Cloud's endpoint; for a browser the way to the phone page.
        return request.method == "POST"
    return not request.path.startswith(OWN_PREFIXES)


def business_fault(kind: str) -> bool:
    """Whether the request was chosen to meet the business fault ``kind``."""
    fault: Fault | None = g.get("fault")
    return fault is not None and fault.kind == kind


def install(app: Flask, world: World) -> None:
    """Puts the interception around all platform requests of ``app``."""

    @app.before_request
    def begin() -> Response | None:
        if not is_platform_request():
            return None
        request.max_content_length = LARGEST_BODY_BYTES
        g.started = time.monotonic()
        g.fault = world.faults.pick(REQUEST_KINDS, request.path)
        if g.fault is None:
            return None
        if g.fault.parameters["latency_ms"]:
            time.sleep(g.fault.parameters["latency_ms"] / 1000)
        if g.fault.kind in ANSWER_KINDS and not g.fault.after_commit:
            return _injected(g.fault)
        return None

    @app.after_request
    def finish(response: Response) -> Response:
        if not is_platform_request():
            return response
        fault: Fault | None = g.get("fault")
        if fault is not None and fault.after_commit:
            response = _injected(fault)
        signed = request.path.startswith("/v3/") and request.path != DOWNLOAD_PATH
        if signed and response.mimetype != "text/html":
            _sign(world, response, fault)
        world.exchanges.add(
            direction="in",
            at=world.clock.now(),
            method=request.method,
            url=_shown_url(),
            status=response.status_code,
            request=_shown_body(),
            response=response.get_data() if response.is_json else f"({response.mimetype})",
            milliseconds=(time.monotonic() - g.get("started", time.monotonic())) * 1000,
            note=f"fault: {fault.kind}" if fault else "",
        )
        return response


def _injected(fault: Fault) -> Response:
    if fault.kind == "html_502":
        return Response(HTML_502, 502, mimetype="text/html")
    if fault.kind.startswith("timeout"):
        _hold_and_cut(fault.parameters["hold_seconds"])
        return Response(status=504)
    if request.path.startswith(PACKETS):
        return _v2_problem(V2_CODES[fault.kind])
    if fault.kind == "system_error":
        return _problem(PayError(500, "SYSTEM_ERROR", "the system is busy; repeat with the same number"))
    if fault.kind == "frequency_limited":
        return _problem(PayError(429, "FREQUENCY_LIMITED", "too many requests; slow down"))
    if fault.kind == "user_account_abnormal":
        return _problem(PayError(403, "USER_ACCOUNT_ABNORMAL", "the receiver's account cannot take money"))
    return jsonify(WeChatError(int(fault.kind)).body())


def _v2_problem(code: str) -> Response:
    fields = {"return_code": "SUCCESS", "return_msg": code, "result_code": "FAIL", "err_code": code}
    return Response(write_xml(fields | {"err_code_des": code}), mimetype="text/xml")


def _problem(error: PayError) -> Response:
    response = jsonify(error.body())
    response.status_code = error.status
    return response


def _hold_and_cut(seconds: float) -> None:
    """Keeps the client waiting, then drops the connection without a byte."""
    time.sleep(seconds)
    connection = request.environ.get("werkzeug.socket")
    if isinstance(connection, socket.socket):
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)


def _sign(world: World, response: Response, fault: Fault | None) -> None:
    """Signs the answer, also an empty one or an error, when the asking merchant is known (contract 4.2)."""
    response.headers["Request-ID"] = f"08{time.time_ns():020d}-268435456"
    try:
        merchant = world.directory.merchants.get(
            parse_authorization(request.headers.get("Authorization")).mchid
        )
    except PayError:
        merchant = None
    if merchant is None:
        return
    kind = fault.kind if fault else ""
    skew = int(fault.parameters["skew_seconds"]) if fault and kind == "clock_skew" else 0
    headers = signature_headers(
        private_key_pem=merchant.platform_key_pem,
        key_id=merchant.platform_key_id,
        body=response.get_data(),
        now=wire_time() - skew,
        probe=kind == "signtest",
    )
    if kind == "bad_signature":
        text = headers["Wechatpay-Signature"]
        headers["Wechatpay-Signature"] = ("B" if text[0] == "A" else "A") + text[1:]
    response.headers.update(headers)


def _shown_body() -> bytes | None:
    try:
        return request.get_data() or None
    except HTTPException:
        # Too large to be read at all, and answered so.
        return None


def _shown_url() -> str:
    """Path and query, without the values that are secrets."""
    query = "&".join(f"{name}={'•••' if name in SECRETS else value}" for name, value in request.args.items())
    return f"{request.path}?{query}" if query else request.path
