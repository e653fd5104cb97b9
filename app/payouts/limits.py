"""What WeChat Pay's merchant transfer allows (platform contracts 4.8); amounts in fen."""

from collections.abc import Sequence
from urllib.parse import urlsplit

from app.payouts.interfaces import ReportInfo

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

_LONGEST_INFO = 32
_LONGEST_URL = 256


def recv_style(wanted: str | None, amount_fen: int) -> str | None:
    """Return how a transfer of `amount_fen` is shown when the payer would like `wanted`."""
    if wanted == RED_PACKET and amount_fen > RED_PACKET_MOST_FEN:
        return CONFIRM_PAGE
    return wanted


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
