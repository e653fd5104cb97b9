"""How a callback of WeChat Pay rests in the inbox: the verified, decrypted notice as JSON."""

import json
from datetime import datetime

from app.payouts.interfaces import TransferNotice, TransferState


def write(notice: TransferNotice) -> str:
    """Return a notice as the text that the inbox keeps (encrypted, since it holds an openid)."""
    return json.dumps(
        {
            "notice_id": notice.notice_id,
            "mchid": notice.mchid,
            "bill_no": notice.bill_no,
            "transfer_bill_no": notice.transfer_bill_no,
            "state": notice.state.value,
            "amount_fen": notice.amount_fen,
            "openid": notice.openid,
            "fail_reason": notice.fail_reason,
            "finished_at": notice.finished_at.isoformat(),
        }
    )


def read(body: str) -> TransferNotice:
    """Return the notice that `write` wrote; raise ValueError or KeyError for anything else."""
    known = json.loads(body)
    return TransferNotice(
        notice_id=known["notice_id"],
        mchid=known["mchid"],
        bill_no=known["bill_no"],
        transfer_bill_no=known["transfer_bill_no"],
        state=TransferState(known["state"]),
        amount_fen=known["amount_fen"],
        openid=known["openid"],
        fail_reason=known["fail_reason"],
        finished_at=datetime.fromisoformat(known["finished_at"]),
    )
