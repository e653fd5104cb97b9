"""Red packets: SENDING → SENT → RECEIVED, with FAILED, RFUND_ING (sic) and REFUND beside it (contract 5).

Money is set aside when a packet is taken in, paid when it is opened, and given back when sending fails or
nobody opens it within 24 hours. Nobody is told of any of it: the merchant has to ask.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from urllib.parse import quote

from sandbox.agenda import Agenda
from sandbox.book import Book, Entry, available, frozen, wallet
from sandbox.clock import CHINA, SandboxClock
from sandbox.directory import Directory, Merchant
from sandbox.errors import AdminError, PacketError
from sandbox.packet_request import APP_KINDS, SEND_MINIPROGRAM, PacketOrder
from sandbox.settings import LiveSettings
from sandbox.statements import Movement, Statements
from sandbox.store import Event, Store

OPEN_WITHIN_SECONDS = 24 * 3600
QUERY_WITHIN_SECONDS = 30 * 24 * 3600
SENDING_SECONDS = 1.0
PACKETS_A_DAY = 10
FEN_A_DAY = 100_000
MERCHANT_FEN_A_DAY = 100_000_000

TRANSITIONS: Mapping[str, frozenset[str]] = {
    "SENDING": frozenset({"SENT", "FAILED"}),
    "SENT": frozenset({"RECEIVED", "RFUND_ING"}),
    "RFUND_ING": frozenset({"REFUND"}),
    "RECEIVED": frozenset(),
    "FAILED": frozenset(),
    "REFUND": frozenset(),
}


@dataclass(slots=True)
class Packet:
    """One red packet. Times are business time in Unix seconds. doomed: sending it will fail."""

    mchid: str
    order: PacketOrder
    listid: str
    sent_at: float
    state: str = "SENDING"
    doomed: bool = False
    reason: str = ""
    received_at: float | None = None
    refunded_at: float | None = None
    history: list[tuple[float, str]] = field(default_factory=list)

    @property
    def key(self) -> str:
        """The packet's name in the book."""
        return f"packet:{self.mchid}:{self.order.mch_billno}"

    @property
    def package(self) -> str:
        """What a mini-program hands to ``wx.sendBizRedPacket``, beside its signature."""
        return f"sendid={self.listid}&ver=8&mchid={self.mchid}"


