"""The mini-program API: login, tokens, phone number, mini-program codes, web authorisation.

Source: contracts 0.2, 0.3, 1.1 to 1.5 and 12.8.
"""

from __future__ import annotations

import base64
import hmac
import io
import json
import re
import secrets
from collections.abc import Mapping
from typing import Any

import qrcode
from flask import Blueprint, Response, jsonify, request

from sandbox.directory import App
from sandbox.errors import WeChatError
from sandbox.intercept import business_fault
from sandbox.world import World

SCENE = re.compile(r"[0-9A-Za-z!#$&'()*+,/:;=?@\-._~]+")
SCENE_LONGEST = 32
WXACODE_PREFIX = "wxacode:"
WXACODE_FIELDS: Mapping[str, type] = {
    "scene": str,
    "page": str,
    "check_path": bool,
    "env_version": str,
    "width": int,
    "auto_color": bool,
    "line_color": dict,
    "is_hyaline": bool,
}


def blueprint(world: World) -> Blueprint:
    """The routes, bound to ``world``."""
    routes = Blueprint("miniprogram", __name__)
    routes.add_url_rule("/sns/jscode2session", view_func=lambda: _jscode2session(world), endpoint="login")
    routes.add_url_rule("/sns/oauth2/access_token", view_func=lambda: _oauth(world), endpoint="oauth")
    routes.add_url_rule("/cgi-bin/token", view_func=lambda: _token(world), endpoint="token")
    for path, view in (
        ("/cgi-bin/stable_token", _stable_token),
        ("/wxa/business/getuserphonenumber", _phone_number),
        ("/wxa/getuserriskrank", _risk_rank),
        ("/wxa/getwxacodeunlimit", _wxacode),
    ):
        routes.add_url_rule(path, view_func=_bound(view, world), endpoint=view.__name__, methods=["POST"])
    routes.register_error_handler(WeChatError, lambda error: jsonify(error.body()))
    return routes


def _bound(view: Any, world: World) -> Any:
    return lambda: view(world)


def _app(world: World, appid: str | None, secret: str | None, *, wrong_secret: int) -> App:
    """The app that proves itself with its secret. WeChatError 41002, 41004, 40013 or ``wrong_secret``."""
    if not appid:
        raise WeChatError(41002)
    if not secret:
        raise WeChatError(41004)
    app = world.directory.apps.get(appid)
    if app is None or app.kind == "corp":
        raise WeChatError(40013)
    if not hmac.compare_digest(app.secret.encode(), secret.encode()):
        raise WeChatError(wrong_secret)
    return app


def _jscode2session(world: World) -> Response:
    """GET /sns/jscode2session (1.1)."""
    app = _app(world, request.args.get("appid"), request.args.get("secret"), wrong_secret=40125)
    if request.args.get("grant_type") != "authorization_code":
        raise WeChatError(40002)
    js_code = request.args.get("js_code")
    if not js_code:
        raise WeChatError(41008)
    code = world.codes.look_up(js_code, purpose="login", appid=app.appid)
    if world.settings.current.limits and not world.limiter.allows(
        f"login:{app.appid}:{code.shopper_id}", calls=100, seconds=60
    ):
        raise WeChatError(45011)
    if world.directory.shoppers[code.shopper_id].high_risk:
        raise WeChatError(40226)
    world.codes.use(js_code, purpose="login", appid=app.appid)
    answer: dict[str, Any] = {
        "openid": world.directory.openid(app.appid, code.shopper_id, virtual=code.virtual),
        "session_key": base64.b64encode(secrets.token_bytes(16)).decode(),
    }
    unionid = world.directory.unionid(app, code.shopper_id, virtual=code.virtual)
    if unionid is not None:
        answer["unionid"] = unionid
    if code.virtual:
        # The contract knows this flag from web authorisation (12.8) only; a test asks for it explicitly.
        answer["is_snapshotuser"] = 1
    return jsonify(answer)


def _oauth(world: World) -> Response:
    """GET /sns/oauth2/access_token (12.8)."""
    app = _app(world, request.args.get("appid"), request.args.get("secret"), wrong_secret=40125)
    if request.args.get("grant_type") != "authorization_code":
        raise WeChatError(40002)
    text = request.args.get("code")
    if not text:
        raise WeChatError(41008)
    code = world.codes.use(text, purpose="oauth", appid=app.appid)
    answer: dict[str, Any] = {
        "access_token": secrets.token_urlsafe(64),
        "expires_in": 7200,
        "refresh_token": secrets.token_urlsafe(64),
        "openid": world.directory.openid(app.appid, code.shopper_id, virtual=code.virtual),
        "scope": code.scope,
    }
    unionid = world.directory.unionid(app, code.shopper_id, virtual=code.virtual)
    if unionid is not None and code.scope == "snsapi_userinfo":
        answer["unionid"] = unionid
    if code.virtual:
        answer["is_snapshotuser"] = 1
    return jsonify(answer)


def _token(world: World) -> Response:
    """GET /cgi-bin/token (1.2)."""
    if request.args.get("grant_type") != "client_credential":
        raise WeChatError(40002)
    app = _app(world, request.args.get("appid"), request.args.get("secret"), wrong_secret=40001)
    if world.settings.current.limits and not world.limiter.allows(
        f"token:{app.appid}", calls=2000, seconds=86400
    ):
        raise WeChatError(45009)
    text, seconds = world.tokens.issue_plain(app.appid)
    return jsonify({"access_token": text, "expires_in": seconds})


