"""WeChat Pay v2, as its red packets speak it: XML under an MD5 signature and a client certificate.

Answers are not signed: what proves them is the TLS connection. A signature carries no time, so a request that
was thought lost may still arrive. Source: platform contracts 5.
"""

import hashlib
import ssl
import tempfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from secrets import token_hex
from threading import Lock
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree as ET

import requests

from app.gateways.http import OriginAdapter, check_origin, make_session, run_within
from app.payouts.interfaces import PayerCredentials, TransferAnswer, TransferOutcome, TransferState

CERTIFICATE_HEADER = "X-Client-Cert"
_CLIENTS_KEPT = 64
_LONGEST_MESSAGE = 200

OUTCOMES: Mapping[str, TransferOutcome] = {
    # Nobody knows whether the first attempt counted; the number protects the second.
    "SYSTEMERROR": TransferOutcome.RETRY_SAME,
    "PROCESSING": TransferOutcome.RETRY_SAME,
    "FREQ_LIMIT": TransferOutcome.FREQUENCY,
    "NOTENOUGH": TransferOutcome.SHORT_OF_FUNDS,
    "NOT_FOUND": TransferOutcome.NOT_FOUND,
    # Limits of a day: of the receiver, and of the merchant.
    "SENDNUM_LIMIT": TransferOutcome.NEXT_DAY,
    "RCVDAMOUNT_LIMIT": TransferOutcome.NEXT_DAY,
    "SENDAMOUNT_LIMIT": TransferOutcome.NEXT_DAY,
    # Somebody has to change something.
    "MONEY_LIMIT": TransferOutcome.REFUSED,
    "V2_ACCOUNT_SIMPLE_BAN": TransferOutcome.REFUSED,
    "NO_AUTH": TransferOutcome.REFUSED,
    "OPENID_ERROR": TransferOutcome.REFUSED,
    "PARAM_ERROR": TransferOutcome.REFUSED,
    "SIGN_ERROR": TransferOutcome.REFUSED,
    "WORKWX_SIGN_ERROR": TransferOutcome.REFUSED,
    "CA_ERROR": TransferOutcome.REFUSED,
    "XML_ERROR": TransferOutcome.REFUSED,
    "ILLEGAL_APPID": TransferOutcome.REFUSED,
    # The number is taken, with other details: only a query can tell by what.
    "FATAL_ERROR": TransferOutcome.UNKNOWN,
}


class PayV2:
    """Calls of WeChat Pay v2 at `api_url` (an origin), each ended after `deadline_seconds`.

    `ca_file` holds the certification authorities to trust, instead of the usual ones. Over plain HTTP, to a
    proxy of one's own that ends TLS, the client certificate goes in the header that such proxies use.
    """

    def __init__(self, api_url: str, *, deadline_seconds: float = 8.0, ca_file: Path | None = None) -> None:
        self._origin = check_origin(api_url)
        self._deadline_seconds = deadline_seconds
        self._ca_file = ca_file
        self._sessions: OrderedDict[PayerCredentials, requests.Session] = OrderedDict()
        self._lock = Lock()

    def post(
        self, payer: PayerCredentials, path: str, fields: Mapping[str, str]
    ) -> dict[str, str] | TransferAnswer:
        """Sign, send and read: the fields of a success, or what anything else means.

        A field that the product does not know breaks the signature; an empty one is not sent.
        """
        try:
            session = self._session(payer)
        except (ssl.SSLError, ValueError):
            message = "the client certificate or the private key cannot be used"
            return TransferAnswer(TransferOutcome.REFUSED, code="local", message=message)
        document = {"nonce_str": token_hex(16), **fields}
        document["sign"] = signature(document, payer.apiv2_key)
        headers = {"Content-Type": "text/xml; charset=utf-8"}
        if self._origin.startswith("http://"):
            headers[CERTIFICATE_HEADER] = quote(payer.client_certificate_pem)
        try:
            response = run_within(
                self._deadline_seconds,
                lambda: session.post(
                    self._origin + path,
                    data=_write(document),
                    headers=headers,
                    timeout=self._deadline_seconds,
                    allow_redirects=False,
                ),
            )
        except requests.Timeout:
            return TransferAnswer(TransferOutcome.RETRY_SAME, code="timeout")
        except requests.RequestException:
            return TransferAnswer(TransferOutcome.RETRY_SAME, code="network")
        said = _read(response.content)
        if said is None or response.status_code != 200:
            outcome = TransferOutcome.RETRY_SAME if response.status_code >= 500 else TransferOutcome.UNKNOWN
            return TransferAnswer(outcome, code="unreadable", http_status=response.status_code)
        if said.get("return_code") == said.get("result_code") == "SUCCESS":
            return said
        return _refusal(said, fields.get("re_openid"))

    def _session(self, payer: PayerCredentials) -> requests.Session:
        with self._lock:
            session = self._sessions.get(payer)
            if session is None:
                session = make_session(self._origin)
                if self._origin.startswith("https://"):
                    session.mount("https://", _CertifiedAdapter(self._origin, _context(payer)))
                    session.verify = str(self._ca_file) if self._ca_file else True
                self._sessions[payer] = session
                if len(self._sessions) > _CLIENTS_KEPT:
                    self._sessions.popitem(last=False)
            self._sessions.move_to_end(payer)
            return session


