"""Putting on lists, taking off, and what the lists then say of a visit."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from app.identity.models import IdentitySource
from app.identity.operations import recognise
from app.identity.queries import Cluster, cluster
from app.identity.values import phone_claim
from app.kernel.actor import Actor, ActorKind
from app.risk.errors import InvalidEntry, UnknownEntry
from app.risk.lists import Level, ListKind, SubjectKind, Verdict
from app.risk.operations import put_on_list, take_off_list
from app.risk.queries import entries, verdict
from tests.support.statements import statements

NOW = datetime(2026, 6, 1, 4, 0, tzinfo=UTC)
OPERATOR = Actor(ActorKind.OPERATOR, "risk-desk")
PHONE = "13765432109"


@pytest.fixture
def visitor(session: Session) -> Cluster:
    return Cluster(7, (7, 9))


def put(session: Session, about: SubjectKind, subject: str, **more: object) -> int:
    said: dict[str, object] = {"kind": ListKind.BLACK, "reason": "resold codes"} | more
    return put_on_list(session, subject_kind=about, subject=subject, now=NOW, actor=OPERATOR, **said)


def test_nobody_is_on_a_list_at_first(session: Session, visitor: Cluster) -> None:
    assert verdict(session, cluster=visitor, now=NOW, batch_id=3, address="203.0.113.7") == Verdict(
        Level.PASS
    )


def test_every_identity_of_a_person_counts(session: Session, visitor: Cluster) -> None:
    """RISK-03: a merge does not wash anybody clean."""
    put(session, SubjectKind.PERSON, "9")
    assert verdict(session, cluster=visitor, now=NOW) == Verdict(Level.ABNORMAL, ("black_person",))
    assert verdict(session, cluster=Cluster(8, (8,)), now=NOW).level is Level.PASS


def test_batches_and_addresses_are_judged_in_one_spelling(session: Session, visitor: Cluster) -> None:
    put(session, SubjectKind.BATCH, "03")
    put(session, SubjectKind.ADDRESS, " 2001:DB8:0:0:0:0:0:1 ", effect=Level.REFUSE)
    assert verdict(session, cluster=visitor, now=NOW, batch_id=3).reasons == ("black_batch",)
    found = verdict(session, cluster=visitor, now=NOW, batch_id=3, address="2001:db8::1")
    assert found == Verdict(Level.REFUSE, ("black_address", "black_batch"))


@pytest.mark.parametrize("seen", ["203.0.113.7", "::ffff:203.0.113.7"])
def test_an_address_is_the_same_by_both_protocols(session: Session, visitor: Cluster, seen: str) -> None:
    put(session, SubjectKind.ADDRESS, "203.0.113.7")
    assert verdict(session, cluster=visitor, now=NOW, address=seen).reasons == ("black_address",)


@pytest.mark.parametrize(
    ("seen", "reasons"),
    [
        ("2001:db8:0:1:ffff::9", ("black_address",)),
        ("2001:db8:0:ff::1", ("black_address",)),
        ("2001:db8:0:100::1", ()),
    ],
)
def test_who_is_listed_does_not_get_away_by_their_next_address(
    session: Session, visitor: Cluster, seen: str, reasons: tuple[str, ...]
) -> None:
    """An IPv6 customer has a whole /56: the neighbours of a listed address are listed."""
    put(session, SubjectKind.ADDRESS, "2001:db8::1")
    assert verdict(session, cluster=visitor, now=NOW, address=seen).reasons == reasons
    (view,) = entries(session, now=NOW)
    assert view.subject == "2001:db8::/56"


def test_a_factory_is_fenced_by_its_network(session: Session, visitor: Cluster) -> None:
    """RISK-04: scans from a factory's network are abnormal, and refused without using anything up."""
    put(session, SubjectKind.ADDRESS, "203.0.113.0/24", effect=Level.REFUSE, reason="bottling plant")
    found = verdict(session, cluster=visitor, now=NOW, address="203.0.113.99")
    assert found == Verdict(Level.REFUSE, ("black_address",))
    assert verdict(session, cluster=visitor, now=NOW, address="203.0.114.1").level is Level.PASS


@pytest.mark.parametrize("seen", ["", "unix:", "localhost", "fe80::1%eth0"])
def test_a_visitor_whose_address_says_nothing_is_judged_by_the_rest(
    session: Session, visitor: Cluster, seen: str
) -> None:
    put(session, SubjectKind.PERSON, "9")
    assert verdict(session, cluster=visitor, now=NOW, address=seen).reasons == ("black_person",)


