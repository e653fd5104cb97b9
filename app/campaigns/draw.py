"""The draw: a pure function of facts, rules and the chance's random numbers (DRAW-01, DRAW-08, DRAW-09).

The order, exactly:
1. Refusal: outside the period, participation conditions, caps, a verdict that refuses or asks for a step that
   shows a real person first. Nothing is consumed.
2. Pool: of all pools whose conditions hold, the one with the highest priority; priorities differ, and one
   pool asks for nothing, so there is exactly one.
3. Roll: a number below the sum of the pool's published weights picks the prize. Weights are never
   adjusted to what is left: the published odds stay the odds.
4. Multipliers whose conditions hold and that raise this kind of prize: the product of their factors, not
   above the stated cap, rounded down to a basis point; the amount is rounded down to a fen or a point.
5. Payment: the rolled prize if its stock and the budget allow, else the first of the pool's fallback,
   then of the campaign's, that they do allow. A random amount is never shrunk to fit. What the pieces left of
   limited prizes may cost is kept for them: no other prize is paid out of it.
6. When none can be paid: nothing; but a pool that promises a win refuses instead (`sold_out`), and the code
   keeps its chance.
An abnormal verdict replaces steps 3 and 4 by the published abnormal strategy. A verdict that holds changes
nothing here: the same odds, and an award that waits for a review.
"""

from dataclasses import dataclass
from enum import StrEnum

from app.campaigns.facts import DrawFacts
from app.campaigns.rules import ONE_BPS, AbnormalStrategy, Pool, Prize, PrizeKind, Rules
from app.campaigns.seed import DrawStream, Roll
from app.codes.outcome import CodeLevel
from app.kernel.json import Json
from app.risk.lists import Level


class Result(StrEnum):
    """How a draw ends. Refused consumes nothing."""

    AWARDED = "awarded"
    NOTHING = "nothing"
    REFUSED = "refused"


class Refusal(StrEnum):
    """Why a draw is refused."""

    NOT_STARTED = "not_started"
    ENDED = "ended"
    NOT_ELIGIBLE = "not_eligible"
    CAMPAIGN_CAP = "campaign_cap"
    DAY_CAP = "day_cap"
    RISK = "risk"
    VERIFY = "verify"
    SOLD_OUT = "sold_out"


class Shortage(StrEnum):
    """Why a prize could not be paid."""

    STOCK = "stock"
    BUDGET = "budget"


