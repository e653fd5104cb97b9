"""Message pushes: contracts 2.1 to 2.3, 13.7 and row 5 of section 8, opened by an independent SDK."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import xmltodict
from wechatpy.crypto import WeChatCrypto
from wechatpy.utils import check_signature

from tests.support.loopback import LoopbackServer, Seen, send
from tests.support.sandbox import SandboxProcess, SandboxRefusedError

APPID, TOKEN = "wxpushes0000000001", "token7"
AES_KEY = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg"


class Console(LoopbackServer):
    """The address of an app's messages: echoes, and answers pushes with `says`, one after the other."""

    def __init__(self, *says: tuple[int, bytes]) -> None:
        super().__init__()
        self.says = list(says)
        self.answer = self._answer

    @property
    def pushed(self) -> list[Seen]:
        return [seen for seen in self.seen if seen.method == "POST"]

    def _answer(self, handler: BaseHTTPRequestHandler, seen: Seen) -> None:
        if seen.method == "GET":
            send(handler, 200, _query(seen)["echostr"].encode(), {"Content-Type": "text/plain"})
            return
        status, body = self.says.pop(0) if self.says else (200, b"success")
        send(handler, status, body, {"Content-Type": "text/plain"})


def _query(seen: Seen) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(seen.target).query).items()}


def _opened(seen: Seen) -> dict[str, Any]:
    """What the SDK reads; it raises for a wrong signature, padding or receiver."""
    query, text = _query(seen), seen.body.decode()
    if text.startswith("{"):
        text = f"<xml><Encrypt>{json.loads(text)['Encrypt']}</Encrypt></xml>"
    plain = WeChatCrypto(TOKEN, AES_KEY, APPID).decrypt_message(
        text, query["msg_signature"], query["timestamp"], query["nonce"]
    )
    plain = plain.decode() if isinstance(plain, bytes) else plain
    read: dict[str, Any] = json.loads(plain) if plain.startswith("{") else xmltodict.parse(plain)["xml"]
    return read


@pytest.fixture
def app(sandbox: SandboxProcess) -> Iterator[SandboxProcess]:
    sandbox.create_app(APPID, "secret")
    return sandbox


def _save(sandbox: SandboxProcess, console: Console, format: str = "json") -> None:
    sandbox.save_console(APPID, url=f"{console.url}/messages", token=TOKEN, aes_key=AES_KEY, format=format)


@pytest.mark.parametrize("format", ["json", "xml"])
def test_a_penalty_is_signed_sealed_and_says_what_happened(app: SandboxProcess, format: str) -> None:
    with Console() as console:
        _save(app, console, format)
        check = _query(console.seen[0])
        check_signature(TOKEN, check["signature"], check["timestamp"], check["nonce"])
        pushed = app.punish(APPID, event_type=2)
        assert (pushed["taken_in"], pushed["tries"]) == (True, 1)
        said = _opened(console.pushed[0])
    assert (said["Event"], said["MsgType"], str(said["event_type"])) == ("wxa_punish_event", "event", "2")
    assert said["punish_id"] == pushed["punish_id"]
    assert isinstance(json.loads(said["detail"]), dict)


def test_it_is_tried_three_times_and_says_the_same_each_time(app: SandboxProcess) -> None:
    with Console((500, b""), (200, b"what?"), (200, b"")) as console:
        _save(app, console)
        assert app.punish(APPID) | {"punish_id": ""} == {
            "tries": 3,
            "status": 200,
            "taken_in": True,
            "punish_id": "",
        }
        first, *again = [_opened(seen) for seen in console.pushed]
        assert again == [first, first]
        console.says += [(500, b"")] * 3
        assert not app.punish(APPID)["taken_in"]
        assert len(console.pushed) == 6


def test_an_address_that_does_not_echo_is_not_saved(app: SandboxProcess) -> None:
    with LoopbackServer() as server:
        server.reply(200, b"success")
        with pytest.raises(SandboxRefusedError, match="no_echo"):
            app.save_console(APPID, url=server.url, token=TOKEN, aes_key=AES_KEY)
    for wrong in ({"aes_key": "short"}, {"format": "csv"}, {"token": ""}):
        fields = {"url": "http://127.0.0.1:9/x", "token": TOKEN, "aes_key": AES_KEY} | wrong
        with pytest.raises(SandboxRefusedError, match="bad_console"):
            app.save_console(APPID, **fields)
    with pytest.raises(SandboxRefusedError, match="no_console"):
        app.punish("wxnobody")
    with pytest.raises(SandboxRefusedError, match="bad_notify_url"):
        app.save_console(APPID, url="http://example.com/x", token=TOKEN, aes_key=AES_KEY)
