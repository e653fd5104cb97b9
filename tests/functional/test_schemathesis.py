"""The API keeps to its own document, whatever is sent: schemathesis, authenticated and stateful.

Data that only a platform or an earlier answer can give (login codes, scanned codes, ids) are put into half
of the valid requests, so that operations are reached beyond their first refusal. Seeded, and bounded by a
number of examples: a time to be filled would cost the fastest machine as much as the slowest.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import from_schema
from schemathesis.engine.events import FatalError, NonFatalError, ScenarioFinished
from schemathesis.engine.run import PhaseName
from schemathesis.generation import GenerationMode
from schemathesis.hooks import unregister

from app.tax import notice
from tests.support.shop import APPID, POLICY, Shop, Shopper

SEED = 20260601
EXAMPLES = 10
REACHED = 0.8


class Realist:
    """Puts into requests what only a living installation knows."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.chance = random.Random(SEED)
        self.shopper = shop.shopper().member()
        self.shopper.give_phone()
        self.played = self.shopper.draw(self.shopper.scan())

    def fresh(self) -> Shopper:
        """Another session of the same shopper, which may be ended."""
        other = Shopper(self.shop, self.shopper.id)
        other.login()
        return other

    def body(self, label: str) -> dict[str, Any] | None:
        """A body that the operation can act on."""
        sandbox, person = self.shop.sandbox, self.shopper.id
        match label:
            case "create_session":
                return {"app_id": APPID, "js_code": sandbox.js_code(person, APPID)}
            case "give_phone":
                return {"code": sandbox.phone_code(person, APPID)}
            case "join":
                return {"policy_version": POLICY, "age_band": "adult"}
            case "create_scan":
                return {"code": self.shop.code()}
            case "create_draw":
                self.shopper.join()
                return {"scan": self.shopper.scan()["scan"]["id"]}
            case "collect":
                return {"phone_declined": True}
            case "give_tax_identity":
                who = {"name": "李雷", "document": "passport", "number": "G12345678"}
                return who | {"notice_version": notice.VERSION}
        return None

    def path(self, label: str) -> dict[str, str] | None:
        """Ids of things that are there."""
        if label == "collect":
            self.shopper.join()
            return {"award_id": self.shopper.win()["id"]}
        known = {"draw_id": self.played["draw"]["id"], "award_id": self.played["award"]["id"]}
        known["campaign_id"] = self.played["draw"]["campaign"]
        return known


def _schema(shop: Shop, realist: Realist) -> Any:
    config = SchemathesisConfig.from_dict(
        {
            "seed": SEED,
            "generation": {"max-examples": EXAMPLES, "deterministic": True, "database": "none"},
            "phases": {"stateful": {"generation": {"max-examples": 2 * EXAMPLES}}},
            # What a document cannot say: a text that is no code, a cursor that was not given out.
            "operations": [
                {
                    "include-operation-id": [
                        "create_scan",
                        "list_awards",
                        "list_entries",
                        "list_winners",
                    ],
                    "checks": {
                        "positive_data_acceptance": {"expected-statuses": ["2xx", "401", "404", "409", "422"]}
                    },
                }
            ],
        }
    )
    schema = schemathesis.openapi.from_url(f"{shop.url}/miniprogram/openapi.json", config=config)

    @schema.auth(refresh_interval=None)
    class Session:
        def get(self, case: Any, context: Any) -> str:
            ends = context.operation.definition.raw["operationId"] == "end_session"
            return (realist.fresh() if ends else realist.shopper).token

        def set(self, case: Any, data: str, context: Any) -> None:
            case.headers = {**(case.headers or {}), "Authorization": f"Bearer {data}"}

    return schema


@contextmanager
def _put_into_requests(realist: Realist) -> Iterator[None]:
    @schemathesis.hook
    def before_call(context: Any, case: Any, kwargs: Any) -> None:
        positive = case.meta is not None and case.meta.generation.mode is GenerationMode.POSITIVE
        if not positive or realist.chance.random() < 0.5:
            return
        label = case.operation.definition.raw["operationId"]
        if (body := realist.body(label)) is not None:
            case.body = body
        known = realist.path(label) if case.path_parameters else None
        if known:
            case.path_parameters = {name: known[name] for name in case.path_parameters}
        if case.query and "cursor" in case.query:
            del case.query["cursor"]

    try:
        yield
    finally:
        unregister(before_call)


def test_the_api_keeps_to_its_document(shop: Shop) -> None:
    shop.app.extensions["saoma.limiter"].enabled = False
    realist = Realist(shop)
    schema = _schema(shop, realist)
    failures: list[str] = []
    requests: Counter[PhaseName] = Counter()
    statuses: dict[str, set[int]] = defaultdict(set)

    with _put_into_requests(realist):
        for event in from_schema(schema).execute():
            if isinstance(event, FatalError):
                raise event.exception
            if isinstance(event, NonFatalError):
                failures.append(f"{event.label}: {event.value!r}")
            if isinstance(event, ScenarioFinished):
                recorder = event.recorder
                requests[event.phase] += len(recorder.interactions)
                for case_id, interaction in recorder.interactions.items():
                    if interaction.response is not None and case_id in recorder.cases:
                        label = recorder.cases[case_id].value.operation.label
                        statuses[label].add(interaction.response.status_code)
                for case_id, checks in recorder.checks.items():
                    for check in checks:
                        if check.failure_info is not None:
                            case = recorder.cases[case_id].value
                            failures.append(
                                f"{case.operation.label} {check.name}: {check.failure_info.failure}\n"
                                f"  {case.body!r} {case.query!r} {case.path_parameters!r} {case.headers!r}"
                            )

    assert failures == []
    assert requests[PhaseName.COVERAGE] > 200
    assert requests[PhaseName.FUZZING] > 100
    assert requests[PhaseName.STATEFUL_TESTING] > 50
    reached = {label for label, seen in statuses.items() if any(200 <= status < 300 for status in seen)}
    operations = {operation.ok().label for operation in schema.get_all_operations()}
    assert len(reached) >= REACHED * len(operations), (operations - reached, dict(statuses))
    assert not {label for label, seen in statuses.items() if any(status >= 500 for status in seen)}
