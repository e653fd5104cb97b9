"""What the platform pushes: sealed by an independent SDK, opened by ours; what is not genuine is refused."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wechatpy.crypto import WeChatCrypto

from app.gateways.miniprogram.messages import PushedMessages
from app.organisation.errors import ForgedMessage, UnexpectedMessage
from app.organisation.interfaces import AppMessage, MessageKeys

APPID = "wx1111111111111111"
AES_KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
KEYS = MessageKeys(1, APPID, "AAAAA", AES_KEY)
NOW = datetime(2026, 6, 1, 4, 0, tzinfo=UTC)
EVENT = {
    "FromUserName": "platform",
    "CreateTime": 1780286400,
    "MsgType": "event",
    "Event": "user_info_modified",
}


def _sealed(
    content: str, *, appid: str = APPID, at: datetime = NOW, as_json: bool = False
) -> tuple[dict[str, str], bytes]:
    """Seal as the SDK does: it answers in the form that the platform sends in."""
    stamp = str(int(at.timestamp()))
    text = WeChatCrypto(KEYS.token, AES_KEY, appid).encrypt_message(content, "1514711492", stamp)
    fields = {
        name: text.partition(f"<{name}><![CDATA[")[2].partition("]]>")[0]
        for name in ("Encrypt", "MsgSignature")
    }
    query = {"msg_signature": fields["MsgSignature"], "timestamp": stamp, "nonce": "1514711492"}
    body = json.dumps({"Encrypt": fields["Encrypt"]}) if as_json else text
    return query, body.encode()


def _read(query: dict[str, str], body: bytes, now: datetime = NOW) -> AppMessage:
    return PushedMessages().read(KEYS, query, body, now=now)


def test_the_published_vectors_of_the_address_check() -> None:
    """Contract section 9."""
    for stamp, nonce, signature in (
        ("1714036504", "1514711492", "f464b24fc39322e44b38aa78f5edd27bd1441696"),
        ("1714037059", "486452656", "899cf89e464efb63f54ddac96b0a0a235f53aa78"),
    ):
        query = {"signature": signature, "timestamp": stamp, "nonce": nonce, "echostr": "4375120948345356249"}
        assert PushedMessages().echo(KEYS, query) == "4375120948345356249"
        for name in ("signature", "timestamp", "nonce"):
            with pytest.raises(ForgedMessage):
                PushedMessages().echo(KEYS, query | {name: "1"})
            with pytest.raises(ForgedMessage):
                PushedMessages().echo(KEYS, {given: query[given] for given in query if given != name})


@pytest.mark.parametrize("as_json", [False, True])
def test_what_an_independent_sdk_seals_is_read(as_json: bool) -> None:
    found = _read(*_sealed(json.dumps(EVENT), as_json=as_json))
    assert (found.appid, found.event, found.content) == (APPID, "user_info_modified", EVENT)
    xml = "<xml><Event>wxa_punish_event</Event><punish_id>p1</punish_id><detail>{}</detail></xml>"
    assert _read(*_sealed(xml, as_json=as_json)).content["punish_id"] == "p1"


def test_a_repeat_has_the_same_key_and_another_event_another() -> None:
    first = _read(*_sealed(json.dumps(EVENT))).key
    later = NOW + timedelta(seconds=15)
    assert _read(*_sealed(json.dumps(EVENT), at=later), now=later).key == first
    for changed in ({"CreateTime": 1}, {"Event": "x"}, {"punish_id": "p2"}, {"event_type": 2}):
        assert _read(*_sealed(json.dumps(EVENT | changed))).key != first


@pytest.mark.parametrize("seconds", [-301, 301, 86_400])
def test_what_is_stale_is_refused(seconds: int) -> None:
    query, body = _sealed(json.dumps(EVENT))
    _read(query, body, NOW + timedelta(seconds=300))
    with pytest.raises(ForgedMessage):
        _read(query, body, NOW + timedelta(seconds=seconds))


def test_what_was_changed_or_meant_for_another_app_is_refused() -> None:
    query, body = _sealed(json.dumps(EVENT))
    text = body.decode().partition("<Encrypt><![CDATA[")[2].partition("]]>")[0]
    other = "B" if text[20] == "A" else "A"
    forged: list[tuple[dict[str, str], bytes]] = [
        (query | {"timestamp": str(int(NOW.timestamp()) + 1)}, body),
        (query | {"nonce": "2"}, body),
        (query | {"msg_signature": "0" * 40}, body),
        ({}, body),
        (query, body.replace(text.encode(), (text[:20] + other + text[21:]).encode())),
        _sealed(json.dumps(EVENT), appid="wx2222222222222222"),
        (query, json.dumps(EVENT).encode()),
        (query, b"<xml><Event>wxa_punish_event</Event></xml>"),
        (query, b'<!DOCTYPE x [<!ENTITY e "x">]><xml><Encrypt>&e;</Encrypt></xml>'),
        (query, b""),
    ]
    for given_query, given_body in forged:
        with pytest.raises(ForgedMessage):
            _read(given_query, given_body)


def test_genuine_ones_that_cannot_be_read_are_told_from_forged_ones() -> None:
    wrong = MessageKeys(1, APPID, KEYS.token, "Z" * 43)
    query, body = _sealed(json.dumps(EVENT))
    with pytest.raises((UnexpectedMessage, ForgedMessage)):
        PushedMessages().read(wrong, query, body, now=NOW)
    for content in ("no document", "[]", "<html/>"):
        with pytest.raises(UnexpectedMessage):
            _read(*_sealed(content))


@given(
    query=st.dictionaries(st.text(max_size=20), st.text(max_size=60), max_size=6),
    body=st.binary(max_size=300),
)
def test_whatever_comes_is_refused_and_breaks_nothing(query: dict[str, Any], body: bytes) -> None:
    with pytest.raises(ForgedMessage):
        _read(query, body)
