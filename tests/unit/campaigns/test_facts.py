import pytest

from app.campaigns.facts import Behaviour, DrawFacts, Region, RegionSource, choose_region, read_facts
from app.campaigns.reader import Fault, Node
from app.risk.lists import Level
from tests.factories.campaigns import MONDAY

FULL = DrawFacts(
    at=MONDAY.replace(microsecond=250),
    nth_draw=3,
    draws_today=1,
    behaviour=Behaviour.SHAKE,
    new_customer=True,
    tier="diamond",
    tags=("a", "b"),
    sku="s",
    line="l",
    category="c",
    spec="p",
    product_tags=("t",),
    case="1",
    channel="2",
    order="3",
    origin="4",
    store="S-1",
    region=Region("310115", RegionSource.LOCATION),
    level=Level.ABNORMAL,
    reasons=("black_person",),
    sold_out=("disney",),
    budget_left_fen=7,
    pool_budgets_left_fen={"p": 8},
    stock_left={"disney": 0, "yuan": 9},
    signals={"range_hour": 77},
    risk_policy=5,
)


def read(value: object) -> tuple[DrawFacts, list[Fault]]:
    faults: list[Fault] = []
    return read_facts(Node(value, "", faults)), faults


@pytest.mark.parametrize("found", [FULL, DrawFacts(at=MONDAY)])
def test_facts_are_read_back_as_they_were_written(found: DrawFacts) -> None:
    assert read(found.to_json()) == (found, [])


def test_every_field_of_the_facts_is_written() -> None:
    assert set(FULL.to_json()) == set(DrawFacts.__dataclass_fields__)


@pytest.mark.parametrize(
    "value",
    [
        None,
        {},
        {"at": "yesterday"},
        FULL.to_json() | {"at": "yesterday"},
        FULL.to_json() | {"nth_draw": 0},
        FULL.to_json() | {"region": {"code": "310000"}},
        FULL.to_json() | {"region": "310000"},
        FULL.to_json() | {"pool_budgets_left_fen": [1]},
        FULL.to_json() | {"phone": "13800000000"},
    ],
)
def test_facts_that_cannot_be_read_are_faults_and_never_an_exception(value: object) -> None:
    assert read(value)[1]


@pytest.mark.parametrize(
    ("shipped", "address", "location", "location_counts", "expected"),
    [
        ("310000", "320500", "440300", False, Region("310000", RegionSource.SHIPPED)),
        (None, "320500", "440300", False, Region("320500", RegionSource.ADDRESS)),
        (None, None, "440300", False, None),  # off means off
        ("310000", "320500", "440300", True, Region("440300", RegionSource.LOCATION)),
        ("310000", "320500", None, True, Region("310000", RegionSource.SHIPPED)),  # refused: goes on without
        (None, None, None, True, None),
    ],
)
def test_the_region_works_without_a_position(
    shipped: str | None,
    address: str | None,
    location: str | None,
    location_counts: bool,
    expected: Region | None,
) -> None:
    chosen = choose_region(
        shipped=shipped, address=address, location=location, location_counts=location_counts
    )
    assert chosen == expected
