"""From JSON to rules: strict, and all faults at once.

Two kinds of faults end here: what cannot be read, and what could not be drawn by (two pools of one priority,
no pool for everybody, a reference to nothing). What the law forbids is the business of
`app.campaigns.disclosure`, which works on rules that can be read.
"""

from collections.abc import Callable, Iterator
from typing import TypeVar

from app.campaigns.conditions import EVERYBODY, read_conditions
from app.campaigns.errors import RulesInvalid
from app.campaigns.profiles import CHINA, PROFILES
from app.campaigns.reader import Fault, Node
from app.campaigns.rules import (
    MONEY_KINDS,
    ONE_BPS,
    SCHEMA,
    Abnormal,
    AbnormalStrategy,
    AppliesTo,
    Caps,
    Claim,
    Multiplier,
    Organiser,
    Participation,
    Period,
    PhonePolicy,
    PointsTerms,
    Pool,
    Prize,
    PrizeKind,
    Rules,
    Text,
    VoucherKind,
    Weight,
)
from app.campaigns.taxing import read_tax
from app.codes.outcome import CodeLevel
from app.rewards.models import DeliveryWay

T = TypeVar("T")

_MOST_FEN = 100_000_000
_MOST_POINTS = 1_000_000_000
_MOST_STOCK = 10_000_000_000
_MOST_WEIGHT = 1_000_000_000
_MOST_CLAIM_DAYS = 3650
_CLAIM_DAYS = 30
_MOST_UNLOCK_DRAWS = 100
_MOST_UNLOCK_HELPERS = 20
_MOST_PRIORITY = 1_000_000
_MOST_FACTOR_BPS = 1_000_000
_MOST_DRAWS = 1_000_000
_NAME, _SHORT, _LONG = 60, 200, 4000


def parse_rules(document: object) -> Rules:
    """Return the rules that a JSON document states.

    Raises RulesInvalid with every fault (path, stable code, what to do) when there is one.
    """
    faults: list[Fault] = []
    rules = _read_rules(Node(document, "", faults))
    if rules is not None and not faults:
        _check_pools(rules, faults)
        _check_references(rules, faults)
        _check_promises(rules, faults)
    if rules is None or faults:
        raise RulesInvalid(faults)
    return rules


_REQUIRED = ("schema", "market", "name", "period", "pools", "prizes")
_OPTIONAL = (
    "organiser",
    "participation",
    "claim",
    "multipliers",
    "multiplier_cap_bps",
    "fallback",
    "abnormal",
    "caps",
    "points_terms",
    "phone_policy",
    "location_counts",
    "regions_stated",
    "times_stated",
    "tax",
)


def _read_rules(node: Node) -> Rules | None:
    got = node.fields(_REQUIRED, _OPTIONAL)
    if "schema" in got and got["schema"].integer(SCHEMA, SCHEMA) != SCHEMA:
        return None
    if any(name not in got for name in _REQUIRED):
        return None

    def either(name: str, read: Callable[[Node], T], otherwise: T) -> T:
        return read(got[name]) if name in got else otherwise

    pools = got["pools"].items(_read_pool, least=1, most=200)
    market = _read_market(got["market"])
    return Rules(
        market=market,
        name=_read_name(got["name"]),
        organiser=either("organiser", _read_organiser, Organiser()),
        period=_read_period(got["period"]),
        participation=either("participation", _read_participation, Participation()),
        pools=tuple(sorted(pools, key=lambda pool: -pool.priority)),
        prizes=got["prizes"].items(_read_prize, least=1, most=200),
        claim=either("claim", _read_claim, Claim()),
        multipliers=either("multipliers", lambda item: item.items(_read_multiplier, most=50), ()),
        multiplier_cap_bps=either(
            "multiplier_cap_bps", lambda item: item.integer(ONE_BPS, _MOST_FACTOR_BPS), ONE_BPS
        ),
        fallback=either("fallback", _read_keys, ()),
        abnormal=either("abnormal", _read_abnormal, Abnormal()),
        caps=either("caps", _read_caps, Caps()),
        points_terms=either("points_terms", _read_points_terms, None),
        phone_policy=either("phone_policy", lambda item: item.choice(PhonePolicy), PhonePolicy.AT_COLLECTION),
        location_counts=either("location_counts", Node.boolean, False),
        regions_stated=either("regions_stated", Node.boolean, False),
        times_stated=either("times_stated", Node.boolean, False),
        tax=either("tax", lambda item: read_tax(item, PROFILES[market].tax), None),
    )