class RedPackets:
    """All red packets. Every public method takes the store's lock; none of them waits for anything."""

    def __init__(
        self,
        *,
        store: Store,
        directory: Directory,
        book: Book,
        clock: SandboxClock,
        agenda: Agenda,
        settings: LiveSettings,
        statements: Statements,
    ) -> None:
        self._store = store
        self._directory = directory
        self._book = book
        self._clock = clock
        self._agenda = agenda
        self._settings = settings
        self._statements = statements
        self._packets: dict[tuple[str, str], Packet] = {}
        store.on("packet_sent", self._apply_sent)
        store.on("packet_moved", self._apply_moved)

    # The merchant's side

    def send(
        self,
        merchant: Merchant,
        order: PacketOrder,
        *,
        short: bool = False,
        slow: bool = False,
        doomed: bool = False,
    ) -> Packet:
        """Sends a packet, or returns the one that was sent under this number.

        short: behave as if the merchant had no money. slow: stay at SENDING for a moment. doomed: end as
        FAILED after it. Raises PacketError with the codes of contract 5.2.
        """
        with self._store.lock:
            packet = self._packets.get((merchant.mchid, order.mch_billno))
            if packet is not None:
                if packet.order != order:
                    raise PacketError("FATAL_ERROR", "重复请求，但参数与原请求不一致")
                if packet.state == "FAILED":
                    raise PacketError("SEND_FAILED", "红包发放失败，请更换单号再重试")
                return packet
            self._check(merchant, order)
            if short or self._book.balance(available(merchant.mchid)) < order.amount_fen:
                raise PacketError("NOTENOUGH", "帐号余额不足，请到商户平台充值后再重试")
            now = self._clock.now()
            self._store.record(
                "packet_sent",
                mchid=merchant.mchid,
                order=asdict(order),
                listid=f"10000{datetime.fromtimestamp(now, CHINA):%Y%m%d}{len(self._packets) + 1:015d}",
                doomed=doomed,
                at=now,
            )
            packet = self._packets[merchant.mchid, order.mch_billno]
            if slow or doomed:
                self._agenda.at(now + SENDING_SECONDS, lambda: self._deliver(packet))
            else:
                self._deliver(packet)
            self._agenda.at(now + OPEN_WITHIN_SECONDS, lambda: self._expire(packet))
            return packet

    def query(self, merchant: Merchant, mch_billno: str) -> Packet:
        """The packet with this number. Raises PacketError NOT_FOUND, also 30 days after it was sent."""
        with self._store.lock:
            packet = self._packets.get((merchant.mchid, mch_billno))
            if packet is None or self._clock.now() - packet.sent_at > QUERY_WITHIN_SECONDS:
                raise PacketError("NOT_FOUND", "指定单号数据不存在")
            return packet

    # The shopper's side

    def open(self, shopper_id: str, *, mchid: str, mch_billno: str) -> Packet:
        """The shopper opens a packet in the chat; opening it again changes nothing. Raises AdminError."""
        with self._store.lock:
            packet = self._packets.get((mchid, mch_billno))
            if packet is None or self._owner(packet) != shopper_id:
                raise AdminError(404, "no_packet", "this shopper has no such red packet")
            if packet.state == "SENT":
                self._move(packet, "RECEIVED")
            if packet.state != "RECEIVED":
                raise AdminError(409, "packet_closed", f"the red packet is {packet.state}")
            return packet

    def open_in_miniprogram(self, shopper_id: str, call: Mapping[str, str]) -> Packet:
        """``wx.sendBizRedPacket``: the packet whose ``package`` it names, if ``paySign`` is right (5.4).

        Raises AdminError 409.
        """
        with self._store.lock:
            packet = next((one for one in self._packets.values() if one.package == call["package"]), None)
            if packet is None or packet.order.path != SEND_MINIPROGRAM:
                raise AdminError(409, "bad_package", "sendBizRedPacket:fail no such package")
            if packet.order.appid != call["appId"] or call["signType"] != "MD5":
                raise AdminError(409, "bad_call", "sendBizRedPacket:fail wrong appId or signType")
            key = self._directory.merchant(packet.mchid).apiv2_key
            text = (
                f"appId={call['appId']}&nonceStr={call['nonceStr']}&package={quote(packet.package, safe='')}"
                f"&timeStamp={call['timeStamp']}&key={key}"
            )
            # The platform signs so, and in lower case here as its own examples do.
            expected = hashlib.md5(text.encode()).hexdigest()  # noqa: S324
            if call["paySign"].lower() != expected:
                raise AdminError(409, "bad_signature", "sendBizRedPacket:fail paySign is wrong")
            return self.open(shopper_id, mchid=packet.mchid, mch_billno=packet.order.mch_billno)

    # For the administration

    def packets(self) -> list[Packet]:
        """All packets, oldest first."""
        with self._store.lock:
            return list(self._packets.values())

    def locked(self, mchid: str) -> int:
        """What of a merchant's money is in packets that have not ended, fen."""
        waiting = {"SENDING", "SENT", "RFUND_ING"}
        return sum(p.order.amount_fen for p in self.packets() if p.mchid == mchid and p.state in waiting)

    def received(self, shopper_id: str) -> int:
        """What a shopper has taken out of packets, fen."""
        return sum(
            packet.order.amount_fen
            for packet in self.packets()
            if packet.state == "RECEIVED" and self._owner(packet) == shopper_id
        )

    def resume(self) -> None:
        """After a replay: puts what was under way back on the agenda."""
        with self._store.lock:
            for packet in self._packets.values():
                if packet.state == "SENDING":
                    self._agenda.at(self._clock.now(), _bound(self._deliver, packet))
                if packet.state in ("SENDING", "SENT"):
                    self._agenda.at(packet.sent_at + OPEN_WITHIN_SECONDS, _bound(self._expire, packet))
                if packet.state == "RFUND_ING":
                    self._agenda.at(self._clock.now(), _bound(self._give_back, packet))

    # Inside

    def _check(self, merchant: Merchant, order: PacketOrder) -> None:
        app = self._directory.apps.get(order.appid)
        if order.appid not in merchant.appids or app is None or app.kind != APP_KINDS[order.path]:
            raise PacketError("ILLEGAL_APPID", "wxappid is not one that this product and merchant may use")
        owner = self._directory.owner(order.openid)
        if owner is None or owner.appid != order.appid:
            raise PacketError("OPENID_ERROR", "openid和appid不匹配")
        shopper = self._directory.shopper(owner.shopper_id)
        if shopper.high_risk or owner.virtual:
            raise PacketError("NO_AUTH", "发放失败，此请求可能存在风险，已被微信拦截")
        today = [p for p in self._packets.values() if _day(p.sent_at) == _day(self._clock.now())]
        mine = [p for p in today if p.order.openid == order.openid and p.state != "FAILED"]
        if len(mine) >= PACKETS_A_DAY:
            raise PacketError("SENDNUM_LIMIT", "该用户今日领取红包个数超过限制")
        if sum(p.order.amount_fen for p in mine) + order.amount_fen > FEN_A_DAY:
            raise PacketError("RCVDAMOUNT_LIMIT", "该用户今日领取红包金额超过限制")
        given = sum(p.order.amount_fen for p in today if p.mchid == merchant.mchid and p.state != "FAILED")
        if given + order.amount_fen > MERCHANT_FEN_A_DAY:
            raise PacketError("SENDAMOUNT_LIMIT", "您的商户号今日发放金额超过限制")

    def _owner(self, packet: Packet) -> str:
        owner = self._directory.owner(packet.order.openid)
        if owner is None:
            raise LookupError(f"{packet.key} was sent to an openid that nobody has")
        return owner.shopper_id

    def _deliver(self, packet: Packet) -> None:
        with self._store.lock:
            if packet.state == "SENDING":
                self._move(packet, "FAILED" if packet.doomed else "SENT")

    def _expire(self, packet: Packet) -> None:
        with self._store.lock:
            if packet.state == "SENT":
                self._move(packet, "RFUND_ING")
                self._agenda.at(
                    self._clock.now() + self._settings.current.transfer_seconds,
                    lambda: self._give_back(packet),
                )

    def _give_back(self, packet: Packet) -> None:
        with self._store.lock:
            if packet.state == "RFUND_ING":
                self._move(packet, "REFUND")

    def _move(self, packet: Packet, state: str) -> None:
        self._store.record(
            "packet_moved",
            mchid=packet.mchid,
            mch_billno=packet.order.mch_billno,
            state=state,
            at=self._clock.now(),
        )

    def _apply_sent(self, event: Event) -> None:
        order = PacketOrder(**event["order"])
        packet = Packet(event["mchid"], order, event["listid"], event["at"], doomed=event["doomed"])
        packet.history.append((event["at"], "SENDING"))
        key = f"{packet.key}:lock"
        self._book.move(Entry(key, available(packet.mchid), frozen(packet.mchid), order.amount_fen))
        self._note(packet, event["at"], -order.amount_fen)
        self._packets[packet.mchid, order.mch_billno] = packet

    def _apply_moved(self, event: Event) -> None:
        packet = self._packets[event["mchid"], event["mch_billno"]]
        state, amount = event["state"], packet.order.amount_fen
        if state not in TRANSITIONS[packet.state]:
            raise LookupError(f"{packet.key} cannot go from {packet.state} to {state}")
        if state == "RECEIVED":
            target = wallet(self._owner(packet))
            self._book.move(Entry(f"{packet.key}:pay", frozen(packet.mchid), target, amount))
            packet.received_at = event["at"]
        elif state in ("FAILED", "REFUND"):
            source, target = frozen(packet.mchid), available(packet.mchid)
            self._book.move(Entry(f"{packet.key}:return", source, target, amount))
            self._note(packet, event["at"], amount)
            packet.refunded_at = event["at"] if state == "REFUND" else None
        packet.state = state
        packet.history.append((event["at"], state))

    def _note(self, packet: Packet, at: float, fen: int) -> None:
        moved = Movement(at, fen, packet.order.mch_billno, packet.listid, packet.order.remark)
        self._statements.note(packet.mchid, moved)


def _day(at: float) -> str:
    return f"{datetime.fromtimestamp(at, CHINA):%Y-%m-%d}"


def _bound(action: Callable[[Packet], None], packet: Packet) -> Callable[[], None]:
    return lambda: action(packet)
