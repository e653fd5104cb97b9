"""Somebody who works in a store scans the cases that come in, over HTTP and set up from the shell."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.campaigns import funding
from app.campaigns import operations as campaigns
from app.codes.queries import print_pack
from app.incentives import operations, queries
from app.members.models import JoinManner, Member
from app.payouts.models import Payer
from tests.factories.campaigns import SEED, document, money, pool
from tests.factories.store_world import POINTS, set_up
from tests.support.operators import shell
from tests.support.shop import OLGA, Shop, Shopper


def _cases(shop: Shop) -> list[str]:
    """Make cases, of which the first went to the store's dealer and the second elsewhere; set a reward."""
    container = shop.container
    now = container.clock.now()
    batch_id = container.db.transact(lambda session: set_up(session, shop.ids["product"], now))
    container.db.transact(
        lambda session: operations.set_reward(
            session,
            brand_id=shop.ids["brand"],
            points=POINTS,
            starts_at=now - timedelta(hours=1),
            ends_at=now + timedelta(days=1),
            actor=OLGA,
            now=now,
        )
    )
    with container.db.read() as session:
        pack = print_pack(session, book=container.code_book, batch_id=batch_id, now=now)
        return [pack.code(0), pack.code(10)]


def _employ(shop: Shop, clerk: Shopper, store: str = "S-1") -> None:
    container = shop.container
    person_id = container.public_ids.decode("pe", clerk.ok("GET", "/me")["person"]["id"])
    container.db.transact(
        lambda session: operations.register(
            session, person_id=person_id, store_code=store, actor=OLGA, now=container.clock.now()
        )
    )


def test_a_case_earns_points_once_and_says_so(shop: Shop) -> None:
    cases = _cases(shop)
    shopper, clerk = shop.shopper().member(), shop.shopper().member()
    assert shopper.scan(cases[0])["staff_reward"] is None
    _employ(shop, clerk)

    first = clerk.scan(cases[0])
    assert (first["scan"]["outcome"], first["next"], first["award"]) == ("package", "none", None)
    assert (first["staff_reward"]["outcome"], first["staff_reward"]["points"]) == ("granted", POINTS)
    assert clerk.scan(cases[0])["staff_reward"]["outcome"] == "granted_before"
    assert clerk.scan(cases[1])["staff_reward"] == {
        "outcome": "not_for_store",
        "points": 0,
        "text_zh": "这一箱不是发往您门店所属经销商的，没有积分。",
        "text_en": "This case was not shipped to your store's dealer and earns no points.",
    }
    assert clerk.ok("GET", "/points") == {"points": POINTS}
    with shop.container.db.read() as session:
        seen = [(it.store, it.shipped_to, it.points) for it in queries.cases(session)]
    assert sorted(seen) == [("S-1", "EAST", POINTS), ("S-1", "SOUTH", 0)], "who has which case (CODE-03)"
    (entry,) = clerk.ok("GET", "/points/entries")["items"]
    assert (entry["manner"], entry["points"]) == ("staff_case", POINTS)
    assert shop.faults_of_the_books() == []


def test_who_joins_in_a_store_keeps_it_and_whoever_recruited_them(shop: Shop) -> None:
    """JOIN-18: for ever, also when that person goes to another store."""
    _cases(shop)
    clerk = shop.shopper().member()
    refused = clerk.get("/me/code?purpose=recruit")
    assert (refused.status_code, refused.json()["code"]) == (404, "not_store_staff")
    _employ(shop, clerk)
    code = clerk.ok("GET", "/me/code?purpose=recruit")["code"]

    customer = shop.shopper()
    customer.login()
    customer.join(inviter_code=code)
    clerk_id = clerk.ok("GET", "/me")["person"]["id"]
    assert _sources(shop) == [("referral", True, "S-1", clerk_id)]
    _employ(shop, clerk, "S-2")
    customer.join(inviter_code=clerk.ok("GET", "/me/code?purpose=recruit")["code"])
    assert _sources(shop) == [("referral", True, "S-1", clerk_id)], "written once"

    shop.container.db.transact(
        lambda session: operations.dismiss(
            session, person_id=shop.container.public_ids.decode("pe", clerk_id)
        )
    )
    late = shop.shopper()
    late.login()
    late.join(inviter_code=code)
    assert _sources(shop)[1:] == [("referral", True, None, None)], "works in no store any more"
    friend = shop.shopper()
    friend.login()
    friend.join(inviter_code=clerk.ok("GET", "/me/code?purpose=invite")["code"])
    assert _sources(shop)[2:] == [("referral", True, None, None)]


