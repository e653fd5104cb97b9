"""The rules of a campaign: immutable, hashed, the same bytes for the same meaning.

What a shopper was promised is what the draw reads: these objects are the only rules that there are. They
come from JSON through `app.campaigns.parser` and go back to a normal form whose SHA-256 is published; a
draw names the version and the hash that it followed.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property

from app.campaigns.conditions import EVERYBODY, Conditions
from app.campaigns.profiles import PROFILES, MarketProfile
from app.campaigns.reader import write_moment
from app.codes.outcome import CodeLevel
from app.kernel.json import Json, canonical
from app.rewards.models import DeliveryWay
from app.tax.terms import Assessment, TaxedKind, TaxTerms, assess

SCHEMA = 1
ONE_BPS = 10_000


class PrizeKind(StrEnum):
    """What a prize is. Random money is uniform over every fen from the least to the most."""

    MONEY_FIXED = "money_fixed"
    MONEY_RANDOM = "money_random"
    POINTS = "points"
    VOUCHER = "voucher"
    GOODS = "goods"
    NOTHING = "nothing"


class VoucherKind(StrEnum):
    """What a voucher's code is good for (PAY-03 to PAY-05)."""

    PHONE_CREDIT = "phone_credit"
    MEMBERSHIP = "membership"
    COUPON = "coupon"
    GIFT_CARD = "gift_card"


MONEY_KINDS = frozenset({PrizeKind.MONEY_FIXED, PrizeKind.MONEY_RANDOM})


class AppliesTo(StrEnum):
    """Which prizes a multiplier raises."""

    MONEY = "money"
    POINTS = "points"
    BOTH = "both"


class AbnormalStrategy(StrEnum):
    """What a marked person or code gets; always part of the published rules (DRAW-09)."""

    SMALLEST = "smallest"
    NOTHING = "nothing"
    PRIZE = "prize"
    REFUSE = "refuse"


class PhonePolicy(StrEnum):
    """When the phone number is asked for (contract 13.2)."""

    BEFORE_DRAW = "before_draw"
    AT_COLLECTION = "at_collection"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Text:
    """A text for shoppers in Chinese and in English."""

    zh: str = ""
    en: str = ""

    @property
    def complete(self) -> bool:
        """Tell whether both languages are there."""
        return bool(self.zh and self.en)

    def to_json(self) -> Json:
        """Return both languages."""
        return {"zh": self.zh, "en": self.en}


@dataclass(frozen=True, slots=True)
class Organiser:
    """Who holds the campaign, and how to reach them."""

    name: Text = Text()
    contact: str = ""


@dataclass(frozen=True, slots=True)
class Period:
    """From the start, included, to the end, not included."""

    starts_at: datetime
    ends_at: datetime

    def holds(self, moment: datetime) -> bool:
        """Tell whether a moment lies in the period."""
        return self.starts_at <= moment < self.ends_at


@dataclass(frozen=True, slots=True)
class Participation:
    """Who may draw with which codes at all, and how one takes part, in words.

    codes: those of single products, or those of cases, with which only the staff of stores draw that the
    cases were sent to (CODE-03).
    """

    conditions: Conditions = EVERYBODY
    how: Text = Text()
    codes: CodeLevel = CodeLevel.ITEM

    def to_json(self) -> Json:
        """Return it in its normal form; rules of the time when there were no cases keep their bytes."""
        written: dict[str, Json] = {"conditions": self.conditions.to_json(), "how": self.how.to_json()}
        return written if self.codes is CodeLevel.ITEM else written | {"codes": str(self.codes)}


@dataclass(frozen=True, slots=True)
class Claim:
    """How a prize is claimed, on what conditions, how it is delivered, when it is forfeited."""

    how: Text = Text()
    conditions: Text = Text()
    delivery: Text = Text()
    forfeiture: Text = Text()


@dataclass(frozen=True, slots=True)
class PointsTerms:
    """How points given as prizes can be used (art. 14), and what 1,000 of them are worth, in fen."""

    text: Text
    worth_fen_per_1000: int


