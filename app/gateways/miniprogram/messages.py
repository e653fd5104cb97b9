"""Messages that the platform pushes to a mini-program: proved, opened, read (platform contracts 2.1 to 2.3).

Only encrypted messages are read: an open one proves its time, not what it says. The signature covers the
ciphertext, and the plaintext names its receiver, so that a message to another app of ours is not taken for
one to this. A captured message is worth nothing after five minutes, and before that it is a repeat: its key
is made of what it says.
"""

import base64
import binascii
import hashlib
import hmac
import json
import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from xml.etree import ElementTree as ET

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from app.organisation.errors import ForgedMessage, UnexpectedMessage
from app.organisation.interfaces import AppMessage, MessageKeys

FRESH = timedelta(seconds=300)

_logger = logging.getLogger(__name__)
_AES_BLOCK = 16
_PADDED_TO = 32
_RANDOM = 16
_HEADER = 20
_LONGEST_EVENT = 64
# What tells one event from another; a repeat carries the same.
_KEYED = ("Event", "FromUserName", "CreateTime", "MsgId", "punish_id", "event_type")


class PushedMessages:
    """Reads what the platform pushes; holds nothing."""

    def echo(self, keys: MessageKeys, query: Mapping[str, str]) -> str:
        """Return the echostr of the platform's check of our address (2.1); raise ForgedMessage."""
        given = query.get("signature", "")
        _require_signature(given, keys.token, query.get("timestamp", ""), query.get("nonce", ""))
        return query.get("echostr", "")

    def read(self, keys: MessageKeys, query: Mapping[str, str], body: bytes, *, now: datetime) -> AppMessage:
        """Return the message in `body`.

        Raises ForgedMessage (signature, time, receiver, not encrypted), UnexpectedMessage (it cannot be
        decrypted or read: the EncodingAESKey is not the console's).
        """
        sealed = _fields(body).get("Encrypt")
        if not isinstance(sealed, str):
            raise ForgedMessage("only encrypted messages are taken: choose the safe mode")
        timestamp = query.get("timestamp", "")
        parts = (keys.token, timestamp, query.get("nonce", ""), sealed)
        _require_signature(query.get("msg_signature", ""), *parts)
        _require_fresh(timestamp, now)
        content = _fields(_open(keys, sealed))
        if not content:
            raise UnexpectedMessage("a genuine message is neither XML nor JSON")
        said = json.dumps([str(content.get(name, "")) for name in _KEYED])
        return AppMessage(
            appid=keys.appid,
            event=str(content.get("Event", ""))[:_LONGEST_EVENT],
            key=hashlib.sha256(said.encode()).hexdigest(),
            content=content,
        )


def _require_signature(given: str, *parts: str) -> None:
    made = hashlib.sha1("".join(sorted(parts)).encode()).hexdigest()  # noqa: S324 - the platform's choice
    if not hmac.compare_digest(made.encode(), given.encode()):
        raise ForgedMessage("no valid signature with this app's token")


def _require_fresh(timestamp: str, now: datetime) -> None:
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 10):
        raise ForgedMessage("the time of the message is not a Unix time")
    if abs(now.timestamp() - int(timestamp)) > FRESH.total_seconds():
        raise ForgedMessage("the message was not signed within 300 s")


def _open(keys: MessageKeys, sealed: str) -> bytes:
    """Return the plaintext of a message whose signature is good (2.2)."""
    try:
        key = base64.b64decode(keys.encoding_key + "=", validate=True)
        ciphertext = base64.b64decode(sealed, validate=True)
    except binascii.Error:
        raise _unreadable(keys) from None
    if not ciphertext or len(ciphertext) % _AES_BLOCK:
        raise _unreadable(keys)
    decryptor = Cipher(algorithms.AES(key), modes.CBC(key[:_AES_BLOCK])).decryptor()
    padded = decryptor.update(ciphertext) + decryptor.finalize()
    fill = padded[-1]
    if not 1 <= fill <= _PADDED_TO or padded[-fill:] != bytes([fill]) * fill:
        raise _unreadable(keys)
    plain = padded[:-fill]
    end = _HEADER + int.from_bytes(plain[_RANDOM:_HEADER], "big")
    if end > len(plain):
        raise _unreadable(keys)
    if plain[end:] != keys.appid.encode():
        raise ForgedMessage("the message was meant for another app")
    return plain[_HEADER:end]


def _unreadable(keys: MessageKeys) -> UnexpectedMessage:
    _logger.warning("a genuine message to app %s cannot be decrypted", keys.appid)
    return UnexpectedMessage("a genuine message cannot be decrypted: check the app's EncodingAESKey")


def _fields(text: bytes) -> dict[str, Any]:
    """Return the fields of an XML or JSON document, whichever the console says; empty for anything else."""
    try:
        if text.lstrip()[:1] == b"{":
            read = json.loads(text)
            return read if isinstance(read, dict) else {}
        if b"<!DOCTYPE" in text or b"<!ENTITY" in text:
            return {}
        root = ET.fromstring(text)  # noqa: S314 - document types, hence entities, are refused above
    except (ValueError, ET.ParseError, RecursionError):
        return {}
    return {child.tag: child.text or "" for child in root} if root.tag == "xml" else {}
