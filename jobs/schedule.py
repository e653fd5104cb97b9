"""What is due when.

A job only knocks: what there is to do stands as rows, claimed under guards. If two schedulers knock, or
none for an hour, nothing is doubled and nothing is lost. Each job does a bounded piece of work and says
how much it did.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic

from apscheduler.schedulers.background import BackgroundScheduler

from app.campaigns import operations as campaigns
from app.campaigns import unlocking
from app.campaigns.watch import watch_budgets
from app.codes import market
from app.factory import Container
from app.goods import operations as goods
from app.http import idempotency, metrics
from app.identity import linking
from app.identity import operations as identity
from app.kernel.actor import SYSTEM
from app.kernel.ids import id_before
from app.notices import operations as notices
from app.organisation.message_keys import forget_message_keys
from app.outbox import operations as outbox
from app.payouts import operations as payouts
from app.reconciliation import closing as reconciliation
from app.reconciliation.operations import ask_due
from app.rewards import operations as rewards
from app.risk import counting, watch
from app.risk.captchas import purge_captcha_tickets
from app.tax import operations as tax
from app.trace import detection
from app.trace.diversion import DiversionRules
from app.vouchers import operations as vouchers
from jobs.steadiness import Steadiness

log = logging.getLogger("saoma.jobs")

KEEP_ATTEMPTS = timedelta(days=90)
KEEP_SESSIONS = timedelta(days=7)
# Those that money hangs on are kept for ever.
KEEP_ANSWERS = timedelta(days=7)
_PURGE_BATCH = 1000
_BATCH = 200
_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Job:
    """One thing to do every `seconds`; `work` returns how many pieces it did.

    `final`: what it does because of the time cannot be taken back, so it waits while the clock is doubted.
    """

    name: str
    seconds: float
    work: Callable[[Container], int]
    final: bool = False


def _portions(portion: Callable[[], int]) -> int:
    """Do one portion after another, a transaction each, until none is left or the time is up.

    One a knock would fall behind where more comes in than it takes.
    """
    total, end = 0, monotonic() + _SECONDS
    while done := portion():
        total += done
        if monotonic() >= end:
            break
    return total


def drain(container: Container) -> int:
    """Drain the outbox until nothing is due or the next knock is near."""
    report = container.drainer.until_idle(seconds=_SECONDS)
    metrics.count_outcomes(report)
    return report.handled


def purge(container: Container) -> int:
    """Remove attempts, callback bodies, answers, counts of scans, names, tickets and links that are over."""
    now, db = container.clock.now(), container.db
    return (
        _portions(
            lambda: db.transact(
                lambda session: outbox.purge(session, now=now, keep=KEEP_ATTEMPTS, limit=_PURGE_BATCH)
            )
        )
        + _portions(
            lambda: db.transact(
                lambda session: idempotency.purge(session, now=now, keep=KEEP_ANSWERS, limit=_PURGE_BATCH)
            )
        )
        + _portions(lambda: db.transact(lambda session: counting.purge_counters(session, now=now)))
        + _portions(lambda: db.transact(lambda session: goods.forget_addresses(session, now=now)))
        + _portions(lambda: db.transact(lambda session: tax.forget_identities(session, now=now)))
        + _portions(lambda: db.transact(lambda session: market.purge_tickets(session, now=now)))
        + _portions(lambda: db.transact(lambda session: purge_captcha_tickets(session, now=now)))
        + db.transact(lambda session: forget_message_keys(session, now=now))
        + _portions(lambda: db.transact(lambda session: linking.purge(session, now=now)))
    )


def poll(container: Container) -> int:
    """Ask about bills whose callback is late."""
    now = container.clock.now()
    return container.db.transact(lambda session: payouts.poll_due(session, now=now, limit=_BATCH))


def ask_for_statements(container: Container) -> int:
    """Ask for the bills of the days that are over, from 10:05 Beijing time on the next."""
    now = container.clock.now()
    return container.db.transact(lambda session: ask_due(session, now=now))


def reconcile(container: Container) -> int:
    """Close the days whose bills have come."""
    return reconciliation.close_due(
        container.db, folder=container.settings.statements, now=container.clock.now(), actor=SYSTEM
    )


def lapse(container: Container) -> int:
    """Lapse awards whose published deadline has passed; budget and stock return.

    Those that nobody can unlock at the moment are kept.
    """
    now, db = container.clock.now(), container.db
    return _portions(
        lambda: db.transact(
            lambda session: rewards.lapse_due(
                session, now=now, limit=_BATCH, standstill=unlocking.standstill(session)
            )
        )
    )


def expire_vouchers(container: Container) -> int:
    """Take expired codes out of the stock of their prizes, and warn where winners have been promised them."""
    now = container.clock.now()
    return container.db.transact(lambda session: vouchers.expire_due(session, now=now))


def watch_campaigns(container: Container) -> int:
    """Warn of budgets that hold less than the prizes in stock may cost."""
    now, book = container.clock.now(), container.campaign_book
    return container.db.transact(lambda session: watch_budgets(session, book=book, now=now))


def watch_risk(container: Container) -> int:
    """Mark whom the risk rules hit, and warn of them."""
    now, db = container.clock.now(), container.db
    return _portions(lambda: db.transact(lambda session: watch.sweep(session, now=now)))


def remind_of_tax(container: Container) -> int:
    """Warn of a month's tax on prizes that nobody has paid."""
    now = container.clock.now()
    return container.db.transact(lambda session: tax.remind(session, now=now))


