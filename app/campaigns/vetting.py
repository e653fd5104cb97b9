"""Risk at the draw: what was measured, judged by the rules in force for each campaign (RISK-01 to RISK-08).

Lists count always. Signals are measured only where a brand has switched them on; then they cost one
statement, and a hit one more. A verdict never touches the odds: it asks for a step, holds the award back for
a review, or refuses with its reasons (contract 13.6, 14.1).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.orm import Session

from app.campaigns.book import PublishedVersion
from app.campaigns.facts import DrawFacts
from app.db.prepared import Asked
from app.identity.queries import Cluster
from app.risk.book import InForce, RiskBook
from app.risk.lists import WHITE_PERSON, Level, Verdict, combine
from app.risk.measures import Signals
from app.risk.models import Mode
from app.risk.policy import judge
from app.risk.reading import Readings, ask_signals
from app.risk.signals import Circumstances, measure
from app.risk.watch import Hit


@dataclass(frozen=True, slots=True)
class Vetting:
    """What risk knows of a draw: the lists' verdict, what was measured, the rules in force by campaign."""

    listed: Verdict
    signals: Signals = field(default_factory=dict)
    rules: Mapping[int, InForce] = field(default_factory=dict)

    def verdict(self, campaign_id: int) -> Verdict:
        """Return what counts for a campaign: the lists, and the signals where rules are enforced."""
        rules = self.rules.get(campaign_id)
        if rules is None or rules.mode is not Mode.ENFORCE:
            return self.listed
        return combine(self.listed, judge(self.signals, rules.policy))

    def policy_id(self, campaign_id: int) -> int:
        """Return the rules that judged a campaign's draw, 0 for none."""
        rules = self.rules.get(campaign_id)
        return 0 if rules is None else rules.policy_id

    def hit(
        self,
        version: PublishedVersion,
        facts: DrawFacts,
        *,
        place: tuple[int, int],
        scan_id: int,
        person_id: int,
    ) -> Hit | None:
        """Return the hit to be noted, enforced or only observed; None when no rule was hit.

        `place` is the code's batch and index.
        """
        rules = self.rules.get(version.campaign_id)
        if rules is None or WHITE_PERSON in self.listed.reasons:
            return None
        found = judge(self.signals, rules.policy)
        if found.level is Level.PASS:
            return None
        return Hit(
            brand_id=version.brand_id,
            campaign_id=version.campaign_id,
            policy_id=rules.policy_id,
            scan_id=scan_id,
            person_id=person_id,
            batch_id=place[0],
            code_index=place[1],
            level=found.level,
            enforced=rules.mode is Mode.ENFORCE,
            reasons=found.reasons,
            signals=self.signals,
            at=facts.at,
        )


@dataclass(frozen=True, slots=True)
class Looking:
    """The rules in force by campaign, and what has been asked for by them; None where nothing was."""

    rules: Mapping[int, InForce]
    readings: Asked[Readings] | None

    def vet(self, about: Circumstances, *, listed: Verdict, now: datetime) -> Vetting:
        """Return what risk knows of a draw in these circumstances, the lists having said `listed`."""
        if self.readings is None:
            return Vetting(listed)
        read = self.readings()
        signals = measure(
            about, read.places, counts=read.counts, scans=read.scans, phones=read.phones, now=now
        )
        return Vetting(listed, signals, self.rules)


def look(
    session: Session,
    *,
    risk: RiskBook | None,
    versions: Sequence[PublishedVersion],
    about: Circumstances,
    cluster: Cluster,
    day: datetime,
    now: datetime,
) -> Looking:
    """Ask for a draw's signals where a campaign wants them: one statement, none while risk is off."""
    if risk is None:
        return Looking({}, None)
    rules = {}
    for version in versions:
        found = risk.in_force(session, brand_id=version.brand_id, campaign_id=version.campaign_id, now=now)
        if found is not None:
            rules[version.campaign_id] = found
    if not rules:
        return Looking({}, None)
    asked = ask_signals(session, about=about, person_ids=cluster.person_ids, day=day, now=now)
    return Looking(rules, asked)
