"""An operator sees what a merge would join, says twice what overrules a rule, and takes an identifier out."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import Result
from sqlalchemy.orm import Session

from app.db.engine import Database
from app.identity import queries
from app.identity.values import phone_claim
from app.kernel.clock import ManualClock
from app.kernel.ids import PublicIds
from app.members import operations as members
from app.members.models import AgeBand
from app.members.operations import Source
from tests.factories.people import OPERATOR, People
from tests.support.operators import shell
from tests.support.product import product

OPENED = datetime(2026, 6, 1, 4, tzinfo=UTC)
NUMBER = "+8613812345678"
OPENIDS = ("oAnna-0000000000-anna", "oBerta-000000000-bert")


class Desk(NamedTuple):
    """The command, two members whom one phone number ties, and the open question about them."""

    run: Callable[..., Result]
    db: Database
    ids: PublicIds
    persons: tuple[int, int]
    conflict_id: int

    @property
    def conflict(self) -> str:
        return self.ids.encode("co", self.conflict_id)

    def are_one(self) -> bool:
        with self.db.read() as session:
            roots = {queries.cluster(session, person_id=person).root_id for person in self.persons}
        return len(roots) == 1


@pytest.fixture
def desk(sqlite_db: Database, sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    def fill(session: Session) -> tuple[tuple[int, int], int]:
        people = People.build(session, ManualClock(OPENED))
        members.publish_policy(session, version="1", text_zh="隐私", text_en="Privacy", now=OPENED)
        persons = [people.login(openid).person_id for openid in OPENIDS]
        for person in persons:
            members.join(
                session,
                person_id=person,
                policy_version="1",
                age_band=AgeBand.ADULT,
                guardian_consent=False,
                source=Source(),
                now=OPENED,
                actor=OPERATOR,
            )
        people.attach(persons[0], phone_claim(NUMBER))
        asked = people.attach(persons[1], phone_claim(NUMBER)).conflict_id
        assert asked is not None
        return (persons[0], persons[1]), asked

    with product(sqlite_url, tmp_path) as container:
        ids = container.public_ids
    persons, conflict_id = sqlite_db.transact(fill)
    return Desk(shell(sqlite_url, tmp_path, monkeypatch), sqlite_db, ids, persons, conflict_id)


def test_a_conflict_is_merged_once_every_rule_in_the_way_is_named(desk: Desk) -> None:
    refused = desk.run("persons", "decide", desk.conflict, "merge", code=2)
    last = refused.stderr.strip().splitlines()[-1]
    assert "unique_disagrees:openid, two_members" in last
    assert "[merge_refused]" in last
    # What it would join is shown on its side, and only as much of it as tells two apart.
    for shown in (
        "1     openid oA…anna",
        "2     openid oB…bert",
        "wx0000000000000001",
        "+86 138****5678",
        "member ",
    ):
        assert shown in refused.stdout
    assert not [secret for secret in (*OPENIDS, NUMBER) if secret in refused.output]
    seen = _seen(refused)
    again = desk.run("persons", "decide", desk.conflict, "merge", "--although", "two_members", *seen, code=2)
    assert "unique_disagrees:openid" in again.stderr
    assert not desk.are_one()

    said = ["--although", "two_members", "--although", "unique_disagrees:openid"]
    unseen = desk.run("persons", "decide", desk.conflict, "merge", *said, code=2)
    assert "[not_what_was_seen]" in unseen.stderr
    assert "member " in unseen.stdout
    assert not desk.are_one()
    assert desk.run("persons", "decide", desk.conflict, "merge", *said, *seen).stdout.strip() == "merged"

    assert desk.are_one()
    trail = json.loads(desk.run("audit", "list", "--json").stdout)
    (decided,) = [line for line in trail if line["act"] == "conflict.decided"]
    assert "unique_disagrees:openid" in json.dumps(decided["detail"])
    assert [line["act"] for line in trail].count("person.shown") == 3


def test_two_members_are_merged_by_hand_only_when_it_is_said(desk: Desk) -> None:
    pair = [desk.ids.encode("pe", person) for person in desk.persons]
    refused = desk.run("persons", "merge", *pair, "--reason", "same card", code=2)
    assert "two_members" in refused.stderr
    desk.run("persons", "merge", *pair, "--reason", "same card", "--although", "everything", code=2)
    said = ["--although", "two_members", "--although", "unique_disagrees:openid"]
    merged = desk.run("persons", "merge", *pair, "--reason", "same card", *said, *_seen(refused)).stdout
    assert desk.are_one()
    # Both memberships are the one person's now, and both are shown.
    rows = json.loads(desk.run("persons", "show", pair[0], "--json").stdout)
    assert len([row for row in rows if row["what"].startswith("member ")]) == 2
    desk.run(*merged.partition("`saoma ")[2].partition("`")[0].split(), "--reason", "a mistake")
    assert not desk.are_one()


def _seen(refused: Result) -> list[str]:
    """Return the option that says what a refusal showed."""
    return refused.stderr.partition("(")[2].partition("(")[2].partition(")")[0].split()


def test_other_decisions_have_nothing_to_acknowledge(desk: Desk) -> None:
    desk.run("persons", "decide", desk.conflict, "keep_apart", "--although", "two_members", code=2)
    assert desk.run("persons", "decide", desk.conflict, "keep_apart").stdout.strip() == "kept_apart"


def test_an_identifier_is_demoted_and_reinstated_by_its_id(desk: Desk) -> None:
    person = desk.ids.encode("pe", desk.persons[0])
    rows = json.loads(desk.run("persons", "show", person, "--json").stdout)
    (number,) = [row["id"] for row in rows if row["what"].startswith("phone")]
    said = desk.run("persons", "demote", number, "--reason", "the shop's own number").stdout
    assert f"`saoma persons reinstate {number}`" in said
    assert desk.run("persons", "conflicts").stdout.strip() == "none"
    states = {
        row["id"]: row["state"] for row in json.loads(desk.run("persons", "show", person, "--json").stdout)
    }
    assert states[number] == "demoted"
    assert desk.run("persons", "reinstate", number).stdout.strip() == "active"
    acts = [line["act"] for line in json.loads(desk.run("audit", "list", "--json").stdout)]
    assert {"identifier.demoted", "identifier.reinstated"} <= set(acts)


def test_what_a_conflict_rests_on_is_demoted_after_the_decision(desk: Desk) -> None:
    person = desk.ids.encode("pe", desk.persons[0])
    rows = json.loads(desk.run("persons", "show", person, "--json").stdout)
    (openid,) = [row["id"] for row in rows if row["what"].startswith("openid")]
    refused = desk.run("persons", "demote", openid, "--reason", "a friend's", code=2)
    assert "[demotion_refused]" in refused.stderr
    assert f"`saoma persons decide {desk.conflict} …`" in refused.stderr
    desk.run("persons", "decide", desk.conflict, "keep_apart")
    desk.run("persons", "demote", openid, "--reason", "a friend's")
    again = desk.run("persons", "demote", openid, "--reason", "the shop's", code=2)
    assert "[already_demoted]" in again.stderr
    acts = [line["act"] for line in json.loads(desk.run("audit", "list", "--json").stdout)]
    assert acts.count("identifier.demoted") == 1


def test_a_demotion_in_a_merge_by_hand_is_taken_back_by_a_word(desk: Desk) -> None:
    said = ["--although", "two_members", "--although", "unique_disagrees:openid"]
    refused = desk.run("persons", "decide", desk.conflict, "merge", code=2)
    desk.run("persons", "decide", desk.conflict, "merge", *said, *_seen(refused))
    person = desk.ids.encode("pe", desk.persons[0])
    rows = json.loads(desk.run("persons", "show", person, "--json").stdout)
    openid = next(row["id"] for row in rows if row["what"].startswith("openid"))
    desk.run("persons", "demote", openid, "--reason", "the wrong one")
    refused = desk.run("persons", "reinstate", openid, code=2)
    assert "acknowledge unique_disagrees:openid" in refused.stderr
    desk.run("persons", "reinstate", openid, "--although", "two_members", code=2)
    desk.run("persons", "reinstate", openid, "--although", "unique_disagrees:openid")
    trail = json.loads(desk.run("audit", "list", "--json").stdout)
    (kept,) = [line["detail"] for line in trail if line["act"] == "identifier.reinstated"]
    assert "unique_disagrees:openid" in json.dumps(kept)
