"""Callbacks of WeChat Pay: the genuine one counts once, every other changes nothing."""

import base64
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
import requests
import time_machine
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.db.base import Base
from app.payouts.models import Payer
from app.payouts.operations import save_payer
from tests.factories.prizes import payer_details
from tests.support.loopback import LoopbackServer, Seen
from tests.support.sandbox import new_private_key, public_key_of
from tests.support.shop import API, MCHID, OLGA, Shop, Shopper

PATH = f"{API}/callbacks/pay/{MCHID}"


def _everything(shop: Shop) -> dict[str, list[Any]]:
    """Every row of every table."""
    with shop.container.db.engine.connect() as connection:
        return {
            table.name: sorted(map(repr, connection.execute(select(table)).all()))
            for table in Base.metadata.sorted_tables
        }


@contextmanager
def _intercepted(shop: Shop) -> Iterator[LoopbackServer]:
    """Let the platform's callbacks end here instead of at the product."""
    with LoopbackServer() as server:
        server.reply(204, b"")
        shop.sandbox.settings(product_url=server.url)
        yield server
        shop.sandbox.settings(product_url=shop.url)


def _genuine(shop: Shop, *, fail_reason: str = "") -> tuple[Shopper, dict[str, Any], Seen]:
    """A shopper who has confirmed, the award, and the callback that nobody has had yet."""
    shopper = shop.shopper().member()
    award = shopper.win()
    transfer = shopper.collect(award).json()["transfer"]
    with _intercepted(shop) as server:
        shop.sandbox.confirm(shopper.id, **transfer, fail_reason=fail_reason)
        end = time.monotonic() + 10
        while not server.seen and time.monotonic() < end:
            time.sleep(0.02)
        return shopper, award, server.seen[0]


def _send(shop: Shop, seen: Seen, *, path: str = PATH, body: bytes | None = None, **headers: str) -> int:
    kept = {
        name: value for name, value in seen.headers.items() if name.lower() not in {"host", "content-length"}
    }
    answer = requests.post(
        shop.url + path, data=seen.body if body is None else body, headers={**kept, **headers}, timeout=10
    )
    answer.close()
    if answer.status_code >= 400:
        assert answer.headers["Content-Type"] == "application/problem+json"
    return answer.status_code


def test_a_genuine_callback_is_answered_at_once_and_acted_on_by_our_own_loop(shop: Shop) -> None:
    shopper, award, seen = _genuine(shop)

    assert seen.target == PATH
    assert _send(shop, seen) == 204
    assert shopper.award(award)["state"] == "locked"
    shop.drain()
    assert shopper.award(award)["state"] == "fulfilled"


def test_a_repeated_callback_is_answered_alike_and_changes_nothing_more(shop: Shop) -> None:
    shopper, award, seen = _genuine(shop)
    assert [_send(shop, seen) for _ in range(3)] == [204] * 3
    shop.drain()
    before = _everything(shop)

    assert _send(shop, seen) == 204
    shop.drain()
    after = _everything(shop)
    # That it came again is counted, on its own row.
    assert {name for name in after if after[name] != before[name]} == {"inbox_messages"}
    assert len(after["inbox_messages"]) == 1
    assert shopper.award(award)["state"] == "fulfilled"
    assert shop.faults_of_the_books() == []


def test_news_of_a_failure_opens_the_award_for_another_try(shop: Shop) -> None:
    shopper, award, seen = _genuine(shop, fail_reason="ACCOUNT_FROZEN")
    _send(shop, seen)
    shop.drain()

    assert shopper.award(award)["state"] == "collectible"
    again = shopper.collect(award)
    assert again.status_code == 200
    shopper.confirm(again.json()["transfer"])
    shopper.wait_for(award, "fulfilled")
    assert shopper.balance_fen() == 100


def _flip(text: str) -> str:
    raw = bytearray(base64.b64decode(text))
    raw[-1] ^= 1
    return base64.b64encode(bytes(raw)).decode()


