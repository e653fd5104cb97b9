"""How things look from outside: public ids, moments in UTC, nothing else than the schemas say."""

from typing import Any

from app.campaigns.queries import DrawView, Offer, PublishedRules, Winner
from app.campaigns.rules import PrizeKind
from app.catalogue.queries import ProductView
from app.codes.operations import ScanResult
from app.codes.outcome import CodeFacts
from app.goods.queries import DeliveryView
from app.http.schemas import moment
from app.incentives.operations import CaseReward
from app.members.queries import Membership
from app.points.queries import EntryView
from app.rewards.models import AwardKind
from app.rewards.queries import AwardView
from app.tax import notice
from app.tax.queries import Given, Year
from app.vouchers.queries import VoucherView
from miniprogram_api.context import encode
from miniprogram_api.texts import CASE_OUTCOMES, OUTCOMES


def person(person_id: int, membership: Membership | None, *, virtual: bool) -> dict[str, Any]:
    """Return who is logged in."""
    joined = membership is not None and membership.consent_is_current
    return {"id": encode("pe", person_id), "member": joined, "virtual": virtual}


def member(membership: Membership) -> dict[str, Any]:
    """Return a membership."""
    return {
        "id": encode("me", membership.member_id),
        "member_no": membership.member_no,
        "joined_at": moment(membership.joined_at),
        "tier": membership.tier,
        "consent_is_current": membership.consent_is_current,
    }


def scan(result: ScanResult) -> dict[str, Any]:
    """Return what a scan came to, with the words for it."""
    words = OUTCOMES[result.outcome]
    return {
        "id": encode("sc", result.scan_id),
        "outcome": result.outcome.value,
        "text_zh": words.zh,
        "text_en": words.en,
        "first_scanned_at": moment(result.first_scanned_at),
        "first_scanned_by_me": result.first_scanned_by_me,
        "earlier_scans": result.earlier_scans,
    }


def staff_reward(reward: CaseReward) -> dict[str, Any]:
    """Return what a case earned who works in a store, with the words for it."""
    words = CASE_OUTCOMES[reward.outcome]
    return {
        "outcome": reward.outcome.value,
        "points": reward.points,
        "text_zh": words.zh,
        "text_en": words.en,
    }


def product(view: ProductView, code: CodeFacts) -> dict[str, Any]:
    """Return the product behind a code."""
    return {
        "sku": view.sku,
        "name_zh": view.name_zh,
        "name_en": view.name_en,
        "spec": view.spec,
        "lot": code.lot,
    }


def campaign(offer: Offer) -> dict[str, Any]:
    """Return the campaign that a code can be drawn in."""
    return {
        "id": encode("ca", offer.campaign_id),
        "name_zh": offer.name.zh,
        "name_en": offer.name.en,
        "ends_at": moment(offer.ends_at),
        "location_counts": offer.location_counts,
    }


_KINDS = {
    PrizeKind.MONEY_FIXED: AwardKind.MONEY,
    PrizeKind.MONEY_RANDOM: AwardKind.MONEY,
    PrizeKind.POINTS: AwardKind.POINTS,
    PrizeKind.VOUCHER: AwardKind.VOUCHER,
    PrizeKind.GOODS: AwardKind.GOODS,
    PrizeKind.NOTHING: AwardKind.NOTHING,
}


def draw(view: DrawView) -> dict[str, Any]:
    """Return a draw."""
    return {
        "id": encode("dr", view.id),
        "campaign": encode("ca", view.campaign_id),
        "at": moment(view.at),
        "rules_version": view.version,
        "pool": view.pool,
        "prize": {
            "kind": _KINDS[view.kind].value,
            "name_zh": view.prize_name.zh,
            "name_en": view.prize_name.en,
            "amount_fen": view.amount_fen,
            "points": view.points,
        },
    }


def rules(found: PublishedRules) -> dict[str, Any]:
    """Return what a campaign has published."""
    return {
        "campaign": encode("ca", found.campaign_id),
        "state": found.state.value,
        "version": found.version,
        "published_at": moment(found.published_at),
        "text_zh": found.text.zh,
        "text_en": found.text.en,
        "text_sha256": found.text_sha256,
        "rules": found.rules,
        "rules_sha256": found.rules_sha256,
        "seed_sha256": found.seed_sha256,
        "seed": found.seed,
        "salt": found.salt,
    }


def winner(view: Winner) -> dict[str, Any]:
    """Return a winner, masked."""
    return {
        "at": moment(view.at),
        "member": view.member,
        "prize_zh": view.prize_name.zh,
        "prize_en": view.prize_name.en,
        "worth_fen": view.worth_fen,
    }


def voucher(view: VoucherView) -> dict[str, Any]:
    """Return the code of an award, for the eyes of its winner."""
    return {"code": view.code, "pin": view.pin, "expires_at": moment(view.expires_at)}


def parcel(view: DeliveryView) -> dict[str, Any]:
    """Return how far goods are on their way; where to, their winner knows."""
    return {"state": view.state.value, "courier": view.courier, "tracking_no": view.tracking_no}


def award(view: AwardView) -> dict[str, Any]:
    """Return an award. Why one is held is between the organiser and its risk rules."""
    return {
        "id": encode("aw", view.id),
        "draw": None if view.draw_id is None else encode("dr", view.draw_id),
        "kind": view.kind.value,
        "state": view.state.value,
        "name_zh": view.name_zh,
        "name_en": view.name_en,
        "amount_fen": view.amount_fen,
        "points": view.points,
        "tax_withheld_fen": view.withheld_fen,
        "tax_borne_fen": view.borne_fen,
        "unlock_draws": view.unlock_draws,
        "unlock_helpers": view.unlock_helpers,
        "delivery": view.delivery.value if view.delivery else None,
        "granted_at": moment(view.granted_at),
        "deadline_at": moment(view.deadline_at),
        "resolved_at": moment(view.resolved_at),
    }


def tax(year: Year, given: Given | None) -> dict[str, Any]:
    """Return somebody's year, who they are for it, masked, and what they agree to when they say it."""
    identity = None
    if given is not None:
        masked = given.identity.masked()
        identity = {
            "name_masked": masked.name,
            "document": masked.document.value,
            "number_masked": masked.number,
            "given_at": moment(given.given_at),
        }
    return {
        "year": {"awards": year.awards, "income_fen": year.base_fen, "tax_fen": year.tax_fen},
        "identity": identity,
        "notice": {"version": notice.VERSION, "text_zh": notice.ZH, "text_en": notice.EN},
    }


def entry(view: EntryView) -> dict[str, Any]:
    """Return one line of the points."""
    return {
        "id": encode("pn", view.id),
        "kind": view.kind.value,
        "points": view.points,
        "manner": view.manner,
        "expires_at": moment(view.expires_at),
        "at": moment(view.at),
    }
