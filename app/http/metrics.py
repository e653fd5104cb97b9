"""Figures for Prometheus: requests by route template, settlements by topic, queues by depth and age.

Labels come from our own code (route templates, topics), never from a request: what a caller can choose
would fill the memory and might be personal. Several processes of one machine share their counters through
the folder that PROMETHEUS_MULTIPROC_DIR names, so that any of them answers for all; queues are counted
where they lie, in the database.
"""

import os
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from app.outbox.drain import DrainReport
from app.outbox.queries import QueueDepth

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

_registry = CollectorRegistry()
_requests = Histogram(
    "saoma_http_request_seconds",
    "Time to answer a request",
    ("method", "route", "status"),
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
    registry=_registry,
)
_outcomes = Counter(
    "saoma_outbox_settlements_total",
    "Messages settled by this machine's processes, by what came of them",
    ("topic", "outcome"),
    registry=_registry,
)


def observe_request(method: str, route: str, status: int, seconds: float) -> None:
    """Count one answered request; `route` is the template, never the path."""
    known = method if method in _METHODS else "other"
    _requests.labels(known, route, str(status)).observe(seconds)


def count_outcomes(report: DrainReport) -> None:
    """Count what a round of the drain loop did."""
    for (topic, outcome), number in report.outcomes.items():
        _outcomes.labels(topic, outcome).inc(number)


def empty_folder(folder: Path) -> None:
    """Make `folder` ready for the counters of processes that are about to start: call it once, before."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.db"):
        old.unlink(missing_ok=True)


def exposition(depths: Iterable[QueueDepth] | None, now: datetime) -> bytes:
    """Return all figures as text; `depths` is None when the database does not answer."""
    queues = CollectorRegistry()
    queues.register(_Queues(depths, now))
    return generate_latest(_counted()) + generate_latest(queues)


def _counted() -> CollectorRegistry:
    if not os.environ.get(FOLDER_VARIABLE):
        return _registry
    shared = CollectorRegistry()
    MultiProcessCollector(shared)  # type: ignore[no-untyped-call]
    return shared


class _Queues(Collector):
    """The queues at one moment."""

    def __init__(self, depths: Iterable[QueueDepth] | None, now: datetime) -> None:
        self._depths = depths
        self._now = now

    def collect(self) -> Iterator[Metric]:
        """Yield depth and age per topic and state, and whether the database answered."""
        up = GaugeMetricFamily("saoma_database_up", "1 when the database answered")
        up.add_metric([], 0.0 if self._depths is None else 1.0)
        yield up
        messages = GaugeMetricFamily(
            "saoma_outbox_messages", "Messages in the hot table", labels=["topic", "state"]
        )
        age = GaugeMetricFamily(
            "saoma_outbox_oldest_seconds",
            "How long the first message has been due; below zero while it is not",
            labels=["topic", "state"],
        )
        for depth in self._depths or ():
            messages.add_metric([depth.topic, depth.state.value], depth.messages)
            age.add_metric(
                [depth.topic, depth.state.value], (self._now - depth.oldest_due_at).total_seconds()
            )
        yield messages
        yield age
