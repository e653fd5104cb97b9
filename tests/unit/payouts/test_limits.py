"""What the platform allows a payer: its faults are named before the platform sees them."""

from typing import Any

import pytest

from app.payouts import limits
from app.payouts.interfaces import PayMethod, ReportInfo
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


PACKET: dict[str, Any] = {
    "method": PayMethod.RED_PACKET,
    "scene_id": "",
    "report_infos": [ReportInfo(name, "1.2.3.4") for name in limits.PACKET_TEXTS],
    "product_max_fen": 20_000,
    "apiv2_key": "0" * 32,
    "certificate": "-----BEGIN CERTIFICATE-----\n",
    "workwx_secret": None,
}
WECOM: dict[str, Any] = PACKET | {
    "method": PayMethod.WECOM_RED_PACKET,
    "report_infos": [ReportInfo(name, "7") for name in (*limits.WECOM_TEXTS, "sender_name")],
    "workwx_secret": "secret",
}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, None),
        ({"scene_id": "PRODUCT_2", "product_max_fen": 100_000}, None),
        ({"scene_id": "1000"}, "scene of red packets"),
        ({"product_max_fen": 20_001}, "1 to 200 yuan"),
        ({"report_infos": PACKET["report_infos"][:-1]}, "demands exactly"),
        ({"report_infos": [ReportInfo(n, "x" * 33) for n in limits.PACKET_TEXTS]}, "send_name has 1 to 32"),
        ({"apiv2_key": None}, "APIv2 key"),
        ({"certificate": "-----BEGIN PRIVATE KEY-----"}, "apiclient_cert.pem"),
    ],
)
def test_what_a_payer_of_red_packets_needs(changes: dict[str, Any], words: str | None) -> None:
    found = limits.packet_faults(**(PACKET | changes))
    assert (words is None) == (not found)
    assert words is None or words in found[0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, None),
        ({"report_infos": [ReportInfo(n, "7") for n in (*limits.WECOM_TEXTS, "agentid")]}, None),
        ({"report_infos": [ReportInfo(n, "7") for n in limits.WECOM_TEXTS]}, "either sender_name or agentid"),
        (
            {"report_infos": [ReportInfo(n, "7") for n in (*limits.WECOM_TEXTS, *limits.WECOM_SENDERS)]},
            "either sender_name or agentid",
        ),
        ({"report_infos": [*WECOM["report_infos"], ReportInfo("client_ip", "1.2.3.4")]}, "demands exactly"),
        ({"report_infos": [ReportInfo(n, "x") for n in (*limits.WECOM_TEXTS, "agentid")]}, "is a number"),
        ({"report_infos": [ReportInfo(n, "７") for n in (*limits.WECOM_TEXTS, "agentid")]}, "is a number"),
        (
            {"report_infos": [ReportInfo(n, "x" * 129) for n in ("act_name", "wishing", "sender_name")]},
            "act_name has 1 to 32",
        ),
        ({"workwx_secret": None}, "secret of the 企业支付 app"),
        ({"product_max_fen": 20_001}, "1 to 200 yuan"),
        ({"apiv2_key": None}, "APIv2 key"),
    ],
)
def test_what_a_payer_of_red_packets_of_wecom_needs(changes: dict[str, Any], words: str | None) -> None:
    found = limits.packet_faults(**(WECOM | changes))
    assert (words is None) == (not found)
    assert words is None or words in found[0]
    assert limits.packet_faults(**(PACKET | {"workwx_secret": "secret"})) != []


def test_what_a_product_can_move() -> None:
    red, transfer = PayMethod.RED_PACKET, PayMethod.TRANSFER
    assert [limits.payable(red, "", fen) for fen in (99, 100, 20_000, 20_001)] == [False, True, True, False]
    assert limits.payable(red, "PRODUCT_1", 20_001)
    assert [limits.payable(transfer, "1000", fen) for fen in (9, 10)] == [False, True]
    assert (limits.least_fen(red, ""), limits.least_fen(red, "PRODUCT_1")) == (100, 10)
