"""Fund-flow bills (contract 11.1 to 11.3): what moved on a merchant's account on a Beijing day, as a CSV.

Everything here stems from the sandbox's own bills and top-ups. A test may falsify a day: then the file says
something else than the book, which is what a reconciliation is there to find. Balances follow the lines that
are shown, so that a falsified file still adds up and betrays itself by its lines alone.

The names of kinds of business in the file are settings of a real platform that nobody can rely on; here they
carry a mark, so that a client that matches by them finds nothing.
"""

from __future__ import annotations

import gzip
import hashlib
import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import Any

from sandbox.clock import CHINA, SandboxClock
from sandbox.errors import AdminError, PayError

BILL_PATH = "/v3/bill/fundflowbill"
DOWNLOAD_PATH = "/v3/billdownload/file"
ACCOUNT_TYPES = ("BASIC", "OPERATION", "FEES")
# The sandbox keeps all money of a merchant in this account.
MONEY_ACCOUNT = "OPERATION"
READY_AT = time(10)
KEPT_DAYS = 90
URL_SECONDS = 300
FALSIFICATIONS = (
    "missing",
    "doubled",
    "amount",
    "other_bill",
    "late",
    "refunded",
    "unknown",
    "wrong_hash",
    "balance",
)
# They are not about a number that moved; the last two are not in the file.
_WITHOUT_NUMBER = ("unknown", "wrong_hash", "balance")
_NOT_IN_THE_FILE = ("wrong_hash", "balance")
_HEADER = (
    "记账时间,微信支付业务单号,资金流水单号,业务名称,业务类型,收支类型,收支金额(元),账户结余(元),"
    "资金变更提交申请人,备注,业务凭证号"
)
_FOOTER = "资金流水总笔数,收入笔数,收入金额,支出笔数,支出金额"


@dataclass(frozen=True, slots=True)
class Movement:
    """Money that came to or left a merchant's account. ``fen`` is below zero for what left.

    at: business time in Unix seconds. number: the merchant's own, empty for a top-up. platform_no: the
    platform's.
    """

    at: float
    fen: int
    number: str
    platform_no: str
    remark: str


@dataclass(frozen=True, slots=True)
class Falsification:
    """One lie about one day of one merchant. ``fen`` is the other amount where the kind has one."""

    mchid: str
    day: date
    kind: str
    number: str
    fen: int


@dataclass(frozen=True, slots=True)
class _File:
    mchid: str
    content: bytes
    gzipped: bool
    until: float


