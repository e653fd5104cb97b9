"""An hour in which a ring empties a leaked pack while honest shoppers scan what they bought.

Every visit is counted, read, measured and judged by the product's own code on real rows; only the draw's
other statements are left out, which do not bear on the verdict. What a code is worth is what its draw would
give, by the product's own dice. The seed makes every run the same.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sqlalchemy import insert
from sqlalchemy.orm import Session

from app.campaigns.draw import decide
from app.campaigns.seed import Chance, DrawStream
from app.codes.models import Scan
from app.codes.outcome import ScanOutcome
from app.db.engine import Database
from app.db.prepared import Prepared
from app.risk.counting import count_scan
from app.risk.lists import Level
from app.risk.policy import Policy, judge
from app.risk.reading import ask_signals
from app.risk.signals import RANGE_BITS, Circumstances, measure
from tests.factories.campaigns import SEED, facts, pool, random_money, rules

START = datetime(2026, 6, 1, 4, 20, tzinfo=UTC)
BATCH, PACK_START = 7, 1_000_000
HOME, PROVINCES = "330000", ("110000", "210000", "310000", "330000", "420000", "440000", "510000", "610000")
_INSERT = Prepared(insert(Scan))
_RULES = rules(prizes=[random_money("lucky", 50, 500)], pools=[pool("everybody", 0, {"lucky": 1})])


@dataclass(frozen=True)
class Size:
    """How many of each; a smaller run keeps the ring's codes per person and the crowd on a shelf."""

    pack: int
    ring: int
    honest: int


FULL = Size(pack=20_000, ring=500, honest=4_000)
SMALL = Size(pack=4_000, ring=100, honest=800)


@dataclass(frozen=True, order=True)
class Visit:
    """Somebody scans and draws one code."""

    at: datetime
    person: int
    index: int
    address: str
    region: str | None
    in_ring: bool


def visits(size: Size, seed: int, *, regions: bool = True) -> list[Visit]:
    """An hour's visits in their order; without `regions` nobody knows where an address is."""
    chance = random.Random(seed)
    found = sorted([*_ring(size, chance), *_honest(size, chance)])
    return found if regions else [Visit(*[*_fields(visit)[:4], None, visit.in_ring]) for visit in found]


def _fields(visit: Visit) -> tuple[object, ...]:
    return tuple(getattr(visit, name) for name in Visit.__dataclass_fields__)


def _ring(size: Size, chance: random.Random) -> Iterator[Visit]:
    """The pack in random order, every account as slowly as a human, each visit from another rented network.

    Three in ten of the networks are in the province that the pack was shipped to.
    """
    indexes = list(range(PACK_START, PACK_START + size.pack))
    chance.shuffle(indexes)
    each = size.pack // size.ring
    for person in range(size.ring):
        moment = START + timedelta(seconds=chance.uniform(0, 60))
        for index in indexes[person * each : (person + 1) * each]:
            moment += timedelta(seconds=chance.uniform(0.5, 1.5) * 3500 / each)
            region = HOME if chance.random() < 0.3 else chance.choice(PROVINCES)
            address = f"{chance.choice((36, 58, 112, 183))}.{chance.randrange(256)}.{chance.randrange(256)}.9"
            yield Visit(moment, person + 1, index, address, region, in_ring=True)


