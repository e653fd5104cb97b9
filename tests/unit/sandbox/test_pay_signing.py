import base64
import json
from functools import cache

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from sandbox.errors import PayError
from sandbox.pay_signing import (
    Authorization,
    decrypt_field,
    encrypt_field,
    encrypt_resource,
    is_rsa_public_key,
    new_platform_key,
    parse_authorization,
    signature_headers,
    verify_request,
)
from tests.support.sandbox import public_key_of

NOW = 1_800_000_000
SCHEME = "WECHATPAY2-SHA256-RSA2048"
GOOD = 'mchid="19",nonce_str="n",signature="cw==",timestamp="18",serial_no="AB"'


@cache
def loaded(key_pem: str) -> rsa.RSAPrivateKey:
    key = serialization.load_pem_private_key(key_pem.encode(), password=None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return key


@cache
def public(key_pem: str) -> str:
    return public_key_of(key_pem)


def signed(key_pem: str, method: str, target: bytes, body: bytes, *, at: int = NOW, nonce: str = "n1") -> str:
    message = method.encode() + b"\n" + target + b"\n%d\n" % at + nonce.encode() + b"\n" + body + b"\n"
    return base64.b64encode(loaded(key_pem).sign(message, padding.PKCS1v15(), hashes.SHA256())).decode()


def check(
    key_pem: str, signature: str, *, body: bytes = b"{}", at: str = str(NOW), nonce: str = "n1"
) -> None:
    verify_request(
        Authorization("19", nonce, signature, at, "AB"),
        public_key_pem=public(key_pem),
        method="POST",
        target=b"/v3/x?a=%20",
        body=body,
        now=NOW,
    )


def test_the_header_is_taken_apart_in_any_order() -> None:
    reordered = ",".join(reversed(GOOD.split(",")))

    assert parse_authorization(f"{SCHEME} {GOOD}") == parse_authorization(f"{SCHEME} {reordered}")
    assert parse_authorization(f"{SCHEME} {GOOD}") == Authorization("19", "n", "cw==", "18", "AB")


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        SCHEME,
        "WECHATPAY2-RSA-AES " + GOOD,
        f'{SCHEME} {GOOD},extra="1"',
        f'{SCHEME} {GOOD},mchid="20"',
        f"{SCHEME} " + GOOD.replace(',serial_no="AB"', ""),
        f"{SCHEME} " + GOOD.replace('"', ""),
        f"{SCHEME} {GOOD},",
    ],
)
def test_a_header_that_lacks_or_repeats_a_field_is_refused(header: str | None) -> None:
    with pytest.raises(PayError) as caught:
        parse_authorization(header)

    assert (caught.value.status, caught.value.code) == (401, "SIGN_ERROR")


@given(st.binary(max_size=200))
def test_a_signature_over_the_raw_bytes_is_believed(merchant_key: str, body: bytes) -> None:
    check(merchant_key, signed(merchant_key, "POST", b"/v3/x?a=%20", body), body=body)


def test_whatever_differs_from_what_was_signed_is_refused(merchant_key: str) -> None:
    wrong = {
        "body": signed(merchant_key, "POST", b"/v3/x?a=%20", b"{ }"),
        "method": signed(merchant_key, "GET", b"/v3/x?a=%20", b"{}"),
        "query decoded": signed(merchant_key, "POST", b"/v3/x?a= ", b"{}"),
        "no query": signed(merchant_key, "POST", b"/v3/x", b"{}"),
        "nonce": signed(merchant_key, "POST", b"/v3/x?a=%20", b"{}", nonce="n2"),
        "time": signed(merchant_key, "POST", b"/v3/x?a=%20", b"{}", at=NOW + 1),
        "not base64": "ä",
        "empty": "",
    }
    for name, signature in wrong.items():
        with pytest.raises(PayError) as caught:
            check(merchant_key, signature)
        assert caught.value.code == "SIGN_ERROR", name


@pytest.mark.parametrize(("skew", "fine"), [(300, True), (-300, True), (301, False), (-301, False)])
def test_five_minutes_are_tolerated(merchant_key: str, skew: int, *, fine: bool) -> None:
    signature = signed(merchant_key, "POST", b"/v3/x?a=%20", b"{}", at=NOW + skew)
    if fine:
        check(merchant_key, signature, at=str(NOW + skew))
    else:
        with pytest.raises(PayError, match="5 minutes"):
            check(merchant_key, signature, at=str(NOW + skew))


@pytest.mark.parametrize("at", ["", "now", "-1", "1e9", "١٨"])
def test_a_time_stamp_is_whole_seconds(merchant_key: str, at: str) -> None:
    with pytest.raises(PayError, match="Unix seconds"):
        check(merchant_key, "cw==", at=at)


@pytest.mark.parametrize("nonce", ["", "a" * 33, "a b", "a\n"])
def test_a_nonce_is_letters_and_digits(merchant_key: str, nonce: str) -> None:
    with pytest.raises(PayError, match="nonce"):
        check(merchant_key, "cw==", nonce=nonce)


@pytest.mark.parametrize("body", [b'{"a":1}', b"", "奖".encode()])
def test_an_answer_verifies_also_an_empty_one_and_a_probe_never_does(body: bytes) -> None:
    key_id, private_pem, public_pem = new_platform_key()
    key = serialization.load_pem_public_key(public_pem.encode())
    assert isinstance(key, rsa.RSAPublicKey)
    for probe in (False, True):
        headers = signature_headers(
            private_key_pem=private_pem, key_id=key_id, body=body, now=NOW, probe=probe
        )
        message = f"{NOW}\n{headers['Wechatpay-Nonce']}\n".encode() + body + b"\n"
        signature = base64.b64decode(headers["Wechatpay-Signature"])
        assert headers["Wechatpay-Timestamp"] == str(NOW)
        assert headers["Wechatpay-Serial"] == key_id
        assert key_id.startswith("PUB_KEY_ID_")
        assert headers["Wechatpay-Signature-Type"] == SCHEME
        if probe:
            assert headers["Wechatpay-Signature"].startswith("WECHATPAY/SIGNTEST/")
            with pytest.raises(InvalidSignature):
                key.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
        else:
            key.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())


def test_a_field_is_sealed_for_one_reader(merchant_key: str) -> None:
    _, private_pem, public_pem = new_platform_key()
    sealed = encrypt_field(public_pem, "李雷")

    assert decrypt_field(private_pem, sealed) == "李雷"
    for wrong_key, text in (
        (merchant_key, sealed),
        (private_pem, "李雷"),
        (private_pem, "AAAA"),
        (private_pem, ""),
    ):
        with pytest.raises(ValueError):
            decrypt_field(wrong_key, text)


def test_a_resource_opens_with_the_merchants_key() -> None:
    plaintext = json.dumps({"state": "SUCCESS"}).encode()
    resource = encrypt_resource(apiv3_key="k" * 32, plaintext=plaintext, original_type="mch_payment")

    assert resource["algorithm"] == "AEAD_AES_256_GCM"
    assert len(resource["nonce"]) == 12
    opened = AESGCM(b"k" * 32).decrypt(
        resource["nonce"].encode(),
        base64.b64decode(resource["ciphertext"]),
        resource["associated_data"].encode(),
    )
    assert opened == plaintext


def test_only_an_rsa_key_of_some_size_is_a_merchants_key(merchant_key: str) -> None:
    small = rsa.generate_private_key(public_exponent=65537, key_size=1024).public_key()
    small_pem = small.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    ).decode()

    assert is_rsa_public_key(public_key_of(merchant_key))
    assert not is_rsa_public_key(small_pem)
    assert not is_rsa_public_key("nonsense")
