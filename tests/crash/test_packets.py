"""Workers die around red packets that a service account or a corp sends: each award has one, its money once.

Answers about them are not signed and nobody is called back: their number is all that protects.
"""

import secrets
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import pytest

from app.ledger.queries import audit
from app.organisation.models import AppKind
from app.organisation.operations import register_app
from app.payouts import operations as payouts
from app.payouts.interfaces import PayMethod, ReportInfo
from app.payouts.limits import PACKET_TEXTS, WECOM_TEXTS
from app.payouts.operations import LONGEST_SILENT_POLL
from app.rewards.models import AwardState
from app.rewards.queries import AwardView
from tests.crash.test_effects import PHASES
from tests.crash.town import Town
from tests.factories.prizes import OPERATOR, payer_details
from tests.support.certificates import certificate
from tests.support.doomed import SABOTAGES
from tests.support.sandbox import kept_private_key

pytestmark = pytest.mark.crash

SENDERS = {
    PayMethod.SERVICE_RED_PACKET: ("wxcrash0000000001", AppKind.SERVICE, None),
    PayMethod.WECOM_RED_PACKET: ("wwcrash0000000001", AppKind.CORP, "1000002"),
}
TEXTS = {
    PayMethod.SERVICE_RED_PACKET: tuple(PACKET_TEXTS),
    PayMethod.WECOM_RED_PACKET: (*WECOM_TEXTS, "sender_name"),
}
PAYMENT_SECRET = "secret-of-the-payment-app"
TOPICS = ("payouts.open", "payouts.query")
RENUMBERED = "a_new_number_for_each_attempt"


@dataclass
class Packets:
    """A town that pays by red packets in the chat."""

    town: Town
    mchid: str
    sender: str

    def win(self, number: int) -> list[AwardView]:
        """Let people win whom the sender knows."""
        won = self.town.win(number)
        openids = {one["id"]: one["openids"][self.sender] for one in self.town.sandbox.shoppers()}
        for award in won:
            self.town.world.follow(award.person_id, openids[self.town.shoppers[award.person_id]])
        return won

    def sent(self) -> list[dict[str, Any]]:
        """The platform's packets, the oldest first."""
        book = self.town.sandbox.book()
        assert book["balanced"], book["faults"]
        return [packet for packet in book["packets"] if packet["mchid"] == self.mchid]

    def finish(self) -> None:
        """Let people open what has come, collect what came back, and every end be asked for."""
        owners = {
            openid: one["id"] for one in self.town.sandbox.shoppers() for openid in one["openids"].values()
        }
        for _ in range(8):
            self.town.drain()
            for packet in self.sent():
                if packet["state"] == "SENT":
                    whose, number = owners[packet["openid"]], packet["mch_billno"]
                    self.town.sandbox.open_packet(whose, mchid=self.mchid, mch_billno=number)
            for award in self.town.unresolved():
                if self.town.world.now_award(award).state is AwardState.COLLECTIBLE:
                    self.town.world.collect(award)
            if not self.town.unresolved():
                return
            self.town.world.clock.advance(LONGEST_SILENT_POLL)
            self.town.world.do(payouts.poll_due)


@pytest.fixture
def packets(town: Town, request: pytest.FixtureRequest) -> Packets:
    """The town with another merchant number, which holds red packets: of a service account unless told."""
    method = getattr(request, "param", PayMethod.SERVICE_RED_PACKET)
    sender, kind, agentid = SENDERS[method]
    secret = PAYMENT_SECRET if kind is AppKind.CORP else ""
    key, mchid = kept_private_key("a payer of packets"), f"16{secrets.randbelow(10**8):08d}"
    town.sandbox.create_app(sender, "secret", kind=kind.value, agentid=agentid or "")
    merchant = town.sandbox.create_merchant(
        mchid,
        appids=[sender],
        balance_fen=1_000_000,
        private_key_pem=key,
        apiv2_key="0" * 32,
        workwx_secret=secret,
    )
    world = town.world
    world.payer_app_id = world.do(register_app, appid=sender, secret="secret", kind=kind, agentid=agentid)
    payer = payer_details(
        (world.payer_app_id,),
        mchid=mchid,
        serial_no=merchant.serial_no,
        private_key=key,
        apiv3_key=merchant.apiv3_key,
        method=method,
        apiv2_key=merchant.apiv2_key,
        client_certificate=certificate(key),
        workwx_secret=secret or None,
        scene_id="",
        report_infos=tuple(ReportInfo(name, "1.2.3.4") for name in TEXTS[method]),
        notify_url=None,
        product_max_fen=20_000,
    )
    world.payer_id = world.do(payouts.save_payer, payer=payer, actor=OPERATOR)
    return Packets(town, mchid, sender)


# What opens and asks is the same for both; what is sent and how it is signed is not.
@pytest.mark.parametrize(
    ("packets", "topic", "phase"),
    [
        *((PayMethod.SERVICE_RED_PACKET, topic, phase) for topic in TOPICS for phase in PHASES),
        *((PayMethod.WECOM_RED_PACKET, TOPICS[0], phase) for phase in PHASES),
    ],
    indirect=["packets"],
)
def test_whoever_dies_each_award_is_paid_by_one_packet(
    packets: Packets, kills: int, topic: str, phase: str
) -> None:
    town = packets.town
    for _ in range(kills):
        for award in packets.win(2):
            town.world.collect(award)
        if topic == "payouts.query":
            town.drain()
            town.world.clock.advance(payouts.FIRST_POLL)
            town.world.do(payouts.poll_due)
        town.workers.die("drain", at=f"{topic}.{phase}")
        assert town.workers.standing(topic) == PHASES[phase]
        town.workers.let_leases_run_out()
    packets.finish()
    assert town.unresolved() == []
    assert [packet["state"] for packet in packets.sent()] == ["RECEIVED"] * len(town.awards)
    numbers = {packet["mch_billno"] for packet in packets.sent()}
    assert numbers == {bill.bill_no for bill in town.world.bill_rows()}
    assert town.world.books()["paid"] == 100 * len(town.awards)
    with town.container.db.read() as session:
        assert audit(session) == []


@pytest.mark.parametrize("packets", list(SENDERS), indirect=True)
@pytest.mark.parametrize("sabotage", [None, RENUMBERED])
def test_the_number_is_what_protects(packets: Packets, sabotage: str | None) -> None:
    """A worker dies between the platform's answer and our book: with a new number there are two packets."""
    (award,) = packets.win(1)
    with SABOTAGES[sabotage]() if sabotage else nullcontext():
        packets.town.world.collect(award)
        packets.town.workers.die("drain", at="payouts.open.performed", sabotage=sabotage)
        packets.town.drain()
    assert len(packets.sent()) == (2 if sabotage else 1)
