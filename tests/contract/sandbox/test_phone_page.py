"""The shopper's phone: the page, the relay to the product, and the reading of photographs."""

import io
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import qrcode
import requests
from PIL import Image

from tests.support.sandbox import ROOT, SandboxProcess, SandboxRefusedError

STATIC = ROOT / "sandbox" / "static"
SCRIPTS = sorted(STATIC.glob("*.js"))


def test_the_page_is_served_with_everything_that_it_names(
    sandbox: SandboxProcess, http: requests.Session
) -> None:
    page = http.get(f"{sandbox.base_url}/phone", timeout=10)
    home = http.get(f"{sandbox.base_url}/", timeout=10)

    assert home.url == page.url
    assert page.headers["Content-Type"].startswith("text/html")
    named = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    imported = [
        f"/phone/{name[2:]}"
        for script in SCRIPTS
        for name in re.findall(r'from "([^"]+)"', script.read_text())
    ]
    assert len(named) >= 3
    for path in {*named, *imported}:
        assert path.startswith("/phone/")
        assert http.get(sandbox.base_url + path, timeout=10).status_code == 200, path


def test_nothing_comes_from_elsewhere_and_nothing_inline_runs(
    sandbox: SandboxProcess, http: requests.Session
) -> None:
    page = http.get(f"{sandbox.base_url}/phone", timeout=10)
    policy = page.headers["Content-Security-Policy"]

    assert policy.startswith("default-src 'self'")
    assert "unsafe" not in policy
    assert not re.search(r"<script(?![^>]*src=)|<style|\son\w+=", page.text)
    for file in STATIC.iterdir():
        text = file.read_text()
        assert not re.search(r"https?://(?!www\.w3\.org)", text), file.name


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_no_script_turns_text_into_markup(script: Any) -> None:
    forbidden = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|srcdoc"

    assert not re.search(forbidden, script.read_text())


def test_every_word_is_there_in_both_languages() -> None:
    text = (STATIC / "words.js").read_text()
    chinese, _, english = text.partition("  en: {")
    keys = [re.findall(r"^    (\w+):", half, re.MULTILINE) for half in (chinese, english)]
    used = {
        word
        for source in [*SCRIPTS, ROOT / "sandbox" / "templates" / "phone.html"]
        for word in re.findall(r'\bword\("(\w+)"\)|data-word="(\w+)"|\bword: "(\w+)"', source.read_text())
        for word in word
        if word
    }

    assert keys[0] == keys[1]
    assert len(set(keys[0])) == len(keys[0])
    assert used <= set(keys[0])


