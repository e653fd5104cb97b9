"""The HTTP server: one Flask application, one thread per connection, bound to loopback by default."""

from __future__ import annotations

import logging
import socket
import threading
from typing import Any

from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import HTTPException
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from sandbox import (
    admin,
    authorisation,
    cloud_api,
    intercept,
    market_api,
    miniprogram,
    pay_api,
    pay_v2,
    phone,
    pushes,
    wecom_api,
)
from sandbox.errors import AdminError, PacketError, PayError, WeChatError
from sandbox.intercept import is_platform_request
from sandbox.packet_request import PREFIX as PACKETS
from sandbox.phone import LARGEST_PHOTO_BYTES
from sandbox.world import World

log = logging.getLogger("sandbox.http")

LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")
# An answer that a time-out fault holds back may take longer; it is cut off then.
ANSWERS_OUT_WITHIN_SECONDS = 2.0


def create_app(world: World, *, host: str = "127.0.0.1") -> Flask:
    """The WSGI application on ``world``. host: the address that it is bound to."""
    app = Flask("sandbox", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = LARGEST_PHOTO_BYTES
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.json.ensure_ascii = False  # type: ignore[attr-defined]
    app.json.compact = True  # type: ignore[attr-defined]

    @app.before_request
    def only_from_here() -> None:
        # A web page on the internet can point its own name at 127.0.0.1; it cannot forge the Host header.
        name = request.host.rsplit(":", 1)[0] if not request.host.endswith("]") else request.host
        if not is_platform_request() and name not in (*LOOPBACK_NAMES, host):
            raise AdminError(403, "wrong_host", "the sandbox's own pages answer on the loopback name only")

    intercept.install(app, world)
    for room in (
        miniprogram,
        authorisation,
        market_api,
        pay_api,
        pay_v2,
        wecom_api,
        cloud_api,
        admin,
        pushes,
        phone,
    ):
        app.register_blueprint(room.blueprint(world))
    app.register_error_handler(AdminError, _admin_problem)
    app.register_error_handler(HTTPException, _http_problem)
    return app


def _admin_problem(error: AdminError) -> tuple[Response, int]:
    return jsonify({"code": error.code, "message": error.message}), error.status


def _http_problem(error: HTTPException) -> tuple[Response, int]:
    """What no room handled: an unknown path, a wrong method, a body that is too large."""
    status = error.code or 500
    if request.path.startswith("/v3/"):
        # Not NOT_FOUND: that code says "no such bill" and must never come from a mistyped address.
        code = (
            "SYSTEM_ERROR" if status >= 500 else "RESOURCE_NOT_EXISTS" if status == 404 else "INVALID_REQUEST"
        )
        return jsonify(PayError(status, code, str(error.name)).body()), status
    if request.path.startswith(PACKETS):
        return pay_v2.refusal(PacketError("SYSTEMERROR" if status >= 500 else "PARAM_ERROR", error.name)), 200
    if is_platform_request():
        return jsonify(WeChatError(-1 if status >= 500 else 40066, str(error.name).lower()).body()), 200
    return jsonify({"code": "http_error", "message": str(error.description)}), status


class RequestHandler(WSGIRequestHandler):
    """Answers without delay, counts what it is busy with, and keeps secrets out of the log."""

    # Head and body are two writes; with Nagle's algorithm the second would wait for the client's ACK, 40 ms.
    disable_nagle_algorithm = True
    busy = 0
    changed = threading.Condition()

    def run_wsgi(self) -> None:
        """Answers one request."""
        with self.changed:
            RequestHandler.busy += 1
        try:
            super().run_wsgi()
        finally:
            with self.changed:
                RequestHandler.busy -= 1
                self.changed.notify_all()

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """One line a request, without the query: it may carry an app secret or a token."""
        log.debug("%s %s %s", self.command, self.path.split("?")[0], code)

    def log_error(self, format: str, *args: Any) -> None:
        """A client that went away is its own business."""
        log.debug(format, *args)


class SandboxServer:
    """The sandbox on a port, until it is stopped."""

    def __init__(self, world: World, *, host: str, port: int) -> None:
        self._world = world
        # Bound here and not by Werkzeug, which would end the process itself when the port is taken.
        with socket.create_server((host, port), backlog=128) as listener:
            self._server: BaseWSGIServer = make_server(
                host,
                port,
                create_app(world, host=host),
                threaded=True,
                request_handler=RequestHandler,
                fd=listener.fileno(),
            )
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, name="http", daemon=True
        )

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return self._server.port

    def start(self) -> None:
        """Replays the journal and begins to answer."""
        self._world.start()
        self._thread.start()

    def stop(self) -> None:
        """Takes no more connections, lets the running answers go out, closes the journal."""
        self._server.shutdown()
        self._thread.join()
        with RequestHandler.changed:
            RequestHandler.changed.wait_for(lambda: RequestHandler.busy == 0, ANSWERS_OUT_WITHIN_SECONDS)
        self._world.stop()
        self._server.server_close()