def test_a_black_phone_is_recognised_on_whoever_shows_it(session: Session) -> None:
    put(session, SubjectKind.PHONE, PHONE)
    person_id = _person_with_phone(session, "+86 137-6543-2109")
    found = verdict(session, cluster=cluster(session, person_id=person_id), now=NOW)
    assert found == Verdict(Level.ABNORMAL, ("black_phone",))


def test_a_white_list_exempts(session: Session, visitor: Cluster) -> None:
    put(session, SubjectKind.PERSON, "7", effect=Level.REFUSE)
    put(session, SubjectKind.PERSON, "9", kind=ListKind.WHITE)
    assert verdict(session, cluster=visitor, now=NOW) == Verdict(Level.PASS, ("white_person",))


def test_entries_end_by_themselves_or_by_hand(session: Session, visitor: Cluster) -> None:
    put(session, SubjectKind.PERSON, "7", expires_at=NOW + timedelta(days=1))
    entry = put(session, SubjectKind.BATCH, "3")
    take_off_list(session, entry_id=entry, now=NOW, actor=OPERATOR)
    assert verdict(session, cluster=visitor, now=NOW, batch_id=3).reasons == ("black_person",)
    later = NOW + timedelta(days=1)
    assert verdict(session, cluster=visitor, now=later, batch_id=3).level is Level.PASS
    assert [view.subject for view in entries(session, now=NOW)] == ["7"]
    with pytest.raises(UnknownEntry):
        take_off_list(session, entry_id=1, now=NOW, actor=OPERATOR)


def test_putting_the_same_subject_again_changes_its_entry(session: Session, visitor: Cluster) -> None:
    first = put(session, SubjectKind.PERSON, "7")
    take_off_list(session, entry_id=first, now=NOW, actor=OPERATOR)
    assert put(session, SubjectKind.PERSON, "7", effect=Level.REFUSE, reason="again") == first
    (view,) = entries(session, now=NOW, kind=ListKind.BLACK)
    assert (view.effect, view.reason, view.changed_by, view.expires_at) == (
        Level.REFUSE,
        "again",
        "risk-desk",
        None,
    )
    assert entries(session, now=NOW, kind=ListKind.WHITE) == []
    assert entries(session, now=NOW, before=first) == []


@pytest.mark.parametrize(
    ("kind", "subject", "more"),
    [
        (SubjectKind.PERSON, "seven", {}),
        (SubjectKind.PERSON, "٧", {}),
        (SubjectKind.BATCH, "", {}),
        (SubjectKind.PHONE, "12", {}),
        (SubjectKind.ADDRESS, "example.com", {}),
        (SubjectKind.ADDRESS, "203.0.113.0/23", {}),
        (SubjectKind.ADDRESS, "203.0.113.7/24", {}),
        (SubjectKind.PERSON, "7", {"effect": Level.HOLD}),
        (SubjectKind.PERSON, "7", {"reason": " "}),
        (SubjectKind.PERSON, "7", {"reason": "x" * 201}),
        (SubjectKind.PERSON, "7", {"expires_at": NOW}),
        (SubjectKind.PERSON, "7", {"effect": Level.PASS}),
    ],
)
def test_what_cannot_be_an_entry_is_refused(
    session: Session, kind: SubjectKind, subject: str, more: dict[str, object]
) -> None:
    with pytest.raises(InvalidEntry):
        put(session, kind, subject, **more)
    assert entries(session, now=NOW) == []


def test_no_subject_is_stored_in_clear(session: Session) -> None:
    put(session, SubjectKind.PHONE, PHONE)
    row = session.execute(text("SELECT * FROM risk_entries")).one()
    assert PHONE.encode() not in b"".join(value for value in row if isinstance(value, bytes))
    assert all(PHONE not in value for value in row if isinstance(value, str))


@pytest.mark.parametrize(
    "change", ["list = 'grey'", "subject_kind = 'shop'", "effect = 'jail'", "effect = 'pass'"]
)
def test_the_database_refuses_what_no_entry_is(session: Session, change: str) -> None:
    put(session, SubjectKind.PERSON, "7")
    with pytest.raises(DBAPIError):
        session.execute(text(f"UPDATE risk_entries SET {change}"))


def test_a_verdict_takes_one_statement(session: Session, visitor: Cluster) -> None:
    put(session, SubjectKind.PERSON, "9")
    with statements(session.connection()) as seen:
        verdict(session, cluster=visitor, now=NOW, batch_id=3, address="203.0.113.7")
    assert len(seen) == 1


def _person_with_phone(session: Session, number: str) -> int:
    found = recognise(
        session,
        identifiers=[phone_claim(number)],
        source=IdentitySource.OFFLINE_PURCHASE,
        now=NOW,
        actor=OPERATOR,
    )
    return cluster(session, person_id=found.root_id).person_ids[0]
