"""Red packets that a company sends by its WeCom: the TransferGateway on WeChat Pay v2 (contracts 5.5).

A second signature, `workwx_sign`, is made over exactly seven of the fields, with the secret of the
company's 企业支付 app under the word `secret`; then the usual one over everything. The platform tells a wrong
second one as SYSTEMERROR, which is also what it says in trouble: the same number is tried again, but not for
ever.
"""

from dataclasses import replace
from secrets import token_hex

from app.gateways.pay.packets import Packets, sent
from app.gateways.pay.v2 import signature
from app.payouts.interfaces import PayerCredentials, TransferAnswer, TransferOutcome, TransferRequest

_SEND = "/mmpaymkttransfers/sendworkwxredpack"
_QUERY = "/mmpaymkttransfers/queryworkwxredpack"
SIGNED = ("act_name", "mch_billno", "mch_id", "nonce_str", "re_openid", "total_amount", "wxappid")
_TROUBLE = "SYSTEMERROR"


class WeComRedPackets(Packets):
    """The TransferGateway on the red packets of a corp at `api_url`."""

    def open(self, request: TransferRequest) -> TransferAnswer:
        """Send the packet, or learn that it was sent: the number makes it one."""
        texts = {info.info_type: info.info_content for info in request.report_infos}
        fields = {
            "nonce_str": token_hex(16),
            "mch_billno": request.bill_no,
            "mch_id": request.payer.mchid,
            "wxappid": request.appid,
            # Of the two the payer has one: the platform wants either.
            "sender_name": texts.get("sender_name", ""),
            "agentid": texts.get("agentid", ""),
            "re_openid": request.openid,
            "total_amount": str(request.amount_fen),
            "wishing": texts.get("wishing", ""),
            "act_name": texts.get("act_name", ""),
            "remark": request.remark,
            "scene_id": request.scene_id,
        }
        inner = {name: fields[name] for name in SIGNED}
        fields["workwx_sign"] = signature(inner, request.payer.workwx_secret, word="secret")
        said = self._v2.post(request.payer, _SEND, fields)
        if not isinstance(said, TransferAnswer):
            return sent(said, fields, None)
        return replace(said, outcome=TransferOutcome.SUSPECT) if said.code == _TROUBLE else said

    def _ask(self, payer: PayerCredentials, fields: dict[str, str]) -> dict[str, str] | TransferAnswer:
        return self._v2.post(payer, _QUERY, fields)
