"""Faults on demand: what goes wrong on which path, how often, with which probability and seed.

A fault is chosen by the first rule that matches the path and fires. Each rule has its own seeded random
source, so a run of faults can be repeated exactly.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from sandbox.errors import AdminError
from sandbox.packet_request import PREFIX as PACKETS

# Answers that take the place of the real one. With ``after_commit`` the real work is done first.
WECHAT_KINDS = frozenset({"-1", "43004", "45009", "60011", "60111"})
PAY_KINDS = frozenset({"system_error", "frequency_limited", "user_account_abnormal"})
ANSWER_KINDS = WECHAT_KINDS | PAY_KINDS | {"html_502", "timeout_before"}
# Faults that only bend the real answer.
BENDING_KINDS = frozenset({"timeout_after_commit", "latency", "bad_signature", "signtest", "clock_skew"})
# Faults inside the platform's own business.
BUSINESS_KINDS = frozenset({"not_enough", "accepted_first", "send_fails", "phone_quota", "internal_error"})
CALLBACK_KINDS = frozenset({"duplicate_callback", "reorder_callback", "late_callback", "no_callback"})
REQUEST_KINDS = ANSWER_KINDS | BENDING_KINDS | BUSINESS_KINDS
KINDS = REQUEST_KINDS | CALLBACK_KINDS

PAY_PATHS = ("/v3/", PACKETS)

# kind of parameter → (default, largest); none is negative
PARAMETERS: Mapping[str, tuple[float, float]] = {
    "latency_ms": (0, 60_000),
    "hold_seconds": (30, 600),
    "delay_seconds": (60, 7 * 86400),
    "skew_seconds": (3600, 10**9),
    "copies": (2, 20),
}


@dataclass(slots=True)
class Fault:
    """One rule.

    path: an exact path or a glob. times: how often it still fires, None for ever. after_commit: the work is
    done although the answer says otherwise. parameters: latency_ms (any kind), hold_seconds (time-outs,
    reorder), delay_seconds (late callback, business time), skew_seconds (clock_skew), copies (duplicate
    callback).
    """

    id: int
    path: str
    kind: str
    times: int | None
    probability: float
    seed: int
    after_commit: bool
    parameters: Mapping[str, float]
    source: random.Random
    fired: int = 0

    def view(self) -> dict[str, Any]:
        """The rule as the administration shows it."""
        return {
            "id": self.id,
            "path": self.path,
            "kind": self.kind,
            "times": self.times,
            "probability": self.probability,
            "seed": self.seed,
            "after_commit": self.after_commit,
            "fired": self.fired,
            **self.parameters,
        }


class Faults:
    """The rules in force."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: list[Fault] = []
        self._next_id = 1

    def add(self, fields: Mapping[str, Any]) -> Fault:
        """Adds a rule from its JSON form. Raises AdminError 422 for anything that would not do what it
        says."""
        known = {"path", "kind", "times", "probability", "seed", "after_commit", *PARAMETERS}
        unknown = sorted(set(fields) - known)
        if unknown:
            raise AdminError(
                422, "unknown_field", f"a fault has no {', '.join(unknown)}; known: {sorted(known)}"
            )
        kind, path, times = _read_target(fields)
        probability = fields.get("probability", 1)
        seed = fields.get("seed", 0)
        after_commit = fields.get("after_commit", kind == "timeout_after_commit")
        if not _is_number(probability) or not 0 <= probability <= 1:
            raise AdminError(422, "bad_probability", "probability must be between 0 and 1")
        if not _is_int(seed) or not isinstance(after_commit, bool):
            raise AdminError(422, "bad_fault", "seed must be a whole number and after_commit true or false")
        if after_commit and kind not in ANSWER_KINDS | {"timeout_after_commit"}:
            raise AdminError(
                422, "bad_fault", f"{kind} does not take the place of an answer: no after_commit"
            )
        parameters = _read_parameters(fields)
        with self._lock:
            rule = Fault(
                id=self._next_id,
                path=path,
                kind=kind,
                times=times,
                probability=probability,
                seed=seed,
                after_commit=after_commit,
                parameters=parameters,
                # It decides when a fault fires and is meant to be repeated, not to be secret.
                source=random.Random(seed),  # noqa: S311
            )
            self._next_id += 1
            self._rules.append(rule)
            return rule

    def pick(self, kinds: frozenset[str], *paths: str) -> Fault | None:
        """The first rule of one of ``kinds`` for any of ``paths`` that fires now; its count goes down."""
        with self._lock:
            for rule in self._rules:
                if rule.kind not in kinds or rule.times == 0:
                    continue
                if not any(fnmatchcase(path, rule.path) for path in paths):
                    continue
                if rule.source.random() >= rule.probability:
                    continue
                rule.fired += 1
                if rule.times is not None:
                    rule.times -= 1
                return rule
        return None

    def clear(self) -> int:
        """Takes all rules out of force; returns how many there were."""
        with self._lock:
            count = len(self._rules)
            self._rules.clear()
            return count

    def views(self) -> list[dict[str, Any]]:
        """The rules in force, as JSON."""
        with self._lock:
            return [rule.view() for rule in self._rules]


def _read_target(fields: Mapping[str, Any]) -> tuple[str, str, int | None]:
    """Kind, path and times of a rule that can meet the requests it names."""
    kind = str(fields.get("kind"))
    path = fields.get("path", "*" if kind in CALLBACK_KINDS else None)
    times = fields.get("times")
    if kind not in KINDS:
        raise AdminError(422, "unknown_kind", f"unknown fault kind {kind}; known: {', '.join(sorted(KINDS))}")
    if not isinstance(path, str) or not path.startswith(("/", "*")):
        raise AdminError(422, "bad_path", "path must be a path or a glob, such as /cgi-bin/*")
    if kind in WECHAT_KINDS and (path == "/" or path.startswith((*PAY_PATHS, "*"))):
        raise AdminError(422, "bad_path", f"{kind} is an answer of the mini-program API, not of WeChat Pay")
    if kind in PAY_KINDS and not path.startswith(PAY_PATHS):
        raise AdminError(
            422,
            "bad_path",
            f"{kind} is an answer of WeChat Pay: path must start with {' or '.join(PAY_PATHS)}",
        )
    if times is not None and (not _is_int(times) or times < 1):
        raise AdminError(422, "bad_times", "times must be a whole number above 0, or null for ever")
    return kind, path, times


def _read_parameters(fields: Mapping[str, Any]) -> dict[str, float]:
    parameters: dict[str, float] = {}
    for name, (default, largest) in PARAMETERS.items():
        value = fields.get(name, default)
        if not _is_number(value) or not 0 <= value <= largest:
            raise AdminError(422, "bad_parameter", f"{name} must be between 0 and {largest}")
        parameters[name] = value
    return parameters


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
