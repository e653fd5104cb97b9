"""The page of web authorisation: contract 12.8."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from tests.contract.sandbox.conftest import SECRET
from tests.support.sandbox import SandboxProcess

HOST = "m.example.com"


@pytest.fixture
def account(sandbox: SandboxProcess, appid: str) -> str:
    sandbox.create_app(f"{appid}gzh", SECRET, kind="service", oauth_host=HOST)
    return f"{appid}gzh"


def authorize(sandbox: SandboxProcess, account: str, shopper: str, /, **changes: Any) -> requests.Response:
    query = {
        "appid": account,
        "redirect_uri": f"https://{HOST}/back?page=1",
        "response_type": "code",
        "scope": "snsapi_base",
        "state": "abc123",
        **changes,
    }
    return requests.get(
        f"{sandbox.base_url}/connect/oauth2/authorize",
        params=query,
        headers={"Cookie": f"sandbox_shopper={shopper}"},
        allow_redirects=False,
        timeout=10,
    )


def test_the_browser_comes_back_to_the_product_with_a_code(sandbox: SandboxProcess, account: str) -> None:
    sandbox.settings(product_url="http://127.0.0.1:8000")
    shopper = sandbox.shopper()
    answer = authorize(sandbox, account, shopper["id"])
    assert answer.status_code == 302
    back = urlsplit(answer.headers["Location"])
    assert (back.netloc, back.path) == ("127.0.0.1:8000", "/back")
    query = parse_qs(back.query)
    assert (query["page"], query["state"]) == (["1"], ["abc123"])
    parameters = {
        "appid": account,
        "secret": SECRET,
        "code": query["code"][0],
        "grant_type": "authorization_code",
    }
    told = requests.get(f"{sandbox.base_url}/sns/oauth2/access_token", params=parameters, timeout=10).json()
    assert told["openid"] == shopper["openids"][account]


@pytest.mark.parametrize(
    "changes",
    [
        {"redirect_uri": "https://www.m.example.com/back"},
        {"redirect_uri": "https://example.com/back"},
        {"redirect_uri": "https://m.example.com.evil.org/back"},
        {"redirect_uri": "https://m.example.com@evil.org/back"},
        {"redirect_uri": "https://m.example.com:8443/back"},
        {"redirect_uri": "https://m.example.com:port/back"},
        {"redirect_uri": "http://m.example.com/back"},
        {"redirect_uri": ""},
        {"response_type": "token"},
        {"scope": "snsapi_login"},
        {"scope": ""},
        {"state": "a-b"},
        {"state": "a" * 129},
        {"appid": "wxnobody"},
    ],
)
def test_anything_else_leads_nowhere(sandbox: SandboxProcess, account: str, changes: dict[str, str]) -> None:
    answer = authorize(sandbox, account, sandbox.shopper()["id"], **changes)
    assert (answer.status_code, answer.headers.get("Location")) == (400, None)


def test_it_is_for_service_accounts_with_a_host_and_for_people(
    sandbox: SandboxProcess, account: str, appid: str
) -> None:
    shopper = sandbox.shopper()["id"]
    assert authorize(sandbox, appid, shopper).status_code == 400
    assert authorize(sandbox, account, "nobody").status_code == 400
    sandbox.create_app(account, SECRET, kind="service")
    assert authorize(sandbox, account, shopper).status_code == 400
