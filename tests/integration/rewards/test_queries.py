"""Lists of awards: a cluster's, page by page, by an index."""

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.rewards import queries
from app.rewards.errors import UnknownAward
from app.rewards.models import AwardKind, AwardState
from tests.factories.prizes import PrizeWorld


def test_a_cluster_sees_the_awards_of_all_its_persons_newest_first(world: PrizeWorld) -> None:
    here, there, stranger = world.person(), world.person(), world.person()
    mine = [world.grant(person) for person in (here, there, here, there, here)]
    theirs = world.grant(stranger)
    pages, last = [], None
    while page := world.read(queries.awards, person_ids=[here, there], before_id=last, limit=2):
        pages.append([award.id for award in page])
        last = page[-1].id
    newest_first = [award.id for award in reversed(mine)]
    assert pages == [newest_first[:2], newest_first[2:4], newest_first[4:]]
    assert world.read(queries.award, award_id=mine[0].id, person_ids=[there, here]) == mine[0]
    with pytest.raises(UnknownAward):
        world.read(queries.award, award_id=theirs.id, person_ids=[here, there])
    assert world.read(queries.award_of_draw, draw_id=999_999) is None


def test_a_list_may_be_of_one_state(world: PrizeWorld) -> None:
    person = world.person()
    world.grant(person, kind=AwardKind.POINTS, points=5)
    open_one = world.grant(person)
    found = world.read(queries.awards, person_ids=[person], state=AwardState.COLLECTIBLE)
    assert found == [open_one]


DUE = (
    "SELECT id FROM awards WHERE state = 'collectible' AND deadline_at <= '2026-06-08'"
    " ORDER BY deadline_at LIMIT 200 FOR UPDATE SKIP LOCKED"
)


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        (
            "SELECT id FROM awards WHERE person_id IN ({people}) AND id < {last} ORDER BY id DESC LIMIT 20",
            "ix_awards_person_id_id",
        ),
        (DUE, "ix_awards_state_deadline_at"),
        ("SELECT id FROM bills WHERE poll_at <= '2026-06-01' ORDER BY poll_at LIMIT 200", "ix_bills_poll_at"),
        ("SELECT id FROM awards WHERE draw_id = 5", "uq_awards_draw_id"),
    ],
)
def test_the_lists_go_by_an_index(world: PrizeWorld, statement: str, index: str) -> None:
    people = [world.person() for _ in range(20)]
    for person in people:
        for _ in range(5):
            world.grant(person, kind=AwardKind.NOTHING, stock=None, awarded=None)
    world.grant(people[0])

    def plan(session: Session) -> set[str]:
        session.execute(text("ANALYZE TABLE awards")).all()
        asked = statement.format(people=f"{people[0]}, {people[1]}", last=1 << 62)
        return {row.key for row in session.execute(text(f"EXPLAIN {asked}"))}

    assert world.read(plan) == {index}