def _read_market(node: Node) -> str:
    if isinstance(node.value, str) and node.value in PROFILES:
        return node.value
    node.fault("unknown_market", f"one of {', '.join(PROFILES)} is expected")
    return CHINA.key


def _read_text(node: Node, most: int, *, least: int = 0) -> Text:
    got = node.fields(("zh", "en"))
    texts = {name: child.text(most, least=least) for name, child in got.items()}
    return Text(**texts)


def _read_name(node: Node) -> Text:
    return _read_text(node, _NAME, least=1)


def _read_long_text(node: Node) -> Text:
    return _read_text(node, _LONG)


def _read_keys(node: Node) -> tuple[str, ...]:
    keys = node.items(Node.key, most=50)
    if len(set(keys)) != len(keys):
        node.fault("repeated", "a prize occurs twice")
    return keys


def _read_organiser(node: Node) -> Organiser:
    got = node.fields(optional=("name", "contact"))
    return Organiser(
        name=_read_text(got["name"], _SHORT) if "name" in got else Text(),
        contact=got["contact"].text(_SHORT) if "contact" in got else "",
    )


def _read_period(node: Node) -> Period:
    got = node.fields(("starts_at", "ends_at"))
    period = Period(got.get("starts_at", node).moment(), got.get("ends_at", node).moment())
    if len(got) == 2 and period.starts_at >= period.ends_at:
        node.fault("ends_before_start", "the end comes after the start")
    return period


def _read_participation(node: Node) -> Participation:
    got = node.fields(optional=("conditions", "how", "codes"))
    return Participation(
        conditions=read_conditions(got["conditions"]) if "conditions" in got else EVERYBODY,
        how=_read_long_text(got["how"]) if "how" in got else Text(),
        codes=_read_level(got["codes"]) if "codes" in got else CodeLevel.ITEM,
    )


def _read_level(node: Node) -> CodeLevel:
    level = node.choice(CodeLevel)
    if level is CodeLevel.PALLET:
        node.fault("no_activity", "a campaign is held for the codes of items or of cases")
    return level


def _read_claim(node: Node) -> Claim:
    names = ("how", "conditions", "delivery", "forfeiture")
    return Claim(**{name: _read_long_text(child) for name, child in node.fields(optional=names).items()})


def _read_points_terms(node: Node) -> PointsTerms | None:
    got = node.fields(("text", "worth_fen_per_1000"))
    if len(got) < 2:
        return None
    return PointsTerms(_read_long_text(got["text"]), got["worth_fen_per_1000"].integer(0, _MOST_FEN))


def _read_caps(node: Node) -> Caps:
    got = node.fields(optional=("per_campaign", "per_day"))
    return Caps(**{name: child.integer(1, _MOST_DRAWS) for name, child in got.items()})


def _read_abnormal(node: Node) -> Abnormal:
    got = node.fields(("strategy",), ("prize",))
    if "strategy" not in got:
        return Abnormal()
    strategy = got["strategy"].choice(AbnormalStrategy)
    prize = got["prize"].key() if "prize" in got else None
    if (strategy is AbnormalStrategy.PRIZE) != (prize is not None):
        node.fault("prize_and_strategy", 'a prize is named with the strategy "prize", and only then')
    return Abnormal(strategy, prize)


_AMOUNTS = {
    PrizeKind.MONEY_FIXED: ("amount_fen",),
    PrizeKind.MONEY_RANDOM: ("min_fen", "max_fen"),
    PrizeKind.POINTS: ("points",),
    PrizeKind.VOUCHER: ("voucher", "face_fen", "stock"),
    PrizeKind.GOODS: ("delivery", "face_fen", "stock"),
    PrizeKind.NOTHING: (),
}


