"""The three effects of codes that WeChat makes: ordering them, fetching their files, activating ranges.

Ordering and fetching may be repeated: WeChat orders once for our number, and a file is always the same. An
activation is asked about before it is repeated, for it is not documented what a second one does.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session

from app.alerts.models import Severity
from app.alerts.operations import raise_alert, resolve_alert
from app.codes import market
from app.codes.errors import InvalidMarketFile
from app.codes.interfaces import MadeCodes, MarketGateway, Opening, Stretch
from app.codes.market_list import MadeCode, read_codes, unseal
from app.codes.models import (
    ACTIVATION_TRANSITIONS,
    ORDER_TRANSITIONS,
    ActivationState,
    ForeignCode,
    MarketActivation,
    MarketFile,
    MarketOrder,
    OrderState,
)
from app.codes.operations import activate
from app.identity.interfaces import AppCredentials, PlatformBusy, PlatformRefused, TooFrequent
from app.kernel.actor import Actor, ActorKind
from app.outbox.contracts import (
    Call,
    Done,
    EffectKind,
    Failed,
    Message,
    Park,
    RetryAt,
    RetryLater,
    Settlement,
    Skip,
)
from app.outbox.one_by_one import OneByOne
from app.outbox.operations import enqueue

POLL = timedelta(minutes=1)
LATE_ALERT = "codes.market_late"
REFUSED_ALERT = "codes.market_refused"
_LATE_AFTER = timedelta(hours=24)
_PORTION = 1000


@dataclass(frozen=True, slots=True)
class Busy:
    """No answer that counts; asking again may help."""

    reason: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """WeChat, or what it sent, does not let the work go on."""

    reason: str


@dataclass(frozen=True, slots=True)
class OrderCall:
    """An order to be placed, or one whose number is known to be asked about."""

    account: AppCredentials
    order_no: str
    codes: int
    application_id: int | None


class OrderCodes(OneByOne):
    """The effect codes.market_order: orders once, then asks until the codes are made."""

    topic: str = market.ORDER_TOPIC
    kind: EffectKind = EffectKind.IDEMPOTENT
    batch_size: int = 4
    concurrency: int = 2
    deadline_seconds: float = 20.0

    def __init__(self, gateway: MarketGateway) -> None:
        self._gateway = gateway

    def prepare_one(self, session: Session, message: Message, now: datetime) -> Call | Skip:
        """Say what to ask of WeChat."""
        found = market.order_of(session, batch_id=message.payload["batch"])
        if (
            not ORDER_TRANSITIONS.allows(found.state, OrderState.MAKING)
            and found.state is not OrderState.MAKING
        ):
            return Skip(Done(f"it is {found.state}"))
        number = select(MarketOrder.order_no).where(MarketOrder.batch_id == found.batch_id)
        owner = market.account(session, account_id=found.account_id)
        order_no = session.execute(number).scalar_one()
        return Call(OrderCall(owner.credentials, order_no, found.codes, found.application_id))

    def perform(self, request: OrderCall) -> int | MadeCodes | Busy | Refusal:
        """Place the order, or ask about it."""
        try:
            if request.application_id is None:
                return self._gateway.apply(request.account, order_no=request.order_no, codes=request.codes)
            return self._gateway.made(request.account, application_id=request.application_id)
        except (PlatformBusy, TooFrequent) as error:
            return Busy(error.detail)
        except PlatformRefused as error:
            return _refusal(error)

    def settle_one(self, session: Session, message: Message, result: object, now: datetime) -> Settlement:
        """Write what came of it."""
        batch_id: int = message.payload["batch"]
        if isinstance(result, Failed | Busy):
            return RetryLater(result.reason[:200])
        if isinstance(result, Refusal):
            _move(session, batch_id, None, fault=result.reason)
            return Park(f"{result.reason}; mend it, then replay this message")
        if isinstance(result, int):
            _move(session, batch_id, OrderState.MAKING, application_id=result, fault=None)
            return RetryAt(now + POLL, "WeChat makes the codes", counts=False)
        assert isinstance(result, MadeCodes)
        found = market.order_of(session, batch_id=batch_id)
        if not result.finished:
            if now - found.asked_at > _LATE_AFTER:
                _late(session, batch_id, now)
            return RetryAt(now + POLL, "WeChat makes the codes", counts=False)
        files = sorted(result.files)
        if not _covers(files, found.codes):
            fault = "the files that WeChat lists are not the codes that were ordered"
            _move(session, batch_id, None, fault=fault)
            return Park(f"{fault}; ask WeChat, then replay this message")
        if _move(session, batch_id, OrderState.LOADING, fault=None):
            _expect(session, batch_id, files, now)
        resolve_alert(session, kind=LATE_ALERT, subject=f"batch {batch_id}", by="wechat", now=now)
        return Done(f"{len(files)} files")


@dataclass(frozen=True, slots=True)
class FileCall:
    """A file to be fetched and read; `key` opens it."""

    account: AppCredentials
    key: str
    application_id: int
    stretch: Stretch


@dataclass(frozen=True, slots=True)
class LoadedFile:
    """The digests of a file's codes in its order, and of its plain text: no code itself."""

    sha256: str
    digests: tuple[bytes, ...]


