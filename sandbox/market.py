"""WeChat's own one-item-one-code (一物一码): orders of codes, encrypted files, activations, tickets.

Source: contract 1.11. It does not say what a ticket's end, a used ticket or a second activation are
answered with; here they are answered as the platform answers the one-shot codes of the mini-program and bad
arguments elsewhere. Codes are computed from the order and the index, so an order of twenty million is one
event. Tickets live in memory only.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from sandbox.clock import SandboxClock
from sandbox.directory import Directory
from sandbox.errors import AdminError, WeChatError
from sandbox.store import Event, Store

SMALLEST, LARGEST, STEP = 10_000, 20_000_000, 10_000
CODES_A_FILE = 5_000
MAKING_SECONDS = 60
TICKET_SECONDS = 300
COLUMNS = ("index", "code", "url")

_FIRST_ID = 10**15
_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_URL_LETTERS = _LETTERS + "$%."
_INDEX_BITS = 25
_MODULUS = 1 << 45
_FACTOR, _OFFSET = 21_132_786_941_345, 9_417_203_854_021


@dataclass(slots=True)
class Activation:
    """A range of codes that opens a page of a mini-program."""

    first: int
    last: int
    fields: Mapping[str, Any]


@dataclass(slots=True)
class Application:
    """An order of codes of one service account. ``number`` counts the orders of this Tencent."""

    number: int
    appid: str
    order: str
    count: int
    at: float
    active: list[Activation] = field(default_factory=list)

    @property
    def id(self) -> int:
        """The application_id."""
        return _FIRST_ID + self.number

    def holding(self, index: int) -> Activation | None:
        """The activation that the code at ``index`` lies in."""
        return next((found for found in self.active if found.first <= index <= found.last), None)


@dataclass(slots=True)
class _Ticket:
    appid: str
    openid: str
    application: Application
    index: int
    expires_at: float
    used: bool = False


class Market:
    """Grants, orders, activations and tickets."""

    def __init__(self, *, store: Store, directory: Directory, clock: SandboxClock) -> None:
        self._store, self._directory, self._clock = store, directory, clock
        self._grants: dict[str, tuple[str, tuple[str, ...]]] = {}
        self._applications: list[Application] = []
        self._tickets: dict[str, _Ticket] = {}
        store.on("market_grant", self._apply_grant)
        store.on("market_order", self._apply_order)
        store.on("market_activation", self._apply_activation)

    def grant(self, appid: str, key: str, columns: list[Any]) -> None:
        """Gives a service account the capability, with its key and the columns of its files. AdminError."""
        if self._directory.app(appid).kind != "service":
            raise AdminError(409, "wrong_kind_of_app", f"{appid} is not a service app")
        if len(key) != 16 or not key.isascii():
            raise AdminError(422, "bad_key", "key must be 16 ASCII characters")
        if not columns or set(columns) - set(COLUMNS):
            raise AdminError(422, "bad_columns", f"columns may be {', '.join(COLUMNS)}")
        with self._store.lock:
            self._store.record("market_grant", appid=appid, key=key, columns=columns)

    def apply(self, appid: str, order: str, count: int) -> Application:
        """The order with this number, made if there is none. WeChatError 48001 or 40097."""
        self._require_grant(appid)
        if not SMALLEST <= count <= LARGEST or count % STEP or not 1 <= len(order) <= 128:
            raise WeChatError(40097)
        with self._store.lock:
            found = self._by_order(appid, order)
            if found is None:
                at = self._clock.now()
                self._store.record("market_order", appid=appid, order=order, count=count, at=at)
                return self._applications[-1]
        if found.count != count:
            raise WeChatError(40097)
        return found

    def application(self, appid: str, application_id: int | None, order: str = "") -> Application:
        """An order of the account, by either number. WeChatError 48001 or 40097."""
        self._require_grant(appid)
        if order:
            found = self._by_order(appid, order)
        else:
            number = (application_id or 0) - _FIRST_ID
            known = 0 <= number < len(self._applications)
            found = self._applications[number] if known else None
        if found is None or found.appid != appid:
            raise WeChatError(40097)
        return found

    def finished(self, application: Application) -> bool:
        """Whether the codes are made."""
        return self._clock.now() >= application.at + MAKING_SECONDS

    def files(self, application: Application) -> list[tuple[int, int]]:
        """The ranges in which a finished order is downloaded."""
        starts = range(0, application.count, CODES_A_FILE)
        return [(start, min(start + CODES_A_FILE, application.count) - 1) for start in starts]

    def download(self, application: Application, first: int, last: int) -> str:
        """One file: text under AES-128-CBC, key and IV the account's key, in base64. WeChatError 40097."""
        if not self.finished(application) or (first, last) not in self.files(application):
            raise WeChatError(40097)
        key, columns = self._grants[application.appid]
        lines = []
        for index in range(first, last + 1):
            code = self.code(application, index)
            said = {"index": str(index), "code": code, "url": self.url(code)}
            lines.append("\t".join(said[name] for name in columns) + "\n")
        padder = PKCS7(128).padder()
        text = padder.update("".join(lines).encode()) + padder.finalize()
        encryptor = Cipher(algorithms.AES(key.encode()), modes.CBC(key.encode())).encryptor()
        return base64.b64encode(encryptor.update(text) + encryptor.finalize()).decode()

    def activate(self, application: Application, first: int, last: int, fields: Mapping[str, Any]) -> None:
        """Lets a range open a page; again with the same words changes nothing. WeChatError 40097."""
        page = self._directory.apps.get(fields["wxa_appid"])
        paths = () if page is None or page.kind != "miniprogram" else page.pages
        if fields["wxa_path"].split("?")[0] not in paths or fields["wxa_type"] not in (0, 1, 2):
            raise WeChatError(40097)
        if not self.finished(application) or not 0 <= first <= last < application.count:
            raise WeChatError(40097)
        with self._store.lock:
            for held in application.active:
                if (held.first, held.last, held.fields) == (first, last, fields):
                    return
                if held.first <= last and first <= held.last:
                    raise WeChatError(40097)
            self._store.record(
                "market_activation", number=application.number, first=first, last=last, fields=dict(fields)
            )

    def scan(self, shopper_id: str, url: str) -> dict[str, Any]:
        """What WeChat opens when a shopper scans ``url``, with a new ticket. AdminError 404 or 409."""
        self._directory.shopper(shopper_id)
        application, index = self.place(url[-9:])
        if application is None or self.url(url[-9:]) != url:
            raise AdminError(404, "unknown_code", "no such code was made here")
        held = application.holding(index)
        if held is None:
            raise AdminError(409, "not_active", "this code opens nothing yet")
        appid, text = held.fields["wxa_appid"], secrets.token_urlsafe(32)
        openid, until = self._directory.openid(appid, shopper_id), self._clock.now() + TICKET_SECONDS
        with self._store.lock:
            self._tickets[text] = _Ticket(appid, openid, application, index, until)
        return {"appid": appid, "path": held.fields["wxa_path"], "code_ticket": text, "scene": 1124}

    def use_ticket(self, appid: str, openid: str, text: str) -> tuple[Application, int]:
        """The code behind a ticket, which is used up. WeChatError 48001, 40003, 40029 or 40163."""
        self._require_grant(appid)
        with self._store.lock:
            ticket = self._tickets.get(text)
            if ticket is None or ticket.application.appid != appid or self._clock.now() >= ticket.expires_at:
                raise WeChatError(40029)
            if ticket.openid != openid:
                raise WeChatError(40003)
            if ticket.used:
                raise WeChatError(40163)
            ticket.used = True
            return ticket.application, ticket.index

    def code(self, application: Application, index: int) -> str:
        """The nine letters of a code; no two codes have the same."""
        number = (application.number << _INDEX_BITS | index) * _FACTOR + _OFFSET
        return "".join(_LETTERS[number % _MODULUS >> shift & 31] for shift in range(40, -1, -5))

    def place(self, code: str) -> tuple[Application | None, int]:
        """The order and the index of a code; no order for what was never made."""
        if len(code) != 9 or set(code) - set(_LETTERS):
            return None, 0
        value = sum(
            _LETTERS.index(letter) << shift for letter, shift in zip(code, range(40, -1, -5), strict=True)
        )
        number = (value - _OFFSET) * pow(_FACTOR, -1, _MODULUS) % _MODULUS
        which, index = number >> _INDEX_BITS, number & ((1 << _INDEX_BITS) - 1)
        made = which < len(self._applications) and index < self._applications[which].count
        return (self._applications[which], index) if made else (None, 0)

    @staticmethod
    def url(code: str) -> str:
        """The 28 characters in the printed code."""
        digest = hashlib.sha256(f"url {code}".encode()).digest()
        return "P.URL.CN/" + "".join(_URL_LETTERS[byte % len(_URL_LETTERS)] for byte in digest[:10]) + code

    def _require_grant(self, appid: str) -> None:
        if appid not in self._grants:
            raise WeChatError(48001)

    def _by_order(self, appid: str, order: str) -> Application | None:
        mine = (found for found in self._applications if found.appid == appid and found.order == order)
        return next(mine, None)

    def _apply_grant(self, event: Event) -> None:
        self._grants[event["appid"]] = (event["key"], tuple(event["columns"]))

    def _apply_order(self, event: Event) -> None:
        number = len(self._applications)
        made = Application(number, event["appid"], event["order"], event["count"], event["at"])
        self._applications.append(made)

    def _apply_activation(self, event: Event) -> None:
        made = Activation(event["first"], event["last"], dict(event["fields"]))
        self._applications[event["number"]].active.append(made)
