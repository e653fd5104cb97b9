"""Goods over HTTP and from the shell: an address and a tracking number, or a code shown in a store."""

import csv
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.cli.main import saoma
from app.db import secrets
from app.db.secrets import KeyRing
from app.http.models import IdempotencyKey
from app.ledger.models import AccountKind, Asset
from app.ledger.operations import Transfer, ensure_account, post
from app.organisation.operations import save_dealer, save_store
from app.rewards import operations as rewards
from app.rewards.models import AwardKind, DeliveryWay
from app.rewards.new_award import NewAward
from tests.support.operators import enter, operators_environment
from tests.support.product import environment
from tests.support.shop import Shop, Shopper

HOME = {"receiver": "=李雷", "phone": "138 0000 1234", "region": "310115", "address": "世纪大道 1 号"}


@pytest.fixture
def run(
    shop: Shop, mariadb_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Result]:
    """The command on the shop's database."""
    for name, value in {**environment(mariadb_url, tmp_path), **operators_environment(tmp_path)}.items():
        monkeypatch.setenv(name, value)

    def call(*arguments: str, ok: bool = True) -> Result:
        result = CliRunner().invoke(saoma, list(arguments))
        secrets.bind(KeyRing({1: bytes(range(32))}))
        assert result.exit_code == (0 if ok else 2), result.output
        return result

    enter(call)
    return call


def _win(shop: Shop, shopper: Shopper) -> dict[str, str]:
    person = shop.container.public_ids.decode("pe", shopper.login()["person"]["id"])
    now, brand = shop.container.clock.now(), shop.ids["brand"]

    def grant(session: Session) -> int:
        kinds = {"stock": AccountKind.GUARDED, "supply": AccountKind.OPEN, "awarded": AccountKind.OPEN}
        accounts = {
            purpose: ensure_account(
                session, kind=kind, asset=Asset.STOCK, purpose=purpose, owner_id=1, brand_id=brand, now=now
            )
            for purpose, kind in kinds.items()
        }
        post(session, [Transfer(f"in:{person}", accounts["supply"], accounts["stock"], 1, "in", 1)], now=now)
        award = NewAward(
            brand_id=brand,
            campaign_id=shop.ids["campaign"],
            draw_id=person,
            person_id=person,
            kind=AwardKind.GOODS,
            delivery=DeliveryWay.EITHER,
            name_zh="保温杯",
            name_en="A cup",
            deadline_at=now + timedelta(days=30),
            stock=accounts["stock"],
            awarded=accounts["awarded"],
        )
        return rewards.grant(session, award=award, now=now).id

    return {"id": shop.container.public_ids.encode("aw", shop.container.db.transact(grant))}


def test_goods_are_sent_and_their_winner_sees_the_number(
    shop: Shop, run: Callable[..., Result], tmp_path: Path
) -> None:
    shopper = shop.shopper().member()
    award = _win(shop, shopper)
    assert shopper.collect(award).json()["code"] == "way_wanted"
    path = f"/awards/{award['id']}/address"
    bad = shopper.call("POST", path, {**HOME, "phone": "12"}, key="address-0")
    assert (bad.status_code, bad.json()["code"]) == (409, "bad_address")
    given = shopper.ok("POST", path, HOME, key="address-1")
    assert given["award"]["state"] == "locked"
    assert given["parcel"] == {"state": "asked", "courier": None, "tracking_no": None}
    assert shop.shopper().member().call("POST", path, HOME, key="address-2").status_code == 404

    listed = run("goods", "list", "tea/scan").output
    assert award["id"] in listed
    file = tmp_path / "parcels.csv"
    run("goods", "export", "tea/scan", "--into", str(file))
    assert file.stat().st_mode & 0o077 == 0
    (row,) = csv.DictReader(file.read_text(encoding="utf-8-sig").splitlines())
    assert (row["receiver"], row["phone"], row["address"]) == ("'=李雷", "+8613800001234", HOME["address"])
    fixed = shopper.call("POST", path, HOME, key="address-3")
    assert fixed.json()["code"] == "address_fixed"
    run("goods", "send", award["id"], "--courier", "SF", "--tracking", "SF1234567890")
    found = shopper.ok("GET", f"/awards/{award['id']}")
    assert found["award"]["state"] == "fulfilled"
    assert found["parcel"] == {"state": "sent", "courier": "SF", "tracking_no": "SF1234567890"}

    with shop.container.db.read() as session:
        stored: list[Any] = list(session.scalars(select(IdempotencyKey.answer)))
    trail = run("audit", "list", "--json").stdout
    assert "goods.exported" in trail
    for word in ("李雷", "13800001234", "世纪大道"):
        assert word not in listed + trail + str(stored)


def test_goods_are_fetched_with_a_code_once(shop: Shop, run: Callable[..., Result]) -> None:
    def stores(session: Session) -> None:
        now = shop.container.clock.now()
        save_dealer(session, code="D-1", name="East", regions=["310000"], now=now)
        save_store(session, code="S-1", name="Pudong", region="310115", dealer_code="D-1", now=now)

    shop.container.db.transact(stores)
    shopper = shop.shopper().member()
    award = _win(shop, shopper)
    path = f"/awards/{award['id']}/redemption-code"
    shown = shopper.ok("GET", path)
    assert shown["svg"].startswith("<svg")
    assert shop.shopper().member().get(path).status_code == 404
    assert "bad_redemption_code" in run("goods", "redeem", "R1WRONG", "--store", "S-1", ok=False).output
    run("goods", "redeem", shown["code"], "--store", "S-1")
    again = run("goods", "redeem", shown["code"], "--store", "S-1", ok=False)
    assert "already_fulfilled" in again.output
    assert shopper.get(path).json()["code"] == "not_delivered"
    assert shopper.ok("GET", f"/awards/{award['id']}")["parcel"]["state"] == "handed_over"
