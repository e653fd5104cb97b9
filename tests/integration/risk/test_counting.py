"""Counters, rules in force, hits and marks, on both databases."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from app.alerts.queries import open_alerts
from app.codes.operations import claim
from app.db.engine import Database
from app.identity.models import Person
from app.kernel.actor import Actor, ActorKind
from app.organisation.operations import create_brand
from app.risk.book import STALE, RiskBook
from app.risk.counting import KEEP, count_scan, purge_counters
from app.risk.errors import InvalidPolicy, UnknownEntry, UnknownPolicy
from app.risk.lists import Level, SubjectKind
from app.risk.measures import Measure
from app.risk.models import Mode, RiskCounter
from app.risk.policies import policies, save_policy, switch, switches
from app.risk.policy import STANDARD, Policy, Rule
from app.risk.queries import entries
from app.risk.signals import buckets_read, hour_bucket, person_bit, range_subject
from app.risk.watch import BATCH_ALERT, TIME_TO_VERIFY, Hit, clear_mark, hits, marks, note_hit, sweep
from tests.support.statements import statements

NOW = datetime(2026, 6, 1, 4, 30, tzinfo=UTC)
OLGA = Actor(ActorKind.OPERATOR, "olga")


@pytest.fixture(params=["mariadb", "sqlite"])
def database(request: pytest.FixtureRequest) -> Database:
    found: Database = request.getfixturevalue("clean_db" if request.param == "mariadb" else "sqlite_db")
    return found


def count(database: Database, index: int, person: int, address: str | None, now: datetime = NOW) -> None:
    database.transact(
        lambda session: count_scan(
            session, batch_id=7, code_index=index, person_id=person, address=address, now=now
        )
    )


def test_scans_are_counted_by_neighbourhood_and_network(database: Database) -> None:
    count(database, 5000, 1, "36.112.9.7")
    count(database, 5001, 2, "36.112.9.8")
    count(database, 9000, 2, None)
    wanted = select(RiskCounter).where(
        RiskCounter.bucket.in_(buckets_read(NOW)), RiskCounter.subject == range_subject(7, 5000)
    )
    with database.read() as session:
        rows = session.scalars(wanted).all()
        assert [(row.events, row.persons) for row in rows] == [(2, person_bit(1) | person_bit(2))] * 2
        assert session.execute(text("SELECT COUNT(*), SUM(events) FROM risk_counters")).one() == (6, 10)


def test_counting_takes_one_statement(session: Session) -> None:
    with statements(session.connection()) as seen:
        count_scan(session, batch_id=7, code_index=1, person_id=1, address="36.112.9.7", now=NOW)
    assert len(seen) == 1


def test_old_counters_go(database: Database) -> None:
    later = NOW + KEEP + timedelta(hours=30)
    count(database, 5000, 1, None)
    count(database, 5000, 1, None, now=later)

    def purge() -> int:
        return database.transact(lambda session: purge_counters(session, now=later))

    assert [purge(), purge(), purge()] == [1, 1, 0]
    with database.read() as session:
        buckets = session.execute(text("SELECT MIN(bucket) FROM risk_counters")).scalar_one()
    assert buckets > hour_bucket(NOW)


@pytest.fixture
def brand(session: Session) -> int:
    return create_brand(session, slug="tea", name_zh="茶", name_en="Tea", now=NOW)


def test_versions_are_numbered_and_one_is_switched_on(session: Session, brand: int) -> None:
    book = RiskBook()
    assert book.in_force(session, brand_id=brand, campaign_id=5, now=NOW) is None
    for number in (1, 2):
        saved = save_policy(session, brand_id=brand, document=STANDARD.to_json(), now=NOW, actor=OLGA)
        assert saved == number
    assert [view.version for view in policies(session, brand_id=brand)] == [2, 1]
    switch(session, brand_id=brand, mode=Mode.ENFORCE, version=1, reason="tried", now=NOW, actor=OLGA)
    assert book.in_force(session, brand_id=brand, campaign_id=5, now=NOW) is None  # for STALE at most
    later = NOW + STALE
    found = book.in_force(session, brand_id=brand, campaign_id=5, now=later)
    assert found is not None
    assert (found.mode, found.policy) == (Mode.ENFORCE, STANDARD)
    assert book.watches(session, brand_id=brand, now=later)


def test_a_campaign_may_have_its_own_rules_or_none(session: Session, brand: int) -> None:
    own = Policy((Rule("own", {Measure.HASTY_SCANS: 2}, Level.REFUSE),))
    save_policy(session, brand_id=brand, document=STANDARD.to_json(), now=NOW, actor=OLGA)
    save_policy(session, brand_id=brand, campaign_id=5, document=own.to_json(), now=NOW, actor=OLGA)
    for campaign in (0, 5):
        switch(
            session,
            brand_id=brand,
            campaign_id=campaign,
            mode=Mode.ENFORCE,
            version=1,
            reason="tried",
            now=NOW,
            actor=OLGA,
        )
    switch(session, brand_id=brand, campaign_id=6, mode=Mode.OFF, reason="staff only", now=NOW, actor=OLGA)
    book = RiskBook()
    found = {
        number: book.in_force(session, brand_id=brand, campaign_id=number, now=NOW) for number in (4, 5, 6)
    }
    assert found[4] is not None
    assert found[4].policy == STANDARD
    assert found[5] is not None
    assert found[5].policy == own
    assert found[6] is None
    assert [
        (view.campaign_id, view.mode, view.version, view.by) for view in switches(session, brand_id=brand)
    ] == [
        (6, Mode.OFF, None, "olga"),
        (5, Mode.ENFORCE, 1, "olga"),
        (0, Mode.ENFORCE, 1, "olga"),
    ]


def test_nothing_is_enforced_without_a_version_and_a_reason(session: Session, brand: int) -> None:
    with pytest.raises(InvalidPolicy):
        switch(session, brand_id=brand, mode=Mode.ENFORCE, reason="why not", now=NOW, actor=OLGA)
    with pytest.raises(InvalidPolicy):
        switch(session, brand_id=brand, mode=Mode.OFF, reason=" ", now=NOW, actor=OLGA)
    with pytest.raises(UnknownPolicy):
        switch(session, brand_id=brand, mode=Mode.ENFORCE, version=9, reason="x", now=NOW, actor=OLGA)
    switch(session, brand_id=brand, mode=Mode.OBSERVE, reason="look first", now=NOW, actor=OLGA)
    with pytest.raises(DBAPIError):
        session.execute(text("UPDATE risk_switches SET mode = 'enforce'"))


def hit(brand: int, scan: int, person: int, policy: int, **more: Any) -> Hit:
    said: dict[str, Any] = {
        "brand_id": brand,
        "campaign_id": 5,
        "policy_id": policy,
        "scan_id": scan,
        "person_id": person,
        "batch_id": 7,
        "code_index": scan,
        "level": Level.HOLD,
        "enforced": True,
        "reasons": ("leaked_range",),
        "signals": {Measure.RANGE_HOUR: 77},
        "at": NOW,
    }
    return Hit(**said | more)


def test_persons_and_batches_are_marked_warned_of_and_listed(session: Session, brand: int) -> None:
    """RISK-07: marking and warning; the list entry ends by itself."""
    save_policy(session, brand_id=brand, document=STANDARD.to_json(), now=NOW, actor=OLGA)
    policy = policies(session, brand_id=brand)[0].id
    for number in range(1, 13):
        note_hit(session, hit=hit(brand, number, 11, policy))
        note_hit(session, hit=hit(brand, number, 11, policy))  # the same scan, tried again
        note_hit(session, hit=hit(brand, 100 + number, 20 + number, policy, reasons=("hasty",)))
    assert sweep(session, now=NOW) == 24
    assert sweep(session, now=NOW) == 0
    batch, person, *_ = marks(session, brand_id=brand)
    assert (batch.subject_kind, batch.subject_id, batch.hits) == (SubjectKind.BATCH, 7, 24)
    assert batch.reasons == ("hasty", "leaked_range")
    assert (person.subject_kind, person.subject_id, person.hits) == (SubjectKind.PERSON, 11, 12)
    (entry,) = entries(session, now=NOW)
    assert (entry.subject, entry.effect) == ("11", Level.ABNORMAL)
    assert entry.expires_at == NOW + timedelta(days=30)
    assert "leaked_range" in entry.reason
    assert {alert.kind for alert in open_alerts(session)} == {"risk.batch", "risk.persons"}
    assert hits(session, brand_id=brand, person_ids=[11])[0].signals == {"range_hour": 77}
    assert len(hits(session, brand_id=brand, limit=100)) == 24

    clear_mark(session, subject_kind=SubjectKind.BATCH, subject_id=7, now=NOW, actor=OLGA)
    assert BATCH_ALERT not in {alert.kind for alert in open_alerts(session)}
    with pytest.raises(UnknownEntry):
        clear_mark(session, subject_kind=SubjectKind.BATCH, subject_id=7, now=NOW, actor=OLGA)


def test_what_is_only_observed_lists_nobody(session: Session, brand: int) -> None:
    save_policy(session, brand_id=brand, document=STANDARD.to_json(), now=NOW, actor=OLGA)
    policy = policies(session, brand_id=brand)[0].id
    for number in range(1, 13):
        note_hit(session, hit=hit(brand, number, 11, policy, enforced=False))
    sweep(session, now=NOW)
    assert entries(session, now=NOW) == []
    assert marks(session, brand_id=brand)[0].hits == 12


LATER = NOW + TIME_TO_VERIFY


@pytest.fixture
def asked(session: Session, brand: int) -> Any:
    """Have person 11, who is 12 as well, asked for a step, for as many codes as wanted."""
    for person, root in ((11, 11), (12, 11), (13, 13)):
        session.add(Person(id=person, one_id=root, virtual=False, created_at=NOW))
    save_policy(session, brand_id=brand, document=STANDARD.to_json(), now=NOW, actor=OLGA)
    policy = policies(session, brand_id=brand)[0].id

    def ask(count: int, *, drawn_by: int | None, first: int = 1, **more: Any) -> None:
        for number in range(first, first + count):
            note_hit(session, hit=hit(brand, number, 11, policy, level=Level.VERIFY, **more))
            if drawn_by is not None:
                code = {"batch_id": 7, "code_index": number}
                claim(session, **code, draw_id=number, person_id=drawn_by, now=NOW)
        session.flush()

    return ask


@pytest.mark.parametrize("account", [11, 12])
def test_who_takes_every_step_and_draws_is_nobody_to_warn_of(
    session: Session, brand: int, asked: Any, account: int
) -> None:
    """RISK-07: a shopper who solves every captcha is not put on a list for having been asked."""
    asked(25, drawn_by=account)
    assert sweep(session, now=LATER) == 25
    assert sweep(session, now=LATER) == 0
    assert entries(session, now=LATER) == []
    assert marks(session, brand_id=brand) == []
    assert open_alerts(session) == []
    assert len(hits(session, brand_id=brand, limit=100)) == 25


@pytest.mark.parametrize("drawn_by", [None, 13])
def test_steps_that_nobody_takes_count(
    session: Session, brand: int, asked: Any, drawn_by: int | None
) -> None:
    """The code is left alone, or somebody else draws it."""
    asked(25, drawn_by=drawn_by)
    assert sweep(session, now=LATER) == 25
    assert [entry.subject for entry in entries(session, now=LATER)] == ["11"]
    assert {alert.kind for alert in open_alerts(session)} == {"risk.batch", "risk.persons"}


def test_steps_taken_count_neither_with_those_that_are_not(session: Session, brand: int, asked: Any) -> None:
    asked(12, drawn_by=11)
    asked(9, drawn_by=None, first=50)
    sweep(session, now=LATER)
    assert entries(session, now=LATER) == []
    assert {mark.hits for mark in marks(session, brand_id=brand)} == {9}
    asked(1, drawn_by=None, first=70)
    sweep(session, now=LATER)
    assert [entry.subject for entry in entries(session, now=LATER)] == ["11"]


def test_a_step_is_waited_for_and_a_rule_that_only_observes_is_not(
    session: Session, brand: int, asked: Any
) -> None:
    asked(1, drawn_by=None)
    asked(2, drawn_by=11, first=50, enforced=False)
    assert sweep(session, now=LATER - timedelta(seconds=1)) == 2
    assert marks(session, brand_id=brand)[0].hits == 2
    assert sweep(session, now=LATER) == 1
    assert marks(session, brand_id=brand)[0].hits == 3
