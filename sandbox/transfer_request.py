"""Reading the body of a transfer request: every field, every rule of contract 4.8, nothing more allowed.

The platform refuses unknown fields and explicit nulls, so this does too; a field is named in ``detail``
because whoever integrates against the sandbox should see at once what is wrong.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn
from urllib.parse import urlsplit

from sandbox.directory import Directory, Merchant
from sandbox.errors import PayError
from sandbox.pay_signing import decrypt_field
from sandbox.scenes import RED_PACKET_MAX_FEN, RED_PACKET_SCENES_UNVERIFIED, SCENES

TRANSFER_PATH = "/v3/fund-app/mch-transfer/transfer-bills"
MIN_FEN = 10
NAME_REQUIRED_FROM_FEN = 200_000
NAME_ALLOWED_FROM_FEN = 30
LOCAL_HOSTS = ("127.0.0.1", "localhost")

# name → (type, largest length of a text or None, required)
FIELDS: Mapping[str, tuple[type, int | None, bool]] = {
    "appid": (str, 32, True),
    "out_bill_no": (str, 32, True),
    "transfer_scene_id": (str, 36, True),
    "openid": (str, 64, True),
    "user_name": (str, None, False),
    "transfer_amount": (int, None, True),
    "transfer_remark": (str, 32, True),
    "notify_url": (str, 256, False),
    "user_recv_perception": (str, None, False),
    "transfer_scene_report_infos": (list, None, True),
    "user_recv_style": (dict, None, False),
}


@dataclass(frozen=True, slots=True)
class TransferOrder:
    """What the merchant asks for, decrypted. Two orders are the same exactly when they compare equal."""

    appid: str
    out_bill_no: str
    scene_id: str
    openid: str
    user_name: str | None
    amount_fen: int
    remark: str
    notify_url: str | None
    perception: str | None
    report_infos: tuple[tuple[str, str], ...]
    recv_style: str


def param_error(field: str, issue: str) -> PayError:
    """The refusal of one field."""
    return PayError(400, "PARAM_ERROR", f"{field}: {issue}", {"field": f"/{field}", "issue": issue})


def read_json_object(body: bytes) -> dict[str, Any]:
    """Strict JSON: one object, UTF-8, no repeated name, no NaN. Raises PayError 400."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({name for name, _ in pairs}) != len(pairs):
            raise ValueError("a name is repeated")
        return dict(pairs)

    def no_constant(text: str) -> NoReturn:
        raise ValueError(f"{text} is not JSON")

    try:
        document = json.loads(body.decode(), object_pairs_hook=unique, parse_constant=no_constant)
    except (ValueError, RecursionError) as error:
        raise PayError(400, "PARAM_ERROR", f"the body is not a JSON object: {error}") from None
    if not isinstance(document, dict):
        raise PayError(400, "PARAM_ERROR", "the body is not a JSON object")
    return document


def read_order(
    body: bytes, *, merchant: Merchant, wechatpay_serial: str | None, strict: bool
) -> TransferOrder:
    """The order in ``body``.

    wechatpay_serial: the header that names the key of encrypted fields. strict: also enforce what is
    unverified. Raises PayError 400 PARAM_ERROR or INVALID_REQUEST for the first rule that is broken.
    """
    document = read_json_object(body)
    _check_shape("", document, FIELDS)
    if not re.fullmatch(r"[0-9A-Za-z]{1,32}", document["out_bill_no"]):
        raise param_error("out_bill_no", "must be 1 to 32 letters and digits")
    if document["transfer_amount"] < MIN_FEN:
        raise param_error("transfer_amount", f"must be at least {MIN_FEN} fen")
    _check_scene(document, strict=strict)
    notify_url = document.get("notify_url")
    if notify_url is not None:
        check_notify_url(notify_url)
    return TransferOrder(
        appid=document["appid"],
        out_bill_no=document["out_bill_no"],
        scene_id=document["transfer_scene_id"],
        openid=document["openid"],
        user_name=_read_name(document, merchant, wechatpay_serial),
        amount_fen=document["transfer_amount"],
        remark=document["transfer_remark"],
        notify_url=notify_url,
        perception=document.get("user_recv_perception"),
        report_infos=_read_report(document, strict=strict),
        recv_style=_read_style(document, strict=strict),
    )


def check_permissions(order: TransferOrder, merchant: Merchant, directory: Directory) -> None:
    """Whether this merchant may send this order to this openid. Raises PayError 400 or 403."""
    if order.appid not in merchant.appids:
        raise PayError(400, "APPID_MCHID_NOT_MATCH", f"appid {order.appid} is not bound to this merchant")
    if order.scene_id not in merchant.scenes:
        raise PayError(403, "NO_AUTH", f"transfer scene {order.scene_id} is not open to this merchant")
    bound = merchant.scenes[order.scene_id]
    if bound is not None and order.amount_fen > bound:
        raise PayError(400, "INVALID_REQUEST", f"the amount is over the single-transfer bound of {bound} fen")
    owner = directory.owner(order.openid)
    if owner is None or owner.appid != order.appid:
        raise param_error("openid", "is not an openid of this appid")
    if owner.virtual:
        raise PayError(403, "USER_ERROR", "the identity of a snapshot visit cannot receive money")


