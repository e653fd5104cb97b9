"""The API of WeChat's one-item-one-code, and the taps around it. Source: contract 1.11."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flask import Blueprint, Response, jsonify, request

from sandbox.errors import WeChatError
from sandbox.fields import Required, read_fields
from sandbox.market import COLUMNS, Application
from sandbox.miniprogram import json_body, text_of
from sandbox.world import World

_WORDS = ("activity_name", "product_brand", "product_title", "product_code", "wxa_appid", "wxa_path")


def blueprint(world: World) -> Blueprint:
    """The routes, bound to ``world``."""
    routes = Blueprint("market", __name__)
    views: Mapping[str, Callable[[World, str, Mapping[str, Any]], dict[str, Any]]] = {
        "applycode": _apply,
        "applycodequery": _query,
        "applycodedownload": _download,
        "codeactive": _activate,
        "codeactivequery": _look_up,
        "tickettocode": _ticket,
    }
    for name, view in views.items():
        path = f"/intp/marketcode/{name}"
        routes.add_url_rule(path, view_func=_bound(view, world), endpoint=name, methods=["POST"])
    routes.register_error_handler(WeChatError, lambda error: jsonify(error.body()))

    @routes.post("/_sandbox/marketcode")
    def grant() -> tuple[Response, int]:
        fields = read_fields({"appid": Required(str), "key": Required(str), "columns": list(COLUMNS)})
        world.market.grant(**fields)
        return jsonify({"appid": fields["appid"]}), 201

    @routes.post("/_sandbox/shoppers/<shopper_id>/market_scan")
    def scan(shopper_id: str) -> tuple[Response, int]:
        return jsonify(
            world.market.scan(shopper_id, read_fields({"code_url": Required(str)})["code_url"])
        ), 201

    return routes


def _bound(
    view: Callable[[World, str, Mapping[str, Any]], dict[str, Any]], world: World
) -> Callable[[], Response]:
    def answer() -> Response:
        appid = world.tokens.check(request.args.get("access_token"))
        return jsonify({"errcode": 0, "errmsg": "ok", **view(world, appid, json_body())})

    return answer


def _apply(world: World, appid: str, document: Mapping[str, Any]) -> dict[str, Any]:
    order = text_of(document, "isv_application_id")
    return {"application_id": world.market.apply(appid, order, _number(document, "code_count")).id}


def _query(world: World, appid: str, document: Mapping[str, Any]) -> dict[str, Any]:
    found = _application(world, appid, document)
    finished = world.market.finished(found)
    ranges = [{"code_start": first, "code_end": last} for first, last in world.market.files(found)]
    return {
        "status": "FINISH" if finished else "RUNNING",
        "isv_application_id": found.order,
        "application_id": found.id,
        "create_time": int(found.at),
        "update_time": int(world.clock.now()),
        "code_generate_list": ranges if finished else [],
    }


def _download(world: World, appid: str, document: Mapping[str, Any]) -> dict[str, Any]:
    found = _application(world, appid, document)
    first, last = _number(document, "code_start"), _number(document, "code_end")
    return {"buffer": world.market.download(found, first, last)}


def _activate(world: World, appid: str, document: Mapping[str, Any]) -> dict[str, Any]:
    found = _application(world, appid, document)
    words = {name: text_of(document, name) for name in _WORDS}
    if not all(words.values()) or not words["product_code"].isdecimal():
        raise WeChatError(40097)
    first, last = _number(document, "code_start"), _number(document, "code_end")
    world.market.activate(found, first, last, {**words, "wxa_type": _number(document, "wxa_type")})
    return {}


def _look_up(world: World, appid: str, document: Mapping[str, Any]) -> dict[str, Any]:
    text = text_of(document, "code") or text_of(document, "code_url")[-9:]
    if not text:
        return _view(world, _application(world, appid, document), _number(document, "code_index"))
    found, index = world.market.place(text)
    url = text_of(document, "code_url")
    if found is None or found.appid != appid or (url and world.market.url(text) != url):
        raise WeChatError(40097)
    return _view(world, found, index)


def _ticket(world: World, appid: str, document: Mapping[str, Any]) -> dict[str, Any]:
    text, openid = text_of(document, "code_ticket"), text_of(document, "openid")
    if not text:
        raise WeChatError(41008)
    return _view(world, *world.market.use_ticket(appid, openid, text))


def _view(world: World, found: Application, index: int) -> dict[str, Any]:
    held = found.holding(index)
    if held is None:
        raise WeChatError(40097)
    return {
        "code": world.market.code(found, index),
        "application_id": found.id,
        "isv_application_id": found.order,
        **held.fields,
        "code_start": held.first,
        "code_end": held.last,
    }


def _application(world: World, appid: str, document: Mapping[str, Any]) -> Application:
    order = text_of(document, "isv_application_id")
    return world.market.application(appid, None if order else _number(document, "application_id"), order)


def _number(document: Mapping[str, Any], name: str) -> int:
    value = document.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise WeChatError(40097)
    return value
