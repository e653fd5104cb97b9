"""What WeChat Pay's transfers and red packets allow (platform contracts 4.8, 5.2, 5.5); amounts in fen.

A company's packets have the amounts and the days of all others by their own page (path/90275 of WeCom), which
is also where the lengths of their texts are from.
"""

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from app.payouts.interfaces import PayMethod, ReportInfo

SMALLEST_FEN = 10
NAME_FROM_FEN = 200_000
"""From this amount on the receiver's verified name must be given."""
RED_PACKET_MOST_FEN = 20_000
"""Up to this amount a transfer may look like a red packet."""

CONFIRM_PAGE = "CONFIRM_PAGE"
RED_PACKET = "RED_PACKET"

SCENES = {
    "1000": ("活动名称", "奖励说明"),
    "1002": ("补贴类型",),
    "1004": ("保险产品备案编号", "保险名称", "保险操作单号"),
    "1005": ("岗位类型", "报酬说明"),
    "1006": ("报销类型",),
    "1009": ("采购商品名称",),
    "1010": ("回收商品名称",),
    "1011": ("赔付原因",),
    "1013": ("公益活动名称", "公益活动备案编号"),
}
"""The report fields that each transfer scene demands, all of them and in the platform's own words."""

PACKET_FEN = range(100, 20_001)
"""Amounts of a red packet that need no scene."""
PACKETS_A_DAY = 10
PACKET_FEN_A_DAY = 100_000
"""What one person can be given in red packets by one merchant on a day of Beijing."""
PACKET_SCENES = tuple(f"PRODUCT_{number}" for number in range(1, 9))
PACKET_TEXTS = {"send_name": 32, "wishing": 128, "act_name": 32, "client_ip": 15}
"""What a red packet carries, with the most characters of each; client_ip is this server's own address."""
WECOM_TEXTS = {"wishing": 128, "act_name": 32}
"""What one of WeCom carries, beside who sends it."""
WECOM_SENDERS = {"sender_name": 128, "agentid": 16}
"""Who sends one of WeCom: a name, or an application of the corp by its number. Never both."""

# As an app's agentid is checked where it is registered: isdecimal() takes the digits of every script.
_DIGITS = re.compile(r"[0-9]+")
_LONGEST_INFO = 32
_LONGEST_URL = 256
_APIV2_KEY_LENGTH = 32


def recv_style(wanted: str | None, amount_fen: int) -> str | None:
    """Return how a transfer of `amount_fen` is shown when the payer would like `wanted`."""
    if wanted == RED_PACKET and amount_fen > RED_PACKET_MOST_FEN:
        return CONFIRM_PAGE
    return wanted


def payable(method: PayMethod, scene_id: str, amount_fen: int) -> bool:
    """Tell whether the product moves such an amount at once; one with a scene has bounds of its own."""
    if method.is_packet and not scene_id:
        return amount_fen in PACKET_FEN
    return amount_fen >= SMALLEST_FEN


def least_fen(method: PayMethod, scene_id: str) -> int:
    """Return the smallest amount that the product moves."""
    return PACKET_FEN.start if method.is_packet and not scene_id else SMALLEST_FEN


def packet_faults(
    *,
    method: PayMethod,
    scene_id: str,
    report_infos: Sequence[ReportInfo],
    product_max_fen: int,
    apiv2_key: str | None,
    certificate: str | None,
    workwx_secret: str | None,
) -> list[str]:
    """Return what the platform would refuse in the details of a payer that pays by red packets."""
    found = []
    if scene_id and scene_id not in PACKET_SCENES:
        found.append(f"the scene of red packets is none or one of {', '.join(PACKET_SCENES)}")
    if not payable(method, scene_id, product_max_fen):
        found.append("without a scene the largest red packet is 1 to 200 yuan")
    found += _text_faults(method, report_infos)
    if len(apiv2_key or "") != _APIV2_KEY_LENGTH:
        found.append("the APIv2 key has 32 characters")
    if not (certificate or "").lstrip().startswith("-----BEGIN CERTIFICATE-----"):
        found.append("the client certificate is the content of apiclient_cert.pem, BEGIN line included")
    if bool(workwx_secret) != (method is PayMethod.WECOM_RED_PACKET):
        found.append("the secret of the 企业支付 app belongs to red packets of WeCom, and they to it")
    return found


def _text_faults(method: PayMethod, report_infos: Sequence[ReportInfo]) -> list[str]:
    """Return what is wrong with the texts that a packet carries."""
    found = []
    given = sorted(info.info_type for info in report_infos)
    if method is PayMethod.WECOM_RED_PACKET:
        longest = WECOM_TEXTS | WECOM_SENDERS
        if given not in [sorted((*WECOM_TEXTS, sender)) for sender in WECOM_SENDERS]:
            found.append(
                f"a red packet of WeCom demands exactly {', '.join(WECOM_TEXTS)} and either"
                f" {' or '.join(WECOM_SENDERS)}"
            )
    else:
        longest = PACKET_TEXTS
        if given != sorted(PACKET_TEXTS):
            found.append(f"a red packet demands exactly {', '.join(PACKET_TEXTS)}")
    for info in report_infos:
        most = longest.get(info.info_type)
        if most is not None and not 0 < len(info.info_content) <= most:
            found.append(f"{info.info_type} has 1 to {most} characters")
        elif info.info_type == "agentid" and not _DIGITS.fullmatch(info.info_content):
            found.append("agentid is a number")
    return found


def faults(
    *,
    scene_id: str,
    report_infos: Sequence[ReportInfo],
    recv_style: str | None,
    notify_url: str | None,
    product_max_fen: int,
) -> list[str]:
    """Return what the platform would refuse in a payer's details, one sentence each."""
    found = []
    wanted = SCENES.get(scene_id)
    if wanted is None:
        found.append(f"the scene is none of {', '.join(SCENES)}")
    elif sorted(info.info_type for info in report_infos) != sorted(wanted):
        found.append(f"scene {scene_id} demands exactly {' and '.join(wanted)}")
    if any(not 0 < len(info.info_content) <= _LONGEST_INFO for info in report_infos):
        found.append(f"a report field has 1 to {_LONGEST_INFO} characters")
    if recv_style not in (None, CONFIRM_PAGE, RED_PACKET):
        found.append(f"a transfer is received as {CONFIRM_PAGE} or {RED_PACKET}")
    if notify_url is not None and not _callable_back(notify_url):
        found.append("the callback address is https, without a query, of at most 256 characters")
    if product_max_fen < SMALLEST_FEN:
        found.append("the largest single transfer is at least 10 fen")
    return found


def _callable_back(url: str) -> bool:
    parts = urlsplit(url)
    bare = parts.scheme == "https" and bool(parts.hostname) and not parts.query and not parts.fragment
    return bare and len(url) <= _LONGEST_URL
