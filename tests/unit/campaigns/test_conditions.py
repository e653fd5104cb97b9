from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from app.campaigns.conditions import EVERYBODY, Conditions, read_conditions
from app.campaigns.facts import Behaviour, DrawFacts, Region, RegionSource
from app.campaigns.reader import Fault, Node
from tests.factories.campaigns import FRIDAY, MONDAY, facts

SHANGHAI = ZoneInfo("Asia/Shanghai")


def read(document: dict[str, Any]) -> Conditions:
    faults: list[Fault] = []
    conditions = read_conditions(Node(document, "", faults))
    assert faults == []
    return conditions


def faults_of(document: object) -> list[tuple[str, str]]:
    faults: list[Fault] = []
    read_conditions(Node(document, "", faults))
    return [(fault.path, fault.code) for fault in faults]


def hold(document: dict[str, Any], found: DrawFacts) -> bool:
    return read(document).hold(found, found.at.astimezone(SHANGHAI))


def local(year: int, month: int, day: int, hour: int = 12, minute: int = 0) -> DrawFacts:
    return facts(at=datetime(year, month, day, hour, minute, tzinfo=SHANGHAI).astimezone(UTC))


def test_no_conditions_hold_for_everybody() -> None:
    assert read({}).always
    assert read({}) == EVERYBODY
    assert hold({}, facts())


def test_a_weekday_is_that_of_the_market_and_not_of_utc() -> None:
    friday = {"when": {"weekdays": [5]}}
    assert hold(friday, facts(at=FRIDAY))
    assert not hold(friday, facts(at=MONDAY))
    # Thursday 16:00 UTC is Friday 00:00 in Shanghai; a minute before it is Thursday in both.
    edge = datetime(2026, 6, 4, 16, 0, tzinfo=UTC)
    assert hold(friday, facts(at=edge))
    assert not hold(friday, facts(at=edge - timedelta(minutes=1)))


def test_a_window_holds_its_start_but_not_its_end() -> None:
    window = {
        "when": {"windows": [{"from": "2026-06-01T00:00:00+08:00", "to": "2026-06-02T00:00:00+08:00"}]},
    }
    assert hold(window, local(2026, 6, 1, 0))
    assert hold(window, local(2026, 6, 1, 23, 59))
    assert not hold(window, local(2026, 6, 2, 0))
    assert not hold(window, local(2026, 5, 31, 23, 59))


def test_days_of_the_month_and_the_last_one() -> None:
    assert hold({"when": {"days_of_month": [8, 18]}}, local(2026, 6, 18))
    assert not hold({"when": {"days_of_month": [8, 18]}}, local(2026, 6, 28))
    last = {"when": {"days_of_month": [-1]}}
    assert hold(last, local(2026, 2, 28))
    assert hold(last, local(2028, 2, 29))
    assert not hold(last, local(2028, 2, 28))
    assert not hold({"when": {"days_of_month": [31]}}, local(2026, 6, 30))


def test_hours_may_pass_midnight() -> None:
    evening = {"when": {"hours": [{"from": "18:00", "to": "22:00"}]}}
    night = {"when": {"hours": [{"from": "22:00", "to": "02:00"}]}}
    assert hold(evening, local(2026, 6, 1, 18))
    assert not hold(evening, local(2026, 6, 1, 22))
    assert hold(night, local(2026, 6, 1, 23))
    assert hold(night, local(2026, 6, 1, 1, 59))
    assert not hold(night, local(2026, 6, 1, 2))


@pytest.mark.parametrize(
    ("area", "region", "holds"),
    [
        ("310000", "310115", True),  # a district lies in its municipality
        ("310000", "320500", False),
        ("320500", "320506", True),
        ("320500", "320000", False),  # knowing the province only is not knowing the city
        ("310000", None, False),
    ],
)
def test_an_area_holds_what_lies_in_it(area: str, region: str | None, holds: bool) -> None:
    found = facts(region=None if region is None else Region(region, RegionSource.SHIPPED))
    assert hold({"where": {"areas": [area]}}, found) is holds


def test_customer_tier_and_tags() -> None:
    assert hold({"who": {"customer": "new"}}, facts(new_customer=True))
    assert not hold({"who": {"customer": "new"}}, facts())
    assert hold({"who": {"customer": "old"}}, facts())
    assert hold({"who": {"tiers": ["gold", "diamond"]}}, facts(tier="diamond"))
    assert not hold({"who": {"tiers": ["diamond"]}}, facts())
    assert hold({"who": {"tags_any": ["a", "b"]}}, facts(tags=("b",)))
    assert not hold({"who": {"tags_all": ["a", "b"]}}, facts(tags=("b",)))
    assert hold({"who": {"tags_all": ["a", "b"]}}, facts(tags=("a", "b")))
    assert not hold({"who": {"tags_none": ["staff"]}}, facts(tags=("staff",)))
    assert hold({"who": {"tags_none": ["staff"]}}, facts())


@pytest.mark.parametrize(
    ("field", "fact"), [("skus", "sku"), ("lines", "line"), ("categories", "category"), ("specs", "spec")]
)
def test_product_fields_are_compared_exactly(field: str, fact: str) -> None:
    condition = {"which": {field: ["premium", "x"]}}
    assert hold(condition, facts(**{fact: "premium"}))
    assert not hold(condition, facts(**{fact: "premium plus"}))
    assert not hold(condition, facts())


