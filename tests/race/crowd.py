"""Sixty-four members who draw at once. They are made once; each race has a campaign and codes of its own."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import delete, or_, update
from sqlalchemy.orm import Session

from app.campaigns import operations as campaigns
from app.campaigns.accounts import find_accounts
from app.campaigns.models import Campaign
from app.campaigns.play import Played, play
from app.codes import operations as codes
from app.codes.queries import print_pack
from app.db.engine import Database
from app.identity.queries import Principal, cluster
from app.kernel.clock import ManualClock
from app.ledger.models import Account, TransferRow
from tests.factories.campaign_world import OLGA, CampaignWorld
from tests.support.racing import CONNECTIONS, RaceResult, race


@dataclass
class Crowd:
    """The members and the world that they live in."""

    world: CampaignWorld
    members: list[Principal] = field(default_factory=list)
    running: list[int] = field(default_factory=list)

    @classmethod
    def gather(cls, db: Database, clock: ManualClock) -> "Crowd":
        """Let 64 persons join."""
        world = CampaignWorld.build(db, clock)
        return cls(world, [world.member() for _ in range(CONNECTIONS)])

    def campaign(self, **rules: Any) -> int:
        """A published campaign, the only one."""
        campaign_id = self.world.run(f"race-{next(self.world.numbers)}", **rules)
        self.running.append(campaign_id)
        return campaign_id

    def stop(self) -> None:
        """Stop what runs, so that the next race is about another campaign.

        And let it be over: the rules of whatever might go on are compared with those of each new campaign.
        """
        while self.running:
            campaign_id = self.running.pop()
            self.world.do(campaigns.stop, campaign_id=campaign_id, reason="the race is over", actor=OLGA)
            over = update(Campaign).where(Campaign.id == campaign_id).values(ends_at=self.world.clock.now())
            self.world.db.transact(lambda session, over=over: session.execute(over))

    def forget_money(self, campaign_id: int) -> None:
        """Remove what a race without guards did to the ledger: the next race's audit reads all of it."""

        def forget(session: Session) -> None:
            ids = [account.id for account in find_accounts(session, campaign_id).values()]
            moved = or_(TransferRow.debit_account.in_(ids), TransferRow.credit_account.in_(ids))
            session.execute(delete(TransferRow).where(moved))
            session.execute(update(Account).where(Account.id.in_(ids)).values(balance=0))

        self.world.db.transact(forget)

    def scan_all(self, who: Sequence[Principal], *, same_code: bool = False) -> list[int]:
        """Let each of `who` scan a code; return the scans."""
        world = self.world
        shared = next(world.indexes) if same_code else None

        def record(session: Session, now: Any) -> list[int]:
            pack = print_pack(session, book=world.code_book, batch_id=world.batch_id, now=now)
            return [
                codes.record_scan(
                    session,
                    book=world.code_book,
                    text=pack.code(next(world.indexes) if shared is None else shared),
                    person_id=person.person_id,
                    cluster=cluster(session, person_id=person.person_id),
                    now=now,
                ).scan_id
                for person in who
            ]

        return world.do(record)

    def drawing(self, who: Principal, scan_id: int) -> Callable[[], Played]:
        """One draw, for `race`."""
        world = self.world

        def draw() -> Played:
            return world.db.transact(
                lambda session: play(
                    session,
                    book=world.campaign_book,
                    scan_id=scan_id,
                    principal=who,
                    now=world.clock.now(),
                )
            )

        return draw

    def draw_all(self, who: Sequence[Principal], *, seed: int, same_code: bool = False) -> RaceResult:
        """Let all of `who` draw at once."""
        scans = self.scan_all(who, same_code=same_code)
        runners = [self.drawing(person, scan) for person, scan in zip(who, scans, strict=True)]
        return race(self.world.db, runners, seed=seed)