def _stable_token(world: World) -> Response:
    """POST /cgi-bin/stable_token (1.3)."""
    document = json_body()
    if document.get("grant_type") != "client_credential":
        raise WeChatError(40002)
    appid, secret = text_of(document, "appid"), text_of(document, "secret")
    app = _app(world, appid, secret, wrong_secret=40001)
    force = document.get("force_refresh", False)
    if not isinstance(force, bool):
        raise WeChatError(40097)
    limited = world.settings.current.limits
    if limited and not world.limiter.allows(f"stable_token:{app.appid}", calls=10_000, seconds=60):
        raise WeChatError(45011)
    text, seconds = world.tokens.issue_stable(app.appid, force=force, limited=limited)
    return jsonify({"access_token": text, "expires_in": seconds})


def _phone_number(world: World) -> Response:
    """POST /wxa/business/getuserphonenumber (1.4)."""
    appid = world.tokens.check(request.args.get("access_token"))
    document = json_body()
    text, openid = text_of(document, "code"), text_of(document, "openid")
    if not text:
        raise WeChatError(41008)
    foreign = 40013 if world.settings.current.strict_unverified else 40029
    code = world.codes.look_up(text, purpose="phone", appid=appid, foreign=foreign)
    if openid and openid != world.directory.openid(appid, code.shopper_id, virtual=code.virtual):
        raise WeChatError(40003)
    if code.quota_empty or business_fault("phone_quota"):
        # The client normally learns of an empty quota at the tap (13.2, errno 1400001). When the quota runs
        # out between tap and exchange the platform's number is not documented; the day-quota code is our
        # stand-in.
        raise WeChatError(45009)
    world.codes.use(text, purpose="phone", appid=appid)
    shopper = world.directory.shoppers[code.shopper_id]
    abroad = shopper.country_code != "86"
    phone_info = {
        "phoneNumber": f"+{shopper.country_code}{shopper.phone}" if abroad else shopper.phone,
        "purePhoneNumber": shopper.phone,
        "countryCode": shopper.country_code,
        "watermark": {"timestamp": int(world.clock.now()), "appid": appid},
    }
    return jsonify({"errcode": 0, "errmsg": "ok", "phone_info": phone_info})


def _risk_rank(world: World) -> Response:
    """POST /wxa/getuserriskrank (1.9, 13.6)."""
    appid = world.tokens.check(request.args.get("access_token"))
    document = json_body()
    if text_of(document, "appid") != appid:
        raise WeChatError(40013)
    owner = world.directory.owner(text_of(document, "openid"))
    if owner is None or owner.appid != appid:
        raise WeChatError(40003)
    if document.get("scene") not in (0, 1, 2) or not text_of(document, "client_ip"):
        raise WeChatError(47001)
    rank = world.directory.shoppers[owner.shopper_id].risk_rank
    # The answer's second field is really spelt so.
    return jsonify({"errcode": 0, "errmsg": "ok", "risk_rank": rank, "unoin_id": secrets.randbelow(10**9)})


def _wxacode(world: World) -> Response:
    """POST /wxa/getwxacodeunlimit (1.5): an image that stands for the mini-program code."""
    appid = world.tokens.check(request.args.get("access_token"))
    document = json_body()
    for name, value in document.items():
        kind = WXACODE_FIELDS.get(name)
        if kind is None or not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise WeChatError(40097)
    scene = document.get("scene", "")
    if not 1 <= len(scene) <= SCENE_LONGEST:
        raise WeChatError(40169)
    if not SCENE.fullmatch(scene):
        raise WeChatError(40129)
    pages = world.directory.apps[appid].pages
    page = document.get("page", pages[0] if pages else "")
    if page.startswith("/") or "?" in page or (document.get("check_path", True) and page not in pages):
        raise WeChatError(41030)
    width = document.get("width", 430)
    if not 280 <= width <= 1280 or document.get("env_version", "release") not in (
        "release",
        "trial",
        "develop",
    ):
        raise WeChatError(40097)
    code = qrcode.QRCode(border=2)
    code.add_data(WXACODE_PREFIX + json.dumps({"appid": appid, "page": page, "scene": scene}))
    image = io.BytesIO()
    code.make_image().get_image().resize((width, width)).save(image, "PNG")
    return Response(image.getvalue(), mimetype="image/png")


def json_body() -> dict[str, Any]:
    """The request's JSON object. WeChatError 44002 or 47001."""
    body = request.get_data()
    if not body:
        raise WeChatError(44002)
    try:
        document = json.loads(body.decode())
    except (ValueError, RecursionError):
        raise WeChatError(47001) from None
    if not isinstance(document, dict):
        raise WeChatError(47001)
    return document


def text_of(document: Mapping[str, Any], name: str) -> str:
    """The text in field ``name``, empty when it is missing. WeChatError 40097 for anything else."""
    value = document.get(name, "")
    if not isinstance(value, str):
        raise WeChatError(40097)
    return value