_ANY_AMOUNT = ("amount_fen", "min_fen", "max_fen", "points", "voucher", "delivery", "face_fen")


def _kind_of(node: Node) -> PrizeKind | None:
    written = node.value.get("kind") if isinstance(node.value, dict) else None
    return PrizeKind(written) if isinstance(written, str) and written in list(PrizeKind) else None


def _read_prize(node: Node) -> Prize:
    kind = _kind_of(node)
    required: tuple[str, ...] = ("key", "name", "kind", *(_AMOUNTS[kind] if kind else ()))
    optional: tuple[str, ...] = () if kind is PrizeKind.NOTHING else ("stock", "claim_window_days")
    if kind is None or kind in MONEY_KINDS:
        optional = (*optional, "unlock_draws")
    if kind is None or kind is PrizeKind.MONEY_FIXED:
        # What friends help with is a fixed, stated benefit, never one of chance (contract 13.7).
        optional = (*optional, "unlock_helpers")
    # An unknown kind is reported once, without a flood of faults about the amounts of other kinds.
    got = node.fields(required, optional if kind else (*optional, *_ANY_AMOUNT))
    if "kind" in got:
        got["kind"].choice(PrizeKind)

    def number(name: str, most: int) -> int:
        return got[name].integer(1, most) if name in got else 0

    fixed = number("amount_fen", _MOST_FEN)
    least, most = number("min_fen", _MOST_FEN) or fixed, number("max_fen", _MOST_FEN) or fixed
    if kind is PrizeKind.MONEY_RANDOM and least >= most > 0:
        node.fault("empty_range", "max_fen is above min_fen; a single amount is fixed money")
    return Prize(
        key=got["key"].key() if "key" in got else "",
        name=_read_name(got["name"]) if "name" in got else Text(),
        kind=kind or PrizeKind.NOTHING,
        min_fen=least,
        max_fen=most,
        points=number("points", _MOST_POINTS),
        voucher=got["voucher"].choice(VoucherKind) if kind and "voucher" in got else None,
        delivery=got["delivery"].choice(DeliveryWay) if kind and "delivery" in got else None,
        face_fen=number("face_fen", _MOST_FEN),
        stock=number("stock", _MOST_STOCK) or None,
        unlock_helpers=number("unlock_helpers", _MOST_UNLOCK_HELPERS),
        unlock_draws=number("unlock_draws", _MOST_UNLOCK_DRAWS),
        claim_window_days=number("claim_window_days", _MOST_CLAIM_DAYS) or _CLAIM_DAYS,
    )


def _read_weight(node: Node) -> Weight:
    got = node.fields(("prize", "weight"))
    return Weight(
        prize=got["prize"].key() if "prize" in got else "",
        weight=got["weight"].integer(1, _MOST_WEIGHT) if "weight" in got else 1,
    )


def _read_pool(node: Node) -> Pool:
    optional = ("conditions", "hundred_percent_win", "fallback", "own_budget")
    got = node.fields(("key", "name", "priority", "weights"), optional)
    return Pool(
        key=got["key"].key() if "key" in got else "",
        name=_read_name(got["name"]) if "name" in got else Text(),
        priority=got["priority"].integer(0, _MOST_PRIORITY) if "priority" in got else 0,
        conditions=read_conditions(got["conditions"]) if "conditions" in got else EVERYBODY,
        weights=got["weights"].items(_read_weight, least=1, most=200) if "weights" in got else (),
        hundred_percent_win="hundred_percent_win" in got and got["hundred_percent_win"].boolean(),
        fallback=_read_keys(got["fallback"]) if "fallback" in got else (),
        own_budget="own_budget" in got and got["own_budget"].boolean(),
    )


