"""The cryptography of WeChat Pay v3, written from the contract (4.1 to 4.4) on the ``cryptography`` package.

It deliberately does not use the SDK that the product uses: two independent readings of the contract have to
agree before a request is accepted or an answer verifies.
"""

from __future__ import annotations

import base64
import re
import secrets
from dataclasses import dataclass
from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sandbox.errors import PayError

SCHEME = "WECHATPAY2-SHA256-RSA2048"
TOLERANCE_SECONDS = 300
PROBE_PREFIX = "WECHATPAY/SIGNTEST/"
_AUTHORIZATION_FIELDS = frozenset({"mchid", "nonce_str", "signature", "timestamp", "serial_no"})
_FIELD = re.compile(r'([a-z_]+)="([^"]*)"')
# SHA-1 is what the contract demands for encrypted fields (4.3); OAEP does not rest on its collision
# resistance.
_OAEP = padding.OAEP(mgf=padding.MGF1(hashes.SHA1()), algorithm=hashes.SHA1(), label=None)  # noqa: S303


@dataclass(frozen=True, slots=True)
class Authorization:
    """The fields of an Authorization header, not yet believed."""

    mchid: str
    nonce: str
    signature: str
    timestamp: str
    serial_no: str


def sign_error(message: str) -> PayError:
    """The refusal of a request whose signature cannot be trusted (contract 4.1)."""
    return PayError(401, "SIGN_ERROR", message, {"issue": "sign not match"})


def parse_authorization(header: str | None) -> Authorization:
    """Takes the header apart. Raises PayError 401 unless scheme and all five fields are there exactly
    once."""
    scheme, _, rest = (header or "").partition(" ")
    if scheme != SCHEME:
        raise sign_error(f"the Authorization scheme must be {SCHEME}")
    pieces = [_FIELD.fullmatch(piece.strip()) for piece in rest.split(",")]
    found = {piece[1]: piece[2] for piece in pieces if piece is not None}
    if None in pieces or len(found) != len(pieces) or found.keys() != _AUTHORIZATION_FIELDS:
        raise sign_error(
            "the Authorization header must hold " + ", ".join(sorted(_AUTHORIZATION_FIELDS)) + " once"
        )
    return Authorization(
        mchid=found["mchid"],
        nonce=found["nonce_str"],
        signature=found["signature"],
        timestamp=found["timestamp"],
        serial_no=found["serial_no"],
    )


def verify_request(
    authorization: Authorization, *, public_key_pem: str, method: str, target: bytes, body: bytes, now: int
) -> None:
    """Checks freshness, nonce and signature over the raw bytes as they came in.

    target: path and query exactly as on the request line. now: wire time in Unix seconds. Raises PayError
    401.
    """
    if not re.fullmatch(r"[0-9]{1,11}", authorization.timestamp):
        raise sign_error("the timestamp must be Unix seconds")
    if abs(now - int(authorization.timestamp)) > TOLERANCE_SECONDS:
        raise sign_error("the timestamp is more than 5 minutes away from the platform's clock")
    if not re.fullmatch(r"[0-9A-Za-z]{1,32}", authorization.nonce):
        raise sign_error("the nonce must be 1 to 32 letters and digits")
    lines = (method.encode(), target, authorization.timestamp.encode(), authorization.nonce.encode(), body)
    message = b"".join(line + b"\n" for line in lines)
    try:
        signature = base64.b64decode(authorization.signature, validate=True)
        _public_key(public_key_pem).verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
    except (ValueError, InvalidSignature):
        raise sign_error("the signature does not match the request") from None


def signature_headers(
    *, private_key_pem: str, key_id: str, body: bytes, now: int, probe: bool = False
) -> dict[str, str]:
    """The Wechatpay-* headers of an answer or callback (contract 4.2).

    probe: make it a signature test, which an honest receiver must refuse.
    """
    nonce = secrets.token_hex(16)
    message = b"%d\n%s\n%s\n" % (now, nonce.encode(), body)
    signature = base64.b64encode(
        _private_key(private_key_pem).sign(message, padding.PKCS1v15(), hashes.SHA256())
    )
    text = signature.decode()
    return {
        "Wechatpay-Timestamp": str(now),
        "Wechatpay-Nonce": nonce,
        "Wechatpay-Signature": PROBE_PREFIX + text[len(PROBE_PREFIX) :] if probe else text,
        "Wechatpay-Serial": key_id,
        "Wechatpay-Signature-Type": SCHEME,
    }


def decrypt_field(private_key_pem: str, text: str) -> str:
    """Opens an encrypted request field (contract 4.3). Raises ValueError for anything but our own
    ciphertext."""
    return _private_key(private_key_pem).decrypt(base64.b64decode(text, validate=True), _OAEP).decode()


def encrypt_field(public_key_pem: str, text: str) -> str:
    """Seals a response field for the merchant (contract 4.3)."""
    return base64.b64encode(_public_key(public_key_pem).encrypt(text.encode(), _OAEP)).decode()


def encrypt_resource(*, apiv3_key: str, plaintext: bytes, original_type: str) -> dict[str, str]:
    """The ``resource`` of a callback: AES-256-GCM under the merchant's APIv3 key (contract 4.4)."""
    # The platform's nonces are 12 printable characters, because the JSON carries them as they are.
    nonce = secrets.token_hex(6)
    associated_data = original_type
    ciphertext = AESGCM(apiv3_key.encode()).encrypt(nonce.encode(), plaintext, associated_data.encode())
    return {
        "original_type": original_type,
        "algorithm": "AEAD_AES_256_GCM",
        "ciphertext": base64.b64encode(ciphertext).decode(),
        "nonce": nonce,
        "associated_data": associated_data,
    }


def new_platform_key() -> tuple[str, str, str]:
    """A new key pair of the platform for one merchant: (public key id, private PEM, public PEM)."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private_pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    public_pem = (
        key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )
    key_id = "PUB_KEY_ID_0" + "".join(secrets.choice("0123456789") for _ in range(32))
    return key_id, private_pem, public_pem


def is_rsa_public_key(pem: str) -> bool:
    """Whether ``pem`` is an RSA public key of at least 2048 bits."""
    try:
        return _public_key(pem).key_size >= 2048
    except ValueError:
        return False


@lru_cache(maxsize=256)
def _public_key(pem: str) -> rsa.RSAPublicKey:
    key = serialization.load_pem_public_key(pem.encode())
    if not isinstance(key, rsa.RSAPublicKey):
        raise ValueError("not an RSA key")  # noqa: TRY004 - the value is wrong, not the caller
    return key


@lru_cache(maxsize=256)
def _private_key(pem: str) -> rsa.RSAPrivateKey:
    # Checking a key takes far longer than using it, and these keys are our own.
    key = serialization.load_pem_private_key(pem.encode(), password=None, unsafe_skip_rsa_key_validation=True)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError("not an RSA key")  # noqa: TRY004 - the value is wrong, not the caller
    return key