class Statements:
    """The movements of all merchants, the files made of them, and the lies told about them.

    lock: the store's; movements are noted under it.
    """

    def __init__(self, *, clock: SandboxClock, lock: Any) -> None:
        self._clock = clock
        self._lock = lock
        self._movements: dict[str, list[Movement]] = {}
        self._lies: list[Falsification] = []
        self._files: dict[str, _File] = {}

    def note(self, mchid: str, movement: Movement) -> None:
        """Writes down a movement; called by whoever moves the money, when the event is applied."""
        self._movements.setdefault(mchid, []).append(movement)

    def falsify(self, lie: Falsification) -> None:
        """Lets the file of a day say something else from now on. Raises AdminError 422."""
        if lie.kind not in FALSIFICATIONS:
            raise AdminError(422, "bad_kind", f"kind must be one of {', '.join(FALSIFICATIONS)}")
        with self._lock:
            own = {m.number for m in self._of_day(lie.mchid, lie.day)}
            if lie.kind not in _WITHOUT_NUMBER and lie.number not in own:
                raise AdminError(422, "bad_number", f"{lie.number!r} did not move on {lie.day}")
            self._lies.append(lie)

    def clear(self) -> int:
        """Tells the truth again; returns how many lies there were."""
        with self._lock:
            count = len(self._lies)
            self._lies.clear()
            return count

    def apply_for(self, mchid: str, *, bill_date: str, account_type: str, tar_type: str) -> dict[str, Any]:
        """The answer to an application: hash and download token (``token``, to be made an address of).

        Raises PayError 400 PARAM_ERROR, INVALID_REQUEST, STATEMENT_CREATING, NO_STATEMENT_EXIST.
        """
        if account_type not in ACCOUNT_TYPES or tar_type not in ("", "GZIP"):
            raise PayError(400, "PARAM_ERROR", "account_type or tar_type is not one that is known")
        day = self._require_ready(bill_date)
        with self._lock:
            rows = list(self._rows(mchid, day)) if account_type == MONEY_ACCOUNT else []
            wrong = any(lie.kind == "wrong_hash" for lie in self._lies_about(mchid, day))
        if not rows:
            raise PayError(400, "NO_STATEMENT_EXIST", "请求的账单文件不存在")
        text = _render(rows).encode()
        digest = hashlib.sha1(text).hexdigest()  # noqa: S324 - the platform's choice (11.1)
        gzipped = tar_type == "GZIP"
        token = secrets.token_urlsafe(24)
        self._files[token] = _File(
            mchid, gzip.compress(text, 6) if gzipped else text, gzipped, self._clock.now() + URL_SECONDS
        )
        return {"hash_type": "SHA1", "hash_value": digest[::-1] if wrong else digest, "token": token}

    def download(self, mchid: str, token: str) -> tuple[bytes, bool]:
        """The file behind a token and whether it is compressed. Raises PayError 400 INVALID_REQUEST."""
        found = self._files.get(token)
        if found is None or found.mchid != mchid or self._clock.now() >= found.until:
            self._files.pop(token, None)
            raise PayError(
                400, "INVALID_REQUEST", "the download address has expired; apply for the bill again"
            )
        return found.content, found.gzipped

    def day_end(self, mchid: str, *, day: str, account_type: str) -> int:
        """What an account held at the end of a day, in fen (11.4). A lie of the kind ``balance`` takes its
        ``fen`` off.

        Raises PayError 400 INVALID_REQUEST: of that day there is nothing yet, or nothing any more.
        """
        try:
            wanted = self._require_ready(day)
        except PayError as error:
            code = "PARAM_ERROR" if error.code == "PARAM_ERROR" else "INVALID_REQUEST"
            raise PayError(400, code, "无日终余额数据") from None
        if account_type != MONEY_ACCOUNT:
            return 0
        with self._lock:
            held = sum(m.fen for m in self._movements.get(mchid, ()) if _day(m.at) <= wanted)
            return held - sum(lie.fen for lie in self._lies_about(mchid, wanted) if lie.kind == "balance")

    def _require_ready(self, bill_date: str) -> date:
        try:
            day = datetime.strptime(bill_date, "%Y-%m-%d").date()  # noqa: DTZ007 - a calendar day has no zone
        except ValueError:
            raise PayError(400, "PARAM_ERROR", "bill_date must be a date such as 2026-06-01") from None
        now = datetime.fromtimestamp(self._clock.now(), CHINA)
        if day >= now.date() or day < now.date() - timedelta(days=KEPT_DAYS):
            raise PayError(
                400, "INVALID_REQUEST", "bill_date must lie in the last three months, before today"
            )
        if now < datetime.combine(day + timedelta(days=1), READY_AT, CHINA):
            raise PayError(400, "STATEMENT_CREATING", "账单生成中")
        return day

    def _lies_about(self, mchid: str, day: date) -> list[Falsification]:
        return [lie for lie in self._lies if lie.mchid == mchid and lie.day == day]

    def _of_day(self, mchid: str, day: date) -> list[Movement]:
        return [m for m in self._movements.get(mchid, ()) if _day(m.at) == day]

    def _rows(self, mchid: str, day: date) -> Iterator[tuple[Movement, int]]:
        """The lines of a day with the balance after each, as the lies want them."""
        balance = 0
        for movement in sorted(self._shown(mchid), key=lambda m: m.at):
            balance += movement.fen
            if _day(movement.at) == day:
                yield movement, balance

    def _shown(self, mchid: str) -> Iterable[Movement]:
        shown = list(self._movements.get(mchid, ()))
        for lie in self._lies:
            if lie.mchid == mchid and lie.kind not in _NOT_IN_THE_FILE:
                shown = list(_LIES[lie.kind](shown, lie))
        return shown


