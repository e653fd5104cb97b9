"""The API of WeCom, as far as a corp's pages need it: token, who is looking, and the openid of its staff.

Source: contracts 0.2, 0.3, 3.1, 3.6 and 3.12.
"""

from __future__ import annotations

import hmac
from typing import Any

from flask import Blueprint, Response, jsonify, request

from sandbox.directory import App
from sandbox.errors import WeChatError
from sandbox.miniprogram import json_body, text_of
from sandbox.world import World

PREFIX = "/cgi-bin/"
TOKENS_PER_MINUTE = 10_000


def blueprint(world: World) -> Blueprint:
    """The routes, bound to ``world``."""
    routes = Blueprint("wecom_api", __name__)
    routes.add_url_rule(PREFIX + "gettoken", "token", lambda: _token(world))
    routes.add_url_rule(PREFIX + "auth/getuserinfo", "visitor", lambda: _visitor(world))
    routes.add_url_rule(
        PREFIX + "user/convert_to_openid", "staff", lambda: _staff_openid(world), methods=["POST"]
    )
    routes.register_error_handler(WeChatError, lambda error: jsonify(error.body()))
    return routes


def _token(world: World) -> Response:
    """GET /cgi-bin/gettoken (3.1)."""
    corp = world.directory.apps.get(request.args.get("corpid", ""))
    if corp is None or corp.kind != "corp":
        raise WeChatError(40013)
    if not hmac.compare_digest(corp.secret.encode(), request.args.get("corpsecret", "").encode()):
        raise WeChatError(40001)
    limits = world.settings.current.limits
    if limits and not world.limiter.allows(f"gettoken:{corp.appid}", calls=TOKENS_PER_MINUTE, seconds=60):
        raise WeChatError(45009)
    text, seconds = world.tokens.issue_corp(corp.appid)
    return _said(access_token=text, expires_in=seconds)


def _visitor(world: World) -> Response:
    """GET /cgi-bin/auth/getuserinfo (3.6): staff by their userid, anybody else by openid."""
    corp = _corp(world)
    text = request.args.get("code")
    if not text:
        raise WeChatError(41008)
    code = world.codes.use(text, purpose="oauth", appid=corp.appid)
    userid = world.directory.userid(corp.appid, code.shopper_id)
    if userid is not None:
        return _said(userid=userid)
    said: dict[str, Any] = {
        "openid": world.directory.openid(corp.appid, code.shopper_id, virtual=code.virtual)
    }
    customer = world.directory.external_userid(corp.appid, code.shopper_id)
    if customer is not None:
        said["external_userid"] = customer
    if code.virtual:
        # The contract knows this flag from service accounts (12.8) only; a test asks for it explicitly.
        said["is_snapshotuser"] = 1
    return _said(**said)


def _staff_openid(world: World) -> Response:
    """POST /cgi-bin/user/convert_to_openid (3.12)."""
    corp = _corp(world)
    shopper_id = world.directory.staff(corp.appid, text_of(json_body(), "userid"))
    if shopper_id is None:
        raise WeChatError(60111)
    return _said(openid=world.directory.openid(corp.appid, shopper_id))


def _corp(world: World) -> App:
    """The corp whose token the request carries. WeChatError 41001, 42001 or 40014."""
    try:
        corp = world.directory.apps[world.tokens.check(request.args.get("access_token"))]
    except WeChatError as error:
        # What the mini-program API calls 40001 has a number of its own here.
        raise (WeChatError(40014) if error.errcode == 40001 else error) from None
    if corp.kind != "corp":
        raise WeChatError(40014)
    return corp


def _said(**fields: Any) -> Response:
    return jsonify({"errcode": 0, "errmsg": "ok", **fields})