class LoadFiles(OneByOne):
    """The effect codes.market_file: fetches one file and takes its codes in, all of them or none."""

    topic: str = market.FILE_TOPIC
    kind: EffectKind = EffectKind.IDEMPOTENT
    batch_size: int = 1
    concurrency: int = 1
    deadline_seconds: float = 90.0

    def __init__(self, gateway: MarketGateway) -> None:
        self._gateway = gateway

    def prepare_one(self, session: Session, message: Message, now: datetime) -> Call | Skip:
        """Say which file to fetch; leave out what has come."""
        found = market.order_of(session, batch_id=message.payload["batch"])
        first = message.payload["first"]
        wanted = session.get_one(MarketFile, (found.batch_id, first), populate_existing=True)
        if wanted.loaded_at is not None:
            return Skip(Done("it has come"))
        owner = market.account(session, account_id=found.account_id)
        assert found.application_id is not None
        stretch = Stretch(first, wanted.last_index)
        return Call(FileCall(owner.credentials, owner.file_key, found.application_id, stretch))

    def perform(self, request: FileCall) -> LoadedFile | Busy | Refusal:
        """Fetch, decrypt and read the file."""
        try:
            digest, codes = fetch(self._gateway, request)
        except (PlatformBusy, TooFrequent, InvalidMarketFile) as error:
            return Busy(error.detail)
        except PlatformRefused as error:
            return _refusal(error)
        return LoadedFile(digest, tuple(market.code_digest(made.code) for made in codes))

    def settle_one(self, session: Session, message: Message, result: object, now: datetime) -> Settlement:
        """Take the codes in."""
        batch_id, first = message.payload["batch"], message.payload["first"]
        if isinstance(result, Failed):
            return RetryLater(result.reason[:200])
        if isinstance(result, Busy):
            _move(session, batch_id, None, fault=result.reason)
            return RetryLater(result.reason[:200])
        if isinstance(result, Refusal):
            _move(session, batch_id, None, fault=result.reason)
            return Park(f"{result.reason}; mend it, then replay this message")
        assert isinstance(result, LoadedFile)
        # Whoever takes in the last file must see all the others: one at a time.
        session.execute(
            select(MarketOrder.batch_id).where(MarketOrder.batch_id == batch_id).with_for_update()
        )
        missing = (MarketFile.batch_id == batch_id, MarketFile.loaded_at.is_(None))
        wanted = select(MarketFile.first_index).where(*missing, MarketFile.first_index == first)
        if session.execute(wanted).first() is None:
            return Done("it has come")
        if _known(session, result.digests):
            fault = f"the file from index {first} has a code that was taken in before"
            _move(session, batch_id, None, fault=fault)
            return Park(f"{fault}; ask WeChat")
        taken = update(MarketFile).where(*missing, MarketFile.first_index == first)
        session.connection().execute(taken.values(sha256=result.sha256, loaded_at=now))
        rows = [
            {"digest": digest, "batch_id": batch_id, "code_index": index}
            for index, digest in enumerate(result.digests, first)
        ]
        for start in range(0, len(rows), _PORTION):
            session.connection().execute(insert(ForeignCode), rows[start : start + _PORTION])
        left = session.execute(select(func.count()).select_from(MarketFile).where(*missing)).scalar_one()
        _move(session, batch_id, None if left else OrderState.LOADED, fault=None)
        return Done(f"{len(result.digests)} codes")


@dataclass(frozen=True, slots=True)
class ActivationCall:
    """A range to be activated; `ask_first` when it may have been."""

    account: AppCredentials
    application_id: int
    stretch: Stretch
    opening: Opening
    ask_first: bool


