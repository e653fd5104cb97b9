"""What all red packets of WeChat Pay v2 have in common as a TransferGateway (platform contracts 5).

Nobody is called back: how a packet ended must be asked. The states of a packet are told in the words of a
transfer: SENDING is PROCESSING, SENT waits for its receiver, RECEIVED is SUCCESS; what nobody opened comes
back and is FAIL, as FAILED is.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path

from app.gateways.pay.answers import unknown
from app.gateways.pay.v2 import PayV2
from app.payouts.interfaces import (
    ForgedCallback,
    PayerCredentials,
    TransferAnswer,
    TransferNotice,
    TransferOutcome,
    TransferState,
)

_STATES = {
    "SENDING": TransferState.PROCESSING,
    "SENT": TransferState.WAIT_USER_CONFIRM,
    "RECEIVED": TransferState.SUCCESS,
    "FAILED": TransferState.FAIL,
    "RFUND_ING": TransferState.CANCELING,
    "REFUND": TransferState.FAIL,
}
_ENDS = (TransferState.SUCCESS, TransferState.FAIL)
_REPEATED = ("mch_billno", "mch_id", "re_openid", "total_amount")


class Packets(ABC):
    """Red packets at `api_url` (an origin); `deadline_seconds` and `ca_file` as PayV2 takes them."""

    def __init__(self, api_url: str, *, deadline_seconds: float = 8.0, ca_file: Path | None = None) -> None:
        self._v2 = PayV2(api_url, deadline_seconds=deadline_seconds, ca_file=ca_file)

    def query(self, payer: PayerCredentials, bill_no: str) -> TransferAnswer:
        """Ask where a packet stands (5.3, 5.5). Not found may also mean that it is still being sent."""
        said = self._ask(payer, {"mch_billno": bill_no, "mch_id": payer.mchid, "appid": payer.appid})
        if isinstance(said, TransferAnswer):
            return said
        state = _STATES.get(said.get("status", ""))
        if state is None or said.get("mch_billno") != bill_no:
            return unknown("unreadable", 200)
        # SENDING may carry a reason for hours and go on all the same: only an end has one that counts.
        reason = said.get("reason") or said["status"]
        return TransferAnswer(
            TransferOutcome.FINAL if state in _ENDS else TransferOutcome.ACCEPTED,
            state=state,
            transfer_bill_no=said.get("detail_id"),
            fail_reason=reason if state is TransferState.FAIL else None,
            http_status=200,
        )

    def cancel(self, payer: PayerCredentials, bill_no: str) -> TransferAnswer:
        """Ask where it stands: a packet cannot be taken back, and returns by itself when nobody opens it."""
        return self.query(payer, bill_no)

    def parse_callback(
        self, payer: PayerCredentials, headers: Mapping[str, str], body: bytes
    ) -> TransferNotice:
        """Raise ForgedCallback: WeChat Pay calls nobody back about red packets."""
        raise ForgedCallback("red packets have no callbacks")

    @abstractmethod
    def _ask(self, payer: PayerCredentials, fields: dict[str, str]) -> dict[str, str] | TransferAnswer:
        """Ask about the packet that `fields` name."""


def sent(said: Mapping[str, str], fields: Mapping[str, str], package_info: str | None) -> TransferAnswer:
    """Return what the answer `said` to sending `fields` means: it must be about the same packet."""
    if any(said.get(name) != fields[name] for name in _REPEATED):
        return unknown("mismatch", 200)
    return TransferAnswer(
        TransferOutcome.ACCEPTED,
        state=TransferState.WAIT_USER_CONFIRM,
        transfer_bill_no=said.get("send_listid"),
        package_info=package_info,
        http_status=200,
    )
