"""What each kind of difference means and what to do about it, in both languages."""

from typing import NamedTuple

from app.reconciliation.states import DifferenceKind


class Advice(NamedTuple):
    """A proposed act, for an operator."""

    zh: str
    en: str


_ADVICE = {
    DifferenceKind.MISSING: Advice(
        "我方已付款，账单中没有该笔。先等三天，可能晚入账；仍没有，请在商户平台按单号查询，并向微信支付提交工单。",
        "Paid here, not in the bill. Wait three days, it may be booked later; then look the number up on the"
        " merchant platform and ask WeChat Pay.",
    ),
    DifferenceKind.UNKNOWN: Advice(
        "账单中有我方没有的支出。请在商户平台核对是谁发起；若无人认领，立即暂停付款方并更换密钥。",
        "Money left under a number that is not ours. Find out on the merchant platform who sent it; if nobody"
        " did, pause the payer and renew its keys.",
    ),
    DifferenceKind.AMOUNT: Advice(
        "金额与我方不一致。请按单号在商户平台核对，差额补付或追回，并记录原因。",
        "The amount is not ours. Compare the number on the merchant platform; pay or recover the difference,"
        " and note why.",
    ),
    DifferenceKind.DOUBLED: Advice(
        "同一单号支出了不止一次。请在商户平台核对收款人，并要求微信支付退回多付的款项。",
        "Money left more than once under one number. Look at the receivers on the merchant platform and ask"
        " WeChat Pay for the surplus.",
    ),
    DifferenceKind.OTHER_BILL: Advice(
        "账单中该单号对应的是另一笔微信转账，收款人可能不同。请按两个单号分别查询收款人。",
        "Under our number stands another transfer of WeChat Pay, perhaps to somebody else. Look"
        " both numbers up and compare the receivers.",
    ),
    DifferenceKind.REFUNDED: Advice(
        "我方记为已付，资金却已退回商户账户。请确认顾客没有收到，再决定是否补发。",
        "Paid here, and the money has come back. Make sure that the shopper has nothing, then decide whether"
        " to award anew.",
    ),
    DifferenceKind.NOT_RETURNED: Advice(
        "我方记为失败，资金尚未退回。等三天；仍未退回，请向微信支付查询，切勿重复付款。",
        "Failed here, and the money has not come back. Wait three days, then ask WeChat Pay; do not pay again"
        " before.",
    ),
    DifferenceKind.LATE: Advice(
        "对应的账目在之后某天的账单中出现，两边已一致，无需处理。",
        "The line came with the bill of a later day and the books agree; nothing is to be done.",
    ),
    DifferenceKind.STILL_OPEN: Advice(
        "资金三天前已冻结或支出，我方单据仍未结束。请在商户平台查询该单的状态。",
        "Set aside or paid three days ago, and the bill has not ended here. Look up its state on the merchant"
        " platform.",
    ),
    DifferenceKind.BALANCE: Advice(
        "微信支付的日终余额与其账单不符（应付为账单余额，账单支出为微信余额）。请在商户平台核对账户明细。",
        "WeChat Pay's balance at the day's end (out) is not what its bills come to (expected)."
        " Compare the account's details on the merchant platform.",
    ),
    DifferenceKind.POSTED_LATER: Advice(
        "已结账日期又有新的记账。请核对这笔账的来源；已结账的数字不会改变。",
        "Our ledger booked into a day that was closed. Find out where the entry comes from; the day's figures"
        " stand.",
    ),
}


def advice(kind: DifferenceKind) -> Advice:
    """Return the proposed act for a kind of difference."""
    return _ADVICE[kind]