class _CertifiedAdapter(OriginAdapter):
    """Shows a client certificate."""

    def __init__(self, origin: str, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__(origin)

    def init_poolmanager(self, *sizes: Any, **options: Any) -> None:
        """Make the connections with the certificate in their context."""
        super().init_poolmanager(*sizes, ssl_context=self._context, **options)


def _context(payer: PayerCredentials) -> ssl.SSLContext:
    """Return a context with the payer's certificate; OpenSSL reads it from a file, which is gone at once."""
    context = ssl.create_default_context()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "client.pem"
        path.touch(mode=0o600)
        path.write_text(f"{payer.client_certificate_pem}\n{payer.private_key_pem}")
        context.load_cert_chain(path)
    return context


def signature(fields: Mapping[str, str], key: str, *, word: str = "key") -> str:
    """Return the MD5 signature of contract 5.1 over `fields`, upper hex; empty values are no part of it.

    `word` is the name under which the key stands at its end.
    """
    pairs = [f"{name}={fields[name]}" for name in sorted(fields) if fields[name]]
    # MD5 is what the platform demands; the key in it and TLS are what protects.
    digest = hashlib.md5("&".join([*pairs, f"{word}={key}"]).encode(), usedforsecurity=False)
    return digest.hexdigest().upper()


def _write(fields: Mapping[str, str]) -> bytes:
    root = ET.Element("xml")
    for name, value in fields.items():
        if value:
            ET.SubElement(root, name).text = value
    written: bytes = ET.tostring(root, encoding="utf-8")
    return written


def _read(content: bytes) -> dict[str, str] | None:
    """Return the flat fields of an XML answer; None for anything else, document types included."""
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        return None
    try:
        root = ET.fromstring(content)  # noqa: S314 - document types, hence entities, are refused above
    except ET.ParseError:
        return None
    return {child.tag: child.text or "" for child in root} if root.tag == "xml" else None


def _refusal(said: Mapping[str, str], openid: str | None) -> TransferAnswer:
    code = said.get("err_code") or "unreadable"
    message = said.get("err_code_des") or said.get("return_msg", "")
    if openid:
        message = message.replace(openid, "***")
    message = message[:_LONGEST_MESSAGE]
    if code == "SEND_FAILED":
        # The platform's own word that this number is spent and nothing was paid.
        return TransferAnswer(
            TransferOutcome.FINAL, state=TransferState.FAIL, fail_reason=code, code=code, message=message
        )
    outcome = OUTCOMES.get(code, TransferOutcome.UNKNOWN)
    return TransferAnswer(outcome, code=code[:64], http_status=200, message=message)