def check_notify_url(url: str) -> None:
    """Absolute https without a query; http on loopback is the sandbox's one stated exception. PayError
    400."""
    try:
        parts = urlsplit(url)
        host, port_is_fine = parts.hostname, parts.port is None or parts.port > 0
    except ValueError:
        raise param_error("notify_url", "is not a URL") from None
    if not re.fullmatch(r"[\x21-\x7e]+", url) or not host or not port_is_fine or parts.username is not None:
        raise param_error("notify_url", "must be an absolute https URL")
    if parts.scheme != "https" and not (parts.scheme == "http" and host in LOCAL_HOSTS):
        raise param_error(
            "notify_url", "must be https (the sandbox also takes http://127.0.0.1 and http://localhost)"
        )
    if "?" in url or "#" in url:
        raise param_error("notify_url", "must not carry a query or fragment")


def _check_shape(
    prefix: str, document: Mapping[str, Any], fields: Mapping[str, tuple[type, int | None, bool]]
) -> None:
    for name in document:
        if name not in fields:
            raise param_error(prefix + name, "is not defined in the API's documentation")
    for name, (kind, longest, required) in fields.items():
        if name not in document:
            if required:
                raise param_error(prefix + name, "is required")
            continue
        value = document[name]
        if not isinstance(value, kind) or isinstance(value, bool):
            raise param_error(prefix + name, f"must be a {kind.__name__}, not {json.dumps(value)[:40]}")
        if isinstance(value, str) and not 1 <= len(value) <= (longest or len(value)):
            raise param_error(prefix + name, f"must have 1 to {longest or 'more'} characters")


def _check_scene(document: Mapping[str, Any], *, strict: bool) -> None:
    scene = SCENES.get(document["transfer_scene_id"])
    if scene is None:
        raise param_error("transfer_scene_id", "is not a transfer scene")
    perception = document.get("user_recv_perception")
    if perception is None or (not strict and (scene.perceptions is None or not scene.perceptions_verified)):
        return
    # 1005's only text was reported both as working and as failing, so the strict reading takes none.
    allowed = scene.perceptions if scene.perceptions_verified else None
    if perception not in (allowed or ()):
        raise PayError(400, "INVALID_REQUEST", f"the perception text is not supported in scene {scene.name}")


def _read_report(document: Mapping[str, Any], *, strict: bool) -> tuple[tuple[str, str], ...]:
    field = "transfer_scene_report_infos"
    scene = SCENES[document["transfer_scene_id"]]
    report: list[tuple[str, str]] = []
    for number, info in enumerate(document[field]):
        if not isinstance(info, dict):
            raise param_error(f"{field}/{number}", "must be an object")
        _check_shape(
            f"{field}/{number}/", info, {"info_type": (str, 15, True), "info_content": (str, 32, True)}
        )
        report.append((info["info_type"], info["info_content"]))
    types = [info_type for info_type, _ in report]
    exact = scene.info_types == set(types) and len(types) == len(scene.info_types)
    if not report or (not exact and (scene.report_verified or strict)):
        wanted = "、".join(sorted(scene.info_types))
        raise param_error(field, f"scene {document['transfer_scene_id']} takes exactly {wanted}")
    # Their order says nothing, so it must not turn a repeated order into a different one.
    return tuple(sorted(report))


def _read_style(document: Mapping[str, Any], *, strict: bool) -> str:
    style = document.get("user_recv_style")
    if style is None:
        return "CONFIRM_PAGE"
    _check_shape("user_recv_style/", style, {"type": (str, None, True)})
    kind = str(style["type"])
    if kind not in ("CONFIRM_PAGE", "RED_PACKET"):
        raise param_error("user_recv_style/type", "must be CONFIRM_PAGE or RED_PACKET")
    if kind == "RED_PACKET":
        if document["transfer_amount"] > RED_PACKET_MAX_FEN:
            raise PayError(400, "INVALID_REQUEST", f"RED_PACKET takes at most {RED_PACKET_MAX_FEN} fen")
        if strict and document["transfer_scene_id"] not in RED_PACKET_SCENES_UNVERIFIED:
            raise PayError(400, "INVALID_REQUEST", "RED_PACKET is not supported in this scene")
    return kind


def _read_name(document: Mapping[str, Any], merchant: Merchant, wechatpay_serial: str | None) -> str | None:
    amount = document["transfer_amount"]
    sealed = document.get("user_name")
    if sealed is None:
        if amount >= NAME_REQUIRED_FROM_FEN:
            raise param_error("user_name", f"is required from {NAME_REQUIRED_FROM_FEN} fen")
        return None
    if amount < NAME_ALLOWED_FROM_FEN:
        raise param_error("user_name", f"is not allowed below {NAME_ALLOWED_FROM_FEN} fen")
    if wechatpay_serial is None:
        raise PayError(400, "PARAM_ERROR", "encrypted fields need the Wechatpay-Serial header")
    try:
        return decrypt_field(merchant.platform_key_pem, sealed)
    except ValueError:
        raise param_error(
            "user_name", "cannot be decrypted; was it sealed with the platform's key?"
        ) from None
