"""Sends the notices of finished transfers and tries again until the merchant has taken them in.

Source: contracts 4.4 and 4.8. At least once, possibly twice at the same time, in no particular order: that is
what the platform promises and what the faults here exaggerate. Retry delays are business time divided by the
``callback_speed`` setting, so a test can have the whole schedule in a second.
"""

from __future__ import annotations

import json
import logging
import queue
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests

from sandbox.agenda import Agenda
from sandbox.clock import SandboxClock, pay_timestamp, wire_time
from sandbox.directory import Directory, Merchant
from sandbox.errors import AdminError
from sandbox.exchanges import Exchanges
from sandbox.faults import CALLBACK_KINDS, Fault, Faults
from sandbox.pay_signing import encrypt_resource, signature_headers
from sandbox.settings import LiveSettings
from sandbox.transfer_request import LOCAL_HOSTS, TRANSFER_PATH
from sandbox.transfers import Bill

log = logging.getLogger("sandbox.callbacks")

TRANSFER_SCHEDULE_SECONDS = (0,) + (15,) * 10 + (300,) * 10 + (1800,) * 44
ANSWER_WITHIN_SECONDS = 5
SENDERS = 8
USER_AGENT = "Mozilla/4.0"


@dataclass(slots=True)
class Notice:
    """One event for one merchant. ``body`` stays the same through all attempts; the signature does not."""

    id: str
    merchant: Merchant
    notify_url: str
    body: bytes
    bill: Bill
    era: int
    attempts: int = 0
    delivered: bool = False


