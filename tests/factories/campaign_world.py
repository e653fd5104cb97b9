"""A brand with products, codes, members and a campaign: everything that a draw meets, on one database."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy.orm import Session

from app.campaigns import funding, queries
from app.campaigns import operations as campaigns
from app.campaigns.book import CampaignBook
from app.campaigns.operations import InForce, SavedVersion
from app.campaigns.play import Played, Visit, play
from app.catalogue.operations import create_product
from app.codes import operations as codes
from app.codes.book import CodeBook
from app.codes.format import CodeKeys
from app.codes.links import CodeLink
from app.codes.outcome import Placement
from app.codes.queries import print_pack
from app.db.engine import Database
from app.identity import operations as identity
from app.identity.queries import Principal, cluster
from app.kernel.actor import Actor, ActorKind
from app.kernel.clock import ManualClock
from app.ledger.queries import audit
from app.members import operations as members
from app.members.models import AgeBand
from app.members.operations import Source
from app.organisation.operations import create_brand, register_app
from app.payouts.operations import save_payer
from tests.factories.campaigns import SEED, document
from tests.factories.prizes import payer_details

T = TypeVar("T")

OLGA = Actor(ActorKind.OPERATOR, "olga")
PETER = Actor(ActorKind.OPERATOR, "peter")
POLICY = "2026-1"
PLAIN = Visit()


@dataclass
class CampaignWorld:
    """One brand, one product, one batch, and whoever comes to draw. Each act is a transaction of its own."""

    db: Database
    clock: ManualClock
    brand_id: int
    app_id: int
    payer_id: int
    product_id: int
    batch_id: int
    campaign_book: CampaignBook = field(default_factory=CampaignBook)
    code_book: CodeBook = field(
        default_factory=lambda: CodeBook(CodeKeys(b"c" * 32), CodeLink("https://codes.example.com/q/"))
    )
    numbers: Any = field(default_factory=lambda: itertools.count(1))
    indexes: Any = field(default_factory=lambda: itertools.count(0))

    @classmethod
    def build(cls, db: Database, clock: ManualClock) -> "CampaignWorld":
        """Set up the brand; 10,000 activated codes under the cap."""

        def set_up(session: Session) -> dict[str, int]:
            now = clock.now()
            brand_id = create_brand(session, slug="tea", name_zh="茶", name_en="Tea", now=now)
            app_id = register_app(session, appid="wx1111111111111111", secret="secret", now=now)
            payer_id = save_payer(session, payer=payer_details((app_id,)), now=now, actor=OLGA)
            product_id = create_product(
                session,
                brand_id=brand_id,
                sku="T-330",
                line="classic",
                name_zh="绿茶",
                name_en="Green tea",
                tags=["new", "gift"],
                origin="330100",
                now=now,
            )
            members.publish_policy(session, version=POLICY, text_zh="隐私", text_en="Privacy", now=now)
            batch_id = _batch(session, product_id, now)
            return {
                "brand_id": brand_id,
                "app_id": app_id,
                "payer_id": payer_id,
                "product_id": product_id,
                "batch_id": batch_id,
            }

        return cls(db=db, clock=clock, **db.transact(set_up))

    def do(self, operation: Callable[..., T], **arguments: Any) -> T:
        """Run an operation in a transaction of its own, at the clock's time."""
        return self.db.transact(lambda session: operation(session, now=self.clock.now(), **arguments))

    def read(self, query: Callable[..., T], **arguments: Any) -> T:
        """Run a query."""
        with self.db.read() as session:
            return query(session, **arguments)

    def batch(self, product_id: int | None = None) -> int:
        """Another 10,000 activated codes."""
        return self.do(lambda session, now: _batch(session, product_id or self.product_id, now))

    # --- campaigns ------------------------------------------------------------------------------------

    def create(self, key: str = "june", *, payer: bool = True) -> int:
        """An empty campaign."""
        payer_id = self.payer_id if payer else None
        return self.do(campaigns.create, brand_id=self.brand_id, key=key, payer_id=payer_id, actor=OLGA)

    def save(self, campaign_id: int, **changes: Any) -> SavedVersion:
        """Save the factory's rules with `changes`."""
        return self.do(
            campaigns.save_version, campaign_id=campaign_id, document=document(**changes), actor=OLGA
        )

    def fund(self, campaign_id: int, amount_fen: int) -> None:
        """Add to the budget."""
        self.do(
            funding.fund,
            campaign_id=campaign_id,
            amount_fen=amount_fen,
            reference=f"fund-{next(self.numbers)}",
            actor=OLGA,
        )

    def stock(self, campaign_id: int, prize: str, pieces: int) -> None:
        """Add pieces."""
        self.do(
            funding.stock_in,
            campaign_id=campaign_id,
            prize=prize,
            pieces=pieces,
            reference=f"stock-{next(self.numbers)}",
            actor=OLGA,
        )

    def set_aside(self, campaign_id: int, pool: str, amount_fen: int) -> None:
        """Move money between the campaign's budget and a pool's; while it runs with Peter's approval."""
        reference = f"aside-{next(self.numbers)}"
        done = self.do(
            funding.set_aside,
            campaign_id=campaign_id,
            pool=pool,
            amount_fen=amount_fen,
            reference=reference,
            actor=OLGA,
            reason="for a test",
        )
        if not done:
            self.do(funding.approve_outflow, campaign_id=campaign_id, reference=reference, actor=PETER)

    def publish(self, campaign_id: int, reason: str | None = None) -> InForce:
        """Publish, or with a reason propose, with the seed of the unit tests."""
        return self.do(
            campaigns.publish,
            campaign_id=campaign_id,
            actor=OLGA,
            random_bytes=lambda count: SEED[:count],
            reason=reason,
        )

    def run(self, key: str = "june", *, fen: int = 1_000_00, **changes: Any) -> int:
        """A published campaign with a budget of `fen` and the stock that its rules promise.

        Beside other campaigns it takes Peter's approval.
        """
        campaign_id = self.create(key)
        self.save(campaign_id, **changes)
        if fen:
            self.fund(campaign_id, fen)
        for prize in document(**changes)["prizes"]:
            if prize.get("stock"):
                self.stock(campaign_id, prize["key"], prize["stock"])
        came = self.publish(campaign_id, "for a test")
        if not came.published:
            self.do(campaigns.approve, campaign_id=campaign_id, rules_sha256=came.sha256, actor=PETER)
        return campaign_id

    def left(self, campaign_id: int) -> dict[str, int]:
        """What the accounts hold, by "purpose" or "purpose:key"; asserts that the ledger's book holds."""

        def look(session: Session) -> dict[str, int]:
            assert audit(session) == []
            return {
                f"{line.purpose}:{line.key}".rstrip(":"): line.amount
                for line in queries.left(session, campaign_id=campaign_id)
            }

        return self.read(look)

    # --- shoppers -------------------------------------------------------------------------------------

    def visitor(self, *, virtual: bool = False) -> Principal:
        """Somebody who has logged in."""
        login = self.do(
            identity.login,
            app_id=self.app_id,
            openid=f"openid-{next(self.numbers):06d}",
            unionid=None,
            virtual=virtual,
            session_key="key",
        )
        return Principal(login.person_id, login.root_id, self.app_id, None, virtual, login.session_id)

    def member(self, *, tier: str | None = None) -> Principal:
        """Somebody who has joined and agreed to the policy."""
        who = self.visitor()
        self.do(
            members.join,
            person_id=who.person_id,
            policy_version=POLICY,
            age_band=AgeBand.ADULT,
            guardian_consent=False,
            source=Source(),
            actor=Actor(ActorKind.PERSON, "shopper", who.person_id),
        )
        if tier is not None:
            self.do(members.set_tier, person_id=who.person_id, tier=tier, actor=OLGA)
        return who

    def code(self, session: Session, index: int, *, batch_id: int | None = None) -> str:
        """Return a printed code, by default of the world's own batch."""
        batch, now = batch_id or self.batch_id, self.clock.now()
        return print_pack(session, book=self.code_book, batch_id=batch, now=now).code(index)

    def scan(
        self,
        who: Principal,
        *,
        index: int | None = None,
        batch_id: int | None = None,
        misread: bool = False,
        **facts: Any,
    ) -> int:
        """Scan a code, by default one that nobody has scanned; return the scan's id."""
        chosen = next(self.indexes) if index is None else index

        def record(session: Session, now: datetime) -> int:
            code = self.code(session, chosen, batch_id=batch_id)
            if misread:
                code = code[:-1] + ("0" if code[-1] != "0" else "1")
            found = codes.record_scan(
                session,
                book=self.code_book,
                text=code,
                person_id=who.person_id,
                cluster=cluster(session, person_id=who.person_id),
                now=now,
                **facts,
            )
            return found.scan_id

        return self.do(record)

    def play(self, who: Principal, scan_id: int, *, visit: Visit = PLAIN, **more: Any) -> Played:
        """Draw for a scan."""
        return self.do(play, book=self.campaign_book, scan_id=scan_id, principal=who, visit=visit, **more)

    def draw(self, who: Principal, *, visit: Visit = PLAIN, **scan: Any) -> Played:
        """Scan a code and draw for it."""
        return self.play(who, self.scan(who, **scan), visit=visit)

    def wait(self, **step: float) -> None:
        """Let time pass."""
        self.clock.advance(timedelta(**step))


def _batch(session: Session, product_id: int, now: datetime) -> int:
    batch_id = codes.create_batch(
        session,
        product_id=product_id,
        lot="L-1",
        # More than fifty seeds of all races use up.
        size=1_000_000,
        placement=Placement.UNDER_CAP,
        actor=OLGA,
        now=now,
    )
    codes.activate(session, batch_id=batch_id, actor=OLGA, now=now)
    return batch_id
