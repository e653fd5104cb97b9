"""People who may join; everything is rolled back."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy.orm import Session

from app.kernel.clock import ManualClock
from app.members import operations as members
from app.members.models import AgeBand
from app.members.operations import Source
from app.members.queries import Membership
from tests.factories.people import OPERATOR, People

Join = Callable[..., Membership]


@pytest.fixture
def people(session: Session, clock: ManualClock) -> People:
    people = People.build(session, clock)
    publish(people, "1")
    return people


def publish(people: People, version: str) -> None:
    """Publish a version of the policy."""
    members.publish_policy(
        people.session, version=version, text_zh="隐私政策", text_en="Privacy", now=people.clock.now()
    )


@pytest.fixture
def join(people: People) -> Join:
    """Joins a person, an adult with the first policy unless told otherwise."""

    def act(person_id: int, **changes: Any) -> Membership:
        facts: dict[str, Any] = {
            "policy_version": "1",
            "age_band": AgeBand.ADULT,
            "guardian_consent": False,
            "source": Source(),
            **changes,
        }
        return members.join(
            people.session, person_id=person_id, now=people.clock.now(), actor=OPERATOR, **facts
        )

    return act
