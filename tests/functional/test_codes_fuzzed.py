"""Whatever is scanned gets an answer, and nothing but a code of ours is taken for one."""

from urllib.parse import quote

from hypothesis import given, settings
from hypothesis import strategies as st

from app.codes.format import ALPHABET
from tests.support.shop import API, Shop

KNOWN = {"unknown", "altered", "inactive", "frozen", "not_shipped"}
_LETTERS = st.text(st.sampled_from(ALPHABET), min_size=16, max_size=16)
_LINKS = st.builds(
    lambda scheme, host, path, code, encoded: (
        quote(f"{scheme}://{host}{path}{code}", safe="") if encoded else f"{scheme}://{host}{path}{code}"
    ),
    st.sampled_from(["https", "http", "javascript", "HTTPS"]),
    st.sampled_from(["m.example.com", "evil.example.com", "m.example.com:443", "m.example.com@evil.example"]),
    st.sampled_from(["/q/", "/", "/q/../q/", "/q//"]),
    _LETTERS | st.text(max_size=20),
    st.booleans(),
)
_SCANNED = st.text(max_size=80) | _LETTERS | _LINKS | st.from_regex(r"[%0-9A-Fa-f]{1,60}", fullmatch=True)


def test_no_text_breaks_a_scan_and_none_is_taken_for_a_code_of_ours(shop: Shop) -> None:
    shopper = shop.shopper()
    shopper.login()
    client = shop.app.test_client()
    headers = {"Authorization": f"Bearer {shopper.token}"}
    shop.app.extensions["saoma.limiter"].enabled = False

    @settings(max_examples=100)
    @given(name=st.sampled_from(["code", "q", "scene"]), text=_SCANNED)
    def fuzz(name: str, text: str) -> None:
        answer = client.post(f"{API}/scans", json={name: text}, headers=headers)
        assert answer.status_code in {201, 422}, answer.text
        if answer.status_code == 201:
            assert answer.json["scan"]["outcome"] in KNOWN
            assert answer.json["next"] == "none"
        else:
            assert answer.json["code"] in {"not_a_code", "invalid_input", "bad_json"}

    fuzz()


def test_a_code_is_read_in_every_form_and_one_wrong_letter_is_noticed(shop: Shop) -> None:
    shopper = shop.shopper()
    shopper.login()
    code = shop.code()
    link = shop.link(code)
    grouped = "-".join(code[place : place + 4] for place in range(0, 16, 4))

    for body in (
        {"code": code},
        {"code": grouped.lower()},
        {"code": link},
        {"scene": code},
        {"q": link},
        {"q": quote(link, safe="")},
    ):
        assert shopper.ok("POST", "/scans", body)["scan"]["outcome"] == "ok", body
    wrong = ("1" if code[3] != "1" else "2").join([code[:3], code[4:]])
    found = shopper.ok("POST", "/scans", {"code": wrong})
    assert (found["scan"]["outcome"], found["product"], found["next"]) == ("altered", None, "none")
    assert found["scan"]["text_zh"].startswith("二维码识别有误")
    both = shopper.call("POST", "/scans", {"code": code, "q": link})
    assert (both.status_code, both.json()["errors"][0]["path"]) == (422, "body")
