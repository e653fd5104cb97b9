"""The shopper's phone: the page, its relay to the product, and the reading of a photographed code."""

from __future__ import annotations

import contextlib
import io
import json
import re
import time
from pathlib import Path
from typing import Any

import requests
import zxingcpp
from flask import Blueprint, Response, jsonify, redirect, request, send_from_directory
from PIL import Image, UnidentifiedImageError
from werkzeug.wrappers import Response as WerkzeugResponse

from sandbox.errors import AdminError
from sandbox.fields import Required, read_fields
from sandbox.world import World

HERE = Path(__file__).parent
RELAYED_HEADERS = frozenset({"authorization", "idempotency-key", "accept-language", "accept"})
SHOWN_HEADERS = ("Content-Type", "Location", "Retry-After", "Idempotency-Replayed")
QR = zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode)
METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
PRODUCT_ANSWERS_WITHIN_SECONDS = 15
LARGEST_PHOTO_BYTES = 10_000_000
LARGEST_PHOTO_PIXELS = 50_000_000
LARGEST_ANSWER_CHARACTERS = 500_000
# Nothing from elsewhere, nothing inline: the page shows text that shoppers and the product made up.
POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)


def blueprint(world: World) -> Blueprint:
    """The routes, bound to ``world``."""
    routes = Blueprint("phone", __name__)

    @routes.get("/")
    def home() -> WerkzeugResponse:
        return redirect("/phone")

    @routes.get("/phone")
    def page() -> Response:
        response = send_from_directory(HERE / "templates", "phone.html")
        response.headers["Content-Security-Policy"] = POLICY
        response.headers["Cache-Control"] = "no-cache"
        return response

    @routes.get("/phone/<path:name>")
    def asset(name: str) -> Response:
        response = send_from_directory(HERE / "static", name)
        response.headers["Cache-Control"] = "no-cache"
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response

    @routes.post("/_sandbox/relay")
    def relay() -> Response:
        return jsonify(_relay(world))

    @routes.post("/_sandbox/decode")
    def decode() -> Response:
        return jsonify({"texts": _decode()})

    return routes


def _relay(world: World) -> dict[str, Any]:
    """Sends one request to the product, and nowhere else, and says what came back."""
    fields = read_fields({"method": "GET", "path": Required(str), "headers": {}, "body": ""})
    method, path = fields["method"], fields["path"]
    if method not in METHODS:
        raise AdminError(422, "bad_method", f"method must be one of {', '.join(sorted(METHODS))}")
    # One leading slash, printable ASCII: what follows the origin can then never name another host.
    if not re.fullmatch(r"/(?![/\\])[\x21-\x7e]*", path) and path != "/":
        raise AdminError(422, "bad_path", "path must start with one / and be URL-encoded")
    headers = {"Accept": "application/json", "User-Agent": "MicroMessenger (sandbox phone)"}
    for name, value in fields["headers"].items():
        if name.lower() not in RELAYED_HEADERS or not re.fullmatch(r"[\x20-\x7e]{0,4096}", str(value)):
            raise AdminError(422, "bad_header", f"the header {name[:40]!r} is not relayed")
        headers[name] = str(value)
    body = fields["body"].encode()
    if body:
        headers["Content-Type"] = "application/json"
    started = time.monotonic()
    try:
        with requests.Session() as session:
            session.trust_env = False
            answer = session.request(
                method,
                world.settings.current.product_url + path,
                data=body or None,
                headers=headers,
                timeout=PRODUCT_ANSWERS_WITHIN_SECONDS,
                allow_redirects=False,
            )
            text = answer.text[:LARGEST_ANSWER_CHARACTERS]
    except requests.RequestException as error:
        raise AdminError(
            502, "product_unreachable", f"the product did not answer ({type(error).__name__}); is it running?"
        ) from error
    content: Any = text
    if "json" in answer.headers.get("Content-Type", ""):
        with contextlib.suppress(ValueError):
            content = json.loads(text)
    return {
        "status": answer.status_code,
        "headers": {name: answer.headers[name] for name in SHOWN_HEADERS if name in answer.headers},
        "body": content,
        "ms": round((time.monotonic() - started) * 1000, 1),
    }


def _decode() -> list[str]:
    """The texts of all QR codes in the photo that was sent as the body."""
    if request.mimetype not in ("image/png", "image/jpeg", "image/webp", "image/gif", "image/bmp"):
        raise AdminError(415, "not_a_photo", "send a PNG, JPEG, WebP, GIF or BMP picture")
    try:
        picture = Image.open(io.BytesIO(request.get_data()))
        if picture.width * picture.height > LARGEST_PHOTO_PIXELS:
            raise AdminError(
                413, "photo_too_large", f"at most {LARGEST_PHOTO_PIXELS // 10**6} million pixels"
            )
        results = zxingcpp.read_barcodes(picture.convert("RGB"), formats=QR)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise AdminError(422, "not_a_photo", "the picture cannot be read") from error
    return [result.text for result in results]
