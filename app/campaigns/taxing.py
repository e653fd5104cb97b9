"""A campaign's terms of tax: reading them, and saying them to shoppers (contract 14.4, 14.1).

What is written in the rules is what is published, and what is published is what is withheld: all three
come from the same `TaxTerms`.
"""

from app.campaigns.reader import Fault, Node
from app.campaigns.rules import Rules, Text
from app.kernel.fen import format_yuan
from app.tax.terms import TaxBasis, TaxedKind, TaxMode, TaxTerms

_MOST_FEN = 100_000_000
_KINDS = {
    TaxedKind.MONEY: Text("现金", "money"),
    TaxedKind.GOODS: Text("实物", "goods"),
    TaxedKind.PHONE_CREDIT: Text("话费", "phone credit"),
    TaxedKind.MEMBERSHIP: Text("会员权益", "memberships"),
    TaxedKind.GIFT_CARD: Text("礼品卡", "gift cards"),
    TaxedKind.COUPON: Text("优惠券", "coupons"),
}


def read_tax(node: Node, otherwise: TaxTerms) -> TaxTerms:
    """Return the terms that a document states; what it leaves out is as in `otherwise`."""
    optional = ("kinds", "from_fen", "basis", "vat_excluded", "identity_over_fen")
    got = node.fields(("mode",), optional)
    return TaxTerms(
        mode=got["mode"].choice(TaxMode) if "mode" in got else otherwise.mode,
        kinds=got["kinds"].distinct(lambda item: item.choice(TaxedKind))
        if "kinds" in got
        else otherwise.kinds,
        from_fen=got["from_fen"].integer(0, _MOST_FEN) if "from_fen" in got else otherwise.from_fen,
        basis=got["basis"].choice(TaxBasis) if "basis" in got else otherwise.basis,
        vat_excluded=got["vat_excluded"].boolean() if "vat_excluded" in got else otherwise.vat_excluded,
        identity_over_fen=got["identity_over_fen"].integer(0, _MOST_FEN)
        if "identity_over_fen" in got
        else otherwise.identity_over_fen,
    )


def below_minimum(rules: Rules, *, least_fen: int) -> list[Fault]:
    """Return the money prizes of which less is left, once tax is withheld, than the payer sends."""
    found = []
    for prize in rules.prizes:
        # Least is left of the smallest amount that is taxed at all.
        smallest_fen = max(prize.min_fen, rules.tax_terms.from_fen)
        if not prize.is_money or smallest_fen > rules.most_money_fen(prize):
            continue
        tax = rules.tax_on(prize, smallest_fen)
        if tax is not None and tax.net_fen < least_fen <= prize.min_fen:
            detail = (
                f"of {format_yuan(smallest_fen)} yuan {format_yuan(tax.net_fen)} are left after tax; the"
                f" payer sends {format_yuan(least_fen)} at least: raise the prize or the threshold"
            )
            found.append(Fault(f"prizes.{prize.key}", "net_below_payer_minimum", detail))
    return found


def describe_tax(rules: Rules) -> Text:
    """Return the published section on tax, in both languages."""
    terms = rules.tax_terms
    if terms.mode is TaxMode.NONE_DISCOUNT:
        return Text(
            "税费:本活动的奖品为价格折扣,主办方不扣缴个人所得税,奖品以公示的金额发放。",
            "Tax: the prizes are price discounts; no income tax is withheld, they are given as stated.",
        )
    if terms.mode is TaxMode.NONE_GIFT_WITH_PURCHASE:
        return Text(
            "税费:本活动的奖品随购买商品赠送,主办方不扣缴个人所得税,奖品以公示的金额发放。",
            "Tax: the prizes are given with a purchase; no income tax is withheld, they are given as stated.",
        )
    zh, en = _taxed(rules)
    return Text("\n".join([f"税费:{zh[0]}", *zh[1:]]), "\n".join([f"Tax: {en[0]}", *en[1:]]))


def _taxed(rules: Rules) -> tuple[list[str], list[str]]:
    terms, law = rules.tax_terms, rules.profile.tax_law
    percent = f"{law.rate_bps / 100:g}%"
    kinds = Text(
        "、".join(_KINDS[kind].zh for kind in terms.kinds), ", ".join(_KINDS[kind].en for kind in terms.kinds)
    )
    worth = Text("", "")
    if terms.from_fen:
        worth = Text(
            f"单个价值{format_yuan(terms.from_fen)}元及以上的",
            f" worth {format_yuan(terms.from_fen)} yuan or more each",
        )
    zh = [f"{worth.zh}{kinds.zh}奖品为偶然所得,按{percent}的税率由主办方扣缴个人所得税。"]
    en = [f"prizes of {kinds.en}{worth.en} are incidental income; the organiser pays {percent} income tax."]
    if terms.mode is TaxMode.INCIDENTAL_WITHHOLD and TaxedKind.MONEY in terms.kinds:
        zh.append(
            "现金奖品的税款由中奖人承担:公示金额为税前金额,领取时代扣税款,实际到账为税后金额(四舍五入到分)。"
        )
        en.append(
            "On money the winner bears it: amounts are stated before tax, it is withheld when the prize is"
            " collected, and what arrives is the amount after tax, rounded to a fen."
        )
        if terms.kinds != (TaxedKind.MONEY,):
            zh.append("其他奖品的税款由主办方承担。")
            en.append("On all other prizes the organiser bears it.")
    else:
        zh.append("税款由主办方承担:公示的金额为税后金额,中奖人全额获得。")
        en.append("The organiser bears it: amounts are stated after tax, and winners get all of them.")
    zh.append(_identity(terms).zh)
    en.append(_identity(terms).en)
    return zh, en


def _identity(terms: TaxTerms) -> Text:
    purpose = Text("仅用于纳税申报。", "used for tax returns only.")
    if not terms.identity_over_fen:
        return Text(
            f"领取应税奖品前须提供真实姓名和证件号码,{purpose.zh}",
            "Name and document number are asked for before a taxed prize is collected, " + purpose.en,
        )
    over = format_yuan(terms.identity_over_fen)
    return Text(
        f"同一人一个自然年内领取的应税奖品合计超过{over}元的,领取前须提供真实姓名和证件号码,{purpose.zh}",
        f"Who collects taxed prizes worth more than {over} yuan in a calendar year is asked for name and"
        f" document number first, {purpose.en}",
    )
