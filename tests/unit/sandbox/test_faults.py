from typing import Any

import pytest

from sandbox.errors import AdminError
from sandbox.faults import CALLBACK_KINDS, REQUEST_KINDS, Faults

BILLS = "/v3/fund-app/mch-transfer/transfer-bills"


def fires(faults: Faults, path: str, count: int) -> list[bool]:
    return [faults.pick(REQUEST_KINDS, path) is not None for _ in range(count)]


def test_a_fault_fires_as_often_as_it_was_told_to_and_only_on_its_path() -> None:
    faults = Faults()
    faults.add({"path": "/cgi-bin/token", "kind": "-1", "times": 2})

    assert fires(faults, "/cgi-bin/stable_token", 3) == [False] * 3
    assert fires(faults, "/cgi-bin/token", 4) == [True, True, False, False]
    assert faults.views()[0]["fired"] == 2


def test_a_glob_meets_many_paths() -> None:
    faults = Faults()
    faults.add({"path": BILLS + "/*", "kind": "system_error"})

    assert fires(faults, BILLS + "/out-bill-no/1", 1) == [True]
    assert fires(faults, BILLS, 1) == [False]


def test_the_same_seed_fires_the_same_way_and_another_one_does_not() -> None:
    def run(seed: int) -> list[bool]:
        faults = Faults()
        faults.add({"path": "/x", "kind": "html_502", "probability": 0.5, "seed": seed})
        return fires(faults, "/x", 64)

    assert run(7) == run(7)
    assert run(7) != run(8)
    assert 16 < sum(run(7)) < 48


def test_the_first_rule_that_fires_wins() -> None:
    faults = Faults()
    faults.add({"path": "/x", "kind": "-1", "times": 1})
    faults.add({"path": "/x", "kind": "45009"})

    picked = [faults.pick(REQUEST_KINDS, "/x") for _ in range(2)]

    assert [rule.kind for rule in picked if rule] == ["-1", "45009"]


def test_faults_of_callbacks_are_apart_from_faults_of_requests() -> None:
    faults = Faults()
    faults.add({"kind": "no_callback"})

    assert fires(faults, BILLS, 1) == [False]
    rule = faults.pick(CALLBACK_KINDS, BILLS, "/callbacks/pay")
    assert rule is not None
    assert rule.kind == "no_callback"


def test_cleared_faults_are_gone() -> None:
    faults = Faults()
    faults.add({"path": "/x", "kind": "-1"})

    assert faults.clear() == 1
    assert fires(faults, "/x", 1) == [False]
    assert faults.views() == []


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"path": "/x", "kind": "earthquake"}, "unknown_kind"),
        ({"kind": "-1"}, "bad_path"),
        ({"path": "x", "kind": "-1"}, "bad_path"),
        ({"path": BILLS, "kind": "-1"}, "bad_path"),
        ({"path": "*", "kind": "45009"}, "bad_path"),
        ({"path": "/sns/jscode2session", "kind": "system_error"}, "bad_path"),
        ({"path": "/x", "kind": "-1", "times": 0}, "bad_times"),
        ({"path": "/x", "kind": "-1", "times": True}, "bad_times"),
        ({"path": "/x", "kind": "-1", "probability": 1.1}, "bad_probability"),
        ({"path": "/x", "kind": "-1", "probability": "1"}, "bad_probability"),
        ({"path": "/x", "kind": "-1", "seed": "a"}, "bad_fault"),
        ({"path": "/x", "kind": "latency", "after_commit": True}, "bad_fault"),
        ({"path": "/x", "kind": "latency", "latency_ms": -1}, "bad_parameter"),
        ({"path": "/x", "kind": "latency", "latency_ms": 60_001}, "bad_parameter"),
        ({"path": "/x", "kind": "-1", "tmies": 1}, "unknown_field"),
    ],
)
def test_a_rule_that_would_not_do_what_it_says_is_refused(fields: dict[str, Any], code: str) -> None:
    faults = Faults()

    with pytest.raises(AdminError) as caught:
        faults.add(fields)

    assert caught.value.status == 422
    assert caught.value.code == code
    assert faults.views() == []