def _sources(shop: Shop) -> list[tuple[str, bool, str | None, str | None]]:
    """Where those come from who were invited, in the order of their joining."""
    wanted = (
        select(Member.manner, Member.inviter_person_id.is_not(None), Member.store_ref, Member.guide_ref)
        .where(Member.manner == JoinManner.REFERRAL)
        .order_by(Member.id)
    )
    with shop.container.db.read() as session:
        return [(str(row[0]), bool(row[1]), row[2], row[3]) for row in session.execute(wanted)]


def test_a_campaign_for_cases_pays_whoever_received_them(shop: Shop) -> None:
    """CODE-03: the case's code is drawn by somebody who works where it was sent, and by nobody else."""
    cases = _cases(shop)
    _hold_for_cases(shop)
    shopper, clerk = shop.shopper().member(), shop.shopper().member()
    _employ(shop, clerk)
    seen = shopper.scan(cases[0])
    assert (seen["next"], seen["campaign"]) == ("none", None)
    refused = shopper.call("POST", "/draws", {"scan": seen["scan"]["id"]}, key="a-shopper-01")
    assert (refused.status_code, refused.json()["code"]) == (409, "not_eligible")

    scan = clerk.scan(cases[0])
    assert (scan["scan"]["outcome"], scan["next"]) == ("package", "draw")
    drawn = clerk.draw(scan)
    assert drawn["award"]["amount_fen"] == 200
    again = clerk.scan(cases[0])
    assert (again["next"], again["draw"]) == ("result", drawn["draw"])
    assert shop.faults_of_the_books() == []


def _hold_for_cases(shop: Shop) -> None:
    """A second campaign of the brand, beside the one for bottles."""
    how = {"zh": "扫描箱码", "en": "Scan the code of a case"}
    rules = document(
        participation={"conditions": {}, "how": how, "codes": "case"},
        prizes=[money("two", 200)],
        pools=[pool("everybody", 0, {"two": 1})],
        period=_period(shop),
    )

    def work(session: Session) -> None:
        now = shop.container.clock.now()
        brand, payer = shop.ids["brand"], session.scalars(select(Payer.id)).one()
        number = campaigns.create(session, brand_id=brand, key="cases", payer_id=payer, now=now, actor=OLGA)
        campaigns.save_version(session, campaign_id=number, document=rules, now=now, actor=OLGA)
        funding.fund(session, campaign_id=number, amount_fen=1000, reference="PO-2", now=now, actor=OLGA)
        came = campaigns.publish(
            session, campaign_id=number, now=now, actor=OLGA, random_bytes=lambda count: SEED[:count]
        )
        assert came.published, "other codes than the bottles': nobody has to approve it"

    shop.container.db.transact(work)


def _period(shop: Shop) -> dict[str, str]:
    now = shop.container.clock.now()
    return {
        "starts_at": (now - timedelta(hours=1)).isoformat(timespec="seconds"),
        "ends_at": (now + timedelta(days=30)).isoformat(timespec="seconds"),
    }


def test_rewards_and_staff_are_set_from_the_shell(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = shell(sqlite_url, tmp_path, monkeypatch)

    def run(*arguments: str, code: int = 0) -> str:
        return str(call(*arguments, code=code).output)

    run("brands", "add", "tea", "--zh", "茶", "--en", "Tea")
    period = ("--from", "2026-06-01T00:00:00+08:00", "--to", "2026-09-01T00:00:00+08:00")
    run("staff", "reward", "tea", "--points", "20", *period)
    (told,) = json.loads(run("staff", "rewards", "--json"))
    assert told == {
        "brand": "tea",
        "points": 20,
        "from": "2026-05-31T16:00:00+00:00",
        "to": "2026-08-31T16:00:00+00:00",
    }
    assert json.loads(run("staff", "list", "--store", "S-1", "--json")) == []
    assert json.loads(run("staff", "cases", "--store", "S-1", "--elsewhere", "--json")) == []
    run("staff", "reward", "tea", "--points", "0", *period, code=2)
    for wrong in ("2026-06-01", "soon"):
        run("staff", "reward", "tea", "--points", "1", "--from", wrong, "--to", wrong, code=2)
    run("staff", "add", "pe_aaaaaaaaaaaaa", "--store", "S-1", code=2)
    run("staff", "remove", "pe_aaaaaaaaaaaaa", code=2)
