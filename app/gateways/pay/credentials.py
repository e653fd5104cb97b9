"""Checking a payer's keys before they are used, with words that say what to do.

wechatpayv3 answers "failed to load private key" to everything, including the key format that
`openssl genrsa` writes by default (platform contracts 7.2).
"""

import re
from dataclasses import replace
from functools import lru_cache

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from app.payouts.interfaces import PayerCredentials

_SMALLEST_KEY_BITS = 2048
_APIV3_KEY_BYTES = 32
_KEYS_KEPT = 64
_CONVERT = "openssl pkcs8 -topk8 -nocrypt -in OLD.pem -out NEW.pem"


class CredentialFault(Exception):
    """A payer's credentials cannot be used; the text names the field and the remedy, never a value."""


def checked(credentials: PayerCredentials) -> tuple[PayerCredentials, RSAPrivateKey]:
    """Return `credentials` with clean line ends, and the private key that they hold.

    Raises CredentialFault for the first thing wrong.
    """
    for name, value, pattern in (
        ("mchid", credentials.mchid, r"[0-9]{4,32}"),
        ("serial_no", credentials.serial_no, r"[0-9A-Fa-f]{8,64}"),
        ("public_key_id", credentials.public_key_id, r"PUB_KEY_ID_[0-9A-Za-z_]{1,64}"),
    ):
        if not re.fullmatch(pattern, value):
            raise CredentialFault(f"{name} does not look right: copy it again from the merchant platform")
    if len(credentials.apiv3_key.encode()) != _APIV3_KEY_BYTES:
        raise CredentialFault("apiv3_key must be the 32 characters that were set on the merchant platform")
    clean = replace(
        credentials,
        private_key_pem=_unix_lines(credentials.private_key_pem),
        public_key_pem=_unix_lines(credentials.public_key_pem),
    )
    key = _private_key(clean.private_key_pem)
    _check_public_key(clean.public_key_pem)
    return clean, key


def _unix_lines(pem: str) -> str:
    return "\n".join(line.strip() for line in pem.strip().splitlines()) + "\n"


@lru_cache(maxsize=_KEYS_KEPT)
def _private_key(pem: str) -> RSAPrivateKey:
    # That a key's numbers belong together takes 40 ms to see, and three gateways ask for the same payer.
    if pem.startswith("-----BEGIN RSA PRIVATE KEY-----"):
        raise CredentialFault(f"private_key_pem is PKCS#1 and must be PKCS#8: {_CONVERT}")
    if pem.startswith("-----BEGIN ENCRYPTED PRIVATE KEY-----"):
        raise CredentialFault(f"private_key_pem has a pass phrase; take it off: {_CONVERT}")
    if not pem.startswith("-----BEGIN PRIVATE KEY-----\n"):
        raise CredentialFault("private_key_pem must be the content of apiclient_key.pem, BEGIN line included")
    try:
        key = serialization.load_pem_private_key(pem.encode(), password=None)
    except (TypeError, ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, RSAPrivateKey) or key.key_size < _SMALLEST_KEY_BITS:
        raise CredentialFault("private_key_pem is damaged, or no RSA key of at least 2048 bits")
    return key


def _check_public_key(pem: str) -> None:
    if not pem.startswith("-----BEGIN PUBLIC KEY-----\n"):
        raise CredentialFault(
            "public_key_pem must be WeChat Pay's pub_key.pem, BEGIN line included, not a certificate"
        )
    try:
        key = serialization.load_pem_public_key(pem.encode())
    except (TypeError, ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, RSAPublicKey) or key.key_size < _SMALLEST_KEY_BITS:
        raise CredentialFault("public_key_pem is damaged, or no RSA key of at least 2048 bits")
