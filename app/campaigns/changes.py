"""Changes while a campaign runs: in the shoppers' favour, or not (contract 14.1, art. 13; DRAW-16).

Only what is listed here as favourable is. Everything else, even a corrected spelling, needs a reason, a
second operator's approval and a newly published version: a rule that tried to be clever about harmless
changes would be the place where a harmful one slips through.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import TypeVar

from app.campaigns.rules import AppliesTo, Multiplier, PhonePolicy, Pool, Prize, PrizeKind, Rules

T = TypeVar("T")

_UNLIMITED = 1 << 62
_ASKED_LESS = (PhonePolicy.BEFORE_DRAW, PhonePolicy.AT_COLLECTION, PhonePolicy.NEVER)
_PLAIN = (
    "market",
    "name",
    "organiser",
    "claim",
    "abnormal",
    "location_counts",
    "regions_stated",
    "times_stated",
    "tax",
)


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between two versions: where, and whether it makes no shopper worse off."""

    path: str
    favours_shoppers: bool


def changes(old: Rules, new: Rules) -> list[Change]:
    """Return every difference between two versions of a campaign's rules, in a stable order."""
    pools = {pool.key: pool for pool in old.pools}, {pool.key: pool for pool in new.pools}
    empty = {prize.key for prize in (*old.prizes, *new.prizes) if not _wins(prize)}
    multipliers = {item.key: item for item in old.multipliers}, {item.key: item for item in new.multipliers}
    return [
        *_period(old, new),
        *_participation(old, new),
        *_prizes(old, new),
        # A new pool takes draws away from another one: whether that is better depends on the shopper.
        *_by_key("pools", *pools, lambda path, a, b: _pool(path, a, b, empty), added_favours=False),
        *_by_key("multipliers", *multipliers, _multiplier, added_favours=True),
        *_more("multiplier_cap_bps", old.multiplier_cap_bps, new.multiplier_cap_bps),
        *_more("caps.per_campaign", old.caps.per_campaign, new.caps.per_campaign),
        *_more("caps.per_day", old.caps.per_day, new.caps.per_day),
        *_appended("fallback", old.fallback, new.fallback),
        *_more("phone_policy", _ASKED_LESS.index(old.phone_policy), _ASKED_LESS.index(new.phone_policy)),
        *_points_terms(old, new),
        *[
            Change(name, favours_shoppers=False)
            for name in _PLAIN
            if getattr(old, name) != getattr(new, name)
        ],
    ]


def needs_approval(found: Sequence[Change]) -> bool:
    """Tell whether a reason and a second operator's approval are needed."""
    return not all(change.favours_shoppers for change in found)


def _more(path: str, old: int | None, new: int | None) -> Iterator[Change]:
    """More is better, and no limit is best."""
    before, after = (_UNLIMITED if value is None else value for value in (old, new))
    if before != after:
        yield Change(path, favours_shoppers=after > before)


def _appended(path: str, old: Sequence[str], new: Sequence[str]) -> Iterator[Change]:
    """A fallback that is longer at its end only adds a prize where there was none."""
    if new != old:
        yield Change(path, favours_shoppers=new[: len(old)] == old)


def _by_key(
    path: str,
    old: Mapping[str, T],
    new: Mapping[str, T],
    compare: Callable[[str, T, T], Iterator[Change]],
    *,
    added_favours: bool,
) -> Iterator[Change]:
    for key, before in old.items():
        if key not in new:
            yield Change(f"{path}.{key}", favours_shoppers=False)
        else:
            yield from compare(f"{path}.{key}", before, new[key])
    for key in new:
        if key not in old:
            yield Change(f"{path}.{key}", favours_shoppers=added_favours)
    shared = [key for key in old if key in new]
    if shared != [key for key in new if key in old]:
        yield Change(f"{path}.order", favours_shoppers=False)


def _prizes(old: Rules, new: Rules) -> Iterator[Change]:
    for change in _by_key("prizes", old.prize_by_key, new.prize_by_key, _prize, added_favours=True):
        removed = old.prize_by_key.get(change.path.removeprefix("prizes."))
        # An empty "prize" is no loss; whether it left room for better ones the pools' weights tell.
        is_relief = removed is not None and removed.key not in new.prize_by_key and not _wins(removed)
        yield replace(change, favours_shoppers=change.favours_shoppers or is_relief)


