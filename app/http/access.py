"""Who may call a route, and how often: said at the route, read by everything that enforces it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

View = TypeVar("View", bound=Callable[..., Any])

_ATTRIBUTE = "saoma_rule"


@dataclass(frozen=True, slots=True)
class Rule:
    """What a route demands of its caller.

    `public` is the reason why no session is needed; None means that one is. `per_person` and
    `per_address` are limits such as "60/minute". `idempotency` is "needed", "offered" or None.
    """

    public: str | None = None
    per_person: str | None = None
    per_address: str | None = None
    idempotency: str | None = None


def rule_of(view: object) -> Rule | None:
    """Return the rule of a view function; None for one that has none, which answers nobody."""
    return getattr(view, _ATTRIBUTE, None)


def attach(view: View, rule: Rule) -> View:
    """Give `view` its rule; decorators that wrap it carry it on."""
    setattr(view, _ATTRIBUTE, rule)
    return view


def public(reason: str, *, per_address: str | None = None) -> Callable[[View], View]:
    """Let a plain view (a page, a check) be reached without a session; `reason` says why."""
    return lambda view: attach(view, Rule(public=reason, per_address=per_address))
