"""Tencent Cloud's API 3.0 at the path ``/``: the signature of requests, and the captcha service.

Whatever happens, the answer is HTTP 200 with ``Response``; an ``Error`` in it has a code and a message. The
signature is TC3-HMAC-SHA256 over the raw body, valid for five minutes by the machine's clock.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import uuid
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Response, jsonify, request

from sandbox.captcha import MESSAGES
from sandbox.clock import wire_time
from sandbox.errors import CloudError
from sandbox.fields import Required, read_fields
from sandbox.intercept import business_fault
from sandbox.world import World

TOLERANCE_SECONDS = 300
AUTHORIZATION = re.compile(
    r"TC3-HMAC-SHA256 Credential=(?P<id>[^/ ]+)/(?P<day>\d{4}-\d\d-\d\d)/(?P<service>[a-z]+)/tc3_request, ?"
    r"SignedHeaders=(?P<headers>[a-z0-9;-]+), ?Signature=(?P<signature>[0-9a-f]{64})"
)
KNOWN = {
    "CaptchaType",
    "Ticket",
    "UserIp",
    "CaptchaAppId",
    "AppSecretKey",
    "BusinessId",
    "SceneId",
    "MacAddress",
    "Imei",
}


def blueprint(world: World) -> Blueprint:
    """The routes, bound to ``world``."""
    routes = Blueprint("cloud", __name__)
    routes.register_error_handler(CloudError, lambda error: _answer({"Error": error.body()}))

    @routes.post("/")
    def call() -> Response:
        secret_id = _verify(world)
        if business_fault("internal_error"):
            raise CloudError("InternalError", "An internal error has occurred. Retry your request.")
        return _answer(_check(world, secret_id, _document()))

    @routes.post("/_sandbox/captchas")
    def register() -> tuple[Response, int]:
        texts = {name: Required(str) for name in ("app_key", "secret_id", "secret_key")}
        fields = read_fields({"app_id": Required(int), **texts, "package": True})
        world.captchas.register(**fields)
        return jsonify({"app_id": fields["app_id"]}), 201

    @routes.post("/_sandbox/shoppers/<shopper_id>/captcha_ticket")
    def solve(shopper_id: str) -> tuple[Response, int]:
        fields = read_fields({"app_id": Required(int), "fails": False})
        world.directory.shopper(shopper_id)
        ticket = world.captchas.solve(shopper_id, fields["app_id"], fails=fields["fails"])
        return jsonify({"ticket": ticket}), 201

    return routes


def _answer(content: dict[str, Any]) -> Response:
    return jsonify({"Response": {**content, "RequestId": str(uuid.uuid4())}})


def _check(world: World, secret_id: str, document: dict[str, Any]) -> dict[str, Any]:
    """DescribeCaptchaMiniResult."""
    unknown = sorted(set(document) - KNOWN)
    if unknown:
        raise CloudError("UnknownParameter", f"The parameter `{unknown[0]}` is not recognized.")
    for name in ("CaptchaType", "Ticket", "UserIp", "CaptchaAppId", "AppSecretKey"):
        if name not in document:
            raise CloudError("MissingParameter", f"The request is missing a required parameter `{name}`.")
    code = 100
    if type(document["CaptchaType"]) is int and document["CaptchaType"] == 9:
        code = world.captchas.check(
            secret_id=secret_id,
            app_id=document["CaptchaAppId"],
            app_key=document["AppSecretKey"],
            ticket=document["Ticket"],
            address=document["UserIp"],
        )
    return {"CaptchaCode": code, "CaptchaMsg": MESSAGES[code]}


def _document() -> dict[str, Any]:
    try:
        document = json.loads(request.get_data().decode())
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise CloudError("InvalidParameter", "The request body is not JSON.")
    return document


def _verify(world: World) -> str:
    """The secret id of the account whose signature this request carries. Raises CloudError."""
    if request.mimetype != "application/json":
        raise CloudError("UnsupportedProtocol", "Only application/json is supported here.")
    action, version = _header("X-TC-Action"), _header("X-TC-Version")
    if action != "DescribeCaptchaMiniResult":
        raise CloudError("InvalidAction", f"The request action={action[:60]} is invalid or not found.")
    if version != "2019-07-22":
        raise CloudError("NoSuchVersion", "The API version does not exist.")
    stamp = _header("X-TC-Timestamp")
    if not re.fullmatch(r"\d{1,11}", stamp):
        raise CloudError("InvalidParameter", "X-TC-Timestamp must be a Unix time.")
    found = AUTHORIZATION.fullmatch(_header("Authorization"))
    day = datetime.fromtimestamp(int(stamp), UTC).date().isoformat()
    if found is None or found["service"] != "captcha" or found["day"] != day:
        raise CloudError("AuthFailure.SignatureFailure", "The Authorization header is wrong.")
    if abs(wire_time() - int(stamp)) > TOLERANCE_SECONDS:
        raise CloudError("AuthFailure.SignatureExpire", "The timestamp is too far from the present.")
    key = world.captchas.secret_key(found["id"])
    if key is None:
        raise CloudError("AuthFailure.SecretIdNotFound", "The SecretId is not found.")
    if not hmac.compare_digest(_signature(key, found["headers"], day, stamp), found["signature"]):
        raise CloudError("AuthFailure.SignatureFailure", "The provided credentials could not be validated.")
    return found["id"]


def _signature(secret_key: str, signed: str, day: str, stamp: str) -> str:
    names = signed.split(";")
    if names != sorted(names) or not {"content-type", "host"} <= set(names):
        raise CloudError("AuthFailure.SignatureFailure", "content-type and host must be signed, in order.")
    lines = "".join(f"{name}:{_header(name).strip().lower()}\n" for name in names)
    body = hashlib.sha256(request.get_data()).hexdigest()
    canonical = f"POST\n/\n{request.query_string.decode()}\n{lines}\n{signed}\n{body}"
    hashed = hashlib.sha256(canonical.encode()).hexdigest()
    text = f"TC3-HMAC-SHA256\n{stamp}\n{day}/captcha/tc3_request\n{hashed}"
    key = b"TC3" + secret_key.encode()
    for part in (day, "captcha", "tc3_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, text.encode(), "sha256").hex()


def _header(name: str) -> str:
    value = request.headers.get(name)
    if value is None:
        raise CloudError("MissingParameter", f"The request is missing {name}.")
    return value
