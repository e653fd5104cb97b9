"""What a view reaches: the container, the edge, public ids, the caller's address and regions."""

from datetime import datetime

from flask import current_app, request

from app.factory import Container
from app.http.edge import Edge
from app.http.paging import Cursors
from app.identity.queries import Principal
from app.kernel.actor import Actor, ActorKind


def container() -> Container:
    """Return the container of the application that serves this request."""
    found: Container = current_app.extensions["saoma"]
    return found


def edge() -> Edge:
    """Return where this request becomes a transaction."""
    found: Edge = current_app.extensions["saoma.edge"]
    return found


def cursors() -> Cursors:
    """Return what gives out cursors and reads them."""
    found: Cursors = current_app.extensions["saoma.cursors"]
    return found


def encode(kind: str, number: int) -> str:
    """Return the public form of an id."""
    return container().public_ids.encode(kind, number)


def decode(kind: str, text: str) -> int:
    """Return the id behind a public one; raise UnknownPublicId."""
    return container().public_ids.decode(kind, text)


def now() -> datetime:
    """Return the present moment of this installation."""
    return container().clock.now()


def shopper(caller: Principal) -> Actor:
    """Return the caller as the actor of a write."""
    return Actor(ActorKind.PERSON, "shopper", caller.person_id)


def address_region() -> str | None:
    """Return the adcode of the caller's network address, where the installation knows it."""
    return container().address_regions.region(request.remote_addr or "")