@dataclass(frozen=True, slots=True)
class Skipped:
    """A prize that was due and could not be paid."""

    prize: str
    shortage: Shortage


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came out, with everything that led to it.

    rolled: the prize that the published weights gave; prize: the one that is given, None for nothing.
    base: fen or points before multipliers; factor_bps: what they together made of it.
    """

    result: Result
    refusal: Refusal | None = None
    pool: str | None = None
    abnormal: bool = False
    rolled: str | None = None
    prize: str | None = None
    kind: PrizeKind = PrizeKind.NOTHING
    base: int = 0
    multipliers: tuple[str, ...] = ()
    factor_bps: int = ONE_BPS
    amount_fen: int = 0
    points: int = 0
    skipped: tuple[Skipped, ...] = ()
    rolls: tuple[Roll, ...] = ()

    def to_json(self) -> dict[str, Json]:
        """Return the outcome as it is stored with the draw."""
        return {
            "result": str(self.result),
            "refusal": None if self.refusal is None else str(self.refusal),
            "pool": self.pool,
            "abnormal": self.abnormal,
            "rolled": self.rolled,
            "prize": self.prize,
            "kind": str(self.kind),
            "base": self.base,
            "multipliers": list(self.multipliers),
            "factor_bps": self.factor_bps,
            "amount_fen": self.amount_fen,
            "points": self.points,
            "skipped": [{"prize": item.prize, "shortage": str(item.shortage)} for item in self.skipped],
            "rolls": [
                {"purpose": roll.purpose, "bound": roll.bound, "value": roll.value} for roll in self.rolls
            ],
        }


@dataclass(frozen=True, slots=True)
class _Offer:
    """A prize with the amount that this draw would give, and what that costs the budget, tax included."""

    prize: Prize
    base: int
    multipliers: tuple[str, ...]
    factor_bps: int
    amount: int
    charge_fen: int
    rolls: tuple[Roll, ...]


def refusal_of(facts: DrawFacts, rules: Rules) -> Refusal | None:
    """Return why these facts may not draw at all, or None when they may."""
    local = facts.at.astimezone(rules.profile.zone)
    if facts.at < rules.period.starts_at:
        return Refusal.NOT_STARTED
    if facts.at >= rules.period.ends_at:
        return Refusal.ENDED
    if not rules.participation.conditions.hold(facts, local):
        return Refusal.NOT_ELIGIBLE
    if rules.participation.codes is CodeLevel.CASE and facts.store is None:
        return Refusal.NOT_ELIGIBLE
    if rules.caps.per_campaign is not None and facts.nth_draw > rules.caps.per_campaign:
        return Refusal.CAMPAIGN_CAP
    if rules.caps.per_day is not None and facts.draws_today >= rules.caps.per_day:
        return Refusal.DAY_CAP
    refuses = rules.abnormal.strategy is AbnormalStrategy.REFUSE
    if facts.level is Level.REFUSE or (facts.level is Level.ABNORMAL and refuses):
        return Refusal.RISK
    return Refusal.VERIFY if facts.level is Level.VERIFY else None


def matching_pool(facts: DrawFacts, rules: Rules) -> Pool:
    """Return the one pool that these facts draw from (DRAW-01)."""
    local = facts.at.astimezone(rules.profile.zone)
    # Pools stand in descending priority; the last one asks for nothing: the parser made sure of both.
    return next(pool for pool in rules.pools if pool.conditions.hold(facts, local))


def decide(facts: DrawFacts, rules: Rules, stream: DrawStream) -> Outcome:
    """Return what a draw gives. Pure: equal arguments give equal outcomes, for ever."""
    refusal = refusal_of(facts, rules)
    if refusal is not None:
        return Outcome(Result.REFUSED, refusal)
    pool = matching_pool(facts, rules)
    if facts.level is Level.ABNORMAL:
        return _decide_abnormal(facts, rules, pool)
    roll = stream.roll("prize", pool.total_weight)
    rolled = _prize_at(pool, roll.value)
    skipped: list[Skipped] = []
    for key in rules.chain(pool, rolled):
        offer = _offer(facts, rules, rules.prize_by_key[key], stream)
        shortage = _shortage(facts, rules, pool, offer)
        if shortage is None:
            return _given(pool, offer, rolled, tuple(skipped), (roll,))
        skipped.append(Skipped(key, shortage))
    return _exhausted(pool, rolled, tuple(skipped), (roll,))


def _prize_at(pool: Pool, number: int) -> str:
    for entry in pool.weights:
        if number < entry.weight:
            return entry.prize
        number -= entry.weight
    raise ValueError("the number is not below the sum of the weights")


def _offer(facts: DrawFacts, rules: Rules, prize: Prize, stream: DrawStream) -> _Offer:
    rolls: tuple[Roll, ...] = ()
    base = prize.points if prize.kind is PrizeKind.POINTS else prize.min_fen
    if prize.kind is PrizeKind.MONEY_RANDOM:
        rolls = (stream.roll(f"amount:{prize.key}", prize.max_fen - prize.min_fen + 1),)
        base += rolls[0].value
    multipliers, factor_bps = _factor(facts, rules, prize)
    amount = base * factor_bps // ONE_BPS
    return _Offer(prize, base, multipliers, factor_bps, amount, rules.charge_fen(prize, amount), rolls)


def _factor(facts: DrawFacts, rules: Rules, prize: Prize) -> tuple[tuple[str, ...], int]:
    """Return the multipliers that count for a prize and what they make together, capped, in basis points."""
    local = facts.at.astimezone(rules.profile.zone)
    active = [
        multiplier
        for multiplier in rules.multipliers
        if multiplier.raises(prize) and multiplier.conditions.hold(facts, local)
    ]
    return tuple(multiplier.key for multiplier in active), rules.factor_bps(active)


def _shortage(facts: DrawFacts, rules: Rules, pool: Pool, offer: _Offer) -> Shortage | None:
    if offer.prize.key in facts.sold_out:
        return Shortage.STOCK
    if not offer.charge_fen:
        return None
    left = facts.pool_budgets_left_fen.get(pool.key, 0) if pool.own_budget else facts.budget_left_fen
    left -= kept_from(offer.prize, pool, facts, rules)
    return None if offer.charge_fen <= left else Shortage.BUDGET


def kept_from(prize: Prize, pool: Pool, facts: DrawFacts, rules: Rules) -> int:
    """Return what must be left, in fen, of the budget that pays for a prize won in a pool.

    Nothing for a limited prize that the budget pays for: its own money is among what is kept, and its stock
    lets it take no more.
    """
    kept = rules.kept_fen[pool.budget]
    if prize.key in kept:
        return 0
    return sum(facts.stock_left.get(key, 0) * fen for key, fen in kept.items())


def _given(
    pool: Pool,
    offer: _Offer,
    rolled: str | None,
    skipped: tuple[Skipped, ...],
    rolls: tuple[Roll, ...],
    *,
    abnormal: bool = False,
) -> Outcome:
    prize = offer.prize
    return Outcome(
        Result.NOTHING if prize.kind is PrizeKind.NOTHING else Result.AWARDED,
        pool=pool.key,
        abnormal=abnormal,
        rolled=rolled,
        prize=prize.key,
        kind=prize.kind,
        base=offer.base,
        multipliers=offer.multipliers,
        factor_bps=offer.factor_bps,
        amount_fen=offer.amount if prize.is_money else 0,
        points=offer.amount if prize.kind is PrizeKind.POINTS else 0,
        skipped=skipped,
        rolls=(*rolls, *offer.rolls),
    )


def _exhausted(
    pool: Pool, rolled: str | None, skipped: tuple[Skipped, ...], rolls: tuple[Roll, ...]
) -> Outcome:
    if pool.hundred_percent_win:
        return Outcome(
            Result.REFUSED, Refusal.SOLD_OUT, pool.key, rolled=rolled, skipped=skipped, rolls=rolls
        )
    return Outcome(Result.NOTHING, pool=pool.key, rolled=rolled, skipped=skipped, rolls=rolls)


def _decide_abnormal(facts: DrawFacts, rules: Rules, pool: Pool) -> Outcome:
    """Return what the published abnormal strategy gives: no roll, no multiplier, a random amount's least.

    When that prize cannot be paid the draw gives nothing, whatever the pool promises: a promise of a win is
    made to persons and codes that are not marked, and the published rules say so.
    """
    keys: tuple[str, ...] = ()
    if rules.abnormal.strategy is AbnormalStrategy.PRIZE and rules.abnormal.prize is not None:
        keys = (rules.abnormal.prize,)
    elif rules.abnormal.strategy is AbnormalStrategy.SMALLEST:
        keys = (_smallest(rules, pool),)
    skipped: list[Skipped] = []
    for key in keys:
        prize = rules.prize_by_key[key]
        base = prize.points if prize.kind is PrizeKind.POINTS else prize.min_fen
        offer = _Offer(prize, base, (), ONE_BPS, base, rules.charge_fen(prize, base), ())
        shortage = _shortage(facts, rules, pool, offer)
        if shortage is None:
            return _given(pool, offer, None, (), (), abnormal=True)
        skipped.append(Skipped(key, shortage))
    return Outcome(Result.NOTHING, pool=pool.key, abnormal=True, skipped=tuple(skipped))


def _smallest(rules: Rules, pool: Pool) -> str:
    """Return the pool's prize that is worth least, "nothing" left aside; the first of several."""
    prizes = [rules.prize_by_key[entry.prize] for entry in pool.weights]
    winning = [prize for prize in prizes if prize.kind is not PrizeKind.NOTHING] or prizes
    return min(winning, key=lambda prize: rules.worth_fen(prize, least=True)).key
