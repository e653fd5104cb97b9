"""Reading the requests of WeChat Pay v2 for red packets: XML, the two signatures, every field (contract 5).

A field that the platform does not know breaks the signature there, so it does here: the answer is SIGN_ERROR
and not a word about the field.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote
from xml.etree import ElementTree as ET

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from sandbox.directory import Merchant
from sandbox.errors import PacketError

PREFIX = "/mmpaymkttransfers/"
SEND = PREFIX + "sendredpack"
SEND_MINIPROGRAM = PREFIX + "sendminiprogramhb"
SEND_WECOM = PREFIX + "sendworkwxredpack"
QUERY = PREFIX + "gethbinfo"
QUERY_WECOM = PREFIX + "queryworkwxredpack"
CERTIFICATE_HEADER = "X-Client-Cert"
SCENES = tuple(f"PRODUCT_{number}" for number in range(1, 9))
PLAIN_FEN = range(100, 20_001)
"""Amounts that need no scene."""
APP_KINDS = {SEND: "service", SEND_MINIPROGRAM: "miniprogram", SEND_WECOM: "corp"}

_COMMON = {
    "nonce_str": (32, True),
    "sign": (64, True),
    "mch_billno": (28, True),
    "mch_id": (32, True),
    "wxappid": (32, True),
    "re_openid": (32, True),
    "total_amount": (10, True),
    "wishing": (128, True),
    "act_name": (32, True),
    "remark": (256, True),
    "scene_id": (32, False),
}
_RED_PACKET = {
    **_COMMON,
    "send_name": (32, True),
    "total_num": (3, True),
    "client_ip": (15, True),
    "risk_info": (128, False),
}
_QUERY = {
    "nonce_str": (32, True),
    "sign": (64, True),
    "mch_billno": (28, True),
    "mch_id": (32, True),
    "appid": (32, True),
}
# path → field → (longest, required)
FIELDS: Mapping[str, Mapping[str, tuple[int, bool]]] = {
    SEND: _RED_PACKET,
    SEND_MINIPROGRAM: {**_RED_PACKET, "notify_way": (32, True)},
    SEND_WECOM: {
        **_COMMON,
        "sender_name": (128, False),
        "agentid": (32, False),
        "sender_header_media_id": (128, False),
        "workwx_sign": (32, True),
    },
    QUERY: {**_QUERY, "bill_type": (32, True)},
    QUERY_WECOM: _QUERY,
}
_WORKWX_SIGNED = ("act_name", "mch_billno", "mch_id", "nonce_str", "re_openid", "total_amount", "wxappid")


@dataclass(frozen=True, slots=True)
class PacketOrder:
    """What the merchant asks for. Two orders are the same exactly when they compare equal."""

    path: str
    appid: str
    mch_billno: str
    openid: str
    amount_fen: int
    sender: str
    wishing: str
    act_name: str
    remark: str
    scene_id: str


def read_xml(body: bytes) -> dict[str, str]:
    """The flat ``<xml>`` document of a request. Raises PacketError XML_ERROR."""
    if b"<!" in body.replace(b"<![CDATA[", b""):
        # No document type, hence no entities of somebody's own.
        raise PacketError("XML_ERROR", "the XML has a declaration that is not taken")
    try:
        root = ET.fromstring(body)  # noqa: S314 - document types are refused above
    except ET.ParseError as error:
        raise PacketError("XML_ERROR", f"the body is no XML: {error}") from None
    names = [child.tag for child in root]
    if root.tag != "xml" or len(set(names)) != len(names) or any(len(child) for child in root):
        raise PacketError("XML_ERROR", "the body must be a flat <xml> document that repeats no name")
    return {child.tag: child.text or "" for child in root}


def write_xml(fields: Mapping[str, str]) -> str:
    """The ``<xml>`` document of an answer."""
    lines = (f"<{name}><![CDATA[{value.replace(']]>', '] ]>')}]]></{name}>" for name, value in fields.items())
    return "<xml>\n" + "\n".join(lines) + "\n</xml>"


def signature(fields: Mapping[str, str], key: str, *, word: str = "key", method: str = "MD5") -> str:
    """The signature of contract 5.1 over ``fields`` without ``sign`` and empty values, upper hex.

    word: the name under which ``key`` stands at the end. method: MD5 or HMAC-SHA256.
    """
    pairs = [f"{name}={fields[name]}" for name in sorted(fields) if name != "sign" and fields[name]]
    text = "&".join([*pairs, f"{word}={key}"]).encode()
    if method == "HMAC-SHA256":
        return hmac.new(key.encode(), text, hashlib.sha256).hexdigest().upper()
    return hashlib.md5(text).hexdigest().upper()  # noqa: S324 - the platform's own choice


def check_signatures(path: str, fields: Mapping[str, str], merchant: Merchant) -> None:
    """Whether the merchant has signed exactly these fields. Raises PacketError SIGN_ERROR.

    A wrong ``workwx_sign`` is reported as SYSTEMERROR, which says nothing, as it does at the platform.
    """
    unknown = [name for name in fields if name not in FIELDS[path]]
    if unknown or not _same(fields.get("sign", ""), signature(fields, merchant.apiv2_key)):
        raise PacketError("SIGN_ERROR", "签名错误")
    if path == SEND_WECOM:
        signed = _only(fields, _WORKWX_SIGNED)
        expected = signature(signed, merchant.workwx_secret, word="secret")
        if not _same(fields.get("workwx_sign", ""), expected):
            raise PacketError("SYSTEMERROR", "系统繁忙，请稍后再试")


def check_certificate(header: str | None, merchant: Merchant) -> None:
    """Whether the client certificate is this merchant's. Raises PacketError CA_ERROR.

    On plain HTTP nobody can show one, so it stands in the header in which a proxy that ends TLS hands it on.
    """
    try:
        certificate = x509.load_pem_x509_certificate(unquote(header or "").encode())
    except ValueError:
        raise PacketError("CA_ERROR", "证书出错，请登录商户平台下载证书") from None
    shown = certificate.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    known = serialization.load_pem_public_key(merchant.public_key_pem.encode()).public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    if shown != known:
        raise PacketError("CA_ERROR", "证书与商户号不匹配")


def check_fields(path: str, fields: Mapping[str, str]) -> None:
    """Whether every field is there and fits. Raises PacketError PARAM_ERROR."""
    for name, (longest, required) in FIELDS[path].items():
        value = fields.get(name, "")
        if required and not value:
            raise PacketError("PARAM_ERROR", f"{name} is missing")
        if len(value) > longest:
            raise PacketError("PARAM_ERROR", f"{name} is longer than {longest}")
    if not re.fullmatch(r"[0-9A-Za-z]+", fields["mch_billno"]):
        raise PacketError("PARAM_ERROR", "mch_billno must be letters and digits")
    literal = {"total_num": "1", "bill_type": "MCHT", "notify_way": "MINI_PROGRAM_JSAPI"}
    for name, value in literal.items():
        if name in FIELDS[path] and fields[name] != value:
            raise PacketError("PARAM_ERROR", f"{name} must be {value}")
    if path == SEND_WECOM and bool(fields.get("sender_name")) == bool(fields.get("agentid")):
        raise PacketError("PARAM_ERROR", "either sender_name or agentid")


def read_packet(path: str, fields: Mapping[str, str]) -> PacketOrder:
    """The order in checked ``fields``. Raises PacketError PARAM_ERROR or MONEY_LIMIT."""
    if not re.fullmatch(r"[1-9][0-9]{0,9}", fields["total_amount"]):
        raise PacketError("PARAM_ERROR", "total_amount must be whole fen")
    amount_fen, scene_id = int(fields["total_amount"]), fields.get("scene_id", "")
    if scene_id and scene_id not in SCENES:
        raise PacketError("PARAM_ERROR", f"scene_id must be one of {', '.join(SCENES)}")
    if amount_fen not in PLAIN_FEN and not scene_id:
        raise PacketError("MONEY_LIMIT", "红包金额发放限制")
    return PacketOrder(
        path=path,
        appid=fields["wxappid"],
        mch_billno=fields["mch_billno"],
        openid=fields["re_openid"],
        amount_fen=amount_fen,
        sender=fields.get("send_name") or fields.get("sender_name") or fields.get("agentid", ""),
        wishing=fields["wishing"],
        act_name=fields["act_name"],
        remark=fields["remark"],
        scene_id=scene_id,
    )


def _only(fields: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    return {name: fields.get(name, "") for name in names}


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())
