"""Risk rules and campaigns: trying rules on draws that were, and switching them on as far as was published.

A trial judges again what was measured then; so a brand observes first. It tells how many draws the rules
would have hit and whom, before anybody is touched.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.campaigns.models import Campaign, CampaignState, CampaignVersion, Draw
from app.campaigns.publication import ABUSE_CLAUSE, CAPTCHA_CLAUSE
from app.kernel.actor import Actor
from app.risk.errors import CaptchaNotSetUp, NotPublished
from app.risk.lists import Level
from app.risk.measures import Measure, Phrase, Signals
from app.risk.models import Mode
from app.risk.policies import policy_of, switch
from app.risk.policy import Policy, judge, parse_policy

EXAMPLES = 3
"""How many draws a trial shows for each rule."""

_PORTION = 1000


@dataclass(frozen=True, slots=True)
class Example:
    """One draw that a rule would have hit, and what was measured, in words."""

    draw_id: int
    person_id: int
    batch_id: int
    code_index: int
    at: datetime
    amount_fen: int
    said: tuple[Phrase, ...]


@dataclass(frozen=True, slots=True)
class Trial:
    """What rules would have done. `draws`: looked at; `unmeasured`: from before anything was measured.

    levels: draws by verdict; rules: draws and persons by the key of the rule that was hit; amount_fen: money
    of the draws that would not have gone through at once.
    """

    draws: int
    unmeasured: int
    levels: dict[Level, int]
    rules: dict[str, tuple[int, int]]
    amount_fen: int
    examples: Mapping[str, Sequence[Example]]


def try_policy(
    session: Session, *, policy: Policy, brand_id: int, since: datetime, campaign_id: int | None = None
) -> Trial:
    """Judge a brand's (or a campaign's) draws since a moment by other rules; nothing is changed.

    A person who was stopped in time might not have come back; a trial cannot know, so it counts at most.
    """
    found = _Found()
    after = 0
    while rows := _portion(session, brand_id, campaign_id, since, after):
        for row in rows:
            found.add(row, policy)
        after = rows[-1].id
    return Trial(
        draws=found.draws,
        unmeasured=found.unmeasured,
        levels=dict(found.levels),
        rules={key: (number, len(found.persons[key])) for key, number in found.hits.most_common()},
        amount_fen=found.amount_fen,
        examples=found.examples,
    )


def _portion(
    session: Session, brand_id: int, campaign_id: int | None, since: datetime, after: int
) -> Sequence[Any]:
    wanted = (
        select(Draw.id, Draw.person_id, Draw.batch_id, Draw.code_index, Draw.at, Draw.amount_fen, Draw.facts)
        .join(Campaign, Campaign.id == Draw.campaign_id)
        .where(Campaign.brand_id == brand_id, Draw.at >= since, Draw.id > after)
        .order_by(Draw.id)
        .limit(_PORTION)
    )
    if campaign_id is not None:
        wanted = wanted.where(Draw.campaign_id == campaign_id)
    return session.connection().execute(wanted).all()


class _Found:
    """What a trial adds up."""

    def __init__(self) -> None:
        self.draws = self.unmeasured = self.amount_fen = 0
        self.levels: Counter[Level] = Counter()
        self.hits: Counter[str] = Counter()
        self.persons: dict[str, set[int]] = {}
        self.examples: dict[str, list[Example]] = {}

    def add(self, row: Any, policy: Policy) -> None:
        """Judge one draw."""
        self.draws += 1
        measured = row.facts.get("signals")
        if measured is None:
            self.unmeasured += 1
            return
        signals: Signals = {
            Measure(name): number for name, number in measured.items() if name in list(Measure)
        }
        level = judge(signals, policy).level
        self.levels[level] += 1
        if level is not Level.PASS:
            self.amount_fen += row.amount_fen
        for rule in policy.hits(signals):
            self.hits[rule.key] += 1
            self.persons.setdefault(rule.key, set()).add(row.person_id)
            shown = self.examples.setdefault(rule.key, [])
            if len(shown) < EXAMPLES:
                said = tuple(rule.explain(signals))
                shown.append(
                    Example(row.id, row.person_id, row.batch_id, row.code_index, row.at, row.amount_fen, said)
                )


def switch_rules(
    session: Session,
    *,
    brand_id: int,
    mode: Mode,
    reason: str,
    now: datetime,
    actor: Actor,
    campaign_id: int = 0,
    version: int | None = None,
    captchas: bool = False,
) -> None:
    """Switch risk rules for a brand or one of its campaigns; see app.risk.policies.switch.

    They are enforced only where the published text of every campaign concerned says what may happen: raise
    NotPublished otherwise. Publishing the text anew mends that. Rules that ask for a captcha are enforced
    where one can be checked (`captchas`): raise CaptchaNotSetUp otherwise.
    """
    if mode is Mode.ENFORCE and version is not None:
        _require_ways(session, brand_id, campaign_id, version, captchas=captchas)
    switch(
        session,
        brand_id=brand_id,
        campaign_id=campaign_id,
        mode=mode,
        version=version,
        reason=reason,
        now=now,
        actor=actor,
    )


def _require_ways(session: Session, brand_id: int, campaign_id: int, version: int, *, captchas: bool) -> None:
    """Raise unless what the rules may ask for has been published, and can be done."""
    saved = policy_of(session, brand_id=brand_id, campaign_id=campaign_id, version=version)
    captcha = parse_policy(saved.document).asks_for_captcha
    if captcha and not captchas:
        raise CaptchaNotSetUp(
            "these rules ask for a captcha, and SAOMA_CAPTCHA_… are not set, so that nobody could solve one;"
            ' set them (docs/settings.md), or save rules with "step": "phone"'
        )
    silent = _silent(session, brand_id, campaign_id, ABUSE_CLAUSE.zh)
    if silent:
        raise NotPublished(
            f"the published rules of {', '.join(silent)} do not say that draws may be verified, held or"
            " refused; save and publish them again first"
        )
    silent = _silent(session, brand_id, campaign_id, CAPTCHA_CLAUSE.zh) if captcha else []
    if silent:
        raise NotPublished(
            f"the published rules of {', '.join(silent)} do not say that a captcha may be asked for; save and"
            " publish them again first"
        )


def _silent(session: Session, brand_id: int, campaign_id: int, clause: str) -> list[str]:
    """Return the keys of the campaigns concerned whose text in force lacks a clause."""
    wanted = (
        select(Campaign.key, CampaignVersion.text_zh)
        .join(
            CampaignVersion,
            (CampaignVersion.campaign_id == Campaign.id) & (CampaignVersion.version == Campaign.version),
        )
        .where(
            Campaign.brand_id == brand_id,
            Campaign.state.in_([CampaignState.PUBLISHED, CampaignState.STOPPED]),
        )
        .order_by(Campaign.key)
    )
    if campaign_id:
        wanted = wanted.where(Campaign.id == campaign_id)
    return [key for key, text in session.connection().execute(wanted) if clause not in (text or "")]
