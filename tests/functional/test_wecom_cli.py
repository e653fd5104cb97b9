"""A corp and the payer of its red packets, set up from the shell and tried by the doctor."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from tests.support.certificates import certificate
from tests.support.operators import shop_shell
from tests.support.sandbox import kept_private_key
from tests.support.shop import Shop

CORP, OTHER = "wwshell0000000001", "wwshell0000000002"
MCHID = "1500000001"
SECRETS = {"OF_THE_APP": "secret-of-the-application", "WRONG": "x", "WECOM": "secret-of-the-payment-app"}


@pytest.fixture
def saoma(embedded_shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """The command, with the secrets of a corp in the environment."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    return shop_shell(embedded_shop, tmp_path, monkeypatch)


def test_a_corp_and_its_payer_are_set_up_and_tried(
    embedded_shop: Shop, saoma: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox = embedded_shop.sandbox
    for corpid in (CORP, OTHER):
        sandbox.create_app(corpid, SECRETS["OF_THE_APP"], kind="corp", agentid="1000002")
    more = ["--kind", "corp", "--secret-env"]
    assert "invalid_app" in saoma("apps", "add", CORP, *more, "OF_THE_APP", ok=False).stderr
    saoma("apps", "add", CORP, *more, "OF_THE_APP", "--agent", "1000002")
    saoma("apps", "add", OTHER, *more, "WRONG", "--agent", "1000002")

    key = kept_private_key("a payer by corps")
    merchant = sandbox.create_merchant(
        MCHID, appids=[CORP], private_key_pem=key, apiv2_key="0" * 32, workwx_secret=SECRETS["WECOM"]
    )
    monkeypatch.setenv("APIV2", merchant.apiv2_key)
    monkeypatch.setenv("APIV3", merchant.apiv3_key)
    files = {
        "private-key": key,
        "public-key": merchant.platform_public_key_pem,
        "certificate": certificate(key),
    }
    arguments = ["payers", "add", MCHID, "--name", "WeCom", "--serial", merchant.serial_no, "--max", "200"]
    for name, content in files.items():
        (tmp_path / name).write_text(content)
        arguments += [f"--{name}", str(tmp_path / name)]
    arguments += ["--apiv3-env", "APIV3", "--apiv2-env", "APIV2", "--app", CORP]
    arguments += ["--public-key-id", merchant.platform_public_key_id, "--method", "wecom_red_packet"]
    for text in ("wishing", "act_name", "sender_name"):
        arguments += ["--report", f"{text}=茶铺"]
    assert "secret of the 企业支付 app" in saoma(*arguments, ok=False).stderr
    arguments += ["--wecom-env", "WECOM"]
    assert "either sender_name" in saoma(*arguments, "--report", "agentid=1000002", ok=False).stderr
    assert "saved" in saoma(*arguments).stdout
    assert "closed to new merchants" in saoma("campaigns", "payer", "tea/scan", MCHID).stdout

    said = saoma("doctor", ok=False).stdout
    assert f"✓ corp {CORP}: the platform knows it and its secret" in said
    assert f"✗ corp {OTHER}: WeCom refused" in said
    assert "the secret is not that of the application" in said
    assert f"✓ payer {MCHID} (active): WeChat Pay accepts its keys; the secret of the 企业支付 app" in said
