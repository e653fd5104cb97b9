"""The published text: made from the rules, in Chinese and English, frozen, hashed (contract 14.1, art. 13).

Nobody types odds a second time. What is published is generated from the object that the draw reads, so
the two cannot disagree; the text names the rules' hash and the seed's commitment, and its own hash binds
all three.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from app.campaigns.phrases import describe, write_local
from app.campaigns.rules import (
    ONE_BPS,
    AbnormalStrategy,
    AppliesTo,
    Multiplier,
    PhonePolicy,
    Pool,
    Prize,
    PrizeKind,
    Rules,
    Text,
    VoucherKind,
)
from app.campaigns.taxing import describe_tax
from app.codes.outcome import CodeLevel
from app.kernel.fen import format_yuan
from app.kernel.json import canonical
from app.rewards.models import DeliveryWay
from app.rewards.standstill import KEEPS, KEPT


@dataclass(frozen=True, slots=True)
class Publication:
    """The published text in both languages, and the SHA-256 over both in canonical JSON, 64 hex digits."""

    text: Text
    sha256: str


def publish_text(
    rules: Rules, *, version: int, commitment_sha256: str, beside: Sequence[Rules] = ()
) -> Publication:
    """Return the text for a version of the rules. Raises nothing: call `missing_fields` before.

    Args: beside are the rules of other campaigns that are held for the same codes at the same time.
    """
    sections = [
        _heading(rules, version),
        _participation(rules),
        _method(rules, commitment_sha256),
        *_beside(rules, beside),
        *[_pool(rules, pool) for pool in rules.pools],
        *_fallback(rules),
        *_multipliers(rules),
        *_statements(rules),
        _abnormal(rules),
        *_claim(rules),
        describe_tax(rules),
        _publicity(rules),
    ]
    text = Text("\n\n".join(part.zh for part in sections), "\n\n".join(part.en for part in sections))
    return Publication(text, hashlib.sha256(canonical(text.to_json())).hexdigest())


def _heading(rules: Rules, version: int) -> Text:
    start = write_local(rules.period.starts_at, rules.profile.zone)
    end = write_local(rules.period.ends_at, rules.profile.zone)
    organiser = rules.organiser
    return Text(
        f"{rules.name.zh}\n活动规则第{version}版,规则哈希(SHA-256):{rules.sha256}\n"
        f"主办方:{organiser.name.zh}\n联系方式:{organiser.contact}\n活动时间:{start}至{end}",
        f"{rules.name.en}\nRules, version {version}, SHA-256: {rules.sha256}\n"
        f"Organiser: {organiser.name.en}\nContact: {organiser.contact}\nPeriod: {start} to {end}",
    )


def _participation(rules: Rules) -> Text:
    who = describe(rules.participation.conditions, rules.profile.zone)
    how = rules.participation.how
    zh = [f"参与条件:{who.zh}", f"参与方式:{how.zh}"]
    en = [f"Who may take part: {who.en}", f"How to take part: {how.en}"]
    if rules.participation.codes is CodeLevel.CASE:
        zh.append("本活动使用整箱上的箱码,仅限该箱所发往的经销商供货的门店的登记店员参与。")
        en.append(
            "It is held for the codes on cases, for the registered staff of stores that are supplied by the"
            " dealer whom the case was shipped to."
        )
    if rules.caps.per_campaign is not None:
        zh.append(f"每人在本活动中最多抽奖{rules.caps.per_campaign}次。")
        en.append(f"Each person may draw {rules.caps.per_campaign} times in this campaign at most.")
    if rules.caps.per_day is not None:
        zh.append(f"每人每日最多抽奖{rules.caps.per_day}次。")
        en.append(f"Each person may draw {rules.caps.per_day} times a day at most.")
    phone = _PHONE[rules.phone_policy]
    return Text("\n".join([*zh, phone.zh]), "\n".join([*en, phone.en]))


_PHONE = {
    PhonePolicy.BEFORE_DRAW: Text(
        "抽奖前将请您授权手机号;您可以拒绝,不影响抽奖和领奖。",
        "A phone number is asked for before the draw; whoever declines draws and collects all the same.",
    ),
    PhonePolicy.AT_COLLECTION: Text(
        "领取奖品时可能请您授权手机号;抽奖不需要手机号。",
        "A phone number may be asked for when a prize is collected; drawing needs none.",
    ),
    PhonePolicy.NEVER: Text("本活动不收集手机号。", "This campaign asks for no phone number."),
}


_REGION = {
    True: Text(
        "地区依次按您的位置(如您同意提供)、商品发货地区、网络地址所在地区确定。",
        "The region is that of your position if you share it, else where the product was shipped to, else"
        " that of your network address.",
    ),
    False: Text(
        "地区依次按商品发货地区、网络地址所在地区确定,不使用定位。",
        "The region is where the product was shipped to, else that of your network address; no positioning.",
    ),
}


def _method(rules: Rules, commitment_sha256: str) -> Text:
    region = _REGION[rules.location_counts]
    return Text(
        "抽奖方式:即抽即开。每个商品码对应一次抽奖机会;中奖结果由开始前确定的随机种子与该机会共同决定,任何人"
        f"不能更改。种子承诺(SHA-256):{commitment_sha256};种子在活动结束后公布,可逐笔复核。{region.zh}"
        "同一商品码适用于多个活动的,只参加其中一个:您符合参与条件的活动中开始时间最晚的一个。",
        "Draw: instant. Each product code gives one chance; the result follows from a random seed fixed"
        " before the start and from that chance, and nobody can change it. Commitment to the seed (SHA-256):"
        f" {commitment_sha256}; the seed is published after the end, so that every draw can be checked."
        f" {region.en} A code that several campaigns are held for is drawn in one of them: of those whose"
        " conditions you meet, the one that started last.",
    )


def _beside(rules: Rules, others: Sequence[Rules]) -> list[Text]:
    if not others:
        return []
    zh = ["特别说明:以下活动同期举行,可能适用于相同的商品码,参加哪一个依上述规则确定:"]
    en = [
        "Please note: these run at the same time, maybe for the same codes; the rule above says which counts:"
    ]
    for other in others:
        start = write_local(other.period.starts_at, rules.profile.zone)
        end = write_local(other.period.ends_at, rules.profile.zone)
        zh.append(f"- {other.name.zh}({start}至{end})")
        en.append(f"- {other.name.en} ({start} to {end})")
    return [Text("\n".join(zh), "\n".join(en))]


def _pool(rules: Rules, pool: Pool) -> Text:
    conditions = describe(pool.conditions, rules.profile.zone)
    zh = [f"奖池“{pool.name.zh}”(优先级{pool.priority});适用条件:{conditions.zh}"]
    en = [f"Pool “{pool.name.en}” (priority {pool.priority}); applies to: {conditions.en}"]
    total = pool.total_weight
    for entry in pool.weights:
        prize = _describe_prize(rules, rules.prize_by_key[entry.prize])
        odds = f"{entry.weight}/{total} ({_percent(entry.weight, total)})"
        zh.append(f"- {prize.zh};中奖概率{odds}")
        en.append(f"- {prize.en}; odds {odds}")
    if pool.hundred_percent_win:
        zh.append("本奖池每次抽奖必有奖品;全部奖品均无法兑付时暂停抽奖,商品码的机会保留。")
        en.append("Every draw wins; when no prize can be paid, drawing pauses and codes keep their chance.")
    if pool.fallback:
        instead = _describe_prizes(rules, pool.fallback)
        zh.append(f"奖品或预算不足时依次改发:{instead.zh}")
        en.append(f"When stock or budget runs out, given instead, in order: {instead.en}")
    return Text("\n".join(zh), "\n".join(en))


_VOUCHERS = {
    VoucherKind.PHONE_CREDIT: Text("话费充值卡密", "phone credit by a code"),
    VoucherKind.MEMBERSHIP: Text("会员兑换码", "a membership by a code"),
    VoucherKind.COUPON: Text("优惠券码", "a coupon code"),
    VoucherKind.GIFT_CARD: Text("礼品卡兑换码", "a gift card by a code"),
}


_DELIVERY = {
    DeliveryWay.COURIER: Text("快递寄送", "sent by courier"),
    DeliveryWay.STORE: Text("门店领取", "fetched in a store"),
    DeliveryWay.EITHER: Text("快递寄送或门店领取", "sent by courier or fetched in a store"),
}


def _describe_prize(rules: Rules, prize: Prize) -> Text:
    """Return name, kind and amount, quantity in the whole campaign."""
    if prize.kind is PrizeKind.NOTHING:
        return Text(f"{prize.name.zh}(未中奖)", f"{prize.name.en} (no prize)")
    if prize.kind is PrizeKind.POINTS:
        worth = format_yuan(rules.worth_fen(prize))
        what = Text(f"{prize.points}积分(价值{worth}元)", f"{prize.points} points (worth {worth} yuan)")
    elif prize.voucher is not None:
        kind, worth = _VOUCHERS[prize.voucher], format_yuan(prize.face_fen)
        what = Text(f"{kind.zh}(价值{worth}元)", f"{kind.en} (worth {worth} yuan)")
    elif prize.delivery is not None:
        way, worth = _DELIVERY[prize.delivery], format_yuan(prize.face_fen)
        what = Text(f"实物(价值{worth}元),{way.zh}", f"goods (worth {worth} yuan), {way.en}")
    elif prize.kind is PrizeKind.MONEY_FIXED:
        amount = format_yuan(prize.max_fen)
        what = Text(f"微信零钱{amount}元", f"{amount} yuan to the WeChat balance")
    else:
        least, most = format_yuan(prize.min_fen), format_yuan(prize.max_fen)
        what = Text(
            f"微信零钱{least}至{most}元(随机,每一分等概率)",
            f"{least} to {most} yuan to the WeChat balance (random, every fen equally likely)",
        )
    stock = Text("数量不限", "unlimited")
    if prize.stock is not None:
        stock = Text(f"共{prize.stock}份", f"{prize.stock} in all")
    elif prize.is_money:
        stock = Text("数量以活动预算为限", "as many as the campaign's budget allows")
    return Text(f"{prize.name.zh}:{what.zh},{stock.zh}", f"{prize.name.en}: {what.en}, {stock.en}")


def _describe_prizes(rules: Rules, keys: Sequence[str]) -> Text:
    prizes = [_describe_prize(rules, rules.prize_by_key[key]) for key in keys]
    return Text("→".join(prize.zh for prize in prizes), " → ".join(prize.en for prize in prizes))


def _percent(weight: int, total: int) -> str:
    """Return odds in percent with up to six decimals, rounded down and marked when they are not exact."""
    millionths, rest = divmod(weight * 100_000_000, total)
    whole, decimals = divmod(millionths, 1_000_000)
    text = f"{whole}.{decimals:06d}".rstrip("0").rstrip(".")
    return f"{'≈' if rest else ''}{text}%"


def _fallback(rules: Rules) -> list[Text]:
    if not rules.fallback:
        return []
    instead = _describe_prizes(rules, rules.fallback)
    return [
        Text(
            f"各奖池兜底奖品(依次):{instead.zh}",
            f"After each pool's own, given instead, in order: {instead.en}",
        )
    ]


_RAISED = {
    AppliesTo.MONEY: Text("现金奖品金额", "money prizes"),
    AppliesTo.POINTS: Text("积分奖品数量", "points prizes"),
    AppliesTo.BOTH: Text("现金与积分奖品", "money and points prizes"),
}


def _multipliers(rules: Rules) -> list[Text]:
    if not rules.multipliers:
        return []
    lines = [_multiplier(rules, multiplier) for multiplier in rules.multipliers]
    cap = _times(rules.multiplier_cap_bps)
    return [
        Text(
            "\n".join(
                [
                    "奖品加倍:",
                    *[line.zh for line in lines],
                    f"可叠加,合计最高{cap}倍,不足一分或一积分的舍去。",
                ]
            ),
            "\n".join(
                [
                    "Multipliers:",
                    *[line.en for line in lines],
                    f"They stack, up to {cap} times in all; fractions of a fen or point are dropped.",
                ]
            ),
        )
    ]


def _multiplier(rules: Rules, multiplier: Multiplier) -> Text:
    conditions = describe(multiplier.conditions, rules.profile.zone)
    raised, times = _RAISED[multiplier.applies_to], _times(multiplier.factor_bps)
    return Text(
        f"- {multiplier.name.zh}:{raised.zh}×{times};条件:{conditions.zh}",
        f"- {multiplier.name.en}: {raised.en} × {times}; applies to: {conditions.en}",
    )


def _times(factor_bps: int) -> str:
    whole, rest = divmod(factor_bps, ONE_BPS)
    return f"{whole}.{rest:04d}".rstrip("0").rstrip(".")


def _statements(rules: Rules) -> list[Text]:
    statements = []
    if rules.regions_stated:
        statements.append(
            Text(
                "特别说明:不同地区的奖品或概率不同,以上述各奖池及加倍条件为准。",
                "Please note: prizes or odds differ by region, as stated with the pools and multipliers.",
            )
        )
    if rules.times_stated:
        statements.append(
            Text(
                "特别说明:不同时间的奖品或概率不同,以上述各奖池及加倍条件为准。",
                "Please note: prizes or odds differ by time, as stated with the pools and multipliers.",
            )
        )
    return statements


ABUSE_CLAUSE = Text(
    "对疑似作弊的抽奖,主办方可要求验证手机号、暂缓发放奖品并人工复核,或不予抽奖并告知原因;中奖概率对所有人相同。",
    "Draws that look like abuse may have to be verified with a phone number, or their prizes are held for a"
    " review, or they are refused with a reason; the odds are the same for everybody.",
)
"""Without it in the published text, no risk rules may be enforced (contract 13.6, 14.1)."""

CAPTCHA_CLAUSE = Text("验证也可能采用图形验证码。", "The verification may also be a captcha.")
"""Without it, none that ask for a captcha."""


def _abnormal(rules: Rules) -> Text:
    named = _describe_prizes(rules, [rules.abnormal.prize] if rules.abnormal.prize else [])
    result = {
        AbnormalStrategy.REFUSE: Text("不予抽奖,并告知原因", "no draw, and the reason is given"),
        AbnormalStrategy.NOTHING: Text("不发放奖品", "no prize"),
        AbnormalStrategy.SMALLEST: Text(
            "仅发放所在奖池价值最低的奖品,不加倍", "only the pool's prize of least worth, without multipliers"
        ),
        AbnormalStrategy.PRIZE: Text(f"仅发放{named.zh},不加倍", f"only {named.en}, without multipliers"),
    }[rules.abnormal.strategy]
    return Text(
        f"反作弊:对被列入名单的异常参与者或异常商品码,{result.zh};上述概率与必中承诺不适用于此类情形。"
        f"{ABUSE_CLAUSE.zh}{CAPTCHA_CLAUSE.zh}如有异议,请联系主办方。",
        f"Against abuse: for persons or codes on a list of abnormal ones, {result.en}; the odds above and the"
        f" promise of a win do not apply to them. {ABUSE_CLAUSE.en} {CAPTCHA_CLAUSE.en} Contact the organiser"
        " to object.",
    )


def _claim(rules: Rules) -> list[Text]:
    claim = rules.claim
    windows = [prize for prize in rules.prizes if prize.kind is not PrizeKind.NOTHING]
    told = [_claim_window(prize) for prize in windows]
    zh, en = [line.zh for line in told], [line.en for line in told]
    sections = [
        Text(
            "\n".join([f"领奖方式:{claim.how.zh}", "领奖期限:", *zh, f"领奖条件:{claim.conditions.zh}"]),
            "\n".join(
                [f"How to claim: {claim.how.en}", "Until when:", *en, f"Conditions: {claim.conditions.en}"]
            ),
        ),
        Text(
            f"奖品交付:{claim.delivery.zh}\n弃奖条件:{claim.forfeiture.zh}",
            f"Delivery: {claim.delivery.en}\nForfeiture: {claim.forfeiture.en}",
        ),
    ]
    if rules.points_terms is not None:
        terms = rules.points_terms.text
        sections.append(Text(f"积分使用规则:{terms.zh}", f"Terms of the points: {terms.en}"))
    return sections


def _claim_window(prize: Prize) -> Text:
    """Return until when a prize is to be claimed, and what unlocks it before (DRAW-11)."""
    days, draws = prize.claim_window_days, prize.unlock_draws
    zh = f"- {prize.name.zh}:中奖后{days}天内"
    en = f"- {prize.name.en}: within {days} days of winning"
    if draws:
        zh += f";须先在本活动中再抽奖{draws}次方可领取(与是否中奖无关),逾期未解锁视为放弃"
        en += f", and after {draws} more draws in this campaign, whatever they give; else forfeited"
    if helpers := prize.unlock_helpers:
        zh += (
            f";须有{helpers}位好友在此期间各自扫码参加本活动抽奖并为您助力后方可领取固定金额,每人在本活动中仅可助力一次,"
            "分享本身不产生奖励,逾期未解锁视为放弃"
        )
        en += (
            f", and after {helpers} friends have each scanned a code, drawn in this campaign and helped; each"
            " may help once in this campaign, sharing by itself earns nothing; else forfeited"
        )
    if draws or helpers:
        least, moved = KEEPS.days, KEPT.days
        zh += (
            f";活动暂停或助力暂停期间不会过期,剩余不足{least}天时领取期限顺延至{moved}天后;"
            "活动结束后无须再解锁,领取期限内可直接领取"
        )
        en += (
            "; while the campaign or the helping is paused it does not lapse, and with less than"
            f" {least} days left it is given {moved}; once the campaign has ended it needs no unlocking and"
            " can be collected until then"
        )
    return Text(zh, en)


def _publicity(rules: Rules) -> Text:
    over, years = format_yuan(rules.profile.publicity_over_fen), rules.profile.archive_years
    return Text(
        f"价值超过{over}元的中奖结果将在活动期间公示(隐去个人信息)。规则与结果至少保存{years}年。",
        f"Prizes worth more than {over} yuan are published during the campaign, winners masked. Rules and"
        f" results are kept for {years} years at least.",
    )
