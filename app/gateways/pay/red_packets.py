"""Red packets, for merchants who hold them: the TransferGateway on WeChat Pay v2.

One in a mini-program is opened there with what sending it tells; one of a service account is in the chat, as
soon as it has been sent, and tells nothing.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path
from secrets import token_hex
from urllib.parse import quote

from app.gateways.pay.answers import unknown
from app.gateways.pay.packets import Packets, sent
from app.gateways.pay.v2 import signature
from app.payouts.interfaces import PayerCredentials, TransferAnswer, TransferRequest

_SEND = "/mmpaymkttransfers/sendredpack"
_SEND_IN_APP = "/mmpaymkttransfers/sendminiprogramhb"
_QUERY = "/mmpaymkttransfers/gethbinfo"


class WeChatRedPackets(Packets):
    """The TransferGateway on the red packets of mini-programs and service accounts at `api_url`.

    `wall` tells Unix seconds; the rest is as Packets takes it.
    """

    def __init__(
        self,
        api_url: str,
        *,
        deadline_seconds: float = 8.0,
        wall: Callable[[], float] = time.time,
        ca_file: Path | None = None,
    ) -> None:
        super().__init__(api_url, deadline_seconds=deadline_seconds, ca_file=ca_file)
        self._wall = wall

    def open(self, request: TransferRequest) -> TransferAnswer:
        """Send the packet, or learn that it was sent: the number makes it one (5.2, 5.4)."""
        texts = {info.info_type: info.info_content for info in request.report_infos}
        in_app = request.payer.method.taken_in_app
        fields = {
            "mch_billno": request.bill_no,
            "mch_id": request.payer.mchid,
            "wxappid": request.appid,
            "send_name": texts.get("send_name", ""),
            "re_openid": request.openid,
            "total_amount": str(request.amount_fen),
            "total_num": "1",
            "wishing": texts.get("wishing", ""),
            "client_ip": texts.get("client_ip", ""),
            "act_name": texts.get("act_name", ""),
            "remark": request.remark,
            "scene_id": request.scene_id,
            "notify_way": "MINI_PROGRAM_JSAPI" if in_app else "",
        }
        said = self._v2.post(request.payer, _SEND_IN_APP if in_app else _SEND, fields)
        if isinstance(said, TransferAnswer):
            return said
        if in_app and not said.get("package"):
            return unknown("mismatch", 200)
        return sent(said, fields, self._arguments(request, said["package"]) if in_app else None)

    def _ask(self, payer: PayerCredentials, fields: dict[str, str]) -> dict[str, str] | TransferAnswer:
        return self._v2.post(payer, _QUERY, {**fields, "bill_type": "MCHT"})

    def _arguments(self, request: TransferRequest, package: str) -> str:
        """Return the arguments of wx.sendBizRedPacket as JSON; signType is no part of the signature (5.4)."""
        stamp, nonce = str(int(self._wall())), token_hex(16)
        signed = {
            "appId": request.appid,
            "nonceStr": nonce,
            "package": quote(package, safe=""),
            "timeStamp": stamp,
        }
        arguments = {
            "timeStamp": stamp,
            "nonceStr": nonce,
            "package": package,
            "signType": "MD5",
            "paySign": signature(signed, request.payer.apiv2_key),
        }
        return json.dumps(arguments, separators=(",", ":"))
