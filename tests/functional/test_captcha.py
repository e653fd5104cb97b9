"""A captcha over HTTP: asked for, solved on the sandbox's phone, checked first, good for one scan."""

import itertools
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.codes.models import Scan
from app.risk.captchas import MOST_FAILED
from app.risk.lists import Level, ListKind, Step, SubjectKind
from app.risk.measures import Measure
from app.risk.operations import put_on_list
from app.risk.policy import Policy, Rule
from app.risk.watch import TIME_TO_VERIFY, hits, marks, sweep
from tests.factories.risk import switch_on
from tests.support.sandbox import MerchantAccount, SandboxProcess
from tests.support.shop import OLGA, Shop, Shopper, open_shop

RULES = Policy((Rule("often", {Measure.PERSON_HOUR: 1}, Level.VERIFY, Step.CAPTCHA),))
_numbers = itertools.count(191_000_001)


@pytest.fixture
def account(platform: tuple[SandboxProcess, MerchantAccount]) -> dict[str, Any]:
    return platform[0].create_captcha_app(next(_numbers))


@pytest.fixture
def guarded(
    platform: tuple[SandboxProcess, MerchantAccount],
    account: dict[str, Any],
    sqlite_url: str,
    tmp_path: Path,
) -> Iterator[Shop]:
    """An installation with a captcha account, and rules that ask everybody for one."""
    environment = {
        "SAOMA_CAPTCHA_API_URL": platform[0].base_url,
        "SAOMA_CAPTCHA_APP_ID": str(account["app_id"]),
        "SAOMA_CAPTCHA_APP_KEY": account["app_key"],
        "SAOMA_CAPTCHA_SECRET_ID": account["secret_id"],
        "SAOMA_CAPTCHA_SECRET_KEY": account["secret_key"],
    }
    with open_shop(sqlite_url, tmp_path, *platform, **environment) as shop:
        now, brand = shop.container.clock.now(), shop.ids["brand"]
        shop.container.db.transact(
            lambda session: switch_on(session, brand_id=brand, rules=RULES, now=now, captchas=True)
        )
        yield shop


def draw(
    who: Shopper, scan: dict[str, Any], ticket: str | None = None, *, key: str | None = None
) -> requests.Response:
    body = {"scan": scan["scan"]["id"]} | ({} if ticket is None else {"captcha_ticket": ticket})
    return who.call("POST", "/draws", body, key=key or who.new_key())


def asked_platform(shop: Shop) -> int:
    return sum(it["method"] == "POST" and it["url"] == "/" for it in shop.sandbox.exchanges())


def solve(shop: Shop, who: Shopper) -> str:
    assert shop.container.captchas is not None
    return shop.sandbox.captcha_ticket(who.id, shop.container.captchas.app_id)


