"""A brand that pays prizes: its payer, people, a campaign's budget, and a platform to pay through."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db.engine import Database
from app.identity import operations as identity
from app.identity import queries as identities
from app.identity.models import IdentitySource
from app.identity.queries import Cluster
from app.identity.values import openid_claim
from app.kernel.actor import Actor, ActorKind
from app.kernel.clock import ManualClock
from app.ledger.models import Account, AccountKind, Asset
from app.ledger.operations import AccountRef, Transfer, ensure_account, post
from app.ledger.queries import audit, balances, open_balance
from app.organisation.models import AppKind
from app.organisation.operations import create_brand, register_app
from app.outbox.drain import Drainer
from app.outbox.models import MessageState, OutboxMessage
from app.outbox.registry import Registry
from app.payouts import operations as payouts
from app.payouts.closing import CloseBills
from app.payouts.handlers import BillNotices, OpenBills, QueryBills
from app.payouts.interfaces import PayMethod, ReportInfo, TransferGateway
from app.payouts.models import Bill, Payer
from app.payouts.operations import PayerDetails
from app.payouts.queries import BillView, latest_bill
from app.rewards import operations as rewards
from app.rewards.handlers import SettleAwards, UnlockAwards
from app.rewards.models import AwardKind
from app.rewards.new_award import NewAward
from app.rewards.operations import CollectResult
from app.rewards.queries import AwardView, award
from tests.support.scripted_pay import ScriptedPay

T = TypeVar("T")

OPERATOR = Actor(ActorKind.OPERATOR, "olga")
APPID = "wx1111111111111111"
MCHID = "1900000001"
FUNDED_FEN = 100_000
PIECES = 100


def payer_details(app_ids: tuple[int, ...], **changes: Any) -> PayerDetails:
    """A payer of the cash marketing scene, with keys that nobody looks at."""
    values: dict[str, Any] = {
        "name": "Main payer",
        "mchid": MCHID,
        "serial_no": "5157F09EFDC096DE15EBE81A47057A7232F1B8E1",
        "private_key": "private",
        "apiv3_key": "apiv3",
        "public_key_id": "PUB_KEY_ID_0001",
        "public_key": "public",
        "app_ids": app_ids,
        "product_max_fen": 500_000,
        "report_infos": (ReportInfo("活动名称", "扫码有奖"), ReportInfo("奖励说明", "现金红包")),
        "notify_url": f"https://saoma.example/miniprogram/v1/callbacks/pay/{MCHID}",
        **changes,
    }
    return PayerDetails(**values)


@dataclass(repr=False)
class PrizeWorld:
    """Everything that a prize meets from its grant to its money, on one database."""

    db: Database
    clock: ManualClock
    pay: ScriptedPay
    registry: Registry
    drainer: Drainer
    brand_id: int
    app_id: int
    payer_app_id: int
    payer_id: int
    budget: AccountRef
    committed: AccountRef
    stock: AccountRef
    awarded: AccountRef
    draws: int = 0
    people: list[int] = field(default_factory=list)

    @classmethod
    def build(
        cls,
        db: Database,
        clock: ManualClock,
        *,
        gateway: TransferGateway | None = None,
        appid: str = APPID,
        sender: str | None = None,
        **payer: Any,
    ) -> "PrizeWorld":
        """Set the brand up; its campaign has 1,000 yuan and 100 pieces. `pay` is the platform unless another
        `gateway` is given; `payer` changes the payer's details. With `sender` that account or corp sends."""
        pay = ScriptedPay()
        registry = Registry()
        registry.add(
            effects=[effect(gateway or pay, registry) for effect in (OpenBills, QueryBills, CloseBills)],
            fact_handlers=[SettleAwards(), UnlockAwards()],
            callback_handlers=[BillNotices(registry)],
        )

        def set_up(session: Session) -> dict[str, Any]:
            now = clock.now()
            brand_id = create_brand(session, slug="tea", name_zh="茶", name_en="Tea", now=now)
            app_id = register_app(session, appid=appid, secret="secret", now=now)
            payer_app_id = app_id if sender is None else _sender(session, sender, payer["method"], now)
            details = payer_details((payer_app_id,), **payer)
            payer_id = payouts.save_payer(session, payer=details, now=now, actor=OPERATOR)

            def account(kind: AccountKind, asset: Asset, purpose: str) -> AccountRef:
                return ensure_account(
                    session, kind=kind, asset=asset, purpose=purpose, owner_id=1, brand_id=brand_id, now=now
                )

            budget = account(AccountKind.GUARDED, Asset.FEN, "budget")
            stock = account(AccountKind.GUARDED, Asset.STOCK, "stock")
            funding = account(AccountKind.OPEN, Asset.FEN, "funding")
            works = account(AccountKind.OPEN, Asset.STOCK, "works")
            arrivals = [
                Transfer("fund", funding, budget, FUNDED_FEN, "fund", 1),
                Transfer("deliver", works, stock, PIECES, "deliver", 1),
            ]
            post(session, arrivals, now=now)
            return {
                "brand_id": brand_id,
                "app_id": app_id,
                "payer_app_id": payer_app_id,
                "payer_id": payer_id,
                "budget": budget,
                "committed": account(AccountKind.OPEN, Asset.FEN, "committed"),
                "stock": stock,
                "awarded": account(AccountKind.OPEN, Asset.STOCK, "awarded"),
            }

        return cls(
            db=db,
            clock=clock,
            pay=pay,
            registry=registry,
            drainer=Drainer(db, registry, clock, worker="w1"),
            **db.transact(set_up),
        )

    def do(self, operation: Callable[..., T], **arguments: Any) -> T:
        """Run an operation in a transaction of its own, at the clock's time."""
        return self.db.transact(lambda session: operation(session, now=self.clock.now(), **arguments))

    def read(self, query: Callable[..., T], **arguments: Any) -> T:
        """Run a query; the rows that it returns stay readable."""
        with self.db.read() as session:
            found = query(session, **arguments)
            session.expunge_all()
        return found

    def person(self, *, virtual: bool = False, app_id: int | None = None, openid: str = "") -> int:
        """Somebody who has logged in to the app."""
        number = len(self.people) + 1
        login = self.do(
            identity.login,
            app_id=app_id or self.app_id,
            openid=openid or f"openid-{number:06d}",
            unionid=None,
            virtual=virtual,
            session_key="key",
        )
        self.people.append(login.person_id)
        return login.person_id

    def follow(self, person_id: int, openid: str) -> None:
        """The service account or corp that pays gets to know somebody."""
        self.do(
            identity.attach,
            person_id=person_id,
            identifiers=[openid_claim(self.payer_app_id, openid)],
            source=IdentitySource.SERVICE_ACCOUNT_VISIT,
            actor=OPERATOR,
        )

    def cluster(self, person_id: int) -> Cluster:
        """Everybody that a person is."""
        return self.read(identities.cluster, person_id=person_id)

    def new_award(self, person_id: int, **changes: Any) -> NewAward:
        """One yuan of money out of the budget, one piece of the stock, a week to collect it."""
        self.draws += 1
        values: dict[str, Any] = {
            "brand_id": self.brand_id,
            "campaign_id": 1,
            "draw_id": self.draws,
            "person_id": person_id,
            "kind": AwardKind.MONEY,
            "name_zh": "一元红包",
            "name_en": "One yuan",
            "deadline_at": self.clock.now() + timedelta(days=7),
            **changes,
        }
        if values["kind"] is AwardKind.MONEY:
            money = {
                "amount_fen": 100,
                "payer_id": self.payer_id,
                "remark": "扫码奖励",
                "budget": self.budget,
                "committed": self.committed,
            }
            values = money | values
        elif values.get("tax") is not None:
            values = {"budget": self.budget, "committed": self.committed} | values
        return NewAward(**{"stock": self.stock, "awarded": self.awarded} | values)

    def grant(self, person_id: int, **changes: Any) -> AwardView:
        """Grant `new_award`."""
        return self.do(rewards.grant, award=self.new_award(person_id, **changes))

    def collect(self, won: AwardView, **changes: Any) -> CollectResult:
        """Tap on Collect."""
        values: dict[str, Any] = {
            "award_id": won.id,
            "person_id": won.person_id,
            "cluster": self.cluster(won.person_id),
            "app_id": self.app_id,
            "actor": Actor(ActorKind.PERSON, "shopper", won.person_id),
            **changes,
        }
        return self.do(rewards.collect, **values)

    def drain(self) -> None:
        """Let everything happen that is due; only topics with something due are asked."""
        due = select(OutboxMessage.topic).where(
            OutboxMessage.state == MessageState.PENDING, OutboxMessage.due_at <= self.clock.now()
        )
        for _ in range(100):
            topics = self.read(lambda session: sorted(set(session.scalars(due))))
            if not topics or not self.drainer.round(topics).handled:
                return
        raise AssertionError("the outbox never comes to rest")

    def call_back(self, about: str, number: int = 1, **changes: Any) -> bool:
        """The platform's callback arrives."""
        notice = self.pay.notice(about, self.clock.now(), number, **changes)
        return self.do(payouts.record_notice, notice=notice)

    def now_award(self, won: AwardView) -> AwardView:
        """The award as it is now."""
        return self.read(award, award_id=won.id, person_ids=[won.person_id])

    def bill(self, won: AwardView) -> BillView:
        """The award's latest bill."""
        found = self.read(latest_bill, award_id=won.id)
        assert found is not None
        return found

    def bill_rows(self) -> list[Bill]:
        """All bills, the oldest first."""
        return self.read(lambda session: list(session.scalars(select(Bill).order_by(Bill.id))))

    def payer(self) -> Payer:
        """The payer as it is now."""
        found: Payer = self.read(lambda session: session.scalars(select(Payer)).one())
        return found

    def books(self) -> dict[str, int]:
        """Where the campaign's money and pieces are; asserts that none has come or gone."""

        def look(session: Session) -> dict[str, int]:
            assert audit(session) == []
            guarded = balances(session, [self.budget.id, self.stock.id])
            paid = session.scalars(select(Account.id).where(Account.purpose == "paid")).all()
            taxes = select(Account.id).where(Account.purpose.in_(["tax.withheld", "tax.remitted"]))
            return {
                "budget": guarded[self.budget.id],
                "committed": open_balance(session, self.committed.id),
                "paid": sum(open_balance(session, account) for account in paid),
                "stock": guarded[self.stock.id],
                "awarded": open_balance(session, self.awarded.id),
                "tax": sum(open_balance(session, account) for account in session.scalars(taxes)),
            }

        books = self.read(look)
        money = ("budget", "committed", "paid", "tax")
        assert sum(books[place] for place in money) == FUNDED_FEN
        assert books["stock"] + books["awarded"] == PIECES
        # Most prizes are not taxed, and most tests say nothing about it.
        return {place: amount for place, amount in books.items() if place != "tax" or amount}


def _sender(session: Session, appid: str, method: PayMethod, now: datetime) -> int:
    """Register the service account or the corp that sends the packets of a method."""
    corp = method is PayMethod.WECOM_RED_PACKET
    kind, agentid = (AppKind.CORP, "1000002") if corp else (AppKind.SERVICE, None)
    return register_app(session, appid=appid, secret="secret", kind=kind, agentid=agentid, now=now)