def _period(old: Rules, new: Rules) -> Iterator[Change]:
    if new.period.starts_at != old.period.starts_at:
        yield Change("period.starts_at", favours_shoppers=False)
    if new.period.ends_at != old.period.ends_at:
        yield Change("period.ends_at", favours_shoppers=new.period.ends_at > old.period.ends_at)


def _participation(old: Rules, new: Rules) -> Iterator[Change]:
    before, after = old.participation, new.participation
    if after.conditions != before.conditions:
        yield Change("participation.conditions", favours_shoppers=after.conditions.always)
    if after.how != before.how:
        yield Change("participation.how", favours_shoppers=False)
    if after.codes is not before.codes:
        yield Change("participation.codes", favours_shoppers=False)


def _prize(path: str, old: Prize, new: Prize) -> Iterator[Change]:
    named = [(prize.kind, prize.name, prize.voucher, prize.delivery) for prize in (old, new)]
    if named[0] != named[1]:
        yield Change(path, favours_shoppers=False)
    amounts = [(prize.min_fen, prize.max_fen, prize.points, prize.face_fen) for prize in (old, new)]
    if amounts[0] != amounts[1]:
        better = all(after >= before for before, after in zip(*amounts, strict=True))
        yield Change(f"{path}.amount", favours_shoppers=better)
    yield from _more(f"{path}.stock", old.stock, new.stock)
    # The less it takes to unlock it, the better.
    yield from _more(f"{path}.unlock_draws", -old.unlock_draws, -new.unlock_draws)
    yield from _more(f"{path}.unlock_helpers", -old.unlock_helpers, -new.unlock_helpers)
    yield from _more(f"{path}.claim_window_days", old.claim_window_days, new.claim_window_days)


def _pool(path: str, old: Pool, new: Pool, empty: AbstractSet[str]) -> Iterator[Change]:
    if old.weights != new.weights:
        yield Change(f"{path}.weights", favours_shoppers=_better_odds(old, new, empty))
    if old.hundred_percent_win != new.hundred_percent_win:
        yield Change(f"{path}.hundred_percent_win", favours_shoppers=new.hundred_percent_win)
    yield from _appended(f"{path}.fallback", old.fallback, new.fallback)
    same = replace(
        new,
        weights=old.weights,
        hundred_percent_win=old.hundred_percent_win,
        fallback=old.fallback,
    )
    if same != old:
        yield Change(path, favours_shoppers=False)


def _better_odds(old: Pool, new: Pool, empty: AbstractSet[str]) -> bool:
    """Tell whether no prize became less likely and one became more so.

    Compared as exact fractions. A dearer prize does not make up for a cheaper one that got rarer: shoppers
    were promised both. Merely reordering the weights changes which roll wins what, and is no improvement.
    """
    before = {entry.prize: entry.weight * new.total_weight for entry in old.weights}
    after = {entry.prize: entry.weight * old.total_weight for entry in new.weights}
    winning = (before.keys() | after.keys()) - empty
    pairs = [(before.get(key, 0), after.get(key, 0)) for key in winning]
    return all(was <= becomes for was, becomes in pairs) and any(was < becomes for was, becomes in pairs)


def _wins(prize: Prize) -> bool:
    return prize.kind is not PrizeKind.NOTHING


def _multiplier(path: str, old: Multiplier, new: Multiplier) -> Iterator[Change]:
    if old.conditions != new.conditions:
        yield Change(f"{path}.conditions", favours_shoppers=new.conditions.always)
    if old.applies_to is not new.applies_to:
        yield Change(f"{path}.applies_to", favours_shoppers=new.applies_to is AppliesTo.BOTH)
    yield from _more(f"{path}.factor_bps", old.factor_bps, new.factor_bps)
    if old.name != new.name:
        yield Change(path, favours_shoppers=False)


def _points_terms(old: Rules, new: Rules) -> Iterator[Change]:
    before, after = old.points_terms, new.points_terms
    if before == after:
        return
    if before is None or after is None:
        yield Change("points_terms", favours_shoppers=before is None)
        return
    if before.text != after.text:
        yield Change("points_terms.text", favours_shoppers=False)
    yield from _more("points_terms.worth_fen_per_1000", before.worth_fen_per_1000, after.worth_fen_per_1000)
