"""The platform pushes a penalty: friends' help stops, nothing lapses, an operator resumes."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy import func, select, update

from app.organisation.models import AppOldMessageKeys, AppPenalty
from app.outbox.models import InboxMessage
from app.rewards.models import Award
from tests.support.loopback import LoopbackServer
from tests.support.operators import shop_shell
from tests.support.sandbox import SandboxRefusedError
from tests.support.shop import API, APPID, Shop

TOKEN, AES_KEY = "tea7", "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
PATH = f"{API}/callbacks/messages/{APPID}"


def _connect(shop: Shop, run: Any, monkeypatch: pytest.MonkeyPatch, format: str = "json") -> None:
    """Set both ends up, as an operator does: here first, then in the platform's console."""
    monkeypatch.setenv("MESSAGE_TOKEN", TOKEN)
    monkeypatch.setenv("MESSAGE_KEY", AES_KEY)
    said = run("apps", "messages", APPID, "--token-env", "MESSAGE_TOKEN", "--key-env", "MESSAGE_KEY")
    address = said.stdout.strip().removeprefix("address: ")
    assert address.endswith(PATH)
    shop.sandbox.save_console(APPID, url=address, token=TOKEN, aes_key=AES_KEY, format=format)


def _count(shop: Shop, table: Any) -> int:
    with shop.container.db.read() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


@pytest.mark.parametrize("format", ["json", "xml"])
def test_a_penalty_pauses_help_until_an_operator_resumes(
    embedded_shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: str
) -> None:
    shop = embedded_shop
    run = shop_shell(shop, tmp_path, monkeypatch)
    _connect(shop, run, monkeypatch, format)
    shopper, friend = shop.shopper().member(), shop.shopper().member()
    award = shopper.win()
    locked = shop.container.public_ids.decode("aw", award["id"])
    with shop.container.db.engine.begin() as connection:
        connection.execute(update(Award).where(Award.id == locked).values(unlock_helpers=1))
    path = f"/awards/{award['id']}/help-link"
    body = {"token": shopper.ok("GET", path)["token"]}
    friend.win()

    pushed = shop.sandbox.punish(APPID, punish_id="case-1")
    assert (pushed["taken_in"], pushed["tries"]) == (True, 1)
    assert shop.sandbox.punish(APPID, punish_id="case-1")["taken_in"], "a repeat is answered like the first"
    shop.drain()
    assert friend.call("POST", "/helps", body).json()["code"] == "help_paused"
    assert shopper.get(path).json()["code"] == "help_paused"
    (alert,) = json.loads(run("alerts", "list", "--json").stdout)
    assert (alert["kind"], alert["subject"]) == ("app.penalty", APPID)
    (row,) = json.loads(run("apps", "penalties", "--json").stdout)
    assert (row["kind"], row["resumed"]) == ("warning", None)

    run("apps", "resume", APPID, "--reason", "page mended")
    assert "[nothing_paused]" in run("apps", "resume", APPID, "--reason", "again", ok=False).stderr
    shop.sandbox.punish(APPID, punish_id="case-1")
    shop.drain()
    assert friend.ok("POST", "/helps", body) == {"helped": True}
    assert json.loads(run("alerts", "list", "--json").stdout) == []
    trail = json.loads(run("audit", "list", "--json").stdout)
    assert "app.resumed" in {entry["act"] for entry in trail}
    assert TOKEN not in json.dumps(trail)
    assert AES_KEY not in json.dumps(trail)