def test_product_tags_need_one_of_those_listed() -> None:
    assert hold({"which": {"tags": ["gift", "new"]}}, facts(product_tags=("new", "red")))
    assert not hold({"which": {"tags": ["gift"]}}, facts(product_tags=("new",)))


def test_which_draw_it_is_counts_both_ends() -> None:
    condition = {"what": {"draw_from": 2, "draw_to": 3}}
    assert [hold(condition, facts(nth_draw=n)) for n in (1, 2, 3, 4)] == [False, True, True, False]


def test_behaviour() -> None:
    shake = {"what": {"behaviours": ["shake"]}}
    assert hold(shake, facts(behaviour=Behaviour.SHAKE))
    assert not hold(shake, facts())


@pytest.mark.parametrize(
    ("field", "fact"),
    [("cases", "case"), ("channels", "channel"), ("orders", "order"), ("origins", "origin")],
)
def test_own_attributes_are_compared_exactly(field: str, fact: str) -> None:
    condition = {"own": {field: ["c-1"]}}
    assert hold(condition, facts(**{fact: "c-1"}))
    assert not hold(condition, facts(**{fact: "c-2"}))
    assert not hold(condition, facts())


def test_all_dimensions_must_hold() -> None:
    condition = {"who": {"tiers": ["diamond"]}, "when": {"weekdays": [5]}}
    assert hold(condition, facts(tier="diamond", at=FRIDAY))
    assert not hold(condition, facts(tier="diamond", at=MONDAY))
    assert not hold(condition, facts(tier="gold", at=FRIDAY))


@pytest.mark.parametrize("word", ["share", "sharing", "forward", "moments", "invite", "help"])
def test_sharing_may_not_open_a_pool(word: str) -> None:
    assert faults_of({"what": {"behaviours": [word]}}) == [("what.behaviours[0]", "share_not_allowed")]


@pytest.mark.parametrize(
    ("document", "fault"),
    [
        ({"whom": {}}, ("whom", "unknown_field")),
        ({"when": {"weekdays": [0]}}, ("when.weekdays[0]", "out_of_range")),
        ({"when": {"weekdays": [1, 1]}}, ("when.weekdays", "repeated")),
        ({"when": {"weekdays": []}}, ("when.weekdays", "wrong_length")),
        ({"when": {"days_of_month": [32]}}, ("when.days_of_month[0]", "out_of_range")),
        ({"when": {"days_of_month": [-2]}}, ("when.days_of_month[0]", "out_of_range")),
        ({"when": {"hours": [{"from": "08:00", "to": "08:00"}]}}, ("when.hours[0]", "empty_stretch")),
        (
            {"when": {"windows": [{"from": "2026-06-02T00:00:00Z", "to": "2026-06-01T00:00:00Z"}]}},
            ("when.windows[0]", "ends_before_start"),
        ),
        ({"when": {"windows": [{"from": "2026-06-02T00:00:00Z"}]}}, ("when.windows[0].to", "missing")),
        ({"where": {"areas": ["31"]}}, ("where.areas[0]", "not_a_region")),
        ({"where": {"areas": ["shangh"]}}, ("where.areas[0]", "not_a_region")),
        ({"where": {"areas": [310000]}}, ("where.areas[0]", "not_a_region")),
        ({"who": {"customer": "both"}}, ("who.customer", "unknown_choice")),
        ({"what": {"draw_from": 3, "draw_to": 2}}, ("what", "ends_before_start")),
        ({"what": {"behaviours": [["share"]]}}, ("what.behaviours[0]", "unknown_choice")),
    ],
)
def test_each_fault_is_named_with_its_path(document: object, fault: tuple[str, str]) -> None:
    assert fault in faults_of(document)


def test_the_normal_form_is_read_back_to_the_same_conditions() -> None:
    document = {
        "when": {
            "windows": [{"from": "2026-06-01T08:00:00+08:00", "to": "2026-06-02T00:00:00Z"}],
            "weekdays": [5, 1],
            "days_of_month": [-1, 8],
            "hours": [{"from": "22:00", "to": "02:00"}, {"from": "08:00", "to": "09:00"}],
        },
        "where": {"areas": ["320500", "310000"]},
        "who": {
            "customer": "old",
            "tiers": ["b", "a"],
            "tags_any": ["t"],
            "tags_all": ["u"],
            "tags_none": ["v"],
        },
        "which": {"skus": ["1"], "lines": ["2"], "categories": ["3"], "specs": ["4"], "tags": ["5"]},
        "what": {"behaviours": ["shake", "scan"], "draw_from": 1, "draw_to": 3},
        "own": {"cases": ["1"], "channels": ["2"], "orders": ["3"], "origins": ["4"]},
    }
    conditions = read(document)
    written = conditions.to_json()
    assert read(written) == conditions
    assert read(written).to_json() == written
    assert written["when"] == {
        "windows": [{"from": "2026-06-01T00:00:00Z", "to": "2026-06-02T00:00:00Z"}],
        "weekdays": [1, 5],
        "days_of_month": [-1, 8],
        "hours": [{"from": "08:00", "to": "09:00"}, {"from": "22:00", "to": "02:00"}],
    }
