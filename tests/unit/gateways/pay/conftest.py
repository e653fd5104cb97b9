"""WeChat Pay's side of the signatures, written on `cryptography` alone, with keys made for the run."""

import base64
import json
import time
from dataclasses import dataclass

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.payouts.interfaces import PayerCredentials

_PRIVATE = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
_PUBLIC = (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


@dataclass
class Platform:
    """The keys of merchant and platform, and what the platform does with its own."""

    merchant_key: rsa.RSAPrivateKey
    platform_key: rsa.RSAPrivateKey
    key_id: str = "PUB_KEY_ID_0100000000000001"
    apiv3_key: str = "0123456789abcdef0123456789abcdef"
    mchid: str = "1900000001"

    @property
    def payer(self) -> PayerCredentials:
        return PayerCredentials(
            mchid=self.mchid,
            serial_no="5157F09EFDC096DE15EBE81A47057A72",
            private_key_pem=self.merchant_key.private_bytes(*_PRIVATE).decode(),
            apiv3_key=self.apiv3_key,
            public_key_id=self.key_id,
            public_key_pem=self.platform_key.public_key().public_bytes(*_PUBLIC).decode(),
        )

    def sign(
        self, body: bytes, *, at: float | None = None, key: rsa.RSAPrivateKey | None = None
    ) -> dict[str, str]:
        stamp = str(int(time.time() if at is None else at))
        signed = (key or self.platform_key).sign(
            f"{stamp}\nn0nce\n".encode() + body + b"\n", padding.PKCS1v15(), hashes.SHA256()
        )
        return {
            "Wechatpay-Timestamp": stamp,
            "Wechatpay-Nonce": "n0nce",
            "Wechatpay-Signature": base64.b64encode(signed).decode(),
            "Wechatpay-Serial": self.key_id,
            "Wechatpay-Signature-Type": "WECHATPAY2-SHA256-RSA2048",
        }

    def callback(self, resource: object, *, event_type: str = "MCHTRANSFER.BILL.FINISHED") -> bytes:
        text = resource if isinstance(resource, bytes) else json.dumps(resource).encode()
        sealed = AESGCM(self.apiv3_key.encode()).encrypt(b"123456789012", text, b"mch_payment")
        return json.dumps(
            {
                "id": "notice-1",
                "create_time": "2026-06-01T12:00:00+08:00",
                "resource_type": "encrypt-resource",
                "event_type": event_type,
                "summary": "商家转账单据终态通知",
                "resource": {
                    "original_type": "mch_payment",
                    "algorithm": "AEAD_AES_256_GCM",
                    "ciphertext": base64.b64encode(sealed).decode(),
                    "associated_data": "mch_payment",
                    "nonce": "123456789012",
                },
            },
            ensure_ascii=False,
        ).encode()


@pytest.fixture(scope="session")
def platform() -> Platform:
    keys = [rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2)]
    return Platform(*keys)
