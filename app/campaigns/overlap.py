"""Whether two campaigns may be held for the same code at the same moment.

A code is drawn in one campaign: of several, in the one that started last. A campaign that is published over
another one therefore takes draws away from rules that shoppers were promised, without changing a word of
them, and so needs what a change against shoppers needs (contract 14.1, art. 13; DRAW-16).
"""

from app.campaigns.conditions import Own, Which
from app.campaigns.rules import Period, Rules


def may_overlap(one: Rules, other: Rules) -> bool:
    """Tell whether a code could be drawn in either campaign at some moment; symmetric.

    Only what no catalogue and no shopper can change tells two campaigns apart: their periods, what their
    codes are printed on, and values that a product or a code has one of. A product has many tags, so
    different tags exclude nothing; nor do two fields, such as a line here and a SKU there. Who draws, where
    and when is not looked at: whoever meets both campaigns' conditions is in both.
    """
    mine, theirs = one.participation.conditions, other.participation.conditions
    return (
        one.participation.codes is other.participation.codes
        and _periods_meet(one.period, other.period)
        and _products_meet(mine.which, theirs.which)
        and _codes_meet(mine.own, theirs.own)
    )


def same_reach(one: Rules, other: Rules) -> bool:
    """Tell whether two versions are held for the same codes at the same moments."""
    mine, theirs = one.participation.conditions, other.participation.conditions
    same_codes = one.participation.codes is other.participation.codes
    return same_codes and (one.period, mine.which, mine.own) == (other.period, theirs.which, theirs.own)


def _periods_meet(one: Period, other: Period) -> bool:
    return one.starts_at < other.ends_at and other.starts_at < one.ends_at


def _products_meet(one: Which, other: Which) -> bool:
    return (
        _meet(one.skus, other.skus)
        and _meet(one.lines, other.lines)
        and _meet(one.categories, other.categories)
        and _meet(one.specs, other.specs)
    )


def _codes_meet(one: Own, other: Own) -> bool:
    return (
        _meet(one.cases, other.cases)
        and _meet(one.channels, other.channels)
        and _meet(one.orders, other.orders)
        and _meet(one.origins, other.origins)
    )


def _meet(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Tell whether one value may satisfy both lists; an empty list is satisfied by every value."""
    return not one or not other or not set(one).isdisjoint(other)