class Callbacks:
    """The senders: a queue of attempts that are due now, worked off by a few threads."""

    def __init__(
        self,
        *,
        directory: Directory,
        clock: SandboxClock,
        agenda: Agenda,
        settings: LiveSettings,
        faults: Faults,
        exchanges: Exchanges,
    ) -> None:
        self._directory = directory
        self._clock = clock
        self._agenda = agenda
        self._settings = settings
        self._faults = faults
        self._exchanges = exchanges
        self._due: queue.SimpleQueue[tuple[Notice, bool] | None] = queue.SimpleQueue()
        self._era = 0
        self._held_lock = threading.Lock()
        self._held: list[Notice] = []
        # Set by whoever joins the rooms; transfers and callbacks know each other by these two functions only.
        self.acknowledged: Callable[[Bill], None] = _forget
        self._threads = [
            threading.Thread(target=self._work, name=f"callback-{number}", daemon=True)
            for number in range(SENDERS)
        ]

    def start(self) -> None:
        """Starts the sender threads."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Lets the senders end after the attempt they are in."""
        for _ in self._threads:
            self._due.put(None)

    def announce(self, bill: Bill) -> None:
        """Starts to notify the merchant that ``bill`` is final; nothing when it gave no notify_url."""
        if bill.order.notify_url is None:
            return
        merchant = self._directory.merchants[bill.mchid]
        notice = Notice(
            id=secrets.token_hex(16),
            merchant=merchant,
            notify_url=bill.order.notify_url,
            body=b"",
            bill=bill,
            era=self._era,
        )
        notice.body = _event_body(notice.id, merchant, bill, self._clock.now())
        fault = self._faults.pick(CALLBACK_KINDS, TRANSFER_PATH, urlsplit(notice.notify_url).path)
        if fault is None:
            self._due.put((notice, True))
        else:
            self._announce_badly(notice, fault)

    def forget(self) -> None:
        """Never again sends a notice that has been announced so far: whoever waited for them is gone."""
        self._era += 1

    def probe(self, mchid: str, notify_url: str) -> dict[str, Any]:
        """Sends one callback whose signature is a signature test; an honest merchant refuses it with 4xx or
        5xx.

        Returns ``status`` (None when there was no answer) and ``refused``.
        """
        merchant = self._directory.merchant(mchid)
        resource = {"mch_id": mchid, "state": "SUCCESS"}
        body = _envelope(secrets.token_hex(16), merchant, json.dumps(resource).encode(), self._clock.now())
        with requests.Session() as session:
            status = self._post(session, merchant, notify_url, body, probe=True)
        return {"status": status, "refused": status is not None and 400 <= status < 600}

    def target(self, notify_url: str) -> str:
        """Where a notice for ``notify_url`` really goes.

        The product's origin for https, itself for http on loopback. Raises AdminError for anything else: the
        sandbox never sends anything to the outside.
        """
        parts = urlsplit(notify_url)
        if parts.scheme == "https":
            return self._settings.current.product_url + (parts.path or "/")
        if parts.scheme == "http" and parts.hostname in LOCAL_HOSTS:
            return notify_url
        raise AdminError(422, "bad_notify_url", "notify_url must be https, or http on 127.0.0.1 or localhost")

    def _announce_badly(self, notice: Notice, fault: Fault) -> None:
        if fault.kind == "duplicate_callback":
            for copy in range(int(fault.parameters["copies"])):
                # Only the first one goes on the retry schedule; the copies are just noise.
                self._due.put((notice, copy == 0))
        elif fault.kind == "late_callback":
            self._agenda.at(
                self._clock.now() + fault.parameters["delay_seconds"], lambda: self._due.put((notice, True))
            )
        elif fault.kind == "reorder_callback":
            with self._held_lock:
                self._held.append(notice)
            hold = fault.parameters["hold_seconds"]
            self._agenda.at(self._clock.now() + hold, lambda: self._release_held(notice))

    def _release_held(self, only: Notice | None = None) -> None:
        with self._held_lock:
            released = [notice for notice in self._held if only is None or notice is only]
            self._held = [notice for notice in self._held if notice not in released]
        for notice in released:
            self._due.put((notice, True))

    def _work(self) -> None:
        with requests.Session() as session:
            while (item := self._due.get()) is not None:
                notice, retry = item
                try:
                    self._attempt(session, notice, retry=retry)
                except Exception:
                    log.exception("a callback attempt failed")

    def _attempt(self, session: requests.Session, notice: Notice, *, retry: bool) -> None:
        if notice.era != self._era:
            return
        notice.attempts += 1
        status = self._post(session, notice.merchant, notice.notify_url, notice.body)
        if status in (200, 204):
            notice.delivered = True
            self.acknowledged(notice.bill)
            # A held notice comes right after the one that overtook it.
            self._release_held()
        elif retry and not notice.delivered and notice.attempts < len(TRANSFER_SCHEDULE_SECONDS):
            delay = TRANSFER_SCHEDULE_SECONDS[notice.attempts] / self._settings.current.callback_speed
            self._agenda.at(self._clock.now() + delay, lambda: self._due.put((notice, True)))

    def _post(
        self,
        session: requests.Session,
        merchant: Merchant,
        notify_url: str,
        body: bytes,
        *,
        probe: bool = False,
    ) -> int | None:
        target = self.target(notify_url)
        headers = signature_headers(
            private_key_pem=merchant.platform_key_pem,
            key_id=merchant.platform_key_id,
            body=body,
            now=wire_time(),
            probe=probe,
        )
        headers.update({"Content-Type": "application/json", "Accept": "*/*", "User-Agent": USER_AGENT})
        # Proxies of the environment are not for a conversation between two processes of this machine.
        session.trust_env = False
        started = time.monotonic()
        status: int | None = None
        answer, note = b"", "signature test" if probe else ""
        try:
            response = session.post(
                target, data=body, headers=headers, timeout=ANSWER_WITHIN_SECONDS, allow_redirects=False
            )
            status, answer = response.status_code, response.content
        except requests.RequestException as error:
            note = type(error).__name__
        self._exchanges.add(
            direction="out",
            at=self._clock.now(),
            method="POST",
            url=target,
            status=status,
            request=body,
            response=answer,
            milliseconds=(time.monotonic() - started) * 1000,
            note=note,
        )
        return status


def _forget(bill: Bill) -> None:
    """Takes note of nothing."""


def _event_body(notice_id: str, merchant: Merchant, bill: Bill, now: float) -> bytes:
    resource: dict[str, Any] = {
        "out_bill_no": bill.order.out_bill_no,
        "transfer_bill_no": bill.transfer_bill_no,
        "state": bill.state,
        "mch_id": bill.mchid,
        "transfer_amount": bill.order.amount_fen,
        "openid": bill.order.openid,
        "create_time": pay_timestamp(bill.created_at),
        "update_time": pay_timestamp(bill.updated_at),
    }
    if bill.fail_reason:
        resource["fail_reason"] = bill.fail_reason
    return _envelope(notice_id, merchant, json.dumps(resource, ensure_ascii=False).encode(), now)


def _envelope(notice_id: str, merchant: Merchant, resource: bytes, now: float) -> bytes:
    envelope = {
        "id": notice_id,
        "create_time": pay_timestamp(now),
        "event_type": "MCHTRANSFER.BILL.FINISHED",
        "resource_type": "encrypt-resource",
        "summary": "商家转账单据终态通知",
        "resource": encrypt_resource(
            apiv3_key=merchant.apiv3_key, plaintext=resource, original_type="mch_payment"
        ),
    }
    return json.dumps(envelope, ensure_ascii=False, separators=(",", ":")).encode()
