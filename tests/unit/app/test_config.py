"""Settings: a full set is read, every fault is named at once, and no secret shows."""

import base64

import pytest

from app.config import BadSettings, load_settings

KEY = base64.b64encode(bytes(32)).decode()
GOOD = {
    "SAOMA_MASTER_KEYS": f"1:{KEY}",
    "SAOMA_CODE_KEY": KEY,
    "SAOMA_LINK_PREFIX": "https://m.example.com/q/",
    "SAOMA_PUBLIC_URL": "https://m.example.com",
}


def test_a_full_environment_is_read() -> None:
    settings = load_settings({**GOOD, "SAOMA_PORT": "9000", "SAOMA_DATA": "/srv/saoma"})
    assert settings.port == 9000
    assert settings.embedded
    assert settings.database_url == "sqlite:////srv/saoma/saoma.db"
    assert settings.pay_api_url == "https://api.mch.weixin.qq.com"
    assert settings.wecom_api_url == "https://qyapi.weixin.qq.com"


def test_a_demo_speaks_to_the_local_platform() -> None:
    settings = load_settings({**GOOD, "SAOMA_DEMO": "1", "SAOMA_SANDBOX_PORT": "9001"})
    assert settings.wechat_api_url == settings.pay_api_url == settings.sandbox_url == "http://127.0.0.1:9001"
    assert settings.wecom_api_url == settings.sandbox_url


def test_every_fault_is_named_at_once() -> None:
    with pytest.raises(BadSettings) as bad:
        load_settings(
            {"SAOMA_PORT": "eighty", "SAOMA_MASTER_KEYS": "1:AAAA", "SAOMA_LINK_PREFIX": "http://x/q/"}
        )
    named = {fault.split(":")[0].split(" ")[0] for fault in bad.value.faults}
    assert named == {
        "SAOMA_PORT",
        "SAOMA_MASTER_KEYS",
        "SAOMA_CODE_KEY",
        "SAOMA_LINK_PREFIX",
        "SAOMA_PUBLIC_URL",
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SAOMA_PORT", "0"),
        ("SAOMA_PORT", "70000"),
        ("SAOMA_DEMO", "yes"),
        ("SAOMA_DATABASE_URL", "postgresql://x"),
        ("SAOMA_PUBLIC_URL", "https://m.example.com/path"),
        ("SAOMA_LINK_PREFIX", "https://m.example.com/q"),
        ("SAOMA_LOG_LEVEL", "LOUD"),
        ("SAOMA_ADDRESS_REGIONS", "/nowhere/at/all.csv"),
        ("SAOMA_VERIFICATION_FILE", "../x.txt=abc"),
        ("SAOMA_MASTER_KEYS", f"0:{KEY}"),
        ("SAOMA_SEALING_VERSION", "2"),
    ],
)
def test_a_bad_value_is_one_fault(name: str, value: str) -> None:
    with pytest.raises(BadSettings) as bad:
        load_settings({**GOOD, name: value})
    assert [fault.partition(":")[0] for fault in bad.value.faults] == [name]


def test_keys_do_not_show() -> None:
    shown = repr(load_settings({**GOOD, "SAOMA_REDIS_URL": "redis://:password@h/0"}))
    assert "password" not in shown
    assert "master_keys" not in shown


CAPTCHA = {
    "SAOMA_CAPTCHA_SECRET_ID": "AKIDofthetests",
    "SAOMA_CAPTCHA_SECRET_KEY": "secret-key-of-the-tests",
    "SAOMA_CAPTCHA_APP_ID": "2029147713",
    "SAOMA_CAPTCHA_APP_KEY": "app-key-of-the-tests",
}


def test_a_captcha_account_is_whole_or_absent_and_shows_no_key() -> None:
    assert load_settings(GOOD).captcha is None
    settings = load_settings({**GOOD, **CAPTCHA})
    assert settings.captcha is not None
    assert settings.captcha.app_id == 2029147713
    assert settings.captcha.api_url == "https://captcha.tencentcloudapi.com"
    assert not any(word in repr(settings) for word in ("AKID", "of-the-tests"))
    local = load_settings({**GOOD, **CAPTCHA, "SAOMA_DEMO": "1"}).captcha
    assert local is not None
    assert local.api_url == "http://127.0.0.1:8001"


@pytest.mark.parametrize("name", CAPTCHA)
def test_half_a_captcha_account_is_a_fault(name: str) -> None:
    with pytest.raises(BadSettings, match=f"{name}: is needed with the others"):
        load_settings({**GOOD, **CAPTCHA, name: ""})


@pytest.mark.parametrize("number", ["0", "12a", "-1", "1" * 13])
def test_the_captcha_app_is_a_number(number: str) -> None:
    with pytest.raises(BadSettings, match="SAOMA_CAPTCHA_APP_ID: must be the number"):
        load_settings({**GOOD, **CAPTCHA, "SAOMA_CAPTCHA_APP_ID": number})