def test_what_is_no_penalty_or_not_genuine_changes_nothing(
    embedded_shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = embedded_shop
    address = f"https://m.example.com{PATH}"
    with pytest.raises(SandboxRefusedError, match="no_echo"):
        shop.sandbox.save_console(APPID, url=address, token=TOKEN, aes_key=AES_KEY)
    _connect(shop, shop_shell(shop, tmp_path, monkeypatch), monkeypatch)
    with pytest.raises(SandboxRefusedError, match="no_echo"):
        shop.sandbox.save_console(APPID, url=address, token="another", aes_key=AES_KEY)

    assert shop.sandbox.push(APPID, {"Event": "a_kind_of_tomorrow"})["taken_in"]
    shop.drain()
    assert (_count(shop, InboxMessage), _count(shop, AppPenalty)) == (1, 0)
    stale = shop.sandbox.push(APPID, {"Event": "wxa_punish_event", "punish_id": "old"}, age_seconds=3600)
    assert (stale["taken_in"], stale["tries"], stale["status"]) == (False, 3, 401)

    with LoopbackServer() as server:
        server.reply(200, b"success")
        shop.sandbox.settings(product_url=server.url)
        shop.sandbox.punish(APPID, punish_id="caught")
        shop.sandbox.settings(product_url=shop.url)
        caught = server.seen[0]
    where = shop.url + caught.target
    kind = {"Content-Type": "application/json"}
    forged = [
        (where.replace("msg_signature=", "msg_signature=0"), caught.body),
        (where.replace(APPID, "wx_nobody"), caught.body),
        (where, caught.body.replace(b'"Encrypt": "', b'"Encrypt": "A')),
        (where, json.dumps({"Event": "wxa_punish_event", "punish_id": "open"}).encode()),
    ]
    for url, body in forged:
        assert requests.post(url, data=body, headers=kind, timeout=10).status_code in (401, 404)
    shop.drain()
    assert _count(shop, AppPenalty) == 0
    for _ in range(3):
        again = requests.post(where, data=caught.body, headers=kind, timeout=10)
        assert (again.status_code, again.text) == (200, "success")
    shop.drain()
    assert (_count(shop, InboxMessage), _count(shop, AppPenalty)) == (2, 1)


NEW_TOKEN, NEW_KEY = "tea8", AES_KEY[::-1]


def _exchange(run: Any, monkeypatch: pytest.MonkeyPatch, token: str, key: str, *more: str) -> str:
    monkeypatch.setenv("MESSAGE_TOKEN", token)
    monkeypatch.setenv("MESSAGE_KEY", key)
    names = ("--token-env", "MESSAGE_TOKEN", "--key-env", "MESSAGE_KEY")
    said: str = run("apps", "messages", APPID, *names, *more).stdout
    return said


@pytest.mark.parametrize(
    ("token", "key"),
    [(NEW_TOKEN, NEW_KEY), (TOKEN, NEW_KEY), (NEW_TOKEN, AES_KEY)],
    ids=["both", "key", "token"],
)
def test_what_is_pushed_with_the_keys_of_before_the_exchange_counts(
    embedded_shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, token: str, key: str
) -> None:
    shop = embedded_shop
    run = shop_shell(shop, tmp_path, monkeypatch)
    _connect(shop, run, monkeypatch)
    assert "the former ones count until" in _exchange(run, monkeypatch, token, key)
    # The console still has the former pair, for its check of the address and for what it pushes.
    address = f"https://m.example.com{PATH}"
    shop.sandbox.save_console(APPID, url=address, token=TOKEN, aes_key=AES_KEY)
    assert shop.sandbox.punish(APPID, punish_id="before")["taken_in"]
    shop.sandbox.save_console(APPID, url=address, token=token, aes_key=key)
    assert shop.sandbox.punish(APPID, punish_id="after")["taken_in"]
    shop.drain()
    assert _count(shop, AppPenalty) == 2

    shop.sandbox.save_console(APPID, url=address, token=TOKEN, aes_key=AES_KEY)
    over = shop.container.clock.now() - timedelta(seconds=1)
    with shop.container.db.engine.begin() as connection:
        connection.execute(update(AppOldMessageKeys).values(until=over))
    refused = shop.sandbox.punish(APPID, punish_id="too late")
    assert not refused["taken_in"]
    assert refused["status"] in {401, 409, 422}
    shop.drain()
    assert _count(shop, AppPenalty) == 2


def test_a_pair_that_has_leaked_counts_no_more(
    embedded_shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = embedded_shop
    run = shop_shell(shop, tmp_path, monkeypatch)
    _connect(shop, run, monkeypatch)
    assert "former" not in _exchange(run, monkeypatch, NEW_TOKEN, NEW_KEY, "--at-once")
    assert (refused := shop.sandbox.punish(APPID, punish_id="forged"))["status"] == 401, refused
    trail = json.dumps(json.loads(run("audit", "list", "--json").stdout))
    assert not any(word in trail for word in (NEW_TOKEN, NEW_KEY, AES_KEY))