def test_forged_callbacks_change_nothing(shop: Shop) -> None:
    shopper, award, seen = _genuine(shop)
    before = _everything(shop)
    names = {name.lower(): name for name in seen.headers}
    signature, nonce = names["wechatpay-signature"], names["wechatpay-nonce"]
    stamp, serial = names["wechatpay-timestamp"], names["wechatpay-serial"]
    document = json.loads(seen.body)
    document["resource"]["nonce"] = "AAAAAAAAAAAA"

    statuses = [
        _send(shop, seen, **{signature: _flip(seen.headers[signature])}),
        _send(shop, seen, **{signature: "WECHATPAY/SIGNTEST/" + seen.headers[signature]}),
        _send(shop, seen, **{signature: ""}),
        _send(shop, seen, **{nonce: "another"}),
        _send(shop, seen, **{stamp: str(int(seen.headers[stamp]) + 1)}),
        _send(shop, seen, **{stamp: "soon"}),
        _send(shop, seen, **{serial: "PUB_KEY_ID_9999"}),
        _send(shop, seen, body=json.dumps(document).encode()),
        _send(shop, seen, body=seen.body + b" "),
        _send(shop, seen, body=b""),
        _send(shop, Seen("POST", PATH, {"Content-Type": "application/json"}, seen.body)),
    ]

    assert statuses == [401] * len(statuses)
    assert _send(shop, seen, path=f"{API}/callbacks/pay/1900000000") == 404
    assert _send(shop, seen, body=b"x" * 70_000) == 413
    shop.drain()
    assert _everything(shop) == before
    assert shopper.award(award)["state"] == "locked"


@pytest.mark.parametrize("minutes", [6, -6])
def test_a_stale_callback_changes_nothing(shop: Shop, minutes: int) -> None:
    _shopper, _award, seen = _genuine(shop)
    before = _everything(shop)
    moment = shop.container.clock.now() + timedelta(minutes=minutes)
    with time_machine.travel(moment, tick=True):
        status = _send(shop, seen)

    assert status == 401
    assert _everything(shop) == before


def test_the_platforms_own_signature_tests_are_refused(shop: Shop) -> None:
    probed = shop.sandbox.probe(MCHID, f"https://m.example.com{PATH}")

    assert probed["refused"] is True


def test_callbacks_that_come_twice_late_and_out_of_order_pay_once(shop: Shop) -> None:
    shop.sandbox.fault("*", "duplicate_callback", times=4)
    shop.sandbox.fault("*", "reorder_callback", times=2)
    shoppers = [shop.shopper().member() for _ in range(3)]
    awards = [shopper.win() for shopper in shoppers]
    for shopper, award in zip(shoppers, awards, strict=True):
        shopper.confirm(shopper.collect(award).json()["transfer"])

    for shopper, award in zip(shoppers, awards, strict=True):
        shopper.wait_for(award, "fulfilled")
        assert shopper.balance_fen() == 100
    assert shop.faults_of_the_books() == []


_HEADERS = st.dictionaries(
    st.sampled_from(
        ["Wechatpay-Signature", "Wechatpay-Nonce", "Wechatpay-Timestamp", "Wechatpay-Serial", "Content-Type"]
    ),
    st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=40),
)
_BODY = st.one_of(
    st.binary(max_size=300),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=9),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["id", "resource", "ciphertext", "event_type"]), inner, max_size=4
            )
        ),
        max_leaves=6,
    ).map(lambda value: json.dumps(value).encode()),
)


def test_no_made_up_callback_is_believed_or_breaks_anything(shop: Shop) -> None:
    client = shop.app.test_client()
    before = _everything(shop)

    @settings(max_examples=60)
    @given(headers=_HEADERS, body=_BODY)
    def fuzz(headers: dict[str, str], body: bytes) -> None:
        answer = client.post(PATH, data=body, headers=headers)
        assert answer.status_code in {401, 422}
        assert answer.content_type == "application/problem+json"

    fuzz()
    assert _everything(shop) == before


@pytest.mark.parametrize("changed", ["public key", "APIv3 key", "both"])
def test_a_callback_with_the_keys_of_before_the_exchange_counts(shop: Shop, changed: str) -> None:
    shopper, award, seen = _genuine(shop)
    now, merchant = shop.container.clock.now(), shop.merchant
    fresh: dict[str, str] = {}
    if changed != "APIv3 key":
        fresh |= {"public_key_id": "PUB_KEY_ID_NEW", "public_key": public_key_of(new_private_key())}
    details = payer_details(
        (shop.ids["app"],),
        **{
            "mchid": merchant.mchid,
            "serial_no": merchant.serial_no,
            "private_key": merchant.private_key_pem,
            "apiv3_key": merchant.apiv3_key if changed == "public key" else "n" * 32,
            "public_key_id": merchant.platform_public_key_id,
            "public_key": merchant.platform_public_key_pem,
            **fresh,
        },
    )

    def exchange(session: Session) -> None:
        save_payer(session, payer=details, now=now, actor=OLGA)

    shop.container.db.transact(exchange)

    assert _send(shop, seen, body=seen.body + b" ") == 401
    assert _send(shop, seen) == 204
    shopper.wait_for(award, "fulfilled")


def test_without_keys_of_before_the_same_callback_is_refused(shop: Shop) -> None:
    _, _, seen = _genuine(shop)

    def exchange(session: Session) -> None:
        session.execute(update(Payer).values(public_key_id="PUB_KEY_ID_NEW"))

    shop.container.db.transact(exchange)

    assert _send(shop, seen) == 401
