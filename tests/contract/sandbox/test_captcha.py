"""The sandbox's captcha endpoint against Tencent Cloud's own client, which has never heard of it."""

import itertools
from typing import Any

import pytest
from tencentcloud.captcha.v20190722 import models
from tencentcloud.captcha.v20190722.captcha_client import CaptchaClient
from tencentcloud.common.credential import Credential
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile

from tests.support.sandbox import SandboxProcess

_numbers = itertools.count(190_000_500)


def _ask(sandbox: SandboxProcess, account: dict[str, Any], ticket: str, **changes: Any) -> int:
    keys = {**account, **changes}
    endpoint = sandbox.base_url.removeprefix("http://")
    profile = ClientProfile(httpProfile=HttpProfile(protocol="http", endpoint=endpoint, reqTimeout=10))
    client = CaptchaClient(Credential(keys["secret_id"], keys["secret_key"]), "", profile)
    request = models.DescribeCaptchaMiniResultRequest()
    request.CaptchaType = keys.get("kind", 9)
    request.Ticket = ticket
    request.UserIp = keys.get("address", "36.112.9.7")
    request.CaptchaAppId = keys["app_id"]
    request.AppSecretKey = keys["app_key"]
    return int(client.DescribeCaptchaMiniResult(request).CaptchaCode)


@pytest.fixture
def account(sandbox: SandboxProcess) -> dict[str, Any]:
    return sandbox.create_captcha_app(next(_numbers))


def test_the_platforms_own_client_is_understood(sandbox: SandboxProcess, account: dict[str, Any]) -> None:
    ticket = sandbox.captcha_ticket(sandbox.shopper()["id"], account["app_id"])
    assert _ask(sandbox, account, ticket, kind=1) == 100
    assert _ask(sandbox, account, ticket, address="nowhere") == 100
    assert _ask(sandbox, account, ticket) == 1
    assert _ask(sandbox, account, ticket) == 25


def test_its_errors_are_understood_too(sandbox: SandboxProcess, account: dict[str, Any]) -> None:
    with pytest.raises(TencentCloudSDKException) as refused:
        _ask(sandbox, account, "tr03", secret_key="wrong")
    assert refused.value.get_code() == "AuthFailure.SignatureFailure"
    assert refused.value.get_request_id()
