"""The page on which WeChat tells a service account or a corp who is looking: web authorisation (12.8, 3.6).

Whose phone the browser is says the cookie ``sandbox_shopper``, which the phone page sets. Where the browser
is sent back to must lie on the host that the account or the corp has registered, exactly; the product answers
for it, as it does for callbacks. What the real page shows for a fault is not in the contracts: here it is one
line.
"""

from __future__ import annotations

import re
from urllib.parse import urlencode, urlsplit

from flask import Blueprint, Response, redirect, request
from werkzeug.wrappers import Response as WerkzeugResponse

from sandbox.directory import App
from sandbox.world import World

PATH = "/connect/oauth2/authorize"
SHOPPER_COOKIE = "sandbox_shopper"
SCOPES = {"service": ("snsapi_base", "snsapi_userinfo"), "corp": ("snsapi_base", "snsapi_privateinfo")}
STATE = re.compile(r"[0-9A-Za-z]{0,128}")


def blueprint(world: World) -> Blueprint:
    """The route, bound to ``world``."""
    routes = Blueprint("authorisation", __name__)

    @routes.get(PATH)
    def authorize() -> WerkzeugResponse:
        app = world.directory.apps.get(request.args.get("appid", ""))
        fault = _fault(app)
        if app is None or fault:
            return Response(fault, 400, mimetype="text/plain")
        shopper = world.directory.shoppers.get(request.cookies.get(SHOPPER_COOKIE, ""))
        if shopper is None:
            return Response("请在微信客户端打开链接", 400, mimetype="text/plain")
        scope = request.args["scope"]
        code = world.codes.issue(purpose="oauth", appid=app.appid, shopper_id=shopper.id, scope=scope)
        back = urlsplit(request.args["redirect_uri"])
        query = "&".join(filter(None, (back.query, urlencode({"code": code, "state": _state()}))))
        return redirect(f"{world.callbacks.target(back.geturl())}?{query}", 302)

    return routes


def _state() -> str:
    return request.args.get("state", "")


def _fault(app: App | None) -> str:
    """What is wrong with the request; nothing when it may pass."""
    if app is None or app.kind not in SCOPES:
        return "AppID 参数错误"
    if request.args.get("agentid", "") != app.agentid:
        return "agentid 参数错误"
    back = urlsplit(request.args.get("redirect_uri", ""))
    if not app.oauth_host or back.hostname != app.oauth_host or back.username or back.fragment:
        return "redirect_uri 参数错误"
    try:
        secure = back.scheme == "https" and back.port in (None, 443)
    except ValueError:
        secure = False
    if not secure:
        return "redirect_uri 参数错误"
    if request.args.get("response_type") != "code" or request.args.get("scope") not in SCOPES[app.kind]:
        return "Scope 参数错误或没有 Scope 权限"
    return "" if STATE.fullmatch(_state()) else "state 参数错误"
