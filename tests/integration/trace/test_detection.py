"""Goods that turn up elsewhere become a case once, with their evidence; a traveller does not."""

from collections.abc import Iterable
from datetime import timedelta
from itertools import product

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.alerts.queries import open_alerts
from app.codes.operations import record_scan
from app.identity.queries import Cluster
from app.kernel.ids import new_id
from app.kernel.transitions import TransitionRefused
from app.organisation.operations import save_dealer
from app.trace import detection, queries
from app.trace.diversion import DiversionRules, DiversionState, is_foreign
from app.trace.errors import InvalidDecision, UnknownDiversion
from app.trace.events import Run
from app.trace.models import DiversionEvidence
from tests.integration.trace.conftest import OPERATOR

RULES = DiversionRules()


def scan(factory, index: int, person: int, region: str | None, *, batch_id: int | None = None) -> None:
    factory.clock.advance(timedelta(minutes=1))
    record_scan(
        factory.session,
        book=factory.book,
        text=factory.code(batch_id or factory.items, index),
        person_id=person,
        cluster=Cluster(person, (person,)),
        now=factory.clock.now(),
        region_hint=region,
    )


def scans(factory, told: Iterable[tuple[int, int, str | None]]) -> None:
    for index, person, region in told:
        scan(factory, index, person, region)


def detect(factory) -> int | None:
    upto, now = new_id(), factory.clock.now()
    return detection.detect(factory.session, upto_id=upto, rules=RULES, now=now)


def cases(factory) -> list[tuple[int, int, str, str, int, int, int]]:
    return [
        (c.first_index, c.last_index, c.shipped_region, c.found_region, c.persons, c.codes, c.scans)
        for c in queries.diversions(factory.session)
    ]


def test_three_persons_with_three_bottles_of_one_shipment_are_a_case(factory, session: Session) -> None:
    factory.ship(Run(factory.items, 0, 99), dealer="EAST")
    factory.ship(Run(factory.items, 100, 199), dealer="EAST", hours=2)
    scans(factory, [(0, 1, "440305"), (1, 2, "440306"), (150, 3, "440305"), (2, 4, "310101")])
    assert detect(factory) == 3
    assert cases(factory) == []
    scans(factory, [(3, 5, "440300"), (4, 5, "440000")])
    assert detect(factory) == 2
    assert cases(factory) == [(0, 99, "310000", "440300", 3, 3, 3)]
    (alert,) = [alert for alert in open_alerts(session) if alert.kind == detection.ALERT]
    (case,) = queries.diversions(session)
    assert (alert.subject, case.dealer) == (str(case.id), "EAST")
    # What comes later joins the case that is open; nothing new changes nothing.
    scan(factory, 5, 6, "440305")
    assert (detect(factory), detect(factory)) == (1, None)
    assert cases(factory) == [(0, 99, "310000", "440300", 4, 4, 4)]
    (case,) = queries.diversions(session)
    told = queries.evidence(session, case=case)
    assert [(one.code_index, one.person_id) for one in told] == [(0, 1), (1, 2), (3, 5), (5, 6)]
    assert queries.evidence(session, case=case, after=told[1], limit=1) == [told[2]]


def test_a_traveller_the_factory_and_the_unknown_are_no_case(factory) -> None:
    scans(factory, [(index, index, "440305") for index in range(5)])  # not shipped yet
    factory.ship(Run(factory.items, 0, 99), dealer="EAST")
    scans(factory, [(index, 7, "440305") for index in range(8)])
    scans(factory, [(9, person, "110105") for person in range(8)])
    scans(factory, [(20 + person, person, None) for person in range(8)])
    detect(factory)
    assert cases(factory) == []


def test_a_region_of_the_dealer_is_none_whatever_the_shipment_said(factory) -> None:
    factory.ship(Run(factory.items, 0, 99), dealer="SOUTH", region="440100")
    scans(factory, [(index, index + 1, "440305") for index in range(3)])
    detect(factory)
    assert cases(factory) == []
    save_dealer(factory.session, code="SOUTH", name="华南", regions=["440100"], now=factory.clock.now())
    scan(factory, 3, 4, "440305")
    detect(factory)
    assert [case[3] for case in cases(factory)] == ["440300"]


def test_what_was_shipped_on_to_there_is_none(factory) -> None:
    factory.ship(Run(factory.items, 0, 99), dealer="EAST")
    scans(factory, [(index, index + 1, "440305") for index in range(3)])
    factory.ship(Run(factory.items, 0, 99), hours=9, dealer="SOUTH", region="440300")
    detect(factory)
    assert cases(factory) == []


def test_scans_of_cases_in_a_store_count_too(factory) -> None:
    factory.ship(Run(factory.cases, 0, 9), dealer="EAST")
    for index in range(3):
        scan(factory, index, index + 1, "440305", batch_id=factory.cases)
    detect(factory)
    assert [(c.batch_id, c.scans) for c in queries.diversions(factory.session)] == [(factory.cases, 3)]


def test_a_case_is_decided_once_with_a_reason_and_another_may_follow(factory, session: Session) -> None:
    factory.ship(Run(factory.items, 0, 99), dealer="EAST")
    scans(factory, [(index, index + 1, "440305") for index in range(3)])
    detect(factory)
    (case,) = queries.diversions(session, state=DiversionState.OPEN)
    act = {"actor": OPERATOR, "now": factory.clock.now(), "state": DiversionState.DISMISSED}
    with pytest.raises(InvalidDecision):
        detection.decide(session, diversion_id=case.id, reason=" ", **act)
    detection.decide(session, diversion_id=case.id, reason="a trade fair", **act)
    assert open_alerts(session) == []
    with pytest.raises(TransitionRefused):
        detection.decide(session, diversion_id=case.id, reason="again", **act)
    with pytest.raises(UnknownDiversion):
        detection.decide(session, diversion_id=1, reason="no", **act)
    scan(factory, 3, 4, "440305")
    detect(factory)
    assert len(cases(factory)) == 1, "what was looked at once is not held against them again"
    scans(factory, [(index, index + 1, "440305") for index in range(4, 6)])
    detect(factory)
    assert [found.state for found in queries.diversions(session)] == ["open", "dismissed"]
    assert queries.diversion(session, diversion_id=case.id).reason == "a trade fair"


def test_the_database_and_the_decision_agree_on_what_is_foreign(factory, session: Session) -> None:
    regions = ["310000", "310115", "320000", "320100", "320105", "320500", "100000"]
    pairs = list(product(regions, repeat=2))
    for number, (shipped, found) in enumerate(pairs):
        factory.ship(Run(factory.items, number, number), region=shipped)
        scan(factory, number, 1, found)
    detect(factory)
    kept = session.execute(select(DiversionEvidence.code_index)).scalars().all()
    assert {pairs[index] for index in kept} == {pair for pair in pairs if is_foreign(*pair)}


def test_what_a_run_reads_does_not_grow_with_what_was_read(factory, session: Session, monkeypatch) -> None:
    monkeypatch.setattr(detection, "PORTION", 0)
    factory.ship(Run(factory.items, 0, 99), dealer="EAST")
    scans(factory, [(index, index + 1, "440305") for index in range(7)])
    assert [detect(factory) for _ in range(8)] == [1] * 7 + [None]
    assert cases(factory) == [(0, 99, "310000", "440300", 7, 7, 7)]
    assert session.execute(select(func.count()).select_from(DiversionEvidence)).scalar_one() == 7