class ActivateCodes(OneByOne):
    """The effect codes.market_activation: once WeChat has agreed, the range is active with us too."""

    topic: str = market.ACTIVATION_TOPIC
    kind: EffectKind = EffectKind.QUERYABLE
    batch_size: int = 4
    concurrency: int = 2
    deadline_seconds: float = 20.0

    def __init__(self, gateway: MarketGateway) -> None:
        self._gateway = gateway

    def prepare_one(self, session: Session, message: Message, now: datetime) -> Call | Skip:
        """Say what to activate."""
        asked = session.get_one(MarketActivation, message.payload["activation"], populate_existing=True)
        if ACTIVATION_TRANSITIONS.final(asked.state):
            return Skip(Done(f"it is {asked.state}"))
        found = market.order_of(session, batch_id=asked.batch_id)
        owner = market.account(session, account_id=found.account_id)
        assert found.application_id is not None
        opening = Opening(
            activity_name=asked.activity_name,
            product_brand=asked.product_brand,
            product_title=asked.product_title,
            product_code=asked.product_code,
            appid=owner.opens,
            path=asked.path,
            page_type=asked.page_type,
        )
        stretch = Stretch(asked.first_index, asked.last_index)
        again = message.interrupted or message.failures > 0
        return Call(ActivationCall(owner.credentials, found.application_id, stretch, opening, again))

    def perform(self, request: ActivationCall) -> Busy | Refusal | None:
        """Activate the range, unless it is; None once it is."""
        try:
            if request.ask_first and self._is_active(request):
                return None
            self._gateway.activate(
                request.account,
                application_id=request.application_id,
                stretch=request.stretch,
                opening=request.opening,
            )
        except (PlatformBusy, TooFrequent) as error:
            return Busy(error.detail)
        except PlatformRefused as error:
            return _refusal(error)
        return None

    def _is_active(self, request: ActivationCall) -> bool:
        try:
            known = self._gateway.active(
                request.account, application_id=request.application_id, index=request.stretch.first
            )
        except PlatformRefused:
            return False
        return (known.stretch, known.opening) == (request.stretch, request.opening)

    def settle_one(self, session: Session, message: Message, result: object, now: datetime) -> Settlement:
        """Write what came of it."""
        activation_id: int = message.payload["activation"]
        if isinstance(result, Failed | Busy):
            return RetryLater(result.reason[:200])
        refused = isinstance(result, Refusal)
        state = ActivationState.REFUSED if refused else ActivationState.ACTIVE
        moved = (
            update(MarketActivation)
            .where(
                MarketActivation.id == activation_id,
                MarketActivation.state.in_(ACTIVATION_TRANSITIONS.sources(state)),
            )
            .values(state=state, ended_at=now, fault=result.reason if isinstance(result, Refusal) else None)
        )
        if session.connection().execute(moved).rowcount != 1:
            return Done("it has ended")
        asked = session.get_one(MarketActivation, activation_id, populate_existing=True)
        if isinstance(result, Refusal):
            raise_alert(
                session,
                kind=REFUSED_ALERT,
                subject=f"batch {asked.batch_id} from {asked.first_index}",
                severity=Severity.WARNING,
                detail=f"{result.reason}. These codes open nothing; mend it and activate the range again.",
                now=now,
            )
            return Done("refused")
        activate(
            session,
            batch_id=asked.batch_id,
            first_index=asked.first_index,
            last_index=asked.last_index,
            actor=Actor(ActorKind.OPERATOR, asked.asked_by),
            now=now,
        )
        resolve_alert(
            session,
            kind=REFUSED_ALERT,
            subject=f"batch {asked.batch_id} from {asked.first_index}",
            by="wechat",
            now=now,
        )
        return Done("active")


def fetch(gateway: MarketGateway, call: FileCall) -> tuple[str, list[MadeCode]]:
    """Return the SHA-256 of a file's plain text and its codes; outside of any transaction.

    Raise what `MarketGateway.download` raises, or InvalidMarketFile.
    """
    sealed = gateway.download(call.account, application_id=call.application_id, stretch=call.stretch)
    text = unseal(sealed, key=call.key)
    codes = read_codes(text, first=call.stretch.first, codes=call.stretch.codes)
    return hashlib.sha256(text.encode()).hexdigest(), codes


def _refusal(error: PlatformRefused) -> Refusal:
    errcode = error.extra.get("errcode")
    return Refusal(f"{error.detail} (errcode {errcode})"[:200] if errcode is not None else error.detail[:200])


def _move(session: Session, batch_id: int, state: OrderState | None, **values: object) -> bool:
    """Write `values` into an order and bring it to `state`, if any; False when it is not right before it."""
    changed = update(MarketOrder).where(MarketOrder.batch_id == batch_id)
    if isinstance(fault := values.get("fault"), str):
        values["fault"] = fault[:200]
    if state is not None:
        changed = changed.where(MarketOrder.state.in_(ORDER_TRANSITIONS.sources(state)))
        values["state"] = state
    return session.connection().execute(changed.values(**values)).rowcount == 1


def _covers(files: Sequence[Stretch], codes: int) -> bool:
    """Tell whether the files are all codes of an order, each once."""
    ends = [-1, *(file.last for file in files)]
    follow = all(file.first == end + 1 for file, end in zip(files, ends, strict=False))
    return bool(files) and follow and ends[-1] == codes - 1


def _expect(session: Session, batch_id: int, files: Sequence[Stretch], now: datetime) -> None:
    rows = [{"batch_id": batch_id, "first_index": file.first, "last_index": file.last} for file in files]
    session.connection().execute(insert(MarketFile), rows)
    for file in files:
        enqueue(
            session,
            topic=market.FILE_TOPIC,
            key=f"{batch_id}:{file.first}",
            payload={"batch": batch_id, "first": file.first},
            now=now,
        )


def _known(session: Session, digests: Sequence[bytes]) -> bool:
    """Tell whether one of the codes was taken in before."""
    for start in range(0, len(digests), _PORTION):
        portion = digests[start : start + _PORTION]
        there = select(ForeignCode.digest).where(ForeignCode.digest.in_(portion)).limit(1)
        if session.connection().execute(there).first() is not None:
            return True
    return False


def _late(session: Session, batch_id: int, now: datetime) -> None:
    raise_alert(
        session,
        kind=LATE_ALERT,
        subject=f"batch {batch_id}",
        severity=Severity.WARNING,
        detail="WeChat has been making the codes of this order for over a day; ask WeChat.",
        now=now,
    )
