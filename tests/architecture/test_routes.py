"""Every route needs a session, unless it is on this list and says why it does not."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from werkzeug.routing import Rule

import miniprogram_api
from app.factory import create_app
from app.http.access import rule_of
from tests.support.product import product

# A new line here opens a door: the reason stands at the route, and a reviewer sees both.
PUBLIC = {
    "GET /",
    "GET /assets/page.css",
    "GET /healthz",
    "GET /metrics",
    "GET /miniprogram/docs",
    "GET /miniprogram/link",
    "GET /miniprogram/link/<ticket>",
    "GET /miniprogram/openapi.json",
    "GET /miniprogram/v1/callbacks/messages/<appid>",
    "GET /miniprogram/v1/campaigns/<campaign_id>/rules",
    "GET /miniprogram/v1/campaigns/<campaign_id>/winners",
    "GET /miniprogram/v1/policies/current",
    "GET /p/<key>",
    "GET /q/<code>",
    "GET /readyz",
    "POST /miniprogram/link/<ticket>",
    "POST /miniprogram/v1/callbacks/messages/<appid>",
    "POST /miniprogram/v1/callbacks/pay/<mchid>",
    "POST /miniprogram/v1/sessions",
}
# Exist only where a setting asks for them.
PUBLIC_BY_SETTING = {"GET /sheet", "GET /sheet.json", "GET /q/MP_verify_abc.txt"}


@pytest.fixture
def app(sqlite_url: str, tmp_path: Path) -> Iterator[Flask]:
    """Give the product with all its surfaces and every setting that adds a route."""
    settings = {"SAOMA_DEMO": "1", "SAOMA_VERIFICATION_FILE": "MP_verify_abc.txt=abc"}
    with product(sqlite_url, tmp_path, **settings) as container:
        yield create_app(container, [miniprogram_api])


def _doors(app: Flask) -> dict[str, tuple[str, Rule]]:
    return {
        f"{method} {rule.rule}": (method, rule)
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }


def _open(app: Flask) -> set[str]:
    found = {door: rule_of(app.view_functions[rule.endpoint]) for door, (_, rule) in _doors(app).items()}
    return {door for door, rule in found.items() if rule is not None and rule.public}


def test_what_needs_no_session_is_listed_and_says_why(app: Flask) -> None:
    assert _open(app) == PUBLIC | PUBLIC_BY_SETTING


def test_without_the_settings_their_routes_are_not_there(sqlite_url: str, tmp_path: Path) -> None:
    with product(sqlite_url, tmp_path) as container:
        assert _open(create_app(container, [miniprogram_api])) == PUBLIC


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"Authorization": "Bearer se_0123456789abcdef.forged"}, id="forged"),
        pytest.param({"Authorization": "Basic YWRtaW46YWRtaW4="}, id="another scheme"),
    ],
)
def test_every_other_route_answers_nobody(app: Flask, headers: dict[str, str]) -> None:
    client = app.test_client()
    closed = {door: found for door, found in _doors(app).items() if door not in PUBLIC | PUBLIC_BY_SETTING}
    answers = {
        door: client.open(_path(app, rule), method=method, headers=headers, json={})
        for door, (method, rule) in closed.items()
    }

    assert len(answers) > 10
    assert {door: answer.status_code for door, answer in answers.items() if answer.status_code != 401} == {}
    assert {answer.get_json()["code"] for answer in answers.values()} == {"unauthenticated"}


def _path(app: Flask, rule: Rule) -> str:
    with app.test_request_context():
        return str(app.url_map.bind("localhost").build(rule.endpoint, dict.fromkeys(rule.arguments, "x")))


def test_a_route_without_a_rule_answers_nobody(sqlite_url: str, tmp_path: Path) -> None:
    with product(sqlite_url, tmp_path) as container:
        app = create_app(container, [miniprogram_api])
        app.add_url_rule("/forgotten", view_func=lambda: "secret")

        assert app.test_client().get("/forgotten").status_code == 401
