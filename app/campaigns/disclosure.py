"""The law as code: what may not be saved, and what must be there before a campaign starts.

Interim Provisions on Regulating Promotional Activities (SAMR Order 32), by article (contract 14.1); that
nothing depends on sharing (13.7) is seen to where conditions are read. Every refusal has a stable code, so
that an operator can be shown the article and not just a "no".
"""

from collections.abc import Iterator

from app.campaigns.conditions import Conditions
from app.campaigns.reader import Fault
from app.campaigns.rules import Rules, Text
from app.campaigns.taxing import below_minimum
from app.kernel.fen import format_yuan


def refusals(rules: Rules, *, payer_limit_fen: int | None, payer_least_fen: int = 0) -> list[Fault]:
    """Return why these rules may not be saved; an empty list when they may.

    Args: payer_limit_fen is what the payer's product can send at once, None when no payer is chosen,
    payer_least_fen the least that it sends.
    Sources: art. 17 (highest prize), art. 15 (regions and times), PAY-08's twin: a prize that the payer could
    never transfer is not promised.
    """
    return [
        *_too_high(rules),
        *_beyond_payer(rules, payer_limit_fen),
        *_below_payer(rules, payer_least_fen),
        *below_minimum(rules, least_fen=max(payer_least_fen, rules.profile.min_transfer_fen)),
        *_weighting(rules),
    ]


def _too_high(rules: Rules) -> Iterator[Fault]:
    highest, limit = rules.highest_worth_fen(), rules.profile.max_prize_fen
    if highest > limit:
        yield Fault(
            "prizes",
            "prize_above_legal_maximum",
            f"with multipliers up to {format_yuan(highest)} yuan can be won, {format_yuan(limit)} are allowed"
            " (art. 17); lower the prize or the multipliers' cap",
        )


def _beyond_payer(rules: Rules, payer_limit_fen: int | None) -> Iterator[Fault]:
    highest = rules.highest_money_fen()
    if payer_limit_fen is not None and highest > payer_limit_fen:
        yield Fault(
            "prizes",
            "prize_above_payer_limit",
            f"with multipliers up to {format_yuan(highest)} yuan must be paid, the payer can transfer"
            f" {format_yuan(payer_limit_fen)} at once; choose another payer or lower the prize",
        )
    if highest and payer_limit_fen is None:
        yield Fault("prizes", "payer_missing", "a campaign that gives money needs a payer")


def _below_payer(rules: Rules, least_fen: int) -> Iterator[Fault]:
    for prize in rules.prizes:
        if prize.is_money and prize.min_fen < least_fen:
            yield Fault(
                f"prizes.{prize.key}",
                "prize_below_payer_minimum",
                f"the payer cannot send less than {format_yuan(least_fen)} yuan; choose another or raise it",
            )


def _weighting(rules: Rules) -> Iterator[Fault]:
    if not rules.profile.weighting_must_be_stated:
        return
    for path, conditions in _weighting_conditions(rules):
        if conditions.where.areas and not rules.regions_stated:
            yield Fault(
                path,
                "region_weighting_not_stated",
                "prizes that depend on the region must be stated in the published rules (art. 15):"
                " set regions_stated",
            )
        if conditions.depends_on_time and not rules.times_stated:
            yield Fault(
                path,
                "time_weighting_not_stated",
                "prizes that depend on the time must be stated in the published rules (art. 15):"
                " set times_stated",
            )


def _weighting_conditions(rules: Rules) -> Iterator[tuple[str, Conditions]]:
    """Yield what may change the prizes. Participation is not among it: it says where the campaign is held."""
    for pool in rules.pools:
        yield f"pools.{pool.key}.conditions", pool.conditions
    for multiplier in rules.multipliers:
        yield f"multipliers.{multiplier.key}.conditions", multiplier.conditions


def missing_fields(rules: Rules) -> list[Fault]:
    """Return what art. 13 and 14 want published and these rules leave out; empty when they can be published.

    Prize kinds, amounts, odds and quantities, the way of drawing, period and claim windows cannot be
    missing: the rules cannot be read without them, and the published text is made from them.
    """
    claim = rules.claim
    texts: list[tuple[str, Text]] = [
        ("organiser.name", rules.organiser.name),
        ("participation.how", rules.participation.how),
        ("claim.how", claim.how),
        ("claim.conditions", claim.conditions),
        ("claim.delivery", claim.delivery),
        ("claim.forfeiture", claim.forfeiture),
    ]
    if rules.points_terms is not None:
        texts.append(("points_terms.text", rules.points_terms.text))
    faults = [
        Fault(path, "disclosure_missing", "this must be published before the start, in Chinese and English")
        for path, text in texts
        if not text.complete
    ]
    if not rules.organiser.contact:
        faults.append(
            Fault(
                "organiser.contact", "disclosure_missing", "shoppers must be told how to reach the organiser"
            )
        )
    return faults
