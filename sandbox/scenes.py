"""The transfer scenes of merchant transfers: which report fields and which perception text each one takes.

Source: the table of contract 4.8. The texts are literal constants of the platform. What the contract marks as
unverified is enforced only on demand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scene:
    """One row of the table.

    info_types: exactly these report fields, each once. perceptions: the texts a shopper may be shown, None
    where the contract lists none. report_verified, perceptions_verified: False for what the contract marks
    unverified.
    """

    name: str
    info_types: frozenset[str]
    perceptions: frozenset[str] | None = None
    report_verified: bool = True
    perceptions_verified: bool = True


SCENES: Mapping[str, Scene] = {
    "1000": Scene("现金营销", frozenset({"活动名称", "奖励说明"}), frozenset({"活动奖励", "现金奖励"})),
    "1002": Scene("行政补贴", frozenset({"补贴类型"})),
    "1004": Scene("保险理赔", frozenset({"保险产品备案编号", "保险名称", "保险操作单号"})),
    "1005": Scene(
        "佣金报酬", frozenset({"岗位类型", "报酬说明"}), frozenset({"劳务报酬"}), perceptions_verified=False
    ),
    "1006": Scene("企业报销", frozenset({"报销类型"}), report_verified=False),
    "1009": Scene("采购货款", frozenset({"采购商品名称"})),
    "1010": Scene("二手回收", frozenset({"回收商品名称"})),
    "1011": Scene("企业赔付", frozenset({"赔付原因"}), frozenset({"退款", "商家赔付"})),
    "1013": Scene("公益补助", frozenset({"公益活动名称", "公益活动备案编号"})),
}

# Which scenes may use the red-packet style is not listed in the contract ("some scenes only").
RED_PACKET_SCENES_UNVERIFIED = frozenset({"1000"})
RED_PACKET_MAX_FEN = 20_000
