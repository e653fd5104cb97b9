"""Two dealers with a store each, and cases of tea: 0 to 9 went to EAST, 10 to 19 to SOUTH, others nowhere."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from app.campaigns import scan as scanning
from app.campaigns.scan import Scanned
from app.codes import operations as codes
from app.codes.outcome import CodeLevel, Placement
from app.identity.queries import Principal
from app.incentives import operations as incentives
from app.organisation.operations import save_dealer, save_store
from tests.factories.campaign_world import OLGA, CampaignWorld

POINTS = 20


@dataclass
class StoreWorld:
    """What the tests of store staff stand on; the brand gives 20 points for a case for a month."""

    world: CampaignWorld
    cases: int

    @classmethod
    def build(cls, world: CampaignWorld) -> "StoreWorld":
        """Set everything up."""
        made = cls(world, world.do(lambda session, now: set_up(session, world.product_id, now)))
        made.offer()
        return made

    def offer(self, points: int = POINTS, *, starts_in_days: int = 0) -> None:
        """Let the brand give `points` for a case."""
        starts_at = self.world.clock.now() + timedelta(days=starts_in_days)
        self.world.do(
            incentives.set_reward,
            brand_id=self.world.brand_id,
            points=points,
            starts_at=starts_at,
            ends_at=starts_at + timedelta(days=30),
            actor=OLGA,
        )

    def staff(self, store: str = "S-1") -> Principal:
        """Somebody who has joined and works in a store."""
        who = self.world.member()
        self.world.do(incentives.register, person_id=who.person_id, store_code=store, actor=OLGA)
        return who

    def scan(self, who: Principal, case: int, *, batch_id: int | None = None) -> Scanned:
        """Let somebody scan a case."""
        with self.world.db.read() as session:
            text = self.world.code(session, case, batch_id=batch_id or self.cases)
        return self.world.do(
            scanning.scan,
            code_book=self.world.code_book,
            campaign_book=self.world.campaign_book,
            text=text,
            principal=who,
        )


def set_up(session: Session, product_id: int, now: datetime) -> int:
    """Make the dealers, their stores and the cases; return the cases' batch."""
    for dealer, store, region in (("EAST", "S-1", "310000"), ("SOUTH", "S-2", "440100")):
        save_dealer(session, code=dealer, name=dealer, regions=[region], now=now)
        save_store(session, code=store, name=store, dealer_code=dealer, region=region, now=now)
    batch_id = codes.create_batch(
        session,
        product_id=product_id,
        lot="L-1",
        size=100,
        placement=Placement.OUTSIDE,
        level=CodeLevel.CASE,
        actor=OLGA,
        now=now,
    )
    codes.activate(session, batch_id=batch_id, actor=OLGA, now=now)
    for first, dealer, region in ((0, "EAST", "310000"), (10, "SOUTH", "440100")):
        codes.ship(
            session,
            batch_id=batch_id,
            region=region,
            attributes={"dealer": dealer},
            first_index=first,
            last_index=first + 9,
            actor=OLGA,
            now=now,
        )
    return batch_id
