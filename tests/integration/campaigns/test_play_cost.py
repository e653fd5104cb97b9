"""How many statements a draw takes, and that each look-up has a key."""

from collections.abc import Callable
from typing import Any

import pytest

from app.campaigns import operations as campaigns
from app.campaigns.play import Visit
from app.identity.models import IdentitySource
from app.identity.operations import attach
from app.identity.values import phone_claim
from tests.factories.campaign_world import OLGA, CampaignWorld
from tests.factories.campaigns import money, multiplier, nothing, points, pool
from tests.integration.campaigns.drawing import ONE_YUAN
from tests.support.statements import listening
from tests.support.statements import statements as sent


@pytest.fixture
def statements(world: CampaignWorld) -> Callable[[Callable[[], Any]], list[str]]:
    """Run something and return the statements that it took."""

    def count(work: Callable[[], Any]) -> list[str]:
        with sent(world.db.engine) as seen:
            work()
        return seen

    return count


@pytest.mark.parametrize(
    ("prizes", "most"),
    [
        ([money("yuan", 100)], 8),
        ([money("yuan", 100, stock=5)], 8),
        ([points("yuan", 10)], 10),
        ([points("yuan", 10, stock=5)], 10),
        ([nothing("yuan")], 5),
    ],
)
def test_a_draw_takes_eight_statements(
    world: CampaignWorld, statements: Any, prizes: list[dict[str, Any]], most: int
) -> None:
    """Ten with the edge's two for money, twelve for points; multipliers and regional pools cost no more."""
    world.run(
        prizes=prizes,
        pools=[
            pool("special", 1, {"yuan": 1}, conditions={"who": {"tiers": ["diamond"]}}),
            pool("everybody", 0, {"yuan": 1}),
        ],
        multipliers=[multiplier("m", 20_000, who={"tiers": ["diamond"]})],
        multiplier_cap_bps=20_000,
    )
    who = world.member(tier="diamond")
    world.draw(who)
    scan = world.scan(who)
    seen = statements(lambda: world.play(who, scan, visit=Visit(address="203.0.113.7")))
    assert len(seen) <= most, seen


def test_only_a_campaign_that_asks_for_the_phone_first_looks_for_one(
    world: CampaignWorld, statements: Any
) -> None:
    def seen(phone_policy: str, *, declined: bool) -> int:
        campaign = world.run(f"phone-{next(world.numbers)}", **ONE_YUAN, phone_policy=phone_policy)
        who = world.member()
        world.draw(who, visit=Visit(phone_declined=True))
        world.do(
            attach,
            person_id=who.person_id,
            identifiers=[phone_claim(f"138{next(world.numbers):08}")],
            source=IdentitySource.PHONE_BUTTON,
            actor=OLGA,
        )
        scan = world.scan(who)
        taken = statements(lambda: world.play(who, scan, visit=Visit(phone_declined=declined)))
        world.do(campaigns.stop, campaign_id=campaign, reason="enough", actor=OLGA)
        return len(taken)

    never = seen("never", declined=False)
    assert seen("at_collection", declined=False) == never
    assert seen("before_draw", declined=True) == never
    assert seen("before_draw", declined=False) == never + 1


def test_every_look_up_of_a_draw_has_a_key(world: CampaignWorld, statements: Any) -> None:
    """Whatever the tables grow to: each table that a draw reads is reached by an index."""
    world.run(**ONE_YUAN)
    who = world.member()
    world.draw(who)
    scan = world.scan(who)
    reads: list[tuple[str, Any]] = []

    def hear(statement: str, parameters: Any) -> None:
        if statement.startswith(("SELECT", "(SELECT")):
            reads.append((statement, parameters))

    with listening(world.db.engine, hear):
        world.play(who, scan)
    with world.db.engine.connect() as connection:
        plans = [
            (row["table"], row["possible_keys"] or row["key"], statement)
            for statement, parameters in reads
            for row in connection.exec_driver_sql(f"EXPLAIN {statement}", parameters).mappings()
            if row["table"] is not None and not row["table"].startswith("<")
        ]
    assert len(plans) > 12
    assert [plan for plan in plans if plan[1] is None] == []
