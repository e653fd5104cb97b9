"""What a draw reads of its surroundings."""

from datetime import UTC, datetime

import pytest
from sqlalchemy.orm import Session

from app.db.secrets import KeyRing
from app.risk.counting import count_scan
from app.risk.measures import Measure
from app.risk.reading import ask_signals
from app.risk.signals import Circumstances, measure

NOW = datetime(2026, 6, 1, 4, tzinfo=UTC)
ADDRESS = "36.112.9.7"


@pytest.mark.parametrize(
    ("address", "hashed"),
    [(ADDRESS, ["risk_counters.address", "risk_counters.range"]), ("10.0.0.1", ["risk_counters.range"])],
)
def test_a_draw_hashes_its_surroundings_once(
    session: Session, monkeypatch: pytest.MonkeyPatch, address: str, hashed: list[str]
) -> None:
    for person in (1, 2):
        count_scan(session, batch_id=7, code_index=5000, person_id=person, address=ADDRESS, now=NOW)
    contexts: list[str] = []
    blind = KeyRing.blind

    def count(ring: KeyRing, context: str, value: str) -> bytes:
        contexts.append(context)
        return blind(ring, context, value)

    monkeypatch.setattr(KeyRing, "blind", count)
    about = Circumstances(batch_id=7, code_index=5001, address=address)
    read = ask_signals(session, about=about, person_ids=[1], day=NOW, now=NOW)()
    found = measure(about, read.places, counts=read.counts, scans=read.scans, phones=read.phones, now=NOW)
    assert (found[Measure.RANGE_HOUR], found.get(Measure.ADDRESS_HOUR, 0)) == (2, 2 * (address == ADDRESS))
    assert sorted(contexts) == hashed