@dataclass(frozen=True, slots=True)
class Prize:
    """One prize.

    min_fen, max_fen: money; equal for fixed money, both 0 otherwise. points: 0 unless kind is points.
    voucher, face_fen: a code from an uploaded stock, and what one is worth; a credit of variable amount is
    several such prizes, so that the published odds say how likely each amount is.
    delivery: how a winner can get goods; face_fen is what a piece is worth.
    unlock_draws: money is paid after so many further draws in the campaign, within the time to claim it.
    unlock_helpers: fixed money is paid after so many friends have drawn in the campaign and helped with it.
    stock: how many there are in the whole campaign, None for no limit.
    claim_window_days: how long the winner has to collect it.
    """

    key: str
    name: Text
    kind: PrizeKind
    min_fen: int = 0
    max_fen: int = 0
    points: int = 0
    voucher: VoucherKind | None = None
    delivery: DeliveryWay | None = None
    face_fen: int = 0
    stock: int | None = None
    claim_window_days: int = 30
    unlock_draws: int = 0
    unlock_helpers: int = 0

    @property
    def is_money(self) -> bool:
        """Tell whether the prize is paid in money."""
        return self.kind in MONEY_KINDS

    @property
    def is_thing(self) -> bool:
        """Tell whether the prize comes in pieces that nothing multiplies."""
        return self.kind in (PrizeKind.VOUCHER, PrizeKind.GOODS)

    @property
    def taxed_as(self) -> TaxedKind | None:
        """Return what the prize is to the tax; None for points and for nothing."""
        if self.is_money:
            return TaxedKind.MONEY
        if self.kind is PrizeKind.GOODS:
            return TaxedKind.GOODS
        return None if self.voucher is None else TaxedKind(self.voucher)

    def to_json(self) -> dict[str, Json]:
        """Return the prize in its normal form: only the amounts that its kind has."""
        amounts: dict[PrizeKind, dict[str, Json]] = {
            PrizeKind.MONEY_FIXED: {"amount_fen": self.max_fen},
            PrizeKind.MONEY_RANDOM: {"min_fen": self.min_fen, "max_fen": self.max_fen},
            PrizeKind.POINTS: {"points": self.points},
            PrizeKind.VOUCHER: {"voucher": str(self.voucher), "face_fen": self.face_fen},
            PrizeKind.GOODS: {"delivery": str(self.delivery), "face_fen": self.face_fen},
            PrizeKind.NOTHING: {},
        }
        written: dict[str, Json] = {"key": self.key, "name": self.name.to_json(), "kind": str(self.kind)}
        written |= amounts[self.kind]
        if self.unlock_draws:
            written |= {"unlock_draws": self.unlock_draws}
        if self.unlock_helpers:
            written |= {"unlock_helpers": self.unlock_helpers}
        if self.kind is not PrizeKind.NOTHING:
            written |= {"stock": self.stock, "claim_window_days": self.claim_window_days}
        return written


@dataclass(frozen=True, slots=True)
class Weight:
    """The chance of a prize in a pool: `weight` out of the sum of the pool's weights."""

    prize: str
    weight: int


@dataclass(frozen=True, slots=True)
class Pool:
    """Prizes for draws that satisfy the conditions; of several such pools the highest priority counts.

    fallback: prizes tried in this order when the rolled one cannot be paid; the campaign's follow.
    own_budget: money comes out of a budget set aside for this pool, not out of the campaign's.
    """

    key: str
    name: Text
    priority: int
    conditions: Conditions
    weights: tuple[Weight, ...]
    hundred_percent_win: bool = False
    fallback: tuple[str, ...] = ()
    own_budget: bool = False

    @property
    def total_weight(self) -> int:
        """Return the sum of the weights: the odds' denominator."""
        return sum(entry.weight for entry in self.weights)

    @property
    def budget(self) -> str:
        """Return the budget that pays its prizes: its own by its key, the campaign's by ""."""
        return self.key if self.own_budget else ""

    def to_json(self) -> Json:
        """Return the pool in its normal form."""
        return {
            "key": self.key,
            "name": self.name.to_json(),
            "priority": self.priority,
            "conditions": self.conditions.to_json(),
            "weights": [{"prize": entry.prize, "weight": entry.weight} for entry in self.weights],
            "hundred_percent_win": self.hundred_percent_win,
            "fallback": list(self.fallback),
            "own_budget": self.own_budget,
        }


@dataclass(frozen=True, slots=True)
class Multiplier:
    """Raises what a draw gives when its conditions hold; factor in basis points, never below 1."""

    key: str
    name: Text
    conditions: Conditions
    factor_bps: int
    applies_to: AppliesTo

    def raises(self, prize: Prize) -> bool:
        """Tell whether prizes of this kind are raised."""
        if self.applies_to is AppliesTo.BOTH:
            return prize.is_money or prize.kind is PrizeKind.POINTS
        return prize.is_money if self.applies_to is AppliesTo.MONEY else prize.kind is PrizeKind.POINTS

    def to_json(self) -> Json:
        """Return the multiplier in its normal form."""
        return {
            "key": self.key,
            "name": self.name.to_json(),
            "conditions": self.conditions.to_json(),
            "factor_bps": self.factor_bps,
            "applies_to": str(self.applies_to),
        }