def _is_meant(movement: Movement, lie: Falsification) -> bool:
    return bool(movement.number == lie.number and movement.fen < 0 and _day(movement.at) == lie.day)


def _missing(shown: list[Movement], lie: Falsification) -> Iterator[Movement]:
    return (m for m in shown if not _is_meant(m, lie))


def _doubled(shown: list[Movement], lie: Falsification) -> Iterator[Movement]:
    for movement in shown:
        yield movement
        if _is_meant(movement, lie):
            yield movement


def _amount(shown: list[Movement], lie: Falsification) -> Iterator[Movement]:
    return (replace(m, fen=-lie.fen) if _is_meant(m, lie) else m for m in shown)


def _other_bill(shown: list[Movement], lie: Falsification) -> Iterator[Movement]:
    other = f"1330000{secrets.randbelow(10**21):021d}"
    return (replace(m, platform_no=other) if _is_meant(m, lie) else m for m in shown)


def _late(shown: list[Movement], lie: Falsification) -> Iterator[Movement]:
    later = datetime.combine(lie.day + timedelta(days=1), time(0, 0, 30), CHINA).timestamp()
    return (replace(m, at=later) if _is_meant(m, lie) else m for m in shown)


def _refunded(shown: list[Movement], lie: Falsification) -> Iterator[Movement]:
    for movement in shown:
        yield movement
        if _is_meant(movement, lie):
            yield replace(movement, fen=-movement.fen)


def _unknown(shown: list[Movement], lie: Falsification) -> Iterator[Movement]:
    yield from shown
    at = datetime.combine(lie.day, time(23, 59, 58), CHINA).timestamp()
    yield Movement(at, -lie.fen, lie.number, f"1330000{secrets.randbelow(10**21):021d}", "")


_LIES: dict[str, Callable[[list[Movement], Falsification], Iterator[Movement]]] = {
    "missing": _missing,
    "doubled": _doubled,
    "amount": _amount,
    "other_bill": _other_bill,
    "late": _late,
    "refunded": _refunded,
    "unknown": _unknown,
}


def _day(at: float) -> date:
    return datetime.fromtimestamp(at, CHINA).date()


def _render(rows: list[tuple[Movement, int]]) -> str:
    """The file: header, lines with a back-tick before every value, summary header, summary (11.3)."""
    lines = [_HEADER]
    for count, (movement, balance) in enumerate(rows, 1):
        values = (
            f"{datetime.fromtimestamp(movement.at, CHINA):%Y-%m-%d %H:%M:%S}",
            movement.platform_no,
            f"{movement.platform_no[-12:]}{count:08d}",
            "沙盒转账" if movement.number else "沙盒充值",
            "沙盒转账" if movement.number else "沙盒充值",
            "收入" if movement.fen > 0 else "支出",
            _yuan(abs(movement.fen)),
            _yuan(balance),
            "system",
            # As the platform does: a line break in a remark arrives as two characters.
            movement.remark.replace("\r", "\\r").replace("\n", "\\n").replace(",", "，"),
            movement.number,
        )
        lines.append(",".join(f"`{value}" for value in values))
    income = [m.fen for m, _ in rows if m.fen > 0]
    spent = [-m.fen for m, _ in rows if m.fen < 0]
    lines.append(_FOOTER)
    figures = (f"{len(rows)}.0", f"{len(income)}.0", _yuan(sum(income)), f"{len(spent)}.0", _yuan(sum(spent)))
    lines.append(",".join(f"`{figure}" for figure in figures))
    return "\n".join(lines) + "\n"


def _yuan(fen: int) -> str:
    sign = "-" if fen < 0 else ""
    return f"{sign}{abs(fen) // 100}.{abs(fen) % 100:02d}"
