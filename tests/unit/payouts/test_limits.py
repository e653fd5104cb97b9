"""What the platform allows a payer: its faults are named before the platform sees them."""

import pytest

from app.payouts.interfaces import ReportInfo
from app.payouts.limits import SCENES, faults, recv_style


@pytest.mark.parametrize("scene", list(SCENES))
def test_each_scene_wants_its_own_fields(scene: str) -> None:
    infos = [ReportInfo(name, "x") for name in SCENES[scene]]

    def found(given: list[ReportInfo]) -> list[str]:
        return faults(
            scene_id=scene, report_infos=given, recv_style=None, notify_url=None, product_max_fen=20_000
        )

    assert found(infos) == []
    assert found(infos[::-1]) == []
    assert len(found(infos[1:])) == 1
    assert len(found([*infos, infos[0]])) == 1


def test_all_faults_are_listed_at_once() -> None:
    found = faults(scene_id="7", report_infos=[], recv_style="CASH", notify_url="ftp://x", product_max_fen=1)
    assert len(found) == 4


@pytest.mark.parametrize(
    ("wanted", "amount_fen", "shown"),
    [
        (None, 100, None),
        ("CONFIRM_PAGE", 100, "CONFIRM_PAGE"),
        ("RED_PACKET", 20_000, "RED_PACKET"),
        ("RED_PACKET", 20_001, "CONFIRM_PAGE"),
    ],
)
def test_a_red_packet_has_at_most_200_yuan(wanted: str | None, amount_fen: int, shown: str | None) -> None:
    assert recv_style(wanted, amount_fen) == shown