@dataclass(frozen=True, slots=True)
class Abnormal:
    """What marked persons and codes get; `prize` only with the strategy of that name."""

    strategy: AbnormalStrategy = AbnormalStrategy.REFUSE
    prize: str | None = None


@dataclass(frozen=True, slots=True)
class Caps:
    """How often one person may draw: in the campaign, and on one calendar day; None for no limit."""

    per_campaign: int | None = None
    per_day: int | None = None


@dataclass(frozen=True)
class Rules:
    """All of it. Pools stand in descending priority; prizes, multipliers and weights as they were written.

    multiplier_cap_bps: what multipliers together may reach.
    location_counts: a shopper's position may decide the region (off unless asked for, contract 13.3).
    regions_stated, times_stated: the organiser has the published text say that regions or times change
    what can be won; without that no pool or multiplier may depend on them (art. 15).
    tax: None for what the market's profile says.
    """

    market: str
    name: Text
    organiser: Organiser
    period: Period
    participation: Participation
    pools: tuple[Pool, ...]
    prizes: tuple[Prize, ...]
    claim: Claim
    multipliers: tuple[Multiplier, ...] = ()
    multiplier_cap_bps: int = ONE_BPS
    fallback: tuple[str, ...] = ()
    abnormal: Abnormal = Abnormal()
    caps: Caps = Caps()
    points_terms: PointsTerms | None = None
    phone_policy: PhonePolicy = PhonePolicy.AT_COLLECTION
    location_counts: bool = False
    regions_stated: bool = False
    times_stated: bool = False
    tax: TaxTerms | None = None

    @property
    def tax_terms(self) -> TaxTerms:
        """Return how prizes are taxed."""
        return self.tax or self.profile.tax

    def tax_on(self, prize: Prize, amount_fen: int) -> Assessment | None:
        """Return the tax on a prize of which a draw gives `amount_fen` of money; None when none is owed."""
        kind = prize.taxed_as
        if kind is None:
            return None
        worth_fen = amount_fen if prize.is_money else prize.face_fen
        return assess(self.tax_terms, self.profile.tax_law, kind=kind, worth_fen=worth_fen)

    def charge_fen(self, prize: Prize, amount_fen: int) -> int:
        """Return what a budget pays for a prize: its money, and the tax that the brand bears."""
        tax = self.tax_on(prize, amount_fen)
        return (amount_fen if prize.is_money else 0) + (0 if tax is None else tax.borne_fen)

    @property
    def profile(self) -> MarketProfile:
        """Return the switches of the market's law."""
        return PROFILES[self.market]

    @cached_property
    def prize_by_key(self) -> dict[str, Prize]:
        """Return the prizes by key."""
        return {prize.key: prize for prize in self.prizes}

    @cached_property
    def tags_read(self) -> frozenset[str]:
        """Return the person tags that any condition names: no other tag is kept with a draw."""
        conditions = [self.participation.conditions]
        conditions += [pool.conditions for pool in self.pools]
        conditions += [multiplier.conditions for multiplier in self.multipliers]
        return frozenset(
            tag
            for part in conditions
            for tag in (*part.who.tags_any, *part.who.tags_all, *part.who.tags_none)
        )

    def chain(self, pool: Pool, first: str) -> tuple[str, ...]:
        """Return the prizes to try in order: `first`, the pool's fallback, the campaign's; each once."""
        return tuple(dict.fromkeys((first, *pool.fallback, *self.fallback)))

    @cached_property
    def paid_out_of(self) -> dict[str, frozenset[str]]:
        """Return the prizes that each budget may pay: a pool's own by its key, the campaign's by ""."""
        found: dict[str, frozenset[str]] = {"": frozenset()}
        for pool in self.pools:
            keys = {key for entry in pool.weights for key in self.chain(pool, entry.prize)}
            found[pool.budget] = found.get(pool.budget, frozenset()) | keys
        return found

    @cached_property
    def kept_fen(self) -> dict[str, dict[str, int]]:
        """Return what each budget keeps for each piece of the limited prizes that it pays, in fen (art. 15).

        It is the most that a piece may cost, multipliers counted. A prize that two budgets may pay is kept
        for by both: which one its pieces will be won out of, nobody knows. What a lapse returns goes to one
        of them, so a piece that comes back may leave the other short (`app.campaigns.watch`).
        """
        limited = {prize.key: self.most_fen(prize) for prize in self.prizes if prize.stock is not None}
        return {
            budget: {key: fen for key, fen in limited.items() if fen and key in keys}
            for budget, keys in self.paid_out_of.items()
        }

    def worth_fen(self, prize: Prize, *, least: bool = False) -> int:
        """Return what a prize is worth at most (or at least) in fen, before multipliers, rounded up."""
        if prize.kind is PrizeKind.POINTS:
            return self.points_worth_fen(prize.points)
        if prize.is_thing:
            return prize.face_fen
        return prize.min_fen if least else prize.max_fen

    def points_worth_fen(self, points: int) -> int:
        """Return what points are worth in fen by the published terms, rounded up."""
        terms = self.points_terms
        return 0 if terms is None else -(-points * terms.worth_fen_per_1000 // 1000)

    def most_fen(self, prize: Prize) -> int:
        """Return the most that one piece of a prize may cost a budget, all its multipliers counted."""
        return self.charge_fen(prize, self.most_money_fen(prize))

    def most_money_fen(self, prize: Prize) -> int:
        """Return the most money that one piece of a prize may give, all its multipliers counted."""
        return prize.max_fen * self.factor_bps(m for m in self.multipliers if m.raises(prize)) // ONE_BPS

    def factor_bps(self, multipliers: Iterable[Multiplier]) -> int:
        """Return what multipliers make together, up to the stated cap, rounded down to a basis point."""
        # One exact product, rounded once: the order in which multipliers are written cannot matter.
        product, unit = ONE_BPS, 1
        for multiplier in multipliers:
            product *= multiplier.factor_bps
            unit *= ONE_BPS
        return min(product // unit, self.multiplier_cap_bps)

    def highest_worth_fen(self) -> int:
        """Return what one draw may give at most, with the stated cap of the multipliers (art. 17)."""
        caps = [(prize, ONE_BPS if prize.is_thing else self.multiplier_cap_bps) for prize in self.prizes]
        return max((-(-self.worth_fen(prize) * cap // ONE_BPS) for prize, cap in caps), default=0)

    def highest_money_fen(self) -> int:
        """Return the most money that one draw may give: what the payer's product must be able to transfer."""
        highest = max((prize.max_fen for prize in self.prizes), default=0)
        return highest * self.multiplier_cap_bps // ONE_BPS

    def to_json(self) -> dict[str, Json]:
        """Return the rules in their normal form; parsing it gives equal rules."""
        terms = self.points_terms
        written: dict[str, Json] = {
            "schema": SCHEMA,
            "market": self.market,
            "name": self.name.to_json(),
            "organiser": {"name": self.organiser.name.to_json(), "contact": self.organiser.contact},
            "period": {
                "starts_at": write_moment(self.period.starts_at),
                "ends_at": write_moment(self.period.ends_at),
            },
            "participation": self.participation.to_json(),
            "pools": [pool.to_json() for pool in self.pools],
            "prizes": [prize.to_json() for prize in self.prizes],
            "claim": {
                "how": self.claim.how.to_json(),
                "conditions": self.claim.conditions.to_json(),
                "delivery": self.claim.delivery.to_json(),
                "forfeiture": self.claim.forfeiture.to_json(),
            },
            "multipliers": [multiplier.to_json() for multiplier in self.multipliers],
            "multiplier_cap_bps": self.multiplier_cap_bps,
            "fallback": list(self.fallback),
            "abnormal": {"strategy": str(self.abnormal.strategy), "prize": self.abnormal.prize},
            "caps": {"per_campaign": self.caps.per_campaign, "per_day": self.caps.per_day},
            "points_terms": None
            if terms is None
            else {"text": terms.text.to_json(), "worth_fen_per_1000": terms.worth_fen_per_1000},
            "phone_policy": str(self.phone_policy),
            "location_counts": self.location_counts,
            "regions_stated": self.regions_stated,
            "times_stated": self.times_stated,
        }
        # Rules that were published before there was a word about tax keep their bytes, and their hash.
        return written if self.tax is None else written | {"tax": self.tax.to_json()}

    @cached_property
    def sha256(self) -> str:
        """Return the hash that is published with the rules and named by every draw, 64 hex digits."""
        return hashlib.sha256(canonical(self.to_json())).hexdigest()
