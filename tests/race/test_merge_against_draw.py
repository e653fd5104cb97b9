"""Two persons turn out to be one while both draw: their common cap holds, and no draw is lost."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.campaigns import play as drawing
from app.campaigns.errors import DrawCapReached
from app.campaigns.models import Draw
from app.codes.models import CodeClaim
from app.identity import operations as identity
from app.identity import queries as identities
from app.identity.errors import AlreadyMerged
from app.identity.models import IdentityLog, LogAction
from app.identity.queries import Cluster, Principal
from app.rewards import queries as rewards
from tests.factories.campaign_world import OLGA
from tests.factories.campaigns import money, pool
from tests.factories.people import EVERYTHING
from tests.race.crowd import Crowd
from tests.support.racing import CONNECTIONS, RaceResult, race

pytestmark = pytest.mark.race(seeds=5)

CAP = 12
DRAWS_EACH = (CONNECTIONS - 2) // 2


@dataclass(frozen=True, slots=True)
class Step:
    """Something that was done under the cluster's lock; its id tells the order, as it was made there."""

    id: int
    draw_of: int | None = None
    nth: int = 0
    merged: bool = False


class Pair:
    """Two members who draw in one campaign, which lets a person draw twelve times."""

    def __init__(self, crowd: Crowd) -> None:
        self.crowd = crowd
        prizes, pools = [money("yuan", 100)], [pool("everybody", 0, {"yuan": 1})]
        caps = {"per_campaign": CAP}
        self.campaign = crowd.campaign(fen=100 * CONNECTIONS, prizes=prizes, pools=pools, caps=caps)
        self.both = (crowd.world.member(), crowd.world.member())

    def merge(self) -> int:
        """Find out that the two are one."""
        one, other = (person.person_id for person in self.both)
        return self.crowd.world.do(
            identity.merge,
            person_id=one,
            other_id=other,
            reason="they said so",
            although=EVERYTHING,
            actor=OLGA,
        )

    def merge_and_unmerge(self) -> int:
        """Find it out, and a little later that it was a mistake."""
        merge_id = self.merge()
        time.sleep(0.03)
        self.unmerge(merge_id)
        return merge_id

    def unmerge(self, merge_id: int) -> None:
        """Take the merge back."""
        self.crowd.world.do(identity.unmerge, merge_id=merge_id, reason="a mistake", actor=OLGA)

    def race(self, *, seed: int, taken_back: bool = False) -> RaceResult:
        """Let both draw 31 times while two operators merge them."""
        who = list(self.both) * DRAWS_EACH
        scans = self.crowd.scan_all(who)
        draws = [self.crowd.drawing(person, scan) for person, scan in zip(who, scans, strict=True)]
        merges = [self.merge_and_unmerge] if taken_back else [self.merge] * 2
        return race(self.crowd.world.db, [*draws, *merges], seed=seed)

    def steps(self) -> list[Step]:
        """Draws, merges and unmerges in the order in which they were done."""

        def look(session: Session) -> list[Step]:
            draws = session.execute(
                select(Draw.id, Draw.person_id, Draw.facts).where(Draw.campaign_id == self.campaign)
            )
            ids = [person.person_id for person in self.both]
            changes = session.execute(
                select(IdentityLog.id, IdentityLog.action).where(
                    IdentityLog.person_id.in_(ids),
                    IdentityLog.action.in_([LogAction.MERGE, LogAction.UNMERGE]),
                )
            )
            return [
                *(Step(row.id, draw_of=row.person_id, nth=row.facts["nth_draw"]) for row in draws),
                *(Step(row.id, merged=row.action is LogAction.MERGE) for row in changes),
            ]

        return sorted(self.crowd.world.read(look), key=lambda step: step.id)

    def own(self, person: Principal) -> tuple[Cluster, int]:
        """Who a person is, and how many awards they see."""

        def look(session: Session) -> tuple[Cluster, int]:
            cluster = identities.cluster(session, person_id=person.person_id)
            return cluster, len(rewards.awards(session, person_ids=cluster.person_ids, limit=100))

        return self.crowd.world.read(look)

    def claims(self) -> int:
        """How many codes the two have used."""
        ids = [person.person_id for person in self.both]
        claimed = select(CodeClaim.draw_id).where(CodeClaim.person_id.in_(ids))
        return len(self.crowd.world.read(lambda session: session.scalars(claimed).all()))


def miscounted(steps: list[Step]) -> list[Step]:
    """Play the steps one after the other; return the draws that did not see every draw of their cluster."""
    drawn: dict[int, int] = {}
    merged, wrong = False, []
    for step in steps:
        if step.draw_of is None:
            merged = step.merged
            continue
        before = sum(drawn.values()) if merged else drawn.get(step.draw_of, 0)
        if step.nth != before + 1 or step.nth > CAP:
            wrong.append(step)
        drawn[step.draw_of] = drawn.get(step.draw_of, 0) + 1
    return wrong


@pytest.mark.parametrize("taken_back", [False, True], ids=["merge", "merge and unmerge"])
def test_the_cap_of_two_who_become_one_holds(crowd: Crowd, race_seed: int, *, taken_back: bool) -> None:
    pair = Pair(crowd)
    result = pair.race(seed=race_seed, taken_back=taken_back)
    assert result.lock_waits > 0, "nobody waited for anybody: this was no race"
    refusals = {type(error) for error in result.errors} - {DrawCapReached}
    assert refusals == (set() if taken_back else {AlreadyMerged})
    steps = pair.steps()
    draws = [step for step in steps if step.draw_of is not None]
    assert miscounted(steps) == []
    # No draw is lost: what was answered is there, with its code and its award.
    merges = sum(isinstance(value, int) for value in result.values)
    assert merges == 1
    assert len(draws) == len(result.values) - merges == pair.claims()
    assert crowd.world.left(pair.campaign)["committed"] == 100 * len(draws)
    if not taken_back:
        early = [step for step in draws if step.id < next(it.id for it in steps if it.merged)]
        assert len(draws) == max(CAP, len(early))
        assert [pair.own(person)[1] for person in pair.both] == [len(draws)] * 2
        pair.unmerge(next(value for value in result.values if isinstance(value, int)))
    for person in pair.both:
        mine = sum(step.draw_of == person.person_id for step in draws)
        assert pair.own(person) == (Cluster(person.person_id, (person.person_id,)), mine)


def test_without_the_lock_the_cap_is_passed(crowd: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    def look(session: Session, *, person_id: int, root_id: int) -> Callable[[], Cluster]:
        """The guard taken out: read who it is, and lock nobody."""
        return lambda: identities.cluster(session, person_id=person_id)

    monkeypatch.setattr(drawing, "ask_cluster", look)
    pair = Pair(crowd)
    pair.race(seed=0)
    assert len(miscounted(pair.steps())) > 1
