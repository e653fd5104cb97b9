"""The API and the page of a corp: contracts 0.3, 3.1, 3.6 and 3.12."""

import secrets
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from tests.support.sandbox import SandboxProcess, SandboxRefusedError

HOST = "m.example.com"
AGENT = "1000002"
SECRET = "secret-of-the-application"


@dataclass(frozen=True)
class Corp:
    """A corp with one application, seen from outside."""

    sandbox: SandboxProcess
    id: str

    def call(self, path: str, json: dict[str, str] | None = None, **query: str) -> dict[str, Any]:
        method = "GET" if json is None else "POST"
        url = f"{self.sandbox.base_url}/cgi-bin/{path}"
        answer = requests.request(method, url, params=query, json=json, timeout=10)
        assert answer.status_code == 200, "WeCom refuses inside a 200"
        found: dict[str, Any] = answer.json()
        return found

    def token(self) -> str:
        return str(self.call("gettoken", corpid=self.id, corpsecret=SECRET)["access_token"])

    def visitor(self, code: str, token: str | None = None) -> dict[str, Any]:
        return self.call("auth/getuserinfo", access_token=token or self.token(), code=code)

    def authorize(self, shopper: str, **changes: str) -> requests.Response:
        query = {
            "appid": self.id,
            "redirect_uri": f"https://{HOST}/back",
            "response_type": "code",
            "scope": "snsapi_base",
            "state": "abc123",
            "agentid": AGENT,
            **changes,
        }
        return requests.get(
            f"{self.sandbox.base_url}/connect/oauth2/authorize",
            params=query,
            headers={"Cookie": f"sandbox_shopper={shopper}"},
            allow_redirects=False,
            timeout=10,
        )


@pytest.fixture
def corp(sandbox: SandboxProcess) -> Corp:
    corpid = f"ww{secrets.token_hex(8)}"
    sandbox.create_app(corpid, SECRET, kind="corp", agentid=AGENT, oauth_host=HOST)
    return Corp(sandbox, corpid)


def test_a_token_is_the_same_while_it_lives(corp: Corp, appid: str) -> None:
    first = corp.call("gettoken", corpid=corp.id, corpsecret=SECRET)
    assert (first["errcode"], first["errmsg"]) == (0, "ok")
    assert first["access_token"] == corp.token()
    assert corp.call("gettoken", corpid=corp.id, corpsecret="x")["errcode"] == 40001
    for wrong in ("wwnobody", appid):
        assert corp.call("gettoken", corpid=wrong, corpsecret=SECRET)["errcode"] == 40013
    corp.sandbox.advance(7200)
    code = corp.sandbox.oauth_code(corp.sandbox.shopper()["id"], corp.id)
    assert corp.visitor(code, first["access_token"])["errcode"] == 42001
    assert corp.token() != first["access_token"]


def test_a_token_of_somebody_else_opens_nothing(corp: Corp, appid: str) -> None:
    mini = {"grant_type": "client_credential", "appid": appid, "secret": "app-secret-of-the-tests"}
    foreign = corp.call("stable_token", mini)["access_token"]
    for wrong in (foreign, "made-up"):
        assert corp.visitor("x", wrong)["errcode"] == 40014
    assert corp.call("auth/getuserinfo", code="x")["errcode"] == 41001
    # And a corp is no app of the other platform.
    as_app = {"grant_type": "client_credential", "appid": corp.id, "secret": SECRET}
    assert corp.call("stable_token", as_app)["errcode"] == 40013


def test_outsiders_customers_and_staff_are_told_in_their_own_way(corp: Corp) -> None:
    shopper = corp.sandbox.shopper()
    openid = shopper["openids"][corp.id]
    code = corp.sandbox.oauth_code(shopper["id"], corp.id)
    assert corp.visitor(code) == {"errcode": 0, "errmsg": "ok", "openid": openid}
    assert corp.visitor(code)["errcode"] == 40163

    corp.sandbox.relate(shopper["id"], corp.id, "customer")
    told = corp.visitor(corp.sandbox.oauth_code(shopper["id"], corp.id))
    assert told["openid"] == openid
    assert told["external_userid"].startswith("wm")

    corp.sandbox.relate(shopper["id"], corp.id, "staff")
    told = corp.visitor(corp.sandbox.oauth_code(shopper["id"], corp.id))
    assert set(told) == {"errcode", "errmsg", "userid"}
    staff = corp.call("user/convert_to_openid", {"userid": told["userid"]}, access_token=corp.token())
    assert staff["openid"] == openid
    nobody = corp.call("user/convert_to_openid", {"userid": "nobody"}, access_token=corp.token())
    assert nobody["errcode"] == 60111
    with pytest.raises(SandboxRefusedError, match="bad_relation"):
        corp.sandbox.relate(shopper["id"], corp.id, "friend")


def test_the_page_wants_the_number_of_the_application(corp: Corp) -> None:
    corp.sandbox.settings(product_url="http://127.0.0.1:8000")
    shopper = corp.sandbox.shopper()
    back = urlsplit(corp.authorize(shopper["id"]).headers["Location"])
    query = parse_qs(back.query)
    assert (back.netloc, query["state"]) == ("127.0.0.1:8000", ["abc123"])
    assert corp.visitor(query["code"][0])["openid"] == shopper["openids"][corp.id]
    for changes in (
        {"agentid": ""},
        {"agentid": "1000003"},
        {"scope": "snsapi_userinfo"},
        {"redirect_uri": "https://example.com/back"},
    ):
        assert corp.authorize(shopper["id"], **changes).status_code == 400