def _read_multiplier(node: Node) -> Multiplier:
    got = node.fields(("key", "name", "conditions", "factor_bps", "applies_to"))
    return Multiplier(
        key=got["key"].key() if "key" in got else "",
        name=_read_name(got["name"]) if "name" in got else Text(),
        conditions=read_conditions(got["conditions"]) if "conditions" in got else EVERYBODY,
        factor_bps=got["factor_bps"].integer(ONE_BPS + 1, _MOST_FACTOR_BPS)
        if "factor_bps" in got
        else ONE_BPS,
        applies_to=got["applies_to"].choice(AppliesTo) if "applies_to" in got else AppliesTo.BOTH,
    )


def _check_pools(rules: Rules, faults: list[Fault]) -> None:
    """Exactly one pool for every draw: no two of one priority, one for everybody, none behind it."""
    if len({pool.priority for pool in rules.pools}) != len(rules.pools):
        faults.append(Fault("pools", "priority_tie", "each pool needs a priority of its own"))
    for position, pool in enumerate(rules.pools):
        is_last = position == len(rules.pools) - 1
        path = f"pools.{pool.key}"
        if is_last and not pool.conditions.always:
            faults.append(
                Fault("pools", "no_pool_for_everybody", "the pool of lowest priority must have no conditions")
            )
        if not is_last and pool.conditions.always:
            faults.append(Fault(path, "hides_others", "pools of lower priority can never be reached"))
        if len({entry.prize for entry in pool.weights}) != len(pool.weights):
            faults.append(Fault(f"{path}.weights", "repeated", "a prize occurs twice in one pool"))


def _check_references(rules: Rules, faults: list[Fault]) -> None:
    for path, keys in (
        ("pools", [pool.key for pool in rules.pools]),
        ("prizes", [prize.key for prize in rules.prizes]),
        ("multipliers", [multiplier.key for multiplier in rules.multipliers]),
    ):
        if len(set(keys)) != len(keys):
            faults.append(Fault(path, "repeated_key", "each key may occur once"))
    named = list(_named_prizes(rules))
    faults.extend(
        Fault(path, "unknown_prize", "no prize has this key")
        for path, key in named
        if key not in rules.prize_by_key
    )
    given = {key for _, key in named}
    # A prize that nobody can win is an invented one (Interim Provisions, art. 15).
    faults.extend(
        Fault(f"prizes.{prize.key}", "never_given", "no pool and no fallback gives this prize")
        for prize in rules.prizes
        if prize.key not in given
    )


def _named_prizes(rules: Rules) -> Iterator[tuple[str, str]]:
    """Yield every place that names a prize, with the prize's key."""
    for pool in rules.pools:
        for entry in pool.weights:
            yield f"pools.{pool.key}.weights", entry.prize
        for key in pool.fallback:
            yield f"pools.{pool.key}.fallback", key
    for key in rules.fallback:
        yield "fallback", key
    if rules.abnormal.prize is not None:
        yield "abnormal.prize", rules.abnormal.prize


def _check_promises(rules: Rules, faults: list[Fault]) -> None:
    empty = {prize.key for prize in rules.prizes if prize.kind is PrizeKind.NOTHING}
    for pool in rules.pools:
        given = {entry.prize for entry in pool.weights} | set(pool.fallback) | set(rules.fallback)
        if pool.hundred_percent_win and given & empty:
            reason = 'a 100 % win has no prize of kind "nothing", in its fallback neither'
            faults.append(Fault(f"pools.{pool.key}", "nothing_in_a_sure_win", reason))
    pays_points = any(prize.kind is PrizeKind.POINTS for prize in rules.prizes)
    if pays_points and rules.points_terms is None:
        reason = "say how points can be used and what 1,000 of them are worth"
        faults.append(Fault("points_terms", "missing", reason))
    most = rules.caps.per_campaign
    faults.extend(
        Fault(f"prizes.{prize.key}.unlock_draws", "never_unlocked", f"nobody may draw more than {most} times")
        for prize in rules.prizes
        if most is not None and prize.unlock_draws >= most
    )
    least = rules.profile.min_transfer_fen
    faults.extend(
        Fault(f"prizes.{prize.key}", "below_transfer_minimum", f"WeChat transfers {least} fen or more")
        for prize in rules.prizes
        if prize.is_money and prize.min_fen < least
    )
