"""Figures: labels from our code only, queues by depth and age."""

from datetime import timedelta
from pathlib import Path

from app.http import metrics
from app.outbox.drain import DrainReport
from app.outbox.models import MessageState
from app.outbox.queries import QueueDepth
from tests.conftest import NOON


def _lines(text: bytes) -> dict[str, float]:
    lines = [line for line in text.decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def test_requests_are_counted_by_template_and_unknown_methods_as_one() -> None:
    before = _lines(metrics.exposition([], NOON))
    metrics.observe_request("GET", "/test/<id>", 200, 0.2)
    metrics.observe_request("BREW", "/test/<id>", 405, 0.2)
    metrics.observe_request("STEW", "/test/<id>", 405, 0.2)
    after = _lines(metrics.exposition([], NOON))

    got = 'saoma_http_request_seconds_count{method="GET",route="/test/<id>",status="200"}'
    other = 'saoma_http_request_seconds_count{method="other",route="/test/<id>",status="405"}'
    assert after[got] - before.get(got, 0) == 1
    assert after[other] - before.get(other, 0) == 2
    slow = got.replace("count{", 'bucket{le="0.1",')
    assert after[slow] == before.get(slow, 0)


def test_settlements_are_counted_by_topic_and_outcome() -> None:
    name = 'saoma_outbox_settlements_total{outcome="parked",topic="test.topic"}'
    before = _lines(metrics.exposition([], NOON)).get(name, 0)
    metrics.count_outcomes(DrainReport({("test.topic", "parked"): 3}))

    assert _lines(metrics.exposition([], NOON))[name] - before == 3


def test_queues_show_depth_and_age() -> None:
    depth = QueueDepth("payouts.open", MessageState.PENDING, 7, NOON - timedelta(seconds=90))
    lines = _lines(metrics.exposition([depth], NOON))

    assert lines['saoma_outbox_messages{state="pending",topic="payouts.open"}'] == 7
    assert lines['saoma_outbox_oldest_seconds{state="pending",topic="payouts.open"}'] == 90
    assert lines["saoma_database_up"] == 1


def test_a_silent_database_is_a_figure_too() -> None:
    assert _lines(metrics.exposition(None, NOON))["saoma_database_up"] == 0


def test_the_shared_folder_is_emptied_of_dead_processes(tmp_path: Path) -> None:
    folder = tmp_path / "metrics"
    metrics.empty_folder(folder)
    (folder / "counter_1.db").write_bytes(b"old")
    (folder / "notes.txt").write_text("mine")
    metrics.empty_folder(folder)

    assert [path.name for path in folder.iterdir()] == ["notes.txt"]
