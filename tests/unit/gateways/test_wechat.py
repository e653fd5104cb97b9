import json
from collections.abc import Callable

import pytest

from app.gateways.wechat import PlatformFault, WeChatApi
from tests.support.loopback import LoopbackServer


def test_get_sends_the_query_and_no_token(server: LoopbackServer) -> None:
    server.reply(200, b'{"openid": "o1"}')
    assert WeChatApi(server.url).get("/sns/x", {"appid": "wx1", "js_code": "a b"}) == {"openid": "o1"}
    assert server.seen[0].target == "/sns/x?appid=wx1&js_code=a+b"


def test_post_sends_real_utf8_and_the_token(server: LoopbackServer) -> None:
    server.reply(200, b'{"errcode": 0, "errmsg": "ok"}')
    WeChatApi(server.url).post("/wxa/x", {"name": "扫码"}, token="t1")
    assert server.seen[0].target == "/wxa/x?access_token=t1"
    assert server.seen[0].body == '{"name": "扫码"}'.encode()


def test_post_without_a_token_sends_none(server: LoopbackServer) -> None:
    server.reply(200, b'{"access_token": "t"}')
    WeChatApi(server.url).post("/cgi-bin/stable_token", {"a": 1})
    assert server.seen[0].target == "/cgi-bin/stable_token"


@pytest.mark.parametrize(
    ("status", "body", "reason", "errcode"),
    [
        (200, b'{"errcode": 40029, "errmsg": "invalid code"}', "refused", 40029),
        (200, b'{"errcode": "45009", "errmsg": "reach max"}', "refused", 45009),
        (200, b'{"errcode": -1, "errmsg": "system error"}', "refused", -1),
        (200, b"<html>", "unreadable", None),
        (200, b"[1]", "unreadable", None),
        (200, b'{"errcode": "many"}', "unreadable", None),
        (302, b"{}", "redirected", None),
        (502, b"<html>Bad Gateway</html>", "http_502", None),
        (404, b'{"errcode": 40029}', "http_404", None),
    ],
)
def test_what_is_not_an_answer_is_a_fault(
    server: LoopbackServer, status: int, body: bytes, reason: str, errcode: int | None
) -> None:
    server.reply(status, body, {"Location": "/elsewhere"} if status == 302 else None)
    with pytest.raises(PlatformFault) as caught:
        WeChatApi(server.url).get("/sns/x", {"secret": "geheim"})
    assert (caught.value.reason, caught.value.errcode) == (reason, errcode)
    assert len(server.seen) == 1


def test_a_fault_brings_nothing_of_the_request_along(server: LoopbackServer) -> None:
    faults: list[PlatformFault] = []
    calls: list[Callable[[], object]] = [
        lambda: WeChatApi("http://127.0.0.1:9").get("/sns/x", {"secret": "geheim"}),
        lambda: WeChatApi(server.url, deadline_seconds=0.2).get("/sns/x", {"secret": "geheim"}),
    ]
    server.answer = lambda _handler, _seen: __import__("time").sleep(0.5)
    for call in calls:
        with pytest.raises(PlatformFault) as caught:
            call()
        faults.append(caught.value)
    assert [fault.reason for fault in faults] == ["network", "timeout"]
    for fault in faults:
        assert fault.__context__ is None
        assert fault.__cause__ is None
        assert "geheim" not in json.dumps([repr(fault), str(fault)])