def tell(container: Container) -> int:
    """Queue a letter and a text about the open alerts, where they are wanted."""
    settings, now = container.settings, container.clock.now()
    letters = settings.smtp_url is not None and bool(settings.alert_to)
    texts = settings.sms_per_day if settings.sms_url is not None and settings.sms_to else 0
    if not letters and not texts:
        return 0
    every = timedelta(minutes=settings.alert_minutes)
    return int(
        container.db.transact(
            lambda session: notices.queue_digest(
                session, every=every, now=now, letters=letters, texts_per_day=texts
            )
        )
    )


def end_campaigns(container: Container) -> int:
    """End campaigns whose period is over; their seeds are public from then on."""
    now = container.clock.now()
    return container.db.transact(lambda session: campaigns.end_due(session, now=now))


def end_sessions(container: Container) -> int:
    """Remove logins that ended a while ago."""
    before, db = container.clock.now() - KEEP_SESSIONS, container.db
    return _portions(
        lambda: db.transact(
            lambda session: identity.purge_sessions(session, ended_before=before, limit=_PURGE_BATCH)
        )
    )


def find_diversion(container: Container) -> int:
    """Look through new scans for goods that are far from where they were shipped."""
    now, db, rules = container.clock.now(), container.db, DiversionRules(*container.settings.diversion)
    upto = id_before(detection.SETTLED_SECONDS)
    total = 0
    while (
        found := db.transact(lambda session: detection.detect(session, upto_id=upto, rules=rules, now=now))
    ) is not None:
        total += found
    return total


JOBS = (
    Job("drain", 1.0, drain),
    Job("poll", 10.0, poll),
    Job("ask_for_statements", 60.0, ask_for_statements),
    Job("reconcile", 60.0, reconcile),
    Job("lapse", 60.0, lapse, final=True),
    Job("tell", 30.0, tell),
    Job("expire_vouchers", 60.0, expire_vouchers, final=True),
    Job("watch_campaigns", 60.0, watch_campaigns),
    Job("watch_risk", 60.0, watch_risk),
    Job("end_campaigns", 60.0, end_campaigns, final=True),
    Job("end_sessions", 600.0, end_sessions),
    Job("purge", 600.0, purge),
    Job("remind_of_tax", 3600.0, remind_of_tax),
    Job("find_diversion", 60.0, find_diversion),
)


class Scheduler:
    """Runs the jobs in threads of this process until it is stopped."""

    def __init__(
        self, container: Container, jobs: tuple[Job, ...] = JOBS, steadiness: Steadiness | None = None
    ) -> None:
        self._container = container
        self._steadiness = steadiness or Steadiness()
        self._stopping = threading.Event()
        # Memory store: what must survive is rows of ours. `coalesce` and no grace limit: a late knock
        # is one knock.
        self._scheduler = BackgroundScheduler(
            timezone="UTC",
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )
        for job in jobs:
            self._scheduler.add_job(
                self._run, "interval", args=[job], id=job.name, seconds=job.seconds, jitter=None
            )

    def start(self) -> None:
        """Begin to knock."""
        self._scheduler.start()

    def stop(self) -> None:
        """Take no new work and wait for what is being done."""
        self._stopping.set()
        self._scheduler.shutdown(wait=True)

    def _run(self, job: Job) -> None:
        if self._stopping.is_set():
            return
        try:
            if job.final and not self._steadiness.holds(self._container):
                return
            done = job.work(self._container)
        except Exception:
            # The next knock tries again; the log and the metrics tell.
            log.exception("job.failed", extra={"job": job.name})
            return
        if done:
            log.info("job.done", extra={"job": job.name, "pieces": done})