def _honest(size: Size, chance: random.Random) -> Iterator[Visit]:
    """Shoppers of the same batch: shelves all over the province, one crowded promotion, a few cases of 24.

    They sit behind a carrier's gateways, forty networks in all; three in a hundred are seen in another
    province than they are in; two in a thousand hold a bottle out of the leaked pack itself.
    """
    networks = [f"117.136.{number}" for number in range(40)]
    pallets = max(size.honest // 10, 1)
    for number in range(size.honest):
        person = 1_000_000 + number
        home = 3_000_000 + chance.randrange(pallets) << RANGE_BITS
        if number % 500 == 0:
            start = PACK_START + chance.randrange(size.pack)
        elif number < size.honest // 80:
            start = chance.randrange(2_000_000, 2_000_000 + (1 << RANGE_BITS) - 30)
        else:
            start = home % (1 << 26) + chance.randrange((1 << RANGE_BITS) - 30)
        codes = 24 if chance.random() < 0.005 else chance.choice((1, 1, 1, 2, 2, 6))
        moment = START + timedelta(seconds=chance.uniform(0, 3400))
        region = HOME if chance.random() < 0.97 else chance.choice(PROVINCES)
        address = f"{chance.choice(networks)}.{chance.randrange(1, 255)}"
        for step in range(codes):
            yield Visit(moment, person, start + step, address, region, in_ring=False)
            moment += timedelta(seconds=chance.uniform(4, 40))


@dataclass
class Hour:
    """What came of it, in fen and persons."""

    pack_fen: int = 0
    lost_fen: int = 0
    shoppers: set[int] = field(default_factory=set)
    touched: set[int] = field(default_factory=set)

    @property
    def lost(self) -> float:
        """The part of the pack's value that the ring walked away with."""
        return self.lost_fen / self.pack_fen

    @property
    def untouched(self) -> float:
        """The part of honest shoppers who noticed nothing."""
        return 1 - len(self.touched) / len(self.shoppers)

    def __str__(self) -> str:
        return f"lost {self.lost:.2%} of the pack, {self.untouched:.2%} of honest shoppers untouched"


def worth_fen(index: int) -> int:
    """What the draw of a code gives."""
    return decide(facts(), _RULES, DrawStream(SEED, Chance(1, BATCH, index))).amount_fen


def judged(db: Database, found: list[Visit], policies: dict[str, Policy]) -> dict[str, Hour]:
    """Let the visits happen and judge each by every policy; what is measured is the same for all of them."""
    hours = {name: Hour() for name in policies}

    def work(session: Session) -> None:
        drawn: dict[tuple[str, int], int] = {}
        for number, visit in enumerate(found):
            _scan(session, visit, number)
            fen = worth_fen(visit.index) if visit.in_ring else 0
            for name, level in _levels(session, visit, policies, drawn).items():
                hour = hours[name]
                if visit.in_ring:
                    hour.pack_fen += fen
                    hour.lost_fen += fen if level is Level.PASS else 0
                else:
                    hour.shoppers.add(visit.person)
                    if level is not Level.PASS:
                        hour.touched.add(visit.person)

    db.transact(work)
    return hours


def _scan(session: Session, visit: Visit, number: int) -> None:
    row = {
        "id": number + 1,
        "person_id": visit.person,
        "batch_id": BATCH,
        "code_index": visit.index,
        "outcome": ScanOutcome.OK,
        "region": visit.region,
        "at": visit.at,
        "counted_scans": 1,
        "first_at": visit.at,
        "first_person_id": visit.person,
        "shipped_first": None,
        "shipped_region": None,
    }
    _INSERT.run(session, row)
    count_scan(
        session,
        batch_id=BATCH,
        code_index=visit.index,
        person_id=visit.person,
        address=visit.address,
        now=visit.at,
    )


def _levels(
    session: Session, visit: Visit, policies: dict[str, Policy], drawn: dict[tuple[str, int], int]
) -> dict[str, Level]:
    levels = {}
    read = None
    for name, policy in policies.items():
        about = Circumstances(
            batch_id=BATCH,
            code_index=visit.index,
            address=visit.address,
            draws_today=drawn.get((name, visit.person), 0),
            shipped_region=HOME,
            address_region=visit.region,
        )
        if read is None:
            read = ask_signals(
                session, about=about, person_ids=[visit.person], day=START - timedelta(hours=4), now=visit.at
            )()
        signals = measure(
            about, read.places, counts=read.counts, scans=read.scans, phones=read.phones, now=visit.at
        )
        levels[name] = judge(signals, policy).level
        if levels[name] in {Level.PASS, Level.HOLD}:
            drawn[name, visit.person] = drawn.get((name, visit.person), 0) + 1
    return levels
