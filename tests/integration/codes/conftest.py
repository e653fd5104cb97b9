"""A brand with a product, batches of codes on MariaDB, and people who scan them."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from sqlalchemy.orm import Session

from app.catalogue.operations import create_product
from app.codes import operations
from app.codes.book import CodeBook
from app.codes.format import CodeKeys
from app.codes.links import CodeLink
from app.codes.operations import ScanResult
from app.codes.outcome import Placement
from app.codes.queries import print_pack
from app.identity.queries import Cluster
from app.kernel.actor import Actor, ActorKind
from app.kernel.clock import ManualClock
from app.organisation.operations import create_brand
from tests.support.statements import statements

OPERATOR = Actor(ActorKind.OPERATOR, "olga")


@dataclass
class Shop:
    """One brand's codes on one session; what is not said is the plainest."""

    session: Session
    book: CodeBook
    clock: ManualClock
    product_id: int

    def batch(self, *, size: int = 1000, activated: bool = True, **facts: object) -> int:
        wanted = {"lot": "L-1", "placement": Placement.UNDER_CAP, "product_id": self.product_id, **facts}
        batch_id = operations.create_batch(
            self.session, size=size, actor=OPERATOR, now=self.clock.now(), **wanted
        )
        if activated:
            self.mark(operations.activate, batch_id)
        return batch_id

    def mark(self, operation: Callable[..., None], batch_id: int, **facts: object) -> None:
        operation(self.session, batch_id=batch_id, actor=OPERATOR, now=self.clock.now(), **facts)

    def code(self, batch_id: int, index: int) -> str:
        pack = print_pack(self.session, book=self.book, batch_id=batch_id, now=self.clock.now())
        return pack.code(index)

    def scan(self, text: str, person: int = 1, *others: int, **facts: object) -> ScanResult:
        return operations.record_scan(
            self.session,
            book=self.book,
            text=text,
            person_id=person,
            cluster=Cluster(min(person, *others, person), tuple(sorted({person, *others}))),
            now=self.clock.now(),
            **facts,
        )

    def claim(self, batch_id: int, index: int, *, draw_id: int = 900, person: int = 1) -> None:
        operations.claim(
            self.session,
            batch_id=batch_id,
            code_index=index,
            draw_id=draw_id,
            person_id=person,
            now=self.clock.now(),
        )


@pytest.fixture(scope="session")
def book(keyring: object) -> CodeBook:
    return CodeBook(CodeKeys(b"c" * 32), CodeLink("https://codes.example.com/q/"))


@pytest.fixture
def make_shop(book: CodeBook, clock: ManualClock) -> Callable[[Session], Shop]:
    def make(session: Session) -> Shop:
        brand_id = create_brand(session, slug="tea", name_zh="茶", name_en="Tea", now=clock.now())
        product_id = create_product(
            session,
            brand_id=brand_id,
            sku="T-330",
            line="tea",
            name_zh="绿茶",
            name_en="Green tea",
            now=clock.now(),
        )
        return Shop(session, book, clock, product_id)

    return make


@pytest.fixture
def shop(session: Session, make_shop: Callable[[Session], Shop]) -> Shop:
    return make_shop(session)


@pytest.fixture
def count_statements(session: Session) -> Iterator[Callable[[], list[str]]]:
    """A list that grows with every statement of the session from the call on."""
    with ExitStack() as until_the_end:
        yield lambda: until_the_end.enter_context(statements(session.connection(), framing=False))
