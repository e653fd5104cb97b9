"""Rate limits: by address for everybody, by person where one could do harm.

Behind a carrier's NAT thousands of shoppers share an address, so an address gets thousands of requests a
minute and a person tens. An IPv6 customer has a whole /56; its neighbours count as one. Counters live in
Redis when there is one, else in this process, and fall back to the process when Redis does not answer.
"""

import time
from collections import OrderedDict
from ipaddress import IPv6Address, ip_address, ip_network
from threading import Lock
from typing import Any

from flask import Flask, g, request
from flask_limiter import ApplicationLimit, Limiter, RequestLimit

from app.http.access import rule_of

PER_ADDRESS = "6000/minute"
# A limit is not worth waiting for: past this the process counts by itself.
_REDIS_OPTIONS: dict[str, str | int] = {"socket_connect_timeout": 1, "socket_timeout": 1}
_IPV6_CUSTOMER = 56


def address_key() -> str:
    """Return what counts as the caller's address: IPv4, or the /56 of an IPv6 address."""
    try:
        address = ip_address(request.remote_addr or "")
    except ValueError:
        return "unknown"
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ip_network((address, _IPV6_CUSTOMER), strict=False))
    return str(address)


_KNOWN = 20_000
_persons: OrderedDict[int, int] = OrderedDict()
_persons_lock = Lock()


def remember_person(session_id: int, person_id: int) -> None:
    """Note whose session this is, so that a second login does not give a second allowance."""
    with _persons_lock:
        _persons[session_id] = person_id
        if len(_persons) > _KNOWN:
            _persons.popitem(last=False)


def knows(session_id: int) -> bool:
    """Tell whether the person of this session is known without asking the database."""
    return session_id in _persons


def person_key() -> str:
    """Return what counts as the caller: the person of the session, or the address without one."""
    session_id: int | None = g.get("session_id")
    return address_key() if session_id is None else f"person/{_persons.get(session_id, session_id)}"


def build(app: Flask, *, redis_url: str | None) -> Limiter:
    """Return the limiter of `app`, which bounds every address; `guard` adds the limits of the routes."""
    everywhere = ApplicationLimit(limit_provider=PER_ADDRESS, key_function=address_key, exempt_when=_exempt)
    return Limiter(
        address_key,
        app=app,
        application_limits=[everywhere],
        storage_uri=redis_url or "memory://",
        storage_options=_REDIS_OPTIONS if redis_url else {},
        strategy="fixed-window",
        in_memory_fallback_enabled=redis_url is not None,
        on_breach=_note_breach,
        key_prefix="saoma",
    )


def guard(app: Flask, limiter: Limiter, blueprint: str) -> None:
    """Put the limits that the routes of `blueprint` ask for around their views; once per blueprint."""
    for endpoint, view in app.view_functions.items():
        rule = rule_of(view)
        if rule is None or not endpoint.startswith(f"{blueprint}."):
            continue
        guarded: Any = view
        for limit, key in ((rule.per_person, person_key), (rule.per_address, address_key)):
            if limit is not None:
                guarded = limiter.limit(limit, key_func=key)(guarded)
        app.view_functions[endpoint] = guarded


def _note_breach(breached: RequestLimit) -> None:
    g.retry_after = str(max(1, breached.reset_at - int(time.time())))


def _exempt() -> bool:
    rule = rule_of(g.view)
    return rule is not None and rule.per_address is not None
