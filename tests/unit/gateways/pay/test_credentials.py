from dataclasses import replace

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from app.gateways.pay.credentials import CredentialFault, checked
from tests.unit.gateways.pay.conftest import Platform

PEM = serialization.Encoding.PEM
PKCS8 = serialization.PrivateFormat.PKCS8
PLAIN = serialization.NoEncryption()


def test_good_credentials_pass(platform: Platform) -> None:
    clean, key = checked(platform.payer)
    assert clean == platform.payer
    assert key.private_numbers() == platform.merchant_key.private_numbers()


def test_line_ends_of_other_machines_are_forgiven(platform: Platform) -> None:
    windows = replace(
        platform.payer,
        private_key_pem="\r\n" + platform.payer.private_key_pem.replace("\n", "\r\n"),
        public_key_pem=platform.payer.public_key_pem.replace("\n", "\r\n"),
    )
    clean, _ = checked(windows)
    assert clean == platform.payer


def test_pkcs1_is_named_with_its_remedy(platform: Platform) -> None:
    old = platform.merchant_key.private_bytes(PEM, serialization.PrivateFormat.TraditionalOpenSSL, PLAIN)
    with pytest.raises(CredentialFault, match="PKCS#8: openssl pkcs8 -topk8 -nocrypt"):
        checked(replace(platform.payer, private_key_pem=old.decode()))


def test_a_pass_phrase_is_named_with_its_remedy(platform: Platform) -> None:
    locked = platform.merchant_key.private_bytes(PEM, PKCS8, serialization.BestAvailableEncryption(b"x"))
    with pytest.raises(CredentialFault, match="pass phrase; take it off: openssl"):
        checked(replace(platform.payer, private_key_pem=locked.decode()))


def test_keys_of_another_kind_are_refused(platform: Platform) -> None:
    curve = ec.generate_private_key(ec.SECP256R1())
    small = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    for key in (curve, small):
        private = key.private_bytes(PEM, PKCS8, PLAIN).decode()
        public = key.public_key().public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
        with pytest.raises(CredentialFault, match="private_key_pem is damaged, or no RSA key"):
            checked(replace(platform.payer, private_key_pem=private))
        with pytest.raises(CredentialFault, match="public_key_pem is damaged, or no RSA key"):
            checked(replace(platform.payer, public_key_pem=public))


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("mchid", "19000x", "mchid"),
        ("mchid", "", "mchid"),
        ("serial_no", '5157F09E",x="', "serial_no"),
        ("public_key_id", "5157F09EFDC096DE", "public_key_id"),
        ("apiv3_key", "too short", "32 characters"),
        ("private_key_pem", "MIIEvQ==", "apiclient_key.pem, BEGIN line included"),
        ("private_key_pem", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "is damaged"),
        ("public_key_pem", "-----BEGIN CERTIFICATE-----\nAAAA\n", "not a certificate"),
        ("public_key_pem", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "is damaged"),
    ],
)
def test_each_fault_names_its_field(platform: Platform, field: str, value: str, words: str) -> None:
    with pytest.raises(CredentialFault, match=words) as caught:
        checked(replace(platform.payer, **{field: value}))
    assert caught.value.__cause__ is None


def test_credentials_do_not_show_their_secrets(platform: Platform) -> None:
    shown = repr(platform.payer)
    assert platform.apiv3_key not in shown
    assert "BEGIN" not in shown
