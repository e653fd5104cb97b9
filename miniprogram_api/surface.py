"""Puts the shoppers' routes on an application."""

from flask import Flask

from app.factory import Container
from app.http.api import Api
from miniprogram_api import documentation, linking, pages, positions
from miniprogram_api.awards import awards
from miniprogram_api.callbacks import callbacks
from miniprogram_api.campaigns import campaigns
from miniprogram_api.deliveries import Deliveries
from miniprogram_api.draws import draws
from miniprogram_api.membership import membership
from miniprogram_api.points import points
from miniprogram_api.scans import scans
from miniprogram_api.sessions import sessions
from miniprogram_api.tax import tax

_ABOUT = """The JSON API behind the mini-program.

Log in with the code of `wx.login` and send the token as `Authorization: Bearer …`. Errors are
`application/problem+json`: act on `code`, which is stable; the texts may change. Times are RFC 3339 in UTC,
money is in fen (1/100 yuan). A write that takes an `Idempotency-Key` may be repeated with it."""


def register(app: Flask, container: Container) -> None:
    """Add the API, the pages and the callbacks to `app`."""
    app.extensions["saoma.positions"] = positions.build(container.settings)
    app.extensions["saoma.deliveries"] = Deliveries()
    api = Api(
        app,
        spec_kwargs={
            "title": "Saoma mini-program API",
            "version": "1",
            "openapi_version": "3.1.0",
            "info": {"description": _ABOUT},
        },
        config_prefix="MINIPROGRAM_",
    )
    api.spec.components.security_scheme("session", {"type": "http", "scheme": "bearer"})
    for blueprint in (sessions, membership, scans, draws, awards, points, tax, campaigns, linking.links):
        api.register_blueprint(blueprint)
    settings = container.settings
    for plain in (
        callbacks,
        documentation.build(api),
        linking.build(settings),
        *pages.build(settings),
    ):
        app.register_blueprint(plain)
