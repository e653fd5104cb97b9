"""Builds the Flask application that surfaces register their routes on.

A request passes: request id and token are read · the address's rate is counted · a route that is not
public needs a genuine token · the route's own limits · the view. Whatever comes of it leaves with the same
headers, one log line and one observation. A route that never said who may call it answers nobody.
"""

import logging
from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

from flask import Flask, Response, current_app, g, request
from werkzeug.middleware.proxy_fix import ProxyFix

from app.config import Settings
from app.db.engine import Database
from app.db.secrets import KeyRing
from app.http import limits, logs, metrics, problems
from app.http.access import rule_of
from app.http.checks import checks
from app.http.edge import Edge
from app.http.intake import MAX_BODY_BYTES, give_request_id
from app.http.paging import Cursors
from app.identity import session_token
from app.identity.queries import Principal
from app.kernel.clock import Clock
from app.kernel.errors import Unauthenticated
from app.kernel.ids import PublicIds

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

log = logging.getLogger("saoma.http")

_QUIET_ROUTES = frozenset({"/healthz", "/readyz", "/metrics"})
# What every answer has, unless its view has said otherwise.
_HEADERS = tuple(
    {
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self' data:;"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "geolocation=(), camera=(), microphone=()",
        "Cache-Control": "no-store",
    }.items()
)
_HSTS = "max-age=31536000"


class Kit(Protocol):
    """What the kit needs of the container."""

    @property
    def settings(self) -> Settings:
        """The settings of the process."""

    @property
    def clock(self) -> Clock:
        """Where the time comes from."""

    @property
    def db(self) -> Database:
        """The database."""

    @property
    def keyring(self) -> KeyRing:
        """The keys that sign tokens and cursors."""

    @property
    def public_ids(self) -> PublicIds:
        """The public form of ids."""


class _App(Flask):
    """Flask without what costs each request something and serves none of ours."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        # Nothing here is a coroutine, and asking that of each function takes longer than calling most.
        return func

    def wsgi_app(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Any:
        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            said = {name for name, _ in headers}
            return start_response(
                status, [*headers, *[header for header in _HEADERS if header[0] not in said]], exc_info
            )

        return super().wsgi_app(environ, start)


def build_app(kit: Kit) -> Flask:
    """Return an application with problems, sessions, limits, headers, logs, metrics and checks."""
    app = _App("saoma", static_folder=None)
    app.config.update(
        MAX_CONTENT_LENGTH=MAX_BODY_BYTES,
        MAX_FORM_MEMORY_SIZE=MAX_BODY_BYTES,
        PROVIDE_AUTOMATIC_OPTIONS=False,
        JSON_SORT_KEYS=False,
    )
    app.url_map.strict_slashes = True
    if kit.settings.trusted_proxies:
        hops = kit.settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops)  # type: ignore[method-assign]
    app.extensions["saoma"] = kit
    gate = limits.build(app, redis_url=kit.settings.redis_url)
    app.extensions["saoma.limiter"] = gate
    app.extensions["saoma.edge"] = Edge(kit.db, kit.clock, gate)
    app.extensions["saoma.cursors"] = Cursors(kit.keyring)
    problems.install(app)

    @app.before_request
    def arrive() -> None:
        g.started = perf_counter()
        give_request_id(request)
        logs.request_id.set(g.request_id)
        g.view = app.view_functions.get(request.endpoint or "")
        g.session_id = _session_id(kit)

    @app.before_request
    def let_in() -> None:
        rule = rule_of(g.view)
        gate.let_address(rule)
        if g.view is None or (rule is not None and rule.public is not None):
            return
        if rule is None or g.session_id is None:
            raise Unauthenticated("send a bearer token that still runs; POST /sessions gives one")
        gate.let_person(rule, g.session_id)

    app.after_request(_depart)

    @app.teardown_request
    def forget(_error: BaseException | None) -> None:
        logs.request_id.set(None)

    app.register_blueprint(checks)
    return app


def _session_id(kit: Kit) -> int | None:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        return None
    try:
        keys = kit.keyring.signing_keys(session_token.PURPOSE)
        return session_token.verify(keys, token=token.strip(), now=kit.clock.now())
    except Unauthenticated:
        return None


def _depart(response: Response) -> Response:
    seconds = perf_counter() - g.started
    headers = response.headers
    headers["X-Request-Id"] = g.request_id
    if request.is_secure:
        headers["Strict-Transport-Security"] = _HSTS
    # The template says what was asked for; the path itself holds codes and ids.
    route = request.url_rule.rule if request.url_rule is not None else "unmatched"
    metrics.observe_request(request.method, route, response.status_code, seconds)
    log.log(
        logging.DEBUG if route in _QUIET_ROUTES else logging.INFO,
        "http.request",
        extra={
            "method": request.method[:16],
            "route": route,
            "status": response.status_code,
            "milliseconds": round(seconds * 1000, 1),
            "person": _person(),
            "problem": g.get("problem"),
        },
    )
    return response


def _person() -> str | None:
    caller: Principal | None = g.get("caller")
    kit: Kit = current_app.extensions["saoma"]
    return None if caller is None else kit.public_ids.encode("pe", caller.person_id)