def refusal(answer: requests.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def test_a_captcha_is_asked_for_solved_and_the_draw_goes_on(guarded: Shop, account: dict[str, Any]) -> None:
    who = guarded.shopper().member()
    scan = who.scan()
    asked = draw(who, scan)
    assert refusal(asked) == (409, "captcha_needed")
    assert asked.json() | {"step": "captcha", "reasons": ["often"], "captcha_refused": False} == asked.json()
    assert asked.json()["captcha_app_id"] == str(account["app_id"])
    assert "captcha" in asked.json()["detail"]
    drawn = draw(who, scan, solve(guarded, who))
    assert drawn.status_code == 201
    assert drawn.json()["award"]["state"] == "collectible"


def test_an_answer_that_got_lost_is_asked_for_again_with_the_same_ticket(guarded: Shop) -> None:
    who = guarded.shopper().member()
    scan, ticket, key = who.scan(), solve(guarded, who), who.new_key()
    before = asked_platform(guarded)
    first = draw(who, scan, ticket, key=key)
    again = draw(who, scan, ticket, key=key)
    another_key = draw(who, scan, ticket)
    assert first.status_code == again.status_code == another_key.status_code == 201
    assert first.json() == again.json() == another_key.json()
    assert again.headers["Idempotency-Replayed"] == "true"
    assert asked_platform(guarded) == before + 1


def test_a_ticket_is_good_for_one_scan_and_one_person(guarded: Shop) -> None:
    who, friend = guarded.shopper().member(), guarded.shopper().member()
    ticket = solve(guarded, who)
    assert draw(who, who.scan(), ticket).status_code == 201
    for other in (who, friend):
        refused = draw(other, other.scan(), ticket)
        assert refusal(refused) == (409, "captcha_needed")
        assert refused.json()["captcha_refused"] is True


def test_two_draws_with_one_ticket(guarded: Shop) -> None:
    who = guarded.shopper().member()
    scans, ticket = [who.scan(), who.scan()], solve(guarded, who)
    keys = [who.new_key(), who.new_key()]
    barrier, answers = threading.Barrier(2), list[Any]([None, None])

    def run(number: int) -> None:
        barrier.wait(10)
        answers[number] = draw(who, scans[number], ticket, key=keys[number])

    threads = [threading.Thread(target=run, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer.status_code for answer in answers) == [201, 409]
    assert guarded.faults_of_the_books() == []


@pytest.mark.parametrize("kind", ["timeout_before", "internal_error", "html_502"])
def test_no_answer_of_the_platform_is_no_pass_and_burns_nothing(guarded: Shop, kind: str) -> None:
    """The very same request goes through once the platform answers."""
    who = guarded.shopper().member()
    scan, ticket, key = who.scan(), solve(guarded, who), who.new_key()
    guarded.sandbox.fault("/", kind, times=1, hold_seconds=4)
    assert refusal(draw(who, scan, ticket, key=key)) == (503, "captcha_unavailable")
    assert draw(who, scan, ticket, key=key).status_code == 201


def test_a_ticket_that_the_platform_took_without_answering_is_solved_anew(guarded: Shop) -> None:
    who = guarded.shopper().member()
    scan, ticket, key = who.scan(), solve(guarded, who), who.new_key()
    guarded.sandbox.fault("/", "html_502", times=1, after_commit=True)
    assert refusal(draw(who, scan, ticket, key=key)) == (503, "captcha_unavailable")
    refused = draw(who, scan, ticket, key=key)
    assert refusal(refused) == (409, "captcha_needed")
    assert refused.json()["captcha_refused"] is True
    assert draw(who, scan, solve(guarded, who)).status_code == 201


def test_forged_late_and_unloaded_tickets_pass_nobody(guarded: Shop, account: dict[str, Any]) -> None:
    who = guarded.shopper().member()
    scan = who.scan()
    unloaded = guarded.sandbox.captcha_ticket(who.id, account["app_id"], fails=True)
    late = solve(guarded, who)
    guarded.sandbox.advance(301)
    for ticket in ("made-up", f"tr03{'x' * 100}*", unloaded, late):
        assert refusal(draw(who, scan, ticket)) == (409, "captcha_needed")
    malformed = draw(who, scan, "with a space")
    assert malformed.status_code == 422
    assert draw(who, scan, solve(guarded, who)).status_code == 201


def trust(shop: Shop) -> None:
    """White-list whoever scanned last: their draws want no captcha any more."""
    now = shop.container.clock.now()

    def work(session: Session) -> None:
        person = session.scalars(select(Scan.person_id).order_by(Scan.id.desc()).limit(1)).one()
        put_on_list(
            session,
            kind=ListKind.WHITE,
            subject_kind=SubjectKind.PERSON,
            subject=str(person),
            reason="known here",
            now=now,
            actor=OLGA,
        )

    shop.container.db.transact(work)


def noted(shop: Shop) -> int:
    with shop.container.db.read() as session:
        return len(hits(session, brand_id=shop.ids["brand"]))


def test_who_solves_the_captcha_is_not_marked(guarded: Shop) -> None:
    """RISK-07: being asked is noted; who was asked, solved and drew is nobody to warn of."""
    honest, other = guarded.shopper().member(), guarded.shopper().member()
    for who in (honest, other):
        scan = who.scan()
        assert refusal(draw(who, scan)) == (409, "captcha_needed")
        if who is honest:
            assert draw(who, scan, solve(guarded, who)).status_code == 201
    later = guarded.container.clock.now() + TIME_TO_VERIFY
    assert guarded.container.db.transact(lambda session: sweep(session, now=later)) == 2
    with guarded.container.db.read() as session:
        marked = marks(session, brand_id=guarded.ids["brand"])
    assert [(mark.subject_kind, mark.hits) for mark in marked].count((SubjectKind.PERSON, 1)) == 1
    assert len(marked) == 2, "one person, and the batch"
    assert noted(guarded) == 2


def test_an_outage_keeps_no_draw_that_wants_no_captcha(guarded: Shop) -> None:
    """The very same request goes through, and no hit is noted of somebody who may have solved one."""
    who = guarded.shopper().member()
    scan, ticket, key = who.scan(), solve(guarded, who), who.new_key()
    guarded.sandbox.fault("/", "internal_error", times=2)
    assert refusal(draw(who, scan, ticket, key=key)) == (503, "captcha_unavailable")
    assert noted(guarded) == 0
    trust(guarded)
    assert draw(who, scan, ticket, key=key).status_code == 201
    assert noted(guarded) == 0


def test_too_many_captchas_keep_no_draw_that_wants_none(guarded: Shop) -> None:
    who = guarded.shopper().member()
    scan = who.scan()
    for number in range(MOST_FAILED):
        assert refusal(draw(who, scan, f"made-up-{number}")) == (409, "captcha_needed")
    asked = asked_platform(guarded)
    ticket = solve(guarded, who)
    assert refusal(draw(who, scan, ticket)) == (429, "too_many_captchas")
    trust(guarded)
    assert draw(who, scan, ticket).status_code == 201
    assert asked_platform(guarded) == asked


def test_nobody_is_asked_about_a_ticket_for_somebody_elses_scan(guarded: Shop) -> None:
    who, friend = guarded.shopper().member(), guarded.shopper().member()
    scan, ticket, before = friend.scan(), solve(guarded, who), asked_platform(guarded)
    assert refusal(draw(who, scan, ticket)) == (404, "unknown_scan")
    assert asked_platform(guarded) == before
    assert draw(who, who.scan(), ticket).status_code == 201
