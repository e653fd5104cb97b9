"""The phone number and the mini-program code: contracts 1.4, 1.5 and rows 2 and 3 of section 8."""

import io
import json
from typing import Any

import pytest
import requests
import zxingcpp
from PIL import Image

from tests.contract.sandbox.conftest import SECRET
from tests.contract.sandbox.test_tokens import plain
from tests.support.sandbox import SandboxProcess


@pytest.fixture
def token(sandbox: SandboxProcess, appid: str) -> str:
    return str(plain(sandbox, appid)["access_token"])


def phone_number(sandbox: SandboxProcess, token: str, **body: Any) -> dict[str, Any]:
    url = f"{sandbox.base_url}/wxa/business/getuserphonenumber"
    response = requests.post(url, params={"access_token": token}, json=body, timeout=10)
    assert response.status_code == 200
    document: dict[str, Any] = response.json()
    return document


def test_a_domestic_number(sandbox: SandboxProcess, appid: str, token: str) -> None:
    shopper = sandbox.shopper(phone="13912345678")
    answer = phone_number(sandbox, token, code=sandbox.phone_code(shopper["id"], appid))

    assert answer["errcode"] == 0
    info = answer["phone_info"]
    assert info["watermark"].pop("timestamp") > 1_700_000_000
    assert info == {
        "phoneNumber": "13912345678",
        "purePhoneNumber": "13912345678",
        "countryCode": "86",
        "watermark": {"appid": appid},
    }


def test_a_foreign_number_carries_its_country(sandbox: SandboxProcess, appid: str, token: str) -> None:
    shopper = sandbox.shopper(phone="91234567", country_code="852")
    info = phone_number(sandbox, token, code=sandbox.phone_code(shopper["id"], appid))["phone_info"]

    assert (info["phoneNumber"], info["purePhoneNumber"]) == ("+85291234567", "91234567")
    assert info["countryCode"] == "852"


def test_a_code_works_once_for_five_minutes_and_is_no_login_code(
    sandbox: SandboxProcess, appid: str, token: str
) -> None:
    shopper = sandbox.shopper()
    code = sandbox.phone_code(shopper["id"], appid)
    phone_number(sandbox, token, code=code)

    assert phone_number(sandbox, token, code=code)["errcode"] == 40163
    assert phone_number(sandbox, token, code=sandbox.js_code(shopper["id"], appid))["errcode"] == 40029
    assert phone_number(sandbox, token)["errcode"] == 41008
    assert phone_number(sandbox, token, code=7)["errcode"] == 40097
    late = sandbox.phone_code(shopper["id"], appid)
    sandbox.advance(301)
    assert phone_number(sandbox, token, code=late)["errcode"] == 40029


def test_another_apps_token_cannot_read_the_number(sandbox: SandboxProcess, appid: str) -> None:
    sandbox.create_app(f"{appid}x", SECRET)
    foreign = plain(sandbox, f"{appid}x")["access_token"]
    code = sandbox.phone_code(sandbox.shopper()["id"], appid)

    assert phone_number(sandbox, foreign, code=code)["errcode"] == 40029
    sandbox.settings(strict_unverified=True)
    assert phone_number(sandbox, foreign, code=code)["errcode"] == 40013


def test_the_openid_must_fit_where_it_is_given(sandbox: SandboxProcess, appid: str, token: str) -> None:
    shopper, other = sandbox.shopper(), sandbox.shopper()
    code = sandbox.phone_code(shopper["id"], appid)

    assert phone_number(sandbox, token, code=code, openid=other["openids"][appid])["errcode"] == 40003
    assert phone_number(sandbox, token, code=code, openid=shopper["openids"][appid])["errcode"] == 0


def test_an_empty_quota_refuses_one_code_or_all(sandbox: SandboxProcess, appid: str, token: str) -> None:
    shopper = sandbox.shopper()
    empty = sandbox.phone_code(shopper["id"], appid, quota_empty=True)
    assert phone_number(sandbox, token, code=empty)["errcode"] == 45009

    code = sandbox.phone_code(shopper["id"], appid)
    sandbox.fault("/wxa/business/getuserphonenumber", "phone_quota", times=1)
    assert phone_number(sandbox, token, code=code)["errcode"] == 45009
    assert phone_number(sandbox, token, code=code)["errcode"] == 0


def wxacode(sandbox: SandboxProcess, token: str, **body: Any) -> requests.Response:
    url = f"{sandbox.base_url}/wxa/getwxacodeunlimit"
    response = requests.post(url, params={"access_token": token}, json=body, timeout=10)
    assert response.status_code == 200
    return response


def test_a_mini_program_code_is_a_picture_that_carries_scene_and_page(
    sandbox: SandboxProcess, appid: str, token: str
) -> None:
    scene = "a1!#$&'()*+,/:;=?@-._~"
    response = wxacode(sandbox, token, scene=scene, page="pages/index/index", width=280)

    assert response.headers["Content-Type"] == "image/png"
    picture = Image.open(io.BytesIO(response.content))
    assert picture.size == (280, 280)
    text = zxingcpp.read_barcodes(picture.convert("RGB"))[0].text
    assert json.loads(text.removeprefix("wxacode:")) == {
        "appid": appid,
        "page": "pages/index/index",
        "scene": scene,
    }


@pytest.mark.parametrize(
    ("body", "errcode"),
    [
        ({}, 40169),
        ({"scene": ""}, 40169),
        ({"scene": "a" * 33}, 40169),
        ({"scene": "码"}, 40129),
        ({"scene": "a%20"}, 40129),
        ({"scene": "a", "page": "pages/none/none"}, 41030),
        ({"scene": "a", "page": "/pages/index/index"}, 41030),
        ({"scene": "a", "page": "pages/index/index?a=1"}, 41030),
        ({"scene": "a", "width": 279}, 40097),
        ({"scene": "a", "width": 1281}, 40097),
        ({"scene": "a", "width": "300"}, 40097),
        ({"scene": "a", "env_version": "beta"}, 40097),
        ({"scene": "a", "colour": "red"}, 40097),
    ],
)
def test_what_breaks_a_rule_has_its_number(
    sandbox: SandboxProcess, token: str, body: dict[str, Any], errcode: int
) -> None:
    assert wxacode(sandbox, token, **body).json()["errcode"] == errcode


def test_an_unpublished_page_works_when_nobody_checks(sandbox: SandboxProcess, token: str) -> None:
    response = wxacode(sandbox, token, scene="a", page="pages/new/new", check_path=False)

    assert response.headers["Content-Type"] == "image/png"
