"""A merchant that speaks WeChat Pay v2, written for these tests from the contract (section 5)."""

from __future__ import annotations

import hashlib
import secrets
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree as ET

import requests

from tests.contract.sandbox.pay_client import new_number
from tests.support.certificates import certificate
from tests.support.sandbox import MerchantAccount

SEND = "/mmpaymkttransfers/sendredpack"
SEND_MINIPROGRAM = "/mmpaymkttransfers/sendminiprogramhb"
SEND_WECOM = "/mmpaymkttransfers/sendworkwxredpack"
QUERY = "/mmpaymkttransfers/gethbinfo"
QUERY_WECOM = "/mmpaymkttransfers/queryworkwxredpack"


def signed(fields: dict[str, str], key: str, word: str = "key") -> str:
    text = "&".join(f"{name}={value}" for name, value in sorted(fields.items()) if value)
    return hashlib.md5(f"{text}&{word}={key}".encode()).hexdigest().upper()


def packet(account: MerchantAccount, appid: str, openid: str, **changes: str) -> dict[str, str]:
    """The fields of a red packet of 1 yuan, not yet signed."""
    return {
        "nonce_str": secrets.token_hex(16),
        "mch_billno": new_number(),
        "mch_id": account.mchid,
        "wxappid": appid,
        "send_name": "茶铺",
        "re_openid": openid,
        "total_amount": "100",
        "total_num": "1",
        "wishing": "恭喜发财",
        "client_ip": "127.0.0.1",
        "act_name": "夏日扫码",
        "remark": "扫码有奖",
        **changes,
    }


def wecom_packet(account: MerchantAccount, corpid: str, openid: str, **changes: str) -> dict[str, str]:
    """The fields of a red packet of WeCom, not yet signed: no send_name, no total_num, no client_ip."""
    fields = {**packet(account, corpid, openid), "sender_name": "茶铺", **changes}
    for name in {"send_name", "total_num", "client_ip"} - set(changes):
        del fields[name]
    return fields


def workwx_signed(fields: dict[str, str], secret: str) -> dict[str, str]:
    """``fields`` with the signature that WeCom wants besides: over seven of them."""
    names = ["act_name", "mch_billno", "mch_id", "nonce_str", "re_openid", "total_amount", "wxappid"]
    seven = {name: fields[name] for name in names}
    return {**fields, "workwx_sign": signed(seven, secret, word="secret")}


def query(account: MerchantAccount, appid: str, mch_billno: str) -> dict[str, str]:
    """The fields of a query, not yet signed."""
    return {
        "nonce_str": secrets.token_hex(16),
        "mch_billno": mch_billno,
        "mch_id": account.mchid,
        "appid": appid,
        "bill_type": "MCHT",
    }


def call(
    base_url: str,
    account: MerchantAccount,
    path: str,
    fields: dict[str, str],
    *,
    certificate_pem: str | None = None,
    **unsigned: str,
) -> dict[str, str]:
    """Sign ``fields``, send them, and return the answer. unsigned: sent, but not part of the signature."""
    document = {**fields, "sign": signed(fields, account.apiv2_key), **unsigned}
    body = "<xml>" + "".join(f"<{k}><![CDATA[{v}]]></{k}>" for k, v in document.items()) + "</xml>"
    shown = certificate(account.private_key_pem) if certificate_pem is None else certificate_pem
    headers = {"Content-Type": "text/xml", "X-Client-Cert": quote(shown)}
    return post(base_url + path, body.encode(), headers)


def post(url: str, body: bytes, headers: dict[str, str]) -> dict[str, Any]:
    response = requests.post(url, data=body, headers=headers, timeout=20)
    assert response.status_code == 200
    answer: dict[str, Any] = {}
    for child in ET.fromstring(response.content):
        info = child.find("hbinfo")
        answer[child.tag] = child.text if info is None else {part.tag: part.text for part in info}
    return answer
