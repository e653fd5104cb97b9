"""Published rules at hand: parsed and opened once a process, since they never change.

Reading a version costs two statements and some thousand JSON values; a draw must not pay that. A version is
named by campaign and number, and what has been published under them stays (the draw checks, in the
statement that writes it, that the version is still the one in force). The seed is kept opened, in memory
only, as the keys of code batches are.
"""

import threading
from collections import OrderedDict
from dataclasses import dataclass, field

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from app.campaigns.accounts import Accounts, find_accounts
from app.campaigns.errors import NothingPublished
from app.campaigns.models import Campaign, CampaignVersion, VersionState
from app.campaigns.parser import parse_rules
from app.campaigns.rules import Rules
from app.ledger.operations import AccountRef
from app.points import queries as points

_VERSION = (
    select(Campaign.brand_id, Campaign.seed, CampaignVersion.rules)
    .join_from(CampaignVersion, Campaign, Campaign.id == CampaignVersion.campaign_id)
    .where(
        CampaignVersion.campaign_id == bindparam("campaign"),
        CampaignVersion.version == bindparam("number"),
        CampaignVersion.state == VersionState.PUBLISHED,
    )
)


@dataclass(frozen=True, slots=True)
class PublishedVersion:
    """A published version of a campaign as draws need it; `points_source`: where its points come from."""

    campaign_id: int
    brand_id: int
    version: int
    rules: Rules
    accounts: Accounts
    points_source: AccountRef | None
    seed: bytes = field(repr=False)


class CampaignBook:
    """Keeps published versions for one process; shared by all its threads; the least used ones go."""

    def __init__(self, *, capacity: int = 256) -> None:
        self._capacity = capacity
        self._lock = threading.Lock()
        self._versions: OrderedDict[tuple[int, int], PublishedVersion] = OrderedDict()

    def version(self, session: Session, *, campaign_id: int, version: int) -> PublishedVersion:
        """Return a published version; raise NothingPublished. Three statements the first time, then none."""
        key = (campaign_id, version)
        with self._lock:
            if key in self._versions:
                self._versions.move_to_end(key)
                return self._versions[key]
        loaded = _load(session, campaign_id, version)
        with self._lock:
            self._versions[key] = loaded
            while len(self._versions) > self._capacity:
                self._versions.popitem(last=False)
        return loaded


def _load(session: Session, campaign_id: int, version: int) -> PublishedVersion:
    parameters = {"campaign": campaign_id, "number": version}
    row = session.connection().execute(_VERSION, parameters).first()
    if row is None:
        raise NothingPublished("this version has not been published")
    return PublishedVersion(
        campaign_id=campaign_id,
        brand_id=row.brand_id,
        version=version,
        rules=parse_rules(row.rules),
        accounts=find_accounts(session, campaign_id),
        points_source=points.issuing_account(session, brand_id=row.brand_id),
        seed=bytes.fromhex(row.seed),
    )