class Echo(BaseHTTPRequestHandler):
    """A product that says what it was asked."""

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length).decode()
        answer = {"method": self.command, "path": self.path, "headers": dict(self.headers), "body": body}
        payload = json.dumps(answer).encode()
        self.send_response(302 if self.path == "/away" else 409 if self.path == "/refused" else 200)
        if self.path == "/away":
            self.send_header("Location", "http://127.0.0.1:1/")
        self.send_header("Content-Type", "application/problem+json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def product(sandbox: SandboxProcess) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        origin = f"http://127.0.0.1:{server.server_port}"
        sandbox.settings(product_url=origin)
        yield origin
        server.shutdown()
        thread.join()


def relay(sandbox: SandboxProcess, **fields: Any) -> dict[str, Any]:
    return sandbox._admin("POST", "/relay", fields)


def test_the_relay_carries_a_request_to_the_product_and_the_answer_back(
    sandbox: SandboxProcess, product: str
) -> None:
    answer = relay(
        sandbox,
        method="POST",
        path="/miniprogram/v1/draws?a=%20b",
        headers={"Authorization": "Bearer t", "Idempotency-Key": "12345678"},
        body='{"scan":"码"}',
    )

    assert answer["status"] == 200
    assert answer["ms"] > 0
    asked = answer["body"]
    assert (asked["method"], asked["path"]) == ("POST", "/miniprogram/v1/draws?a=%20b")
    assert asked["body"] == '{"scan":"码"}'
    assert asked["headers"]["Authorization"] == "Bearer t"
    assert asked["headers"]["Idempotency-Key"] == "12345678"
    assert asked["headers"]["Content-Type"] == "application/json"
    assert relay(sandbox, path="/refused")["status"] == 409
    assert relay(sandbox, path="/").get("status") == 200


def test_the_relay_does_not_follow_the_product_away(sandbox: SandboxProcess, product: str) -> None:
    answer = relay(sandbox, path="/away")

    assert answer["status"] == 302
    assert answer["headers"]["Location"] == "http://127.0.0.1:1/"


@pytest.mark.parametrize(
    "fields",
    [
        {"path": "http://evil.example/"},
        {"path": "//evil.example/"},
        {"path": "/\\evil.example"},
        {"path": "@evil.example"},
        {"path": ""},
        {"path": "/a b"},
        {"path": "/a\r\nHost: evil"},
        {"path": "/码"},
        {"path": "/", "method": "CONNECT"},
        {"path": "/", "headers": {"Host": "evil.example"}},
        {"path": "/", "headers": {"X-Forwarded-For": "1.2.3.4"}},
        {"path": "/", "headers": {"Authorization": "a\r\nHost: evil"}},
        {"path": "/", "origin": "http://evil.example"},
    ],
    ids=str,
)
def test_the_relay_goes_nowhere_else(sandbox: SandboxProcess, product: str, fields: dict[str, Any]) -> None:
    with pytest.raises(SandboxRefusedError) as caught:
        relay(sandbox, **fields)

    assert caught.value.status == 422


def test_a_product_that_is_not_there_is_named(sandbox: SandboxProcess) -> None:
    sandbox.settings(product_url="http://127.0.0.1:1")

    with pytest.raises(SandboxRefusedError, match="product_unreachable"):
        relay(sandbox, path="/healthz")


def picture(text: str, kind: str, angle: int = 0) -> bytes:
    code = qrcode.QRCode(border=4)
    code.add_data(text)
    image = code.make_image().get_image().convert("RGB").resize((420, 420))
    canvas = Image.new("RGB", (900, 700), (120, 140, 130))
    canvas.paste(image.rotate(angle, expand=True, fillcolor=(255, 255, 255)), (150, 60))
    stream = io.BytesIO()
    canvas.save(stream, kind)
    return stream.getvalue()


@pytest.mark.parametrize(("kind", "angle"), [("PNG", 0), ("JPEG", 13), ("WEBP", 90)])
def test_a_photographed_code_is_read(
    sandbox: SandboxProcess, http: requests.Session, kind: str, angle: int
) -> None:
    text = "https://s.example/q/7K3M9QXAT4W2RB2C"
    response = http.post(
        f"{sandbox.base_url}/_sandbox/decode",
        data=picture(text, kind, angle),
        headers={"Content-Type": f"image/{kind.lower()}"},
        timeout=10,
    )

    assert response.json() == {"texts": [text]}


def test_a_photo_without_a_code_reads_as_nothing(sandbox: SandboxProcess, http: requests.Session) -> None:
    stream = io.BytesIO()
    Image.new("RGB", (300, 300), (200, 30, 30)).save(stream, "PNG")
    url, headers = f"{sandbox.base_url}/_sandbox/decode", {"Content-Type": "image/png"}

    assert http.post(url, data=stream.getvalue(), headers=headers, timeout=10).json() == {"texts": []}


def huge_picture() -> bytes:
    stream = io.BytesIO()
    Image.new("1", (12_000, 12_000)).save(stream, "PNG")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content_type", "content", "status"),
    [
        ("image/png", b"nonsense", 422),
        ("image/png", b"", 422),
        ("image/png", picture("x", "PNG")[:500], 422),
        ("image/svg+xml", b"<svg/>", 415),
        ("text/plain", b"x", 415),
        ("image/png", b"x" * 10_000_001, 413),
        ("image/png", huge_picture(), 413),
    ],
    ids=["nonsense", "empty", "torn", "svg", "text", "too many bytes", "too many pixels"],
)
def test_what_is_not_a_decent_photo_is_refused(
    sandbox: SandboxProcess, http: requests.Session, content_type: str, content: bytes, status: int
) -> None:
    url = f"{sandbox.base_url}/_sandbox/decode"
    response = http.post(url, data=content, headers={"Content-Type": content_type}, timeout=20)

    assert response.status_code == status
    assert response.json()["message"]
