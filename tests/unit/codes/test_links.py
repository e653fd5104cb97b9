"""What comes back when somebody scans: bare codes, scene, q; everything else is refused."""

from contextlib import suppress
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.codes.errors import NotACode
from app.codes.format import CodeKeys
from app.codes.links import MAX_LINK, CodeLink

LINK = CodeLink("https://codes.example.com/q/")
CODE = "1BC3089MEPAVTQXC"


@pytest.mark.parametrize(
    "text",
    [
        CODE,
        f"  {CODE}\n",
        LINK.url(CODE),
        quote(LINK.url(CODE), safe=""),
        quote(LINK.url(CODE), safe="").lower().replace(CODE.lower(), CODE),
        f"HTTPS://Codes.Example.Com/q/{CODE}",
        f"https://codes.example.com/q/{CODE}?from=groupmessage",
        quote(f"https://codes.example.com/q/{CODE}?a=b&c=d#top", safe=""),
    ],
)
def test_the_code_is_found(text: str) -> None:
    assert LINK.extract(text) == CODE


@pytest.mark.parametrize(
    "text",
    [
        f"http://codes.example.com/q/{CODE}",
        f"https://evil.example.com/q/{CODE}",
        f"https://codes.example.com.evil.cn/q/{CODE}",
        f"https://codes.example.com@evil.cn/q/{CODE}",
        f"https://user@codes.example.com/q/{CODE}",
        f"https://codes.example.com:8443/q/{CODE}",
        f"https://codes.example.com/p/{CODE}",
        f"https://codes.example.com/q/x/{CODE}",
        f"https://codes.example.com/q/../q/{CODE}",
        f"https://codes.example.com//q/{CODE}",
        f"https://codes.example.com/{CODE}",
        f"https://codes.example.com\\q\\{CODE}",
        f"https://codes.example.com/q/{CODE[:8]}\n{CODE[8:]}",
        f"https://codes.example.com/q/{CODE[:8]} {CODE[8:]}",
        "https://codes.example.com/q/",
        "https://codes.example.com/q",
        "https://[codes.example.com/q/A",
        "https:",
        "https://",
        "https%3A%2F%2Fcodes.example.com%2Fq%2F" + "A" * 65,
        "https%3A%2F%2F%ff%fe",
        "",
        "A" * (MAX_LINK + 1),
        "A" * 65,
    ],
)
def test_what_is_not_ours_is_refused(text: str) -> None:
    with pytest.raises(NotACode) as refusal:
        LINK.extract(text)
    assert refusal.value.code == "not_a_code"


def test_q_is_decoded_once_only() -> None:
    once = quote("https://codes.example.com/q/%31BC3089MEPAVTQXC", safe="")
    assert LINK.extract(once) == "%31BC3089MEPAVTQXC"
    twice = quote(quote(LINK.url(CODE), safe=""), safe="")
    assert LINK.extract(twice) == twice  # no link to us: taken for a code, which it is not
    with pytest.raises(NotACode):
        CodeKeys(bytes(32)).parse(twice)


@given(
    st.text(max_size=60)
    | st.text(max_size=40).map(lambda rest: "https://codes.example.com/q/" + rest)
    | st.text(max_size=40).map(lambda rest: "https%3A%2F%2Fcodes.example.com" + rest)
    | st.text("https:/%3AF2[]@codes.example.com?#q\\ \t\x00中", max_size=60)
)
def test_any_text_gives_a_bounded_code_or_a_domain_error(text: str) -> None:
    with suppress(NotACode):
        assert 0 < len(LINK.extract(text)) <= 64


def test_a_prefix_may_carry_a_port_and_a_longer_path() -> None:
    link = CodeLink("https://localhost:8443/brand/q/")
    assert link.url(CODE) == f"https://localhost:8443/brand/q/{CODE}"
    assert link.extract(link.url(CODE)) == CODE


@pytest.mark.parametrize(
    "prefix",
    [
        "http://codes.example.com/q/",
        "https://codes.example.com/q",
        "https://codes.example.com/q/?c=",
        "https:///q/",
        "codes.example.com/q/",
        "",
        'https://codes.example.com/"q/',
        "https://codes.example.com/a,b/",
        "https://用.example.com/q/",
        "https://user@codes.example.com/q/",
        "https://codes.example.com/" + "q" * 120 + "/",
    ],
)
def test_a_prefix_that_cannot_work_is_refused(prefix: str) -> None:
    with pytest.raises(ValueError, match="a link prefix"):
        CodeLink(prefix)
